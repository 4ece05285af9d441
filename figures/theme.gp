# The theme of all figures in this folder. Edit it, then run gnuplot on any figure's script again:
#   gnuplot NAME.gp                           NAME.pdf, NAME.svg and NAME.png
#   gnuplot -e 'formats="pdf"' NAME.gp        one of them
# It is loaded again before each panel.
reset
set encoding utf8
set datafile separator tab
set datafile columnheaders
set datafile missing 'NaN'

if (!exists('formats')) { formats = 'pdf svg png' }
if (!exists('format')) { format = 'pdf' }
typeface = 'Liberation Sans'  # Arial's metrics
textsize = 7                  # points in print
dots_per_inch = 200.0         # of PNG

# page(format, width, height): the command that sets a terminal of so many mm.
points(mm) = mm * 72 / 25.4
page(format, width, height) = \
  (format eq 'pdf' ? sprintf("set terminal pdfcairo size %.4fin,%.4fin font '%s,%g' fontscale 0.75 \
linewidth 1 dashlength 1 rounded noenhanced", width / 25.4, height / 25.4, typeface, textsize) : \
   format eq 'svg' ? sprintf("set terminal svg size %.0f,%.0f font '%s,%g' linewidth 0.5 \
dashlength 1 rounded noenhanced background 'white'", points(width), points(height), typeface, textsize) : \
   sprintf("set terminal pngcairo size %.0f,%.0f font '%s,%g' fontscale %g linewidth %g pointscale %g \
dashlength 2 rounded noenhanced", width * dots_per_inch / 25.4, height * dots_per_inch / 25.4, typeface, textsize, \
           dots_per_inch / 96, dots_per_inch / 144, dots_per_inch / 72))

# at(series, column): a value of one series of a figure's data, for `using`.
at(series, name) = stringcolumn('series') eq series ? column(name) : NaN

black = '#000000'; grey = '#7f7f7f'; pale = '#d9d9d9'
blue = '#0072b2'; vermillion = '#d55e00'; green = '#009e73'; orange = '#e69f00'
sky = '#56b4e9'; purple = '#cc79a7'

# SVG draws round points smaller, and pointed ones larger, than the other formats.
round = format eq 'svg' ? 1.3 : 1; pointed = format eq 'svg' ? 0.95 : 1

set style line 1 linecolor rgb blue       linewidth 2 pointtype 7  pointsize 0.45*round dashtype 1
set style line 2 linecolor rgb vermillion linewidth 2 pointtype 9  pointsize 0.50*pointed dashtype (10, 4)
set style line 3 linecolor rgb green      linewidth 2 pointtype 5  pointsize 0.40*round dashtype (3, 3)
set style line 4 linecolor rgb orange     linewidth 2 pointtype 11 pointsize 0.50*pointed dashtype (10, 3, 2, 3)
set style line 5 linecolor rgb sky        linewidth 2 pointtype 13 pointsize 0.55*pointed dashtype (14, 3, 2, 3, 2, 3)
set style line 6 linecolor rgb purple     linewidth 2 pointtype 4  pointsize 0.40*round dashtype (6, 2)
set style line 7 linecolor rgb black      linewidth 2 pointtype 5  pointsize 0.35*round dashtype 1
set style line 8 linecolor rgb '#a0a0a0' linewidth 1.2 dashtype 1
set style line 9 linecolor rgb vermillion linewidth 1.2 dashtype 1
set style line 10 linecolor rgb blue      linewidth 1.2 dashtype 1
# References: FP32, W8A8, chance, the paper's values; and what stays in the background.
set style line 11 linecolor rgb black      linewidth 1.2 dashtype (8, 4)
set style line 12 linecolor rgb vermillion linewidth 1.2 dashtype (2, 4)
set style line 13 linecolor rgb grey       linewidth 1.2 dashtype (1, 5)
set style line 14 linecolor rgb black      linewidth 1.4 pointtype 12 pointsize 0.65*pointed
set style line 15 linecolor rgb pale       linewidth 1   pointtype 7 pointsize 0.3*round dashtype 1

set border 3 linecolor rgb black linewidth 1
set tics nomirror out scale 0.5 textcolor rgb black
set xtics offset 0, (format eq 'svg' ? 0.4 : 0)
set bars 0
set key off  # the scripts place their own
# Dark to light, equally legible in grey (cividis).
set palette defined (0 '#00204d', 1 '#31446b', 2 '#666970', 3 '#958f78', 4 '#cab969', 5 '#ffea46')
