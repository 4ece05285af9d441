#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

namespace outlierlab::engine::emulated {

struct Index3 {
  unsigned x = 0, y = 0, z = 0;
};

/// What an instruction that a whole warp executes together does: `operands` has each lane's.
using WarpInstruction = void (*)(void* const (&operands)[32]);

/// Runs `body` once for each thread of each block, blocks one after the other, the threads of a block as
/// fibers that take turns in a fixed order. A thread waits at a barrier for the block and at a warp
/// instruction for its warp. What would hang or be undefined on a device is an Error that names kernel, block
/// and thread: a barrier that some threads of the block do not reach, an instruction that some lanes of the
/// warp do not reach or reach another one.
void run_grid(const std::string& kernel, Index3 grid, int threads, std::size_t shared_bytes,
              const std::function<void()>& body);

// What a test may do to the device.

/// Called after each kernel with its name, to spoil results.
extern std::function<void(const std::string& kernel)> after_kernel;
/// Device memory that there is.
extern std::size_t memory_limit;
struct BlasProduct;
/// Whether cublasLt refuses to run an algorithm that it has offered.
extern std::function<bool(const BlasProduct& product, int algorithm)> refuses_algorithm;

/// For the code of a thread:
void block_barrier();
void warp_instruction(WarpInstruction instruction, void* operands);
unsigned char* block_memory();
/// 16 bytes that are in place only after wait_for_copies().
void start_copy(void* to, const void* from);
void commit_started_copies();
void wait_for_copies(int pending);

/// Of the thread that runs.
extern Index3 current_thread, current_block, current_block_size, current_grid;

}  // namespace outlierlab::engine::emulated
