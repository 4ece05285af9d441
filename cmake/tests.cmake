# Catch2 2 and 3 differ in the header's name and in who provides main().
find_package(Catch2 REQUIRED)
file(GLOB_RECURSE test_sources CONFIGURE_DEPENDS tests/*.cpp)
list(FILTER test_sources EXCLUDE REGEX "/(training|cuda_emulation)/|/fake_nvml\\.cpp$")

# The CUDA back end as C++ over an emulation of the device: see tests/engine/cuda_emulation/README.md.
file(GLOB emulation_sources CONFIGURE_DEPENDS tests/engine/cuda_emulation/*.cpp)
add_library(outlierlab_cuda_emulation STATIC ${emulation_sources})
target_include_directories(outlierlab_cuda_emulation PUBLIC src tests/engine/cuda_emulation)
target_compile_definitions(outlierlab_cuda_emulation PRIVATE OUTLIERLAB_CUDA_EMULATION OUTLIERLAB_WARPGROUPS)
target_compile_options(outlierlab_cuda_emulation PRIVATE -O2 -Wno-unknown-pragmas)
set_source_files_properties(tests/engine/cuda_kernels_test.cpp PROPERTIES COMPILE_OPTIONS -Wno-unknown-pragmas)
target_link_libraries(outlierlab_cuda_emulation PUBLIC outlierlab_engine)

# What DeviceMonitor opens in place of the driver's library.
add_library(fake_nvml MODULE tests/support/fake_nvml.cpp)

# gpu_bench over the emulated device.
file(GLOB gpu_bench_sources CONFIGURE_DEPENDS bench/gpu/*.cpp)
add_executable(gpu_bench_emulated ${gpu_bench_sources} tests/engine/cuda_emulation/gpu_bench/cuda_executor.cpp)
target_include_directories(gpu_bench_emulated PRIVATE bench tests)
target_compile_definitions(gpu_bench_emulated PRIVATE OUTLIERLAB_CUDA_EMULATION)
target_compile_options(gpu_bench_emulated PRIVATE -O1 -Wno-unknown-pragmas)
target_link_libraries(gpu_bench_emulated PRIVATE outlierlab_cuda_emulation)

add_executable(outlierlab_tests ${test_sources})
target_include_directories(outlierlab_tests PRIVATE tests)
target_compile_definitions(outlierlab_tests PRIVATE
  OUTLIERLAB_SOURCE_DIR="${CMAKE_SOURCE_DIR}" OUTLIERLAB_CATCH2_VERSION=${Catch2_VERSION_MAJOR})
foreach(step core kernels data model stats store quant engine cuda lower report app)
  if(TARGET outlierlab_${step})
    target_link_libraries(outlierlab_tests PRIVATE outlierlab_${step})
  endif()
endforeach()
target_link_libraries(outlierlab_tests PRIVATE outlierlab_cuda_emulation)
if(Catch2_VERSION_MAJOR GREATER_EQUAL 3)
  target_link_libraries(outlierlab_tests PRIVATE Catch2::Catch2WithMain)
else()
  target_link_libraries(outlierlab_tests PRIVATE Catch2::Catch2)
endif()
target_compile_definitions(outlierlab_tests PRIVATE
  OUTLIERLAB_BINARY="$<TARGET_FILE:outlierlab>" OUTLIERLAB_FAKE_NVML="$<TARGET_FILE:fake_nvml>"
  OUTLIERLAB_GPU_BENCH="$<TARGET_FILE:gpu_bench_emulated>")
add_dependencies(outlierlab_tests outlierlab fake_nvml gpu_bench_emulated)
# Catch2 2 is one large header: it is compiled once, and the assertions' code needs no optimization.
target_precompile_headers(outlierlab_tests PRIVATE tests/catch.h)
set_source_files_properties(tests/main.cpp tests/engine/emulated_amx_vnni.cpp PROPERTIES SKIP_PRECOMPILE_HEADERS ON)
outlierlab_kernel_flags(${test_sources})
target_compile_options(outlierlab_tests PRIVATE -O1)
add_test(NAME unit COMMAND outlierlab_tests)
target_include_directories(outlierlab_tests PRIVATE ${HDF5_INCLUDE_DIRS})  # tests/store spoils files

# What only a build with the CUDA back end has is compiled everywhere, though linked and run nowhere.
if(NOT OUTLIERLAB_CUDA)
  add_library(outlierlab_cuda_branches OBJECT src/app/engines.cpp tests/app/engines_test.cpp
    tests/engine/agreement_test.cpp tests/experiments/deployment_device_test.cpp)
  target_include_directories(outlierlab_cuda_branches PRIVATE tests)
  target_link_libraries(outlierlab_cuda_branches PRIVATE outlierlab_app outlierlab_cuda_emulation)
  target_compile_definitions(outlierlab_cuda_branches PRIVATE OUTLIERLAB_CUDA
    $<TARGET_PROPERTY:outlierlab_tests,COMPILE_DEFINITIONS>)
  target_compile_options(outlierlab_cuda_branches PRIVATE -O0)
endif()

find_package(Python3 COMPONENTS Interpreter)
if(Python3_Interpreter_FOUND)
  add_test(NAME reading-the-data
    COMMAND ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/tests/docs/run_snippets.py $<TARGET_FILE:outlierlab>)
  add_test(NAME report-in-a-browser
    COMMAND ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/tests/report/browser_check.py $<TARGET_FILE:outlierlab>
      ${CMAKE_BINARY_DIR}/report-in-a-browser)
  set_tests_properties(reading-the-data report-in-a-browser PROPERTIES SKIP_RETURN_CODE 77)
endif()
