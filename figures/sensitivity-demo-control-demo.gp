# Sensitivity of single sites
# Made by: outlierlab report --figure sensitivity-demo-control-demo
# To restyle it, edit this script or theme.gp, then run here: gnuplot sensitivity-demo-control-demo.gp
load 'theme.gp'
name = 'sensitivity-demo-control-demo'
data = name . '.tsv'

do for [format in formats] {
eval(page(format, 183, 63.400000000000006))
set output name . '.' . format
set multiplot

load 'theme.gp'
set lmargin at screen 0.20765
set rmargin at screen 0.48087
set bmargin at screen 0.15773
set tmargin at screen 0.85804
set label 'accuracy (%)' at screen 0.34426, 0.05047 center
set label 'only this site has 8 bits' at screen 0.34426, 0.96530 center
set arrow from first 50, graph 0 to first 50, graph 1 nohead linestyle 13 back
set label 'chance' at first 50, screen 0.88644 center textcolor linestyle 13
set arrow from first 85, graph 0 to first 85, graph 1 nohead linestyle 11 back
set label 'FP32' at first 81.31, screen 0.88644 center textcolor linestyle 11
set arrow from first 85, graph 0 to first 85, graph 1 nohead linestyle 12 back
set label 'W8A8' at first 88.69, screen 0.88644 center textcolor linestyle 12
set xrange [48:89]
set yrange [12.5:0.5]
set ytics ('layer.2.attention_residual' 1, 'layer.1.ffn_residual' 2, 'embeddings.norm' 3, 'layer.3.scores' 4, 'embeddings.sum' 5, 'layer.1.output' 6, 'layer.5.output' 7, 'layer.2.output' 8, 'layer.0.context' 9, 'layer.5.ffn_residual' 10, 'layer.3.context' 11, 'layer.2.ffn_residual' 12) scale 0
plot data using (at('only_one', 'accuracy')):'rank':'ci_low':'ci_high' with xerrorbars linestyle 2 linewidth 1.5 dashtype 1

load 'theme.gp'
set lmargin at screen 0.71038
set rmargin at screen 0.98361
set bmargin at screen 0.15773
set tmargin at screen 0.85804
set label 'accuracy (%)' at screen 0.84699, 0.05047 center
set label 'all sites but this have 8 bits' at screen 0.84699, 0.96530 center
set arrow from first 50, graph 0 to first 50, graph 1 nohead linestyle 13 back
set label 'chance' at first 50, screen 0.88644 center textcolor linestyle 13
set arrow from first 85, graph 0 to first 85, graph 1 nohead linestyle 11 back
set label 'FP32' at first 81.31, screen 0.88644 center textcolor linestyle 11
set arrow from first 85, graph 0 to first 85, graph 1 nohead linestyle 12 back
set label 'W8A8' at first 88.69, screen 0.88644 center textcolor linestyle 12
set xrange [48:89]
set yrange [12.5:0.5]
set ytics ('layer.0.probs' 1, 'layer.3.scores' 2, 'embeddings.sum' 3, 'layer.3.attention_output' 4, 'layer.0.ffn_input' 5, 'layer.0.value' 6, 'layer.2.ffn_output' 7, 'layer.0.ffn_residual' 8, 'layer.1.attention_output' 9, 'layer.2.query' 10, 'layer.0.query' 11, 'layer.3.ffn_input' 12) scale 0
plot data using (at('leave_one_out', 'accuracy')):'rank':'ci_low':'ci_high' with xerrorbars linestyle 1 linewidth 1.5 dashtype 1

unset multiplot
}
set output
