#include "fibers.h"

#include <ucontext.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <exception>
#include <memory>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/matrix.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace outlierlab::engine::emulated {

Index3 current_thread, current_block, current_block_size, current_grid;

namespace {

constexpr int warp_lanes = 32;
constexpr std::size_t stack_bytes = 96 * 1024;

// --- Switching ---
// swapcontext() asks the kernel for the signal mask at every switch; on x86-64 a few instructions do.

#if defined(__x86_64__)

struct Context {
  void* stack_pointer = nullptr;
  void* fake_stack = nullptr;
};

extern "C" void outlierlab_switch(void** save, void* load);
asm(R"(
.text
.globl outlierlab_switch
.type outlierlab_switch, @function
outlierlab_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size outlierlab_switch, .-outlierlab_switch
)");

void prepare(Context& context, unsigned char* stack, void (*entry)()) {
  auto* top = reinterpret_cast<std::uintptr_t*>(stack + stack_bytes);
  *--top = 0;  // a return address that is never used, and the alignment that a call leaves
  *--top = reinterpret_cast<std::uintptr_t>(entry);
  for (int i = 0; i < 6; ++i) *--top = 0;
  context.stack_pointer = top;
}

void jump(Context& from, Context& to) {
  outlierlab_switch(&from.stack_pointer, to.stack_pointer);
}

#else

struct Context {
  ucontext_t state;
  void* fake_stack = nullptr;
};

void prepare(Context& context, unsigned char* stack, void (*entry)()) {
  getcontext(&context.state);
  context.state.uc_stack.ss_sp = stack;
  context.state.uc_stack.ss_size = stack_bytes;
  context.state.uc_link = nullptr;
  makecontext(&context.state, entry, 0);
}

void jump(Context& from, Context& to) {
  swapcontext(&from.state, &to.state);
}

#endif

// AddressSanitizer wants to know of every change of the stack, and the frames that a fiber leaves behind for
// good must not count when its stack is used again.
#if defined(__SANITIZE_ADDRESS__)
const void* main_stack = nullptr;
std::size_t main_stack_bytes = 0;

void switch_context(Context& from, Context& to, const void* stack, bool ends) {
  __sanitizer_start_switch_fiber(ends ? nullptr : &from.fake_stack, stack ? stack : main_stack,
                                 stack ? stack_bytes : main_stack_bytes);
  jump(from, to);
  __sanitizer_finish_switch_fiber(from.fake_stack, nullptr, nullptr);
}
/// The first thing on a new stack.
void arrived() {
  __sanitizer_finish_switch_fiber(nullptr, &main_stack, &main_stack_bytes);
}
void forget_frames(unsigned char* stack) {
  __asan_unpoison_memory_region(stack, stack_bytes);
}
#else
void switch_context(Context& from, Context& to, const void*, bool) {
  jump(from, to);
}
void arrived() {}
void forget_frames(unsigned char*) {}
#endif

// --- Blocks ---

enum class State { ready, at_barrier, at_instruction, done };

struct Copy {
  void* to;
  const void* from;
};

struct Fiber {
  Context context;
  std::unique_ptr<unsigned char[]> stack;
  State state = State::done;
  WarpInstruction instruction = nullptr;
  void* operands = nullptr;
  std::vector<Copy> started;
  std::deque<std::vector<Copy>> committed;
  std::exception_ptr failure;
};

struct Block {
  std::vector<std::unique_ptr<Fiber>> fibers;  // kept from launch to launch for their stacks
  Context scheduler;
  Fiber* running = nullptr;
  const std::function<void()>* body = nullptr;
  unsigned char* shared = nullptr;
};

Block block;

/// Back to the scheduler.
void leave(State state) {
  Fiber& self = *block.running;
  self.state = state;
  switch_context(self.context, block.scheduler, nullptr, state == State::done);
}

void fiber_main() {
  arrived();
  try {
    (*block.body)();
  } catch (...) {
    block.running->failure = std::current_exception();
  }
  leave(State::done);
  std::terminate();
}

std::string place(const std::string& kernel, int thread) {
  return "kernel " + kernel + ", block (" + std::to_string(current_block.x) + ", " +
         std::to_string(current_block.y) + ", " + std::to_string(current_block.z) + "), thread " +
         std::to_string(thread);
}

void resume(const std::string& kernel, int thread) {
  Fiber& fiber = *block.fibers[static_cast<std::size_t>(thread)];
  block.running = &fiber;
  current_thread.x = static_cast<unsigned>(thread);
  switch_context(block.scheduler, fiber.context, fiber.stack.get(), false);
  block.running = nullptr;
  if (fiber.failure) {
    std::exception_ptr failure = std::exchange(fiber.failure, nullptr);
    std::rethrow_exception(failure);
  }
  const auto under_way = [&] {
    bool any = !fiber.started.empty();
    for (const std::vector<Copy>& group : fiber.committed) any = any || !group.empty();
    return any;
  };
  if (fiber.state == State::done && under_way())
    fail_expected(place(kernel, thread), "every asynchronous copy waited for before the end",
                  "a copy under way");
}

/// Runs a warp until its lanes wait for the block or are done.
void run_warp(const std::string& kernel, int first) {
  const auto lane = [first](int i) -> Fiber& { return *block.fibers[static_cast<std::size_t>(first + i)]; };
  for (;;) {
    int waiting = 0;
    for (int i = 0; i < warp_lanes; ++i) {
      if (lane(i).state == State::ready) resume(kernel, first + i);
      waiting += lane(i).state == State::at_instruction;
    }
    if (waiting == 0) return;
    void* operands[warp_lanes];
    for (int i = 0; i < warp_lanes; ++i) {
      if (lane(i).state != State::at_instruction || lane(i).instruction != lane(0).instruction)
        fail_expected(place(kernel, first + i), "the whole warp at one instruction", "a lane elsewhere");
      operands[i] = lane(i).operands;
    }
    lane(0).instruction(operands);
    for (int i = 0; i < warp_lanes; ++i) lane(i).state = State::ready;
  }
}

void run_block(const std::string& kernel, int threads) {
  for (int t = 0; t < threads; ++t) {
    Fiber& fiber = *block.fibers[static_cast<std::size_t>(t)];
    fiber.state = State::ready;
    fiber.committed.clear();
    forget_frames(fiber.stack.get());
    prepare(fiber.context, fiber.stack.get(), fiber_main);
  }
  for (;;) {
    for (int first = 0; first < threads; first += warp_lanes) run_warp(kernel, first);
    int at_barrier = 0, missing = -1;
    for (int t = 0; t < threads; ++t) {
      if (block.fibers[static_cast<std::size_t>(t)]->state == State::at_barrier) {
        ++at_barrier;
      } else {
        missing = t;
      }
    }
    if (at_barrier == 0) return;
    if (missing >= 0)
      fail_expected(place(kernel, missing), "every thread of the block at the barrier",
                    "a thread that has ended");
    for (int t = 0; t < threads; ++t) block.fibers[static_cast<std::size_t>(t)]->state = State::ready;
  }
}

}  // namespace

std::function<void(const std::string& kernel)> after_kernel;

void run_grid(const std::string& kernel, Index3 grid, int threads, std::size_t shared_bytes,
              const std::function<void()>& body) {
  if (threads <= 0 || threads > 1024 || threads % warp_lanes != 0)
    fail_expected("kernel " + kernel, "whole warps, at most 1024 threads", std::to_string(threads));
  if (grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.y > 65535 || grid.z > 65535)
    fail_expected("kernel " + kernel, "a grid that a device takes",
                  std::to_string(grid.x) + " x " + std::to_string(grid.y) + " x " + std::to_string(grid.z));
  while (block.fibers.size() < static_cast<std::size_t>(threads)) {
    block.fibers.push_back(std::make_unique<Fiber>());
    block.fibers.back()->stack = std::make_unique<unsigned char[]>(stack_bytes);
  }
  // A block of its own on the heap, so that a sanitizer sees what lies outside.
  AlignedVector<unsigned char> shared(shared_bytes + 1);
  struct Release {
    ~Release() {
      for (const auto& fiber : block.fibers) {
        fiber->started.clear();
        fiber->committed.clear();
      }
    }
  } release;
  block.body = &body;
  block.shared = shared.data();
  current_block_size = {static_cast<unsigned>(threads), 1, 1};
  current_grid = grid;
  for (unsigned z = 0; z < grid.z; ++z) {
    for (unsigned y = 0; y < grid.y; ++y) {
      for (unsigned x = 0; x < grid.x; ++x) {
        current_block = {x, y, z};
        std::memset(block.shared, 0xcd, shared_bytes);  // what a block finds is garbage
        run_block(kernel, threads);
      }
    }
  }
  if (after_kernel) after_kernel(kernel);
}

void block_barrier() {
  leave(State::at_barrier);
}

void warp_instruction(WarpInstruction instruction, void* operands) {
  block.running->instruction = instruction;
  block.running->operands = operands;
  leave(State::at_instruction);
}

unsigned char* block_memory() {
  return block.shared;
}

void start_copy(void* to, const void* from) {
  block.running->started.push_back({to, from});
}

void commit_started_copies() {
  block.running->committed.push_back(std::exchange(block.running->started, {}));
}

void wait_for_copies(int pending) {
  std::deque<std::vector<Copy>>& groups = block.running->committed;
  while (groups.size() > static_cast<std::size_t>(pending)) {
    for (const Copy& copy : groups.front()) std::memcpy(copy.to, copy.from, 16);
    groups.pop_front();
  }
}

}  // namespace outlierlab::engine::emulated
