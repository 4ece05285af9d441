# Accuracy by method
# Made by: outlierlab report --figure accuracy
# To restyle it, edit this script or theme.gp, then run here: gnuplot accuracy.gp
load 'theme.gp'
name = 'accuracy'
data = name . '.tsv'

do for [format in formats] {
eval(page(format, 183, 79.3))
set output name . '.' . format
set multiplot

load 'theme.gp'
set lmargin at screen 0.20765
set rmargin at screen 0.44991
set bmargin at screen 0.13871
set tmargin at screen 0.83859
set arrow from graph 0, first 2.5 to graph 1, first 2.5 nohead linestyle 15 back
set arrow from graph 0, first 8.5 to graph 1, first 8.5 nohead linestyle 15 back
set label '' at screen 0.21448, 0.97226 point linestyle 7
set label 'float activations' at screen 0.22787, 0.97226 left
set label '' at screen 0.34727, 0.97226 point linestyle 2
set label '8 bits, one static range per tensor' at screen 0.36066, 0.97226 left
set label '' at screen 0.58628, 0.97226 point linestyle 1
set label '8 bits, finer or mixed' at screen 0.59967, 0.97226 left
set label '' at screen 0.74754, 0.97226 point linestyle 14
set label 'paper (BERT-base, QNLI)' at screen 0.76093, 0.97226 left
set label 'demo-planted on demo (planted)' at screen 0.32878, 0.90164 center
set arrow from first 84.08203125, graph 0 to first 84.08203125, graph 1 nohead linestyle 11 back
set label 'FP32' at first 84.08203125, screen 0.86129 center textcolor linestyle 11
set arrow from first 50, graph 0 to first 50, graph 1 nohead linestyle 13 back
set label 'chance' at first 50, screen 0.86129 center textcolor linestyle 13
set xrange [45:92]
set yrange [15.5:0.5]
set xtics 10
set ytics ('FP32' 1, 'W8: 8-bit weights only' 2, 'W8A8, min-max' 3, 'W8A8, percentile 99.9' 4, 'W8A8, percentile 99.99' 5, 'W8A8, clip at mean ± 6 sd' 6, 'W8A8, least squared error' 7, 'W8A8, entropy (KL)' 8, 'PEG, K = 3' 9, 'PEG, K = 4' 10, 'PEG, K = 6' 11, 'PEG, K = 6, sorted' 12, '1 %% of channels in float' 13, 'x, h, y in float' 14, 'a range per token' 15) scale 0
set label 'accuracy (%)' at screen 0.32878, 0.05296 center
plot data using (at('demo-planted-demo 0', 'accuracy')):'row':'ci_low':'ci_high' with xerrorbars linestyle 7 linewidth 1.5 dashtype 1, \
     data using (at('demo-planted-demo 1', 'accuracy')):'row':'ci_low':'ci_high' with xerrorbars linestyle 2 linewidth 1.5 dashtype 1, \
     data using (at('demo-planted-demo 2', 'accuracy')):'row':'ci_low':'ci_high' with xerrorbars linestyle 1 linewidth 1.5 dashtype 1, \
     data using (at('paper', 'accuracy')):'row' with points linestyle 14

load 'theme.gp'
set lmargin at screen 0.46630
set rmargin at screen 0.70856
set bmargin at screen 0.13871
set tmargin at screen 0.83859
set arrow from graph 0, first 2.5 to graph 1, first 2.5 nohead linestyle 15 back
set arrow from graph 0, first 8.5 to graph 1, first 8.5 nohead linestyle 15 back
set label 'demo-control on demo' at screen 0.58743, 0.90164 center
set arrow from first 84.765625, graph 0 to first 84.765625, graph 1 nohead linestyle 11 back
set label 'FP32' at first 84.765625, screen 0.86129 center textcolor linestyle 11
set arrow from first 50, graph 0 to first 50, graph 1 nohead linestyle 13 back
set label 'chance' at first 50, screen 0.86129 center textcolor linestyle 13
set xrange [45:92]
set yrange [15.5:0.5]
set xtics 10
set ytics ('FP32' 1, 'W8: 8-bit weights only' 2, 'W8A8, min-max' 3, 'W8A8, percentile 99.9' 4, 'W8A8, percentile 99.99' 5, 'W8A8, clip at mean ± 6 sd' 6, 'W8A8, least squared error' 7, 'W8A8, entropy (KL)' 8, 'PEG, K = 3' 9, 'PEG, K = 4' 10, 'PEG, K = 6' 11, 'PEG, K = 6, sorted' 12, '1 %% of channels in float' 13, 'x, h, y in float' 14, 'a range per token' 15) scale 0
unset ytics
set label 'accuracy (%)' at screen 0.58743, 0.05296 center
plot data using (at('demo-control-demo 0', 'accuracy')):'row':'ci_low':'ci_high' with xerrorbars linestyle 7 linewidth 1.5 dashtype 1, \
     data using (at('demo-control-demo 1', 'accuracy')):'row':'ci_low':'ci_high' with xerrorbars linestyle 2 linewidth 1.5 dashtype 1, \
     data using (at('demo-control-demo 2', 'accuracy')):'row':'ci_low':'ci_high' with xerrorbars linestyle 1 linewidth 1.5 dashtype 1, \
     data using (at('paper', 'accuracy')):'row' with points linestyle 14

load 'theme.gp'
set lmargin at screen 0.72495
set rmargin at screen 0.96721
set bmargin at screen 0.13871
set tmargin at screen 0.83859
set arrow from graph 0, first 2.5 to graph 1, first 2.5 nohead linestyle 15 back
set arrow from graph 0, first 8.5 to graph 1, first 8.5 nohead linestyle 15 back
set label 'minilm-qnli on qnli' at screen 0.84608, 0.90164 center
set arrow from first 82.70181219, graph 0 to first 82.70181219, graph 1 nohead linestyle 11 back
set label 'FP32' at first 82.70181219, screen 0.86129 center textcolor linestyle 11
set arrow from first 50, graph 0 to first 50, graph 1 nohead linestyle 13 back
set label 'chance' at first 50, screen 0.86129 center textcolor linestyle 13
set xrange [45:92]
set yrange [15.5:0.5]
set xtics 10
set ytics ('FP32' 1, 'W8: 8-bit weights only' 2, 'W8A8, min-max' 3, 'W8A8, percentile 99.9' 4, 'W8A8, percentile 99.99' 5, 'W8A8, clip at mean ± 6 sd' 6, 'W8A8, least squared error' 7, 'W8A8, entropy (KL)' 8, 'PEG, K = 3' 9, 'PEG, K = 4' 10, 'PEG, K = 6' 11, 'PEG, K = 6, sorted' 12, '1 %% of channels in float' 13, 'x, h, y in float' 14, 'a range per token' 15) scale 0
unset ytics
set label 'accuracy (%)' at screen 0.84608, 0.05296 center
plot data using (at('minilm-qnli-qnli 0', 'accuracy')):'row':'ci_low':'ci_high' with xerrorbars linestyle 7 linewidth 1.5 dashtype 1, \
     data using (at('minilm-qnli-qnli 1', 'accuracy')):'row':'ci_low':'ci_high' with xerrorbars linestyle 2 linewidth 1.5 dashtype 1, \
     data using (at('minilm-qnli-qnli 2', 'accuracy')):'row':'ci_low':'ci_high' with xerrorbars linestyle 1 linewidth 1.5 dashtype 1, \
     data using (at('paper', 'accuracy')):'row' with points linestyle 14

unset multiplot
}
set output
