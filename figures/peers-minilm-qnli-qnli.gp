# Speed and accuracy beside other programs
# Made by: outlierlab report --figure peers-minilm-qnli-qnli
# To restyle it, edit this script or theme.gp, then run here: gnuplot peers-minilm-qnli-qnli.gp
load 'theme.gp'
name = 'peers-minilm-qnli-qnli'
data = name . '.tsv'

do for [format in formats] {
eval(page(format, 183, 98))
set output name . '.' . format
set multiplot

load 'theme.gp'
set lmargin at screen 0.25137
set rmargin at screen 0.67760
set bmargin at screen 0.10204
set tmargin at screen 0.91429
set label '' at screen 0.02322, 0.97755 point linestyle 3
set label 'other programs, float' at screen 0.03661, 0.97755 left
set label '' at screen 0.18689, 0.97755 point linestyle 2
set label 'other programs, 8 bits' at screen 0.20027, 0.97755 left
set label '' at screen 0.35437, 0.97755 point linestyle 7
set label 'outlierlab, float' at screen 0.36776, 0.97755 left
set label '' at screen 0.48404, 0.97755 point linestyle 1
set label 'outlierlab, 8 bits' at screen 0.49743, 0.97755 left
set yrange [18.5:0.5]
set ytics ('PyTorch float32' 1, 'PyTorch float32 padded to 128' 2, 'PyTorch bfloat16' 3, 'PyTorch int8 dynamic' 4, 'ONNX Runtime float32' 5, 'ONNX Runtime int8 dynamic' 6, 'ONNX Runtime int8 static' 7, 'CTranslate2 float32' 8, 'CTranslate2 int8' 9, 'outlierlab float32' 10, 'outlierlab bfloat16' 11, 'outlierlab int8, w8a8' 12, 'outlierlab int8, w8a8-token' 13, 'outlierlab int8, w8a8-token-linear' 14, 'outlierlab int8, w8a8-token-linear-mse' 15, 'outlierlab int8, llm-int8' 16, 'outlierlab int8, peg-6-permuted' 17, 'outlierlab int8, mp-xhy-16' 18) scale 0
set xrange [0:841.0707673]
set label 'examples per second' at screen 0.46448, 0.03265 center
set arrow from first 197.1078953, graph 0 to first 197.1078953, graph 1 nohead linestyle 11 back
set label 'PyTorch FP32' at first 197.1078953, screen 0.93265 center textcolor linestyle 11
plot data using (at('others float', 'rate')):'row':'rate_low':'rate_high' with xerrorbars linestyle 3 linewidth 1.5 dashtype 1, \
     data using (at('others integer', 'rate')):'row':'rate_low':'rate_high' with xerrorbars linestyle 2 linewidth 1.5 dashtype 1, \
     data using (at('ours float', 'rate')):'row':'rate_low':'rate_high' with xerrorbars linestyle 7 linewidth 1.5 dashtype 1, \
     data using (at('ours integer', 'rate')):'row':'rate_low':'rate_high' with xerrorbars linestyle 1 linewidth 1.5 dashtype 1

load 'theme.gp'
set lmargin at screen 0.72131
set rmargin at screen 0.97268
set bmargin at screen 0.10204
set tmargin at screen 0.91429
set yrange [18.5:0.5]
unset ytics
set xrange [70:85]
set label 'accuracy (%)' at screen 0.84699, 0.03265 center
set arrow from first 82.70181219, graph 0 to first 82.70181219, graph 1 nohead linestyle 11 back
set label 'PyTorch FP32' at first 82.70181219, screen 0.93265 center textcolor linestyle 11
plot data using (at('others float', 'accuracy')):'row':'accuracy_low':'accuracy_high' with xerrorbars linestyle 3 linewidth 1.5 dashtype 1, \
     data using (at('others integer', 'accuracy')):'row':'accuracy_low':'accuracy_high' with xerrorbars linestyle 2 linewidth 1.5 dashtype 1, \
     data using (at('ours float', 'accuracy')):'row':'accuracy_low':'accuracy_high' with xerrorbars linestyle 7 linewidth 1.5 dashtype 1, \
     data using (at('ours integer', 'accuracy')):'row':'accuracy_low':'accuracy_high' with xerrorbars linestyle 1 linewidth 1.5 dashtype 1

unset multiplot
}
set output
