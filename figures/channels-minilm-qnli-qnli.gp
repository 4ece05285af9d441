# Largest magnitude of each channel at y, by layer
# Made by: outlierlab report --figure channels-minilm-qnli-qnli
# To restyle it, edit this script or theme.gp, then run here: gnuplot channels-minilm-qnli-qnli.gp
load 'theme.gp'
name = 'channels-minilm-qnli-qnli'
data = name . '.tsv'

do for [format in formats] {
eval(page(format, 183, 47))
set output name . '.' . format

load 'theme.gp'
set lmargin at screen 0.06011
set rmargin at screen 0.87432
set bmargin at screen 0.19149
set tmargin at screen 0.87234
set xrange [-0.5:383.5]
set yrange [-0.5:5.5]
set cbrange [1.639852:220.8781]
set logscale cb
set format cb '%g'
set border 0
set ytics 0, 1 scale 0
set label 'channel' at screen 0.46721, 0.05532 center
set label 'layer' at screen 0.02732, 0.53191 center rotate by 90
set label 'largest |v| (log scale)' at screen 0.98907, 0.53191 center rotate by 90
set label 'outlier channels' at screen 0.88251, 0.94043 left
set arrow from first 99, graph 1 to first 99, graph 1.05625 nohead linecolor rgb black linewidth 0.7
set label '99' at first 99, graph 1.1 center
set arrow from first 223, graph 1 to first 223, graph 1.05625 nohead linecolor rgb black linewidth 0.7
set label '223' at first 223, graph 1.1 center
set arrow from first 319, graph 1 to first 319, graph 1.05625 nohead linecolor rgb black linewidth 0.7
set label '319' at first 319, graph 1.1 center
set arrow from first 127, graph 1 to first 127, graph 1.05625 nohead linecolor rgb black linewidth 0.7
set label '127' at first 127, graph 1.1 center
plot data using 'channel':'layer':'absmax' with image

}
set output
