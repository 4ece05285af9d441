#include <cstddef>
#include <cstdint>

#define OUTLIERLAB_ISA_NAMESPACE portable
#include "core/simd.h"

namespace outlierlab::portable {

struct Sum {
  std::int32_t v[16];
};
inline Sum zero_sum() {
  return Sum{};
}
inline Sum load_sum(const std::int32_t* p) {
  Sum s;
  for (int i = 0; i < 16; ++i) s.v[i] = p[i];
  return s;
}
inline void store_sum_first(std::int32_t* p, Sum s, int n) {
  for (int i = 0; i < n; ++i) p[i] = s.v[i];
}
inline void store_sum(std::int32_t* p, Sum s) {
  store_sum_first(p, s, 16);
}
inline Sum add(Sum x, Sum y) {
  for (int i = 0; i < 16; ++i) x.v[i] += y.v[i];
  return x;
}
inline Sum subtract_product(Sum sum, std::int32_t x, Sum y) {
  for (int i = 0; i < 16; ++i) sum.v[i] -= x * y.v[i];
  return sum;
}
inline D16 to_double(Sum s) {
  D16 result;
  for (int i = 0; i < 16; ++i) result.v[i] = s.v[i];
  return result;
}
inline F16 to_float(Sum s) {
  F16 result;
  for (int i = 0; i < 16; ++i) result.v[i] = static_cast<float>(s.v[i]);
  return result;
}

struct Steps {
  static constexpr int rows = 4, panels = 1, depth = 2;
  struct Panel {
    std::int16_t v[32];
  };
  struct Pair {
    std::int16_t v[2];
  };
  static Panel load(const char* p) {
    Panel panel;
    __builtin_memcpy(panel.v, p, sizeof panel.v);
    return panel;
  }
  static Pair broadcast(std::int32_t word) {
    Pair pair;
    __builtin_memcpy(pair.v, &word, sizeof word);
    return pair;
  }
  static Sum dot(Sum sum, Pair a, const Panel& b) {
    for (int i = 0; i < 16; ++i) sum.v[i] += a.v[0] * b.v[2 * i] + a.v[1] * b.v[2 * i + 1];
    return sum;
  }
};

}  // namespace outlierlab::portable

#include "engine/cpu/int8_gemm_impl.h"

namespace outlierlab::engine::portable {
using namespace outlierlab::portable;

const Int8Kernels int8_kernels = {"portable",
                                  int8_packed_bytes<Steps>,
                                  int8_pack_transposed<Steps>,
                                  int8_pack_rows<Steps>,
                                  multiply_widened<Steps>,
                                  int8_packed_bytes<Steps>,
                                  int8_pack_weight<Steps>,
                                  int8_panel_bytes<Steps>,
                                  multiply_widened<Steps>};

}  // namespace outlierlab::engine::portable
