#pragma once

namespace outlierlab {

/// The rest of a program's main() once its benchmarks are registered: all on one thread. What is written
/// (--benchmark_format=json, --benchmark_out) says which revision ran, on which CPU, with which instructions.
int run_benchmarks(int argc, char** argv);

}  // namespace outlierlab
