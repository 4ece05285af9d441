# Accuracy against the number of groups
# Made by: outlierlab report --figure peg-demo-control-demo
# To restyle it, edit this script or theme.gp, then run here: gnuplot peg-demo-control-demo.gp
load 'theme.gp'
name = 'peg-demo-control-demo'
data = name . '.tsv'

do for [format in formats] {
eval(page(format, 89, 62))
set output name . '.' . format

load 'theme.gp'
set lmargin at screen 0.13483
set rmargin at screen 0.88764
set bmargin at screen 0.14516
set tmargin at screen 0.83871
set logscale x 2
set xrange [0.8:160]
set xtics ('1' 1, '2' 2, '3' 3, '4' 4, '6' 6, '8' 8, '12' 12, '16' 16, '128' 128)
set yrange [48:89]
set label 'groups K per site (log scale)' at screen 0.51124, 0.03548 center
set label 'accuracy (%)' at screen 0.04494, 0.49194 center rotate by 90
set arrow from graph 0, first 84.765625 to graph 1, first 84.765625 nohead linestyle 11 back
set label 'FP32' at graph 1, first 83.4784157 left offset character 0.4, 0 textcolor linestyle 11
set arrow from graph 0, first 84.765625 to graph 1, first 84.765625 nohead linestyle 12 back
set label 'W8A8' at graph 1, first 86.0528343 left offset character 0.4, 0 textcolor linestyle 12
set arrow from graph 0, first 50 to graph 1, first 50 nohead linestyle 13 back
set label 'chance' at graph 1, first 50 left offset character 0.4, 0 textcolor linestyle 13
set arrow from screen 0.13483, 0.96452 to screen 0.22472, 0.96452 nohead linestyle 1
set label '' at screen 0.17978, 0.96452 point linestyle 1
set label 'neighbouring channels' at screen 0.23820, 0.96452 left
set arrow from screen 0.54596, 0.96452 to screen 0.63584, 0.96452 nohead linestyle 2
set label '' at screen 0.59090, 0.96452 point linestyle 2
set label 'channels sorted by range' at screen 0.64933, 0.96452 left
set label '' at screen 0.14888, 0.90968 point linestyle 14
set label 'paper (BERT-base, QNLI)' at screen 0.17640, 0.90968 left
plot data using (0.98 * at('neighbours', 'groups')):'accuracy' with lines linestyle 1, \
     data using (0.98 * at('neighbours', 'groups')):'ci_low':(0):(column('ci_high') - column('ci_low')) with vectors nohead linestyle 1 linewidth 1 dashtype 1, \
     data using (0.98 * at('neighbours', 'groups')):'accuracy' with points linestyle 1, \
     data using (1.02 * at('sorted', 'groups')):'accuracy' with lines linestyle 2, \
     data using (1.02 * at('sorted', 'groups')):'ci_low':(0):(column('ci_high') - column('ci_low')) with vectors nohead linestyle 2 linewidth 1 dashtype 1, \
     data using (1.02 * at('sorted', 'groups')):'accuracy' with points linestyle 2, \
     data using (at('paper', 'groups')):'accuracy' with points linestyle 14

}
set output
