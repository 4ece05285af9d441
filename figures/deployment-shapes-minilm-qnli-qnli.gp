# Speed at the sizes of BERT-base and BERT-large
# Made by: outlierlab report --figure deployment-shapes-minilm-qnli-qnli
# To restyle it, edit this script or theme.gp, then run here: gnuplot deployment-shapes-minilm-qnli-qnli.gp
load 'theme.gp'
name = 'deployment-shapes-minilm-qnli-qnli'
data = name . '.tsv'

do for [format in formats] {
eval(page(format, 183, 70.8))
set output name . '.' . format

load 'theme.gp'
set lmargin at screen 0.25137
set rmargin at screen 0.96721
set bmargin at screen 0.14124
set tmargin at screen 0.88136
set logscale x 2
set xrange [0.4677829093:4.939914154]
set xtics (0.125, 0.25, 0.5, 0.7, 1, 1.4, 2, 2.8, 4, 5.6, 8, 16, 32)
set yrange [10.5:0.5]
set ytics ('bfloat16' 1, 'simulated w8a8' 2, 'simulated percentile-99.99' 3, 'simulated peg-6-permuted' 4, 'simulated mp-xhy' 5, 'integer w8a8' 6, 'integer w8a8-token' 7, 'integer peg-6-permuted' 8, 'integer mp-xhy-16' 9, 'integer llm-int8' 10) scale 0
set arrow from first 1, graph 0 to first 1, graph 1 nohead linestyle 11 back
set label 'FP32' at first 1, screen 0.90678 center textcolor linestyle 11
set label 'speed relative to FP32 (log scale)' at screen 0.60929, 0.04520 center
set label '' at screen 0.02322, 0.96893 point linestyle 3
set label '16-bit float' at screen 0.03661, 0.96893 left
set label '' at screen 0.12754, 0.96893 point linestyle 2
set label 'simulated' at screen 0.14093, 0.96893 left
set label '' at screen 0.21727, 0.96893 point linestyle 1
set label 'integer execution' at screen 0.23066, 0.96893 left
set label '' at screen 0.35628, 0.96893 point linestyle 14
set label 'paper (BERT-base, RTX 3050): no difference' at screen 0.36967, 0.96893 left
plot data using (at('float', 'ci_low')):'row':(column('ci_high') - column('ci_low')):(0) with vectors nohead linestyle 3 linewidth 0.7 dashtype 1, \
     data using (at('float', 'speedup')):'row' with points linestyle 3 pointsize 0.2, \
     data using (at('float median', 'speedup')):'row' with points linestyle 3 pointsize 0.9, \
     data using (at('simulated', 'ci_low')):'row':(column('ci_high') - column('ci_low')):(0) with vectors nohead linestyle 2 linewidth 0.7 dashtype 1, \
     data using (at('simulated', 'speedup')):'row' with points linestyle 2 pointsize 0.2, \
     data using (at('simulated median', 'speedup')):'row' with points linestyle 2 pointsize 0.9, \
     data using (at('integer', 'ci_low')):'row':(column('ci_high') - column('ci_low')):(0) with vectors nohead linestyle 1 linewidth 0.7 dashtype 1, \
     data using (at('integer', 'speedup')):'row' with points linestyle 1 pointsize 0.2, \
     data using (at('integer median', 'speedup')):'row' with points linestyle 1 pointsize 0.9, \
     data using (at('paper', 'speedup')):'row' with points linestyle 14

}
set output
