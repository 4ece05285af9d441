# Energy over the channels at y, most energy first
# Made by: outlierlab report --figure concentration-minilm-qnli-qnli
# To restyle it, edit this script or theme.gp, then run here: gnuplot concentration-minilm-qnli-qnli.gp
load 'theme.gp'
name = 'concentration-minilm-qnli-qnli'
data = name . '.tsv'

do for [format in formats] {
eval(page(format, 89, 62))
set output name . '.' . format

load 'theme.gp'
set lmargin at screen 0.13483
set rmargin at screen 0.96629
set bmargin at screen 0.14516
set tmargin at screen 0.83871
set arrow from screen 0.13483, 0.96452 to screen 0.22472, 0.96452 nohead linestyle 2
set label 'layer 0' at screen 0.23820, 0.96452 left
set arrow from screen 0.35899, 0.96452 to screen 0.44888, 0.96452 nohead linestyle 1
set label 'layer 4' at screen 0.46236, 0.96452 left
set arrow from screen 0.58315, 0.96452 to screen 0.67303, 0.96452 nohead linestyle 8
set label 'the layers between' at screen 0.68652, 0.96452 left
set arrow from screen 0.13483, 0.90968 to screen 0.22472, 0.90968 nohead linestyle 13
set label 'evenly spread' at screen 0.23820, 0.90968 left
set label '' at screen 0.45865, 0.90968 point linestyle 14
set label 'paper (BERT-base, QNLI)' at screen 0.48618, 0.90968 left
set logscale x
set xrange [0.85:384]
set yrange [0:102]
set xtics (1, 2, 5, 10, 20, 50, 100, 200, 384)
set arrow from 4, graph 0 to 4, graph 1 nohead linestyle 11 back
set label 'top 1 %' at 4, graph 0.14 left offset character 0.4, 0
set label 'channels, most energy first (log scale)' at screen 0.55056, 0.03548 center
set label 'cumulative energy (%)' at screen 0.04494, 0.49194 center rotate by 90
plot data using (at('layer 1', 'channels')):'share' with lines linestyle 8, \
     data using (at('layer 2', 'channels')):'share' with lines linestyle 8, \
     data using (at('layer 3', 'channels')):'share' with lines linestyle 8, \
     data using (at('layer 5', 'channels')):'share' with lines linestyle 8, \
     data using (at('layer 0', 'channels')):'share' with lines linestyle 2, \
     data using (at('layer 4', 'channels')):'share' with lines linestyle 1, \
     [1:384] 100 * x / 384 with lines linestyle 13, \
     data using (at('paper', 'channels')):'share' with points linestyle 14

}
set output
