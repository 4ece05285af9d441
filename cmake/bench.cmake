find_package(benchmark REQUIRED)

# What statistics cost per activation value.
add_executable(stats_benchmark bench/stats_benchmark.cpp)
target_link_libraries(stats_benchmark PRIVATE outlierlab_stats benchmark::benchmark)

# What quantize-dequantize costs per value, and calibration per site.
add_executable(quant_benchmark bench/quant_benchmark.cpp)
target_link_libraries(quant_benchmark PRIVATE outlierlab_quant benchmark::benchmark)

# What stands between the products, beside a measured bound.
add_executable(kernel_benchmark bench/kernel_benchmark.cpp)
target_link_libraries(kernel_benchmark PRIVATE outlierlab_engine benchmark::benchmark)

# The matrix products beside oneDNN's.
find_package(dnnl REQUIRED)
add_executable(gemm_benchmark bench/gemm_benchmark.cpp)
target_link_libraries(gemm_benchmark PRIVATE outlierlab_engine benchmark::benchmark DNNL::dnnl)
