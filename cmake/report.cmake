# The report's style and script are embedded at configuration; a change of either configures again.
set(report_assets ${CMAKE_SOURCE_DIR}/src/report/web)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${report_assets}/page.css ${report_assets}/page.js)
file(READ ${report_assets}/page.css OUTLIERLAB_PAGE_CSS)
file(READ ${report_assets}/page.js OUTLIERLAB_PAGE_JS)
configure_file(${report_assets}/assets.h.in ${CMAKE_BINARY_DIR}/generated/report/web_assets.h @ONLY)
target_include_directories(outlierlab_report PRIVATE ${CMAKE_BINARY_DIR}/generated)
