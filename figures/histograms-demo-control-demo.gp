# Values of a site with outliers, and the ranges chosen for it
# Made by: outlierlab report --figure histograms-demo-control-demo
# To restyle it, edit this script or theme.gp, then run here: gnuplot histograms-demo-control-demo.gp
load 'theme.gp'
name = 'histograms-demo-control-demo'
data = name . '.tsv'

do for [format in formats] {
eval(page(format, 183, 96))
set output name . '.' . format
set multiplot

load 'theme.gp'
set lmargin at screen 0.16393
set rmargin at screen 0.75956
set bmargin at screen 0.51042
set tmargin at screen 0.92708
set xrange [-3.181968949:3.277419725]
set label 'values per bin (log scale)' at screen 0.08470, 0.71875 center rotate by 90
set logscale y
set format y '%.0f'
set yrange [0.5:45112]
set xtics ('' 0, '' 1.374778799, '' -1.374778799)
set arrow from screen 0.16393, 0.97708 to screen 0.20765, 0.97708 nohead linestyle 8
set label 'whole site, layer.5.ffn_output' at screen 0.21421, 0.97708 left
set arrow from screen 0.40454, 0.97708 to screen 0.44825, 0.97708 nohead linestyle 9
set label 'channel of most energy, 122' at screen 0.45481, 0.97708 left
set arrow from screen 0.63678, 0.97708 to screen 0.68049, 0.97708 nohead linestyle 10
set label 'quiet channel, 105' at screen 0.68705, 0.97708 left
plot data using (at('site', 'x')):'count' with filledcurves y1=0.5 linecolor rgb pale, \
     data using (at('loud', 'x')):'count' with lines linestyle 9, \
     data using (at('quiet', 'x')):'count' with lines linestyle 10

load 'theme.gp'
set lmargin at screen 0.16393
set rmargin at screen 0.75956
set bmargin at screen 0.10417
set tmargin at screen 0.47917
set xrange [-3.181968949:3.277419725]
set label 'activation (linear around 0, logarithmic beyond)' at screen 0.46175, 0.03333 center
set label '0.0467' at screen 0.83060, 0.46042 right
set label '68' at screen 0.90164, 0.46042 right
set label '0.00051 %' at screen 0.98361, 0.46042 right
set label '0.0254' at screen 0.83060, 0.42292 right
set label '124' at screen 0.90164, 0.42292 right
set label '1.9 %' at screen 0.98361, 0.42292 right
set label '0.0361' at screen 0.83060, 0.38542 right
set label '88' at screen 0.90164, 0.38542 right
set label '0.18 %' at screen 0.98361, 0.38542 right
set label '0.0438' at screen 0.83060, 0.34792 right
set label '73' at screen 0.90164, 0.34792 right
set label '0.016 %' at screen 0.98361, 0.34792 right
set label '0.0458' at screen 0.83060, 0.31042 right
set label '69' at screen 0.90164, 0.31042 right
set label '0.0022 %' at screen 0.98361, 0.31042 right
set label '0.0467' at screen 0.83060, 0.27292 right
set label '68' at screen 0.90164, 0.27292 right
set label '0.00051 %' at screen 0.98361, 0.27292 right
set label '0.0467' at screen 0.83060, 0.23542 right
set label '68' at screen 0.90164, 0.23542 right
set label '0.00051 %' at screen 0.98361, 0.23542 right
set label '0.0438' at screen 0.83060, 0.19792 right
set label '73' at screen 0.90164, 0.19792 right
set label '0.016 %' at screen 0.98361, 0.19792 right
set label '0.0467' at screen 0.83060, 0.16042 right
set label '68' at screen 0.90164, 0.16042 right
set label '0.00051 %' at screen 0.98361, 0.16042 right
set label '0.0455' at screen 0.83060, 0.12292 right
set label '70' at screen 0.90164, 0.12292 right
set label '0.0031 %' at screen 0.98361, 0.12292 right
set label 'step' at screen 0.83060, 0.50000 right
set label 'levels left' at screen 0.90164, 0.53125 right
set label 'to quiet' at screen 0.90164, 0.50000 right
set label 'values' at screen 0.98361, 0.53125 right
set label 'clipped' at screen 0.98361, 0.50000 right
set yrange [10.5:0.5]
set ytics ('minmax' 1, 'percentile 99' 2, 'percentile 99.9' 3, 'percentile 99.99' 4, 'percentile 99.999' 5, 'clip 6 sd' 6, 'clip 12 sd' 7, 'mse' 8, 'kl' 9, 'running_minmax' 10) scale 0
set xtics ('0' 0, '1' 1.374778799, '-1' -1.374778799)
set grid xtics linestyle 15
range(v) = asinh(v / 0.54034975)
plot data using (range(column('lo'))):(at('range', 'count')):(range(column('hi')) - range(column('lo'))):(0) with vectors nohead linecolor rgb black linewidth 4, \
     data using (at('range', 'x')):'count' with points linecolor rgb black pointtype 5 pointsize 0.35*round

unset multiplot
}
set output
