# Exact rewrites before quantization
# Made by: outlierlab report --figure transforms-demo-control-demo
# To restyle it, edit this script or theme.gp, then run here: gnuplot transforms-demo-control-demo.gp
load 'theme.gp'
name = 'transforms-demo-control-demo'
data = name . '.tsv'

do for [format in formats] {
eval(page(format, 183, 82.2))
set output name . '.' . format
set multiplot

load 'theme.gp'
set lmargin at screen 0.18232
set rmargin at screen 0.61220
set bmargin at screen 0.12165
set tmargin at screen 0.89173
set label '' at screen 0.02322, 0.97324 point linestyle 2
set label 'W8A8' at screen 0.03661, 0.97324 left
set label '' at screen 0.08760, 0.97324 point linestyle 1
set label 'W8A8, x, h, y in float' at screen 0.10098, 0.97324 left
set label '' at screen 0.24262, 0.97324 point linestyle 3
set label 'only the attention''s sites, 4 bits' at screen 0.25601, 0.97324 left
set arrow from graph 0, first 4.5 to graph 1, first 4.5 nohead linestyle 15 back
set arrow from graph 0, first 8.5 to graph 1, first 8.5 nohead linestyle 15 back
set yrange [16.5:0.5]
set ytics ('no transform' 1, 'smoothquant' 2, 'hadamard' 3, 'smoothquant, hadamard' 4, 'no transform' 5, 'smoothquant' 6, 'hadamard' 7, 'smoothquant, hadamard' 8, 'no transform' 9, 'smoothquant' 10, 'hadamard' 11, 'smoothquant, hadamard' 12, 'smoothquant, alpha = 0' 13, 'smoothquant, alpha = 0.25' 14, 'smoothquant, alpha = 0.75' 15, 'smoothquant, alpha = 1' 16) scale 0
set xrange [48:89]
set label 'accuracy (%)' at screen 0.39726, 0.03893 center
set arrow from first 84.765625, graph 0 to first 84.765625, graph 1 nohead linestyle 11 back
set label 'FP32' at first 82.42033125, screen 0.91363 center textcolor linestyle 11
set arrow from first 84.765625, graph 0 to first 84.765625, graph 1 nohead linestyle 12 back
set label 'W8A8' at first 87.11091875, screen 0.91363 center textcolor linestyle 12
set arrow from first 50, graph 0 to first 50, graph 1 nohead linestyle 13 back
set label 'chance' at first 50, screen 0.91363 center textcolor linestyle 13
plot data using (at('w8a8', 'accuracy')):'row':'ci_low':'ci_high' with xerrorbars linestyle 2 linewidth 1.5 dashtype 1, \
     data using (at('mp-xhy', 'accuracy')):'row':'ci_low':'ci_high' with xerrorbars linestyle 1 linewidth 1.5 dashtype 1, \
     data using (at('attention-4-bit', 'accuracy')):'row':'ci_low':'ci_high' with xerrorbars linestyle 3 linewidth 1.5 dashtype 1

load 'theme.gp'
set lmargin at screen 0.65592
set rmargin at screen 0.96721
set bmargin at screen 0.12165
set tmargin at screen 0.89173
set arrow from graph 0, first 4.5 to graph 1, first 4.5 nohead linestyle 15 back
set arrow from graph 0, first 8.5 to graph 1, first 8.5 nohead linestyle 15 back
set yrange [16.5:0.5]
unset ytics
set logscale x
set format x '%g'
set label 'KL divergence from float (nats, log scale)' at screen 0.81157, 0.03893 center
plot data using (at('w8a8', 'kl')):'row' with points linestyle 2 linewidth 1.5 dashtype 1, \
     data using (at('mp-xhy', 'kl')):'row' with points linestyle 1 linewidth 1.5 dashtype 1, \
     data using (at('attention-4-bit', 'kl')):'row' with points linestyle 3 linewidth 1.5 dashtype 1

unset multiplot
}
set output
