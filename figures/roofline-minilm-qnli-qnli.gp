# Roofline of the products
# Made by: outlierlab report --figure roofline-minilm-qnli-qnli
# To restyle it, edit this script or theme.gp, then run here: gnuplot roofline-minilm-qnli-qnli.gp
load 'theme.gp'
name = 'roofline-minilm-qnli-qnli'
data = name . '.tsv'

do for [format in formats] {
eval(page(format, 109, 78))
set output name . '.' . format

load 'theme.gp'
set lmargin at screen 0.15596
set rmargin at screen 0.95413
set bmargin at screen 0.14103
set tmargin at screen 0.87436
set logscale xy
set xrange [2.133333333:1365.333333]
set yrange [36.40443457:1993.03439]
set label 'operations per byte of operands and result (log scale)' at screen 0.55505, 0.05385 center
set label 'GOP/s (log scale)' at screen 0.05505, 0.50769 center rotate by 90
set arrow from screen 0.02752, 0.97179 to screen 0.10092, 0.97179 nohead linestyle 1
set label '' at screen 0.06422, 0.97179 point linestyle 1
set label 'int8, vpdpbusd zmm' at screen 0.11193, 0.97179 left
set arrow from screen 0.32303, 0.97179 to screen 0.39642, 0.97179 nohead linestyle 3
set label '' at screen 0.35972, 0.97179 point linestyle 3
set label 'bfloat16, vdpbf16ps zmm' at screen 0.40743, 0.97179 left
set arrow from screen 0.02752, 0.92821 to screen 0.10092, 0.92821 nohead linestyle 2
set label '' at screen 0.06422, 0.92821 point linestyle 2
set label 'float32, vfmadd231ps zmm' at screen 0.11193, 0.92821 left
plot data using (at('int8 roof', 'intensity')):'gops' with lines linestyle 1, \
     data using (at('int8', 'intensity')):'gops' with points linestyle 1, \
     data using (at('bf16 roof', 'intensity')):'gops' with lines linestyle 3, \
     data using (at('bf16', 'intensity')):'gops' with points linestyle 3, \
     data using (at('fp32 roof', 'intensity')):'gops' with lines linestyle 2, \
     data using (at('fp32', 'intensity')):'gops' with points linestyle 2

}
set output
