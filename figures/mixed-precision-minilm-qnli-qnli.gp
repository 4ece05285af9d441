# Accuracy against the share of activations in high precision
# Made by: outlierlab report --figure mixed-precision-minilm-qnli-qnli
# To restyle it, edit this script or theme.gp, then run here: gnuplot mixed-precision-minilm-qnli-qnli.gp
load 'theme.gp'
name = 'mixed-precision-minilm-qnli-qnli'
data = name . '.tsv'

do for [format in formats] {
eval(page(format, 89, 70))
set output name . '.' . format

load 'theme.gp'
set lmargin at screen 0.13483
set rmargin at screen 0.88764
set bmargin at screen 0.12857
set tmargin at screen 0.85714
set label '' at screen 0.04775, 0.96857 point linestyle 1
set label 'sites in float' at screen 0.07528, 0.96857 left
set label '' at screen 0.27798, 0.96857 point linestyle 3
set label 'sites in 16 bits' at screen 0.30551, 0.96857 left
set label '' at screen 0.53034, 0.96857 point linestyle 2
set label 'channels in float' at screen 0.55787, 0.96857 left
set arrow from screen 0.03371, 0.92000 to screen 0.12360, 0.92000 nohead linestyle 8
set label 'Pareto front' at screen 0.13708, 0.92000 left
set label '' at screen 0.33685, 0.92000 point linestyle 14
set label 'paper (BERT-base, QNLI)' at screen 0.36438, 0.92000 left
set label 'activations in high precision (%, log scale)' at screen 0.51124, 0.03143 center
set label 'accuracy (%)' at screen 0.04494, 0.49286 center rotate by 90
set logscale x
set xrange [0.6288069275:31.75414918]
set xtics (0.5, 1, 2, 5, 10, 20, 50, 100)
set yrange [48:92]
set style textbox opaque noborder fillcolor rgb 'white' margins 0.1, 0.1
set label '1 %' at first 0.8174490058, first 82.26249314 left offset character 0.6, 0.7 boxed front
set label '2 %' at first 1.649405572, first 82.24418817 left offset character 0.6, 0.7 boxed front
set label '5 %' at first 3.966301252, first 82.18927329 left offset character 0.6, 0.7 boxed front
set label 'x' at first 5.570903365, first 72.85374336 left offset character 0.6, 0.7 boxed front
set label 'h' at first 5.570903365, first 78.21709683 left offset character 0.6, 0.7 boxed front
set label 'y' at first 5.570903365, first 80.7431814 left offset character 0.6, 0.7 boxed front
set label 'x+h' at first 11.14180673, first 78.27513433 left offset character 0.6, 0.7 boxed front
set label 'x+y' at first 11.14180673, first 80.43199707 left offset character 0.6, 0.7 boxed front
set label 'h+y' at first 11.14180673, first 82.58885982 left offset character 0.6, 0.7 boxed front
set label 'x+h+y' at first 16.71271009, first 82.15266337 left offset character 1.4, 0.7 boxed front
set arrow from graph 0, first 82.70181219 to graph 1, first 82.70181219 nohead linestyle 11 back
set label 'FP32' at graph 1, first 82.70181219 left offset character 0.4, 0 textcolor linestyle 11
set arrow from graph 0, first 72.43272927 to graph 1, first 72.43272927 nohead linestyle 12 back
set label 'W8A8' at graph 1, first 72.43272927 left offset character 0.4, 0 textcolor linestyle 12
set arrow from graph 0, first 50 to graph 1, first 50 nohead linestyle 13 back
set label 'chance' at graph 1, first 50 left offset character 0.4, 0 textcolor linestyle 13
plot data using (at('front', 'share')):'accuracy' with steps linestyle 8, \
     data using (at('sites', 'share')):'ci_low':(0):(column('ci_high') - column('ci_low')) with vectors nohead linestyle 1 linewidth 1 dashtype 1, \
     data using (at('sites', 'share')):'accuracy' with points linestyle 1, \
     data using (1.05 * at('16-bit', 'share')):'ci_low':(0):(column('ci_high') - column('ci_low')) with vectors nohead linestyle 3 linewidth 1 dashtype 1, \
     data using (1.05 * at('16-bit', 'share')):'accuracy' with points linestyle 3, \
     data using (at('channels', 'share')):'ci_low':(0):(column('ci_high') - column('ci_low')) with vectors nohead linestyle 2 linewidth 1 dashtype 1, \
     data using (at('channels', 'share')):'accuracy' with points linestyle 2, \
     data using (at('paper', 'share')):'accuracy' with points linestyle 14

}
set output
