# Sensitivity of single sites
# Made by: outlierlab report --figure sensitivity-demo-planted-demo
# To restyle it, edit this script or theme.gp, then run here: gnuplot sensitivity-demo-planted-demo.gp
load 'theme.gp'
name = 'sensitivity-demo-planted-demo'
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
set label 'chance' at first 46.24, screen 0.88644 center textcolor linestyle 13
set arrow from first 84, graph 0 to first 84, graph 1 nohead linestyle 11 back
set label 'FP32' at first 84, screen 0.88644 center textcolor linestyle 11
set arrow from first 50.4, graph 0 to first 50.4, graph 1 nohead linestyle 12 back
set label 'W8A8' at first 54.16, screen 0.88644 center textcolor linestyle 12
set xrange [45:89]
set yrange [12.5:0.5]
set ytics ('layer.4.ffn_residual' 1, 'layer.5.ffn_residual' 2, 'layer.5.ffn_output' 3, 'layer.4.ffn_output' 4, 'layer.3.ffn_output' 5, 'layer.3.ffn_residual' 6, 'layer.2.ffn_output' 7, 'embeddings.sum' 8, 'layer.2.ffn_residual' 9, 'layer.5.output' 10, 'layer.0.ffn_residual' 11, 'layer.4.output' 12) scale 0
plot data using (at('only_one', 'accuracy')):'rank':'ci_low':'ci_high' with xerrorbars linestyle 2 linewidth 1.5 dashtype 1

load 'theme.gp'
set lmargin at screen 0.71038
set rmargin at screen 0.98361
set bmargin at screen 0.15773
set tmargin at screen 0.85804
set label 'accuracy (%)' at screen 0.84699, 0.05047 center
set label 'all sites but this have 8 bits' at screen 0.84699, 0.96530 center
set arrow from first 50, graph 0 to first 50, graph 1 nohead linestyle 13 back
set label 'chance' at first 46.24, screen 0.88644 center textcolor linestyle 13
set arrow from first 84, graph 0 to first 84, graph 1 nohead linestyle 11 back
set label 'FP32' at first 84, screen 0.88644 center textcolor linestyle 11
set arrow from first 50.4, graph 0 to first 50.4, graph 1 nohead linestyle 12 back
set label 'W8A8' at first 54.16, screen 0.88644 center textcolor linestyle 12
set xrange [45:89]
set yrange [12.5:0.5]
set ytics ('embeddings.sum' 1, 'embeddings.norm' 2, 'layer.0.query' 3, 'layer.0.key' 4, 'layer.0.value' 5, 'layer.0.scores' 6, 'layer.0.probs' 7, 'layer.0.context' 8, 'layer.0.attention_output' 9, 'layer.0.attention_residual' 10, 'layer.0.ffn_input' 11, 'layer.0.ffn_hidden' 12) scale 0
plot data using (at('leave_one_out', 'accuracy')):'rank':'ci_low':'ci_high' with xerrorbars linestyle 1 linewidth 1.5 dashtype 1

unset multiplot
}
set output
