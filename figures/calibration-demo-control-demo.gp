# Accuracy against percentile and clipping bound
# Made by: outlierlab report --figure calibration-demo-control-demo
# To restyle it, edit this script or theme.gp, then run here: gnuplot calibration-demo-control-demo.gp
load 'theme.gp'
name = 'calibration-demo-control-demo'
data = name . '.tsv'

do for [format in formats] {
eval(page(format, 183, 62))
set output name . '.' . format
set multiplot

load 'theme.gp'
set lmargin at screen 0.06557
set rmargin at screen 0.32605
set bmargin at screen 0.32258
set tmargin at screen 0.88710
set xrange [0.25:5.75]
set xtics ('99' 1, '99.9' 2, '99.99' 3, '99.999' 4, '100' 5)
set yrange [48:89]
set label 'percentile' at screen 0.19581, 0.21290 center
set label 'accuracy (%)' at screen 0.02186, 0.60484 center rotate by 90
set label '' at screen 0.07240, 0.96452 point linestyle 1
set label 'W8A8 with this range' at screen 0.08579, 0.96452 left
set label '' at screen 0.22601, 0.96452 point linestyle 14
set label 'paper (BERT-base, QNLI)' at screen 0.23940, 0.96452 left
set arrow from graph 0, first 84.765625 to graph 1, first 84.765625 nohead linestyle 11 back
set label '' at graph 1, first 83.18419643 left offset character 0.4, 0 textcolor linestyle 11
set arrow from graph 0, first 84.765625 to graph 1, first 84.765625 nohead linestyle 12 back
set label '' at graph 1, first 86.34705357 left offset character 0.4, 0 textcolor linestyle 12
set arrow from graph 0, first 50 to graph 1, first 50 nohead linestyle 13 back
set label '' at graph 1, first 50 left offset character 0.4, 0 textcolor linestyle 13
plot data using (at('percentile', 'place')):'accuracy' with lines linestyle 1, \
     data using (at('percentile', 'place')):'ci_low':(0):(column('ci_high') - column('ci_low')) with vectors nohead linestyle 1 linewidth 1 dashtype 1, \
     data using (at('percentile', 'place')):'accuracy' with points linestyle 1, \
     data using (at('paper percentile', 'place')):'accuracy' with points linestyle 14

load 'theme.gp'
set lmargin at screen 0.35337
set rmargin at screen 0.52702
set bmargin at screen 0.32258
set tmargin at screen 0.88710
set xrange [0.25:4.75]
set xtics ('3' 1, '6' 2, '12' 3, '24' 4)
set yrange [48:89]
set label 'clip at mean ± k sd (k)' at screen 0.44019, 0.21290 center
set format y ''
set arrow from graph 0, first 84.765625 to graph 1, first 84.765625 nohead linestyle 11 back
set label '' at graph 1, first 83.18419643 left offset character 0.4, 0 textcolor linestyle 11
set arrow from graph 0, first 84.765625 to graph 1, first 84.765625 nohead linestyle 12 back
set label '' at graph 1, first 86.34705357 left offset character 0.4, 0 textcolor linestyle 12
set arrow from graph 0, first 50 to graph 1, first 50 nohead linestyle 13 back
set label '' at graph 1, first 50 left offset character 0.4, 0 textcolor linestyle 13
plot data using (at('sigmas', 'place')):'accuracy' with lines linestyle 1, \
     data using (at('sigmas', 'place')):'ci_low':(0):(column('ci_high') - column('ci_low')) with vectors nohead linestyle 1 linewidth 1 dashtype 1, \
     data using (at('sigmas', 'place')):'accuracy' with points linestyle 1

load 'theme.gp'
set lmargin at screen 0.55434
set rmargin at screen 0.72799
set bmargin at screen 0.32258
set tmargin at screen 0.88710
set xrange [0.25:4.75]
set xtics ('5' 1, '10' 2, '20' 3, '50' 4)
set yrange [48:89]
set label 'clip at |v| = b (b)' at screen 0.64117, 0.21290 center
set format y ''
set arrow from graph 0, first 84.765625 to graph 1, first 84.765625 nohead linestyle 11 back
set label '' at graph 1, first 83.18419643 left offset character 0.4, 0 textcolor linestyle 11
set arrow from graph 0, first 84.765625 to graph 1, first 84.765625 nohead linestyle 12 back
set label '' at graph 1, first 86.34705357 left offset character 0.4, 0 textcolor linestyle 12
set arrow from graph 0, first 50 to graph 1, first 50 nohead linestyle 13 back
set label '' at graph 1, first 50 left offset character 0.4, 0 textcolor linestyle 13
plot data using (at('bound', 'place')):'accuracy' with lines linestyle 1, \
     data using (at('bound', 'place')):'ci_low':(0):(column('ci_high') - column('ci_low')) with vectors nohead linestyle 1 linewidth 1 dashtype 1, \
     data using (at('bound', 'place')):'accuracy' with points linestyle 1

load 'theme.gp'
set lmargin at screen 0.75531
set rmargin at screen 0.92896
set bmargin at screen 0.32258
set tmargin at screen 0.88710
set xrange [0.25:4.75]
set xtics ('minmax' 1, 'mse' 2, 'kl' 3, 'running_minmax' 4) rotate by 35 right
set yrange [48:89]
set label '' at screen 0.84214, 0.86290 center
set format y ''
set arrow from graph 0, first 84.765625 to graph 1, first 84.765625 nohead linestyle 11 back
set label 'FP32' at graph 1, first 83.18419643 left offset character 0.4, 0 textcolor linestyle 11
set arrow from graph 0, first 84.765625 to graph 1, first 84.765625 nohead linestyle 12 back
set label 'min-max' at graph 1, first 86.34705357 left offset character 0.4, 0 textcolor linestyle 12
set arrow from graph 0, first 50 to graph 1, first 50 nohead linestyle 13 back
set label 'chance' at graph 1, first 50 left offset character 0.4, 0 textcolor linestyle 13
plot data using (at('others', 'place')):'ci_low':(0):(column('ci_high') - column('ci_low')) with vectors nohead linestyle 1 linewidth 1 dashtype 1, \
     data using (at('others', 'place')):'accuracy' with points linestyle 1, \
     data using (at('paper others', 'place')):'accuracy' with points linestyle 14

unset multiplot
}
set output
