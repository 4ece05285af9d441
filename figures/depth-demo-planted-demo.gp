# Tails and energy by depth
# Made by: outlierlab report --figure depth-demo-planted-demo
# To restyle it, edit this script or theme.gp, then run here: gnuplot depth-demo-planted-demo.gp
load 'theme.gp'
name = 'depth-demo-planted-demo'
data = name . '.tsv'

do for [format in formats] {
eval(page(format, 183, 62))
set output name . '.' . format
set multiplot

load 'theme.gp'
set lmargin at screen 0.08197
set rmargin at screen 0.38251
set bmargin at screen 0.14516
set tmargin at screen 0.90323
set xrange [-0.3:5.3]
set xtics 0, 1
set label 'layer' at screen 0.23224, 0.03548 center
set label 'kurtosis (log scale)' at screen 0.01913, 0.52419 center rotate by 90
set logscale y
set format y '%g'
set yrange [1:542]
set arrow from screen 0.01639, 0.96452 to screen 0.06011, 0.96452 nohead linestyle 1
set label '' at screen 0.03825, 0.96452 point linestyle 1
set label 'attention output' at screen 0.06667, 0.96452 left
set arrow from screen 0.17230, 0.96452 to screen 0.21601, 0.96452 nohead linestyle 2
set label '' at screen 0.19415, 0.96452 point linestyle 2
set label 'attention residual' at screen 0.22257, 0.96452 left
set arrow from screen 0.34208, 0.96452 to screen 0.38579, 0.96452 nohead linestyle 3
set label '' at screen 0.36393, 0.96452 point linestyle 3
set label 'FFN input (x)' at screen 0.39235, 0.96452 left
set arrow from screen 0.48027, 0.96452 to screen 0.52399, 0.96452 nohead linestyle 4
set label '' at screen 0.50213, 0.96452 point linestyle 4
set label 'FFN output (h)' at screen 0.53055, 0.96452 left
set arrow from screen 0.62541, 0.96452 to screen 0.66913, 0.96452 nohead linestyle 5
set label '' at screen 0.64727, 0.96452 point linestyle 5
set label 'FFN residual (y)' at screen 0.67568, 0.96452 left
set arrow from screen 0.78443, 0.96452 to screen 0.82814, 0.96452 nohead linestyle 6
set label '' at screen 0.80628, 0.96452 point linestyle 6
set label 'layer output' at screen 0.83470, 0.96452 left
set arrow from graph 0, first 3 to graph 1, first 3 nohead linestyle 11 back
set label 'normal: 3' at graph 1, first 3 left offset character 0.4, 0
set arrow from graph 0, first 271 to graph 1, first 271 nohead linestyle 11 back
set label 'paper: up to 271' at graph 1, first 271 left offset character 0.4, 0
plot data using (at('attention_output', 'layer')):'kurtosis' with linespoints linestyle 1, \
     data using (at('attention_residual', 'layer')):'kurtosis' with linespoints linestyle 2, \
     data using (at('ffn_input', 'layer')):'kurtosis' with linespoints linestyle 3, \
     data using (at('ffn_output', 'layer')):'kurtosis' with linespoints linestyle 4, \
     data using (at('ffn_residual', 'layer')):'kurtosis' with linespoints linestyle 5, \
     data using (at('output', 'layer')):'kurtosis' with linespoints linestyle 6

load 'theme.gp'
set lmargin at screen 0.56831
set rmargin at screen 0.88525
set bmargin at screen 0.14516
set tmargin at screen 0.90323
set xrange [-0.3:5.3]
set xtics 0, 1
set label 'layer' at screen 0.72678, 0.03548 center
set label 'energy in the top 1 % of channels (%)' at screen 0.52459, 0.52419 center rotate by 90
set yrange [0:100]
set arrow from graph 0, first 55 to graph 1, first 55 nohead linestyle 11 back
set label 'paper: 55 %' at graph 1, first 55 left offset character 0.4, 0
plot data using (at('attention_output', 'layer')):'top1_energy' with linespoints linestyle 1, \
     data using (at('attention_residual', 'layer')):'top1_energy' with linespoints linestyle 2, \
     data using (at('ffn_input', 'layer')):'top1_energy' with linespoints linestyle 3, \
     data using (at('ffn_output', 'layer')):'top1_energy' with linespoints linestyle 4, \
     data using (at('ffn_residual', 'layer')):'top1_energy' with linespoints linestyle 5, \
     data using (at('output', 'layer')):'top1_energy' with linespoints linestyle 6

unset multiplot
}
set output
