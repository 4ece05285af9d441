# Largest magnitude of each channel at y, by layer
# Made by: outlierlab report --figure channels-demo-control-demo
# To restyle it, edit this script or theme.gp, then run here: gnuplot channels-demo-control-demo.gp
load 'theme.gp'
name = 'channels-demo-control-demo'
data = name . '.tsv'

do for [format in formats] {
eval(page(format, 183, 47))
set output name . '.' . format

load 'theme.gp'
set lmargin at screen 0.06011
set rmargin at screen 0.87432
set bmargin at screen 0.19149
set tmargin at screen 0.87234
set xrange [-0.5:127.5]
set yrange [-0.5:5.5]
set cbrange [2.050853:205.0853]
set logscale cb
set format cb '%g'
set border 0
set ytics 0, 1 scale 0
set label 'channel' at screen 0.46721, 0.05532 center
set label 'layer' at screen 0.02732, 0.53191 center rotate by 90
set label 'largest |v| (log scale)' at screen 0.98907, 0.53191 center rotate by 90
set label 'no outlier channel' at screen 0.88251, 0.94043 left
plot data using 'channel':'layer':'absmax' with image

}
set output
