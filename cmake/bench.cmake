find_package(benchmark QUIET)
if(NOT benchmark_FOUND)
  message(FATAL_ERROR "OUTLIERLAB_BENCH: expected Google Benchmark, found none "
                      "(scripts/packages-bench.txt names its Debian package)")
endif()

# What they share: bounds, and main() with the revision.
add_library(outlierlab_bench STATIC bench/bounds.cpp bench/program.cpp)
target_include_directories(outlierlab_bench PRIVATE ${CMAKE_BINARY_DIR}/generated)
target_link_libraries(outlierlab_bench PUBLIC outlierlab_engine benchmark::benchmark)
add_dependencies(outlierlab_bench outlierlab_revision)

# What statistics cost per activation value.
add_executable(stats_benchmark bench/stats_benchmark.cpp)
target_link_libraries(stats_benchmark PRIVATE outlierlab_stats outlierlab_bench)

# What quantize-dequantize costs per value, and calibration per site.
add_executable(quant_benchmark bench/quant_benchmark.cpp)
target_link_libraries(quant_benchmark PRIVATE outlierlab_quant outlierlab_bench)

# What stands between the products, beside a measured bound.
add_executable(kernel_benchmark bench/kernel_benchmark.cpp bench/round_bf16.cpp)
set_source_files_properties(bench/round_bf16.cpp PROPERTIES COMPILE_OPTIONS
  "-mavx512f;-mavx512bw;-mavx512vl;-mavx512dq;-mavx512bf16;-mfma;-mf16c;-mprefer-vector-width=512;-O3;-falign-functions=64;-falign-loops=64;-Wno-maybe-uninitialized;-Wno-uninitialized")
target_link_libraries(kernel_benchmark PRIVATE outlierlab_bench)

# The matrix products beside oneDNN's.
find_package(dnnl REQUIRED)
add_executable(gemm_benchmark bench/gemm_benchmark.cpp)
target_link_libraries(gemm_benchmark PRIVATE outlierlab_bench DNNL::dnnl)
