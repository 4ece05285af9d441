// The CUDA kernels, one by one, over the emulated device; and the emulation itself.
#define OUTLIERLAB_CUDA_EMULATION
#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <string>
#include <vector>

#include "catch.h"
#include "core/error.h"
#include "core/random.h"
#include "engine/cuda/attention.h"
#include "engine/cuda/int8_gemm.h"
#include "engine/cuda/linear.h"
#include "engine/cuda/products.h"
#include "engine/cuda/row_kernels.h"

namespace outlierlab::engine::emulated {

namespace {

std::vector<std::int8_t> random_codes(std::size_t count, Random& random) {
  std::vector<std::int8_t> codes(count);
  for (std::int8_t& code : codes) code = static_cast<std::int8_t>(static_cast<int>(random.below(256)) - 128);
  return codes;
}

std::vector<float> random_floats(std::size_t count, float scale, Random& random) {
  std::vector<float> values(count);
  for (float& v : values) v = scale * static_cast<float>(random.uniform() + random.uniform() - 1.0);
  return values;
}

std::string message(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing thrown";
}

Grid affine(float lo, float hi) {
  Format format;
  format.bits = 8;
  return grid_of_range(format, lo, hi);
}

Format on(const Grid& grid) {
  Format format;
  format.kind = FormatKind::tensor;
  format.bits = 8;
  format.grid = grid;
  return format;
}

}  // namespace

TEST_CASE("The emulation finds barriers and warp instructions that some threads miss", "[engine][cuda]") {
  REQUIRE(message([] {
            run_grid("halved", {1, 1, 1}, 64, 0, [] {
              if (current_thread.x < 32) block_barrier();
            });
          }).find("kernel halved, block (0, 0, 0), thread 63: expected every thread") != std::string::npos);
  REQUIRE(message([] {
            run_grid("torn", {1, 1, 1}, 32, 0, [] {
              if (current_thread.x != 5) sync_warp();
            });
          }).find("thread 5: expected the whole warp") != std::string::npos);
  REQUIRE(message([] {
            run_grid("mixed", {1, 1, 1}, 32, 0, [] {
              if (current_thread.x < 16) {
                sync_warp();
              } else {
                from_lane_xor(1, 1);
              }
            });
          }).find("expected the whole warp at one instruction") != std::string::npos);
  REQUIRE(message([] {
            run_grid("hasty", {1, 1, 1}, 32, 16, [] {
              alignas(16) static unsigned char source[16];
              if (current_thread.x == 0) copy_async(shared_memory(), source);
              commit_copies();
            });
          }).find("asynchronous copy") != std::string::npos);
  REQUIRE(message([] {
            run_grid("partial", {1, 1, 1}, 40, 0, [] {});
          }).find("whole warps") != std::string::npos);
  // And leaves nothing behind that disturbs the next kernel.
  int sum = 0;
  run_grid("sound", {2, 1, 1}, 64, 0, [&] {
    block_barrier();
    sum += from_lane_xor(1, 3);
  });
  REQUIRE(sum == 128);
}

TEST_CASE("An asynchronous copy is there only after the wait", "[engine][cuda]") {
  run_grid("copies", {1, 1, 1}, 32, 64, [] {
    alignas(16) static unsigned char source[32];
    std::fill_n(source, 32, static_cast<unsigned char>(7));
    if (current_thread.x != 0) return;
    unsigned char* memory = shared_memory();
    copy_async(memory, source);
    commit_copies();
    copy_async(memory + 16, source + 16);
    commit_copies();
    wait_copies<1>();
    if (memory[0] != 7 || memory[16] == 7) throw Error("groups finish in order");
    wait_copies<0>();
    if (memory[16] != 7) throw Error("all groups have finished");
  });
}

TEST_CASE("e4m3, as the emulation has it, rounds to the nearest of its 254 values", "[engine][cuda]") {
  for (int bits = 0; bits < 255; ++bits) {
    if (bits == 127) continue;  // not a number
    const float v = e4m3_to_float(static_cast<std::uint8_t>(bits));
    REQUIRE(float_to_e4m3(v) == bits);
  }
  REQUIRE(e4m3_to_float(0x7e) == 448.0f);
  REQUIRE(e4m3_to_float(0x01) == 0x1p-9f);
  REQUIRE(float_to_e4m3(1e9f) == 0x7e);
  REQUIRE(float_to_e4m3(-460.0f) == 0xfe);
  // 17 lies between 16 and 18, 15.5 between 15 and 16: ties go to the even significand.
  REQUIRE(e4m3_to_float(float_to_e4m3(17.0f)) == 16.0f);
  REQUIRE(e4m3_to_float(float_to_e4m3(15.5f)) == 16.0f);
  REQUIRE(e4m3_to_float(float_to_e4m3(0x1p-10f)) == 0.0f);
  REQUIRE(e4m3_to_float(float_to_e4m3(0x1.8p-10f)) == 0x1p-9f);
}

TEST_CASE("GELU of the kernels is within 2e-7 of GELU", "[engine][cuda]") {
  for (int i = -9000; i <= 9000; ++i) {
    const float v = static_cast<float>(i) * 1e-3f;
    const double expected = 0.5 * v * (1 + std::erf(v / std::sqrt(2.0)));
    REQUIRE(std::abs(gelu(v) - expected) < 2e-7 * std::max(1.0, std::abs(expected)));
  }
  REQUIRE(gelu(100.0f) == 100.0f);
  REQUIRE(gelu(-100.0f) == 0.0f);
}

namespace {

/// Outliers of rows: none, a few in channels that rows share, a few anywhere, all of them.
class Listed {
 public:
  Listed(std::size_t rows, std::size_t channels, Random& random)
      : stride_(channels),
        all_(rows * channels, 0.0f),
        count_(rows),
        channels_(all_.size()),
        values_(all_.size()) {
    for (std::size_t r = 0; r < rows; ++r) {
      for (std::size_t c = 0; c < channels; ++c) {
        const bool here =
            r % 40 == 39 || (r % 4 == 1 && c % 50 == 7) || (r % 4 == 2 && random.below(40) == 0);
        if (!here) continue;
        all_[r * channels + c] = static_cast<float>(random.uniform()) - 0.5f;
        const std::size_t at = r * channels + static_cast<std::size_t>(count_.data()[r]++);
        channels_.data()[at] = static_cast<std::uint16_t>(c);
        values_.data()[at] = all_[r * channels + c];
      }
    }
  }
  Outliers view() const {
    return {count_.data(), channels_.data(), values_.data(), static_cast<int>(stride_)};
  }
  float at(std::size_t r, std::size_t c) const { return all_[r * stride_ + c]; }

 private:
  std::size_t stride_;
  std::vector<float> all_;
  DeviceArray<std::int32_t> count_;
  DeviceArray<std::uint16_t> channels_;
  DeviceArray<float> values_;
};

}  // namespace

namespace {

/// The same product with its last channels, not whole 16 of them, in float behind the codes: by a tile and by
/// the finishing alone. `reals` is what it gives without a grid.
void check_kept_out(int tile, Int8Product p, const std::int32_t* sums, const DeviceArray<float>& reals) {
  constexpr int kept = 13;
  constexpr std::int8_t untouched = 77;
  const auto rows = static_cast<std::size_t>(p.rows), columns = static_cast<std::size_t>(p.columns);
  const std::size_t coded = columns - 16;
  std::vector<float> grids(grid_members * columns, 0.0f);
  for (std::size_t j = 0; j < columns; ++j) {
    const Grid g = affine(-1.0f - static_cast<float>(j % 3), 2.0f);
    const float members[grid_members] = {g.inverse, g.rest, j < coded ? g.scale : -1.0f,
                                         g.low,     g.high, g.offset};
    for (std::size_t i = 0; i < grid_members; ++i) grids[i * columns + j] = members[i];
  }
  const DeviceArray<float> column_grids(grids);
  Finishing& f = p.finish;
  f.output = Finishing::Output::codes;
  f.column_grids = column_grids.data();
  f.column_stride = p.columns;
  f.code_columns = p.columns - 16;
  f.kept_out_count = kept;
  for (const bool alone : {false, true}) {
    const DeviceArray<std::int8_t> codes(std::vector<std::int8_t>(rows * columns, untouched));
    const DeviceArray<float> kept_out(rows * kept);
    f.out = codes.data();
    f.kept_out = kept_out.data();
    if (alone) {
      finish_sums(p, sums, nullptr);
    } else {
      multiply_tiled(tile, p, nullptr);
    }
    std::size_t wrong_codes = 0, wrong_kept = 0;
    for (std::size_t r = 0; r < rows; ++r) {
      for (std::size_t j = 0; j < columns; ++j) {
        const float v = reals.data()[r * columns + j];
        std::int8_t expected = untouched;
        if (j < coded) {
          const Grid g = affine(-1.0f - static_cast<float>(j % 3), 2.0f);
          expected = static_cast<std::int8_t>(static_cast<int>(steps(g, v) + g.offset) - code_shift);
        } else if (j < coded + kept) {
          wrong_kept += kept_out.data()[r * kept + j - coded] != v;
        }
        wrong_codes += codes.data()[r * columns + j] != expected;
      }
    }
    INFO("the finishing alone: " << alone);
    REQUIRE(wrong_codes == 0);
    REQUIRE(wrong_kept == 0);
  }
}

}  // namespace

TEST_CASE("CUDA: additions round to even ties and convert whole numbers", "[engine][cuda]") {
  constexpr int most = (1 << 22) - 1;
  for (const int i : {0, 1, 2, 127, 128, 255, 256, 65535, most - 1, most}) {
    for (const int signed_i : {i, -i}) {
      const auto whole = static_cast<float>(signed_i);
      REQUIRE(float_of(signed_i) == whole);
      REQUIRE(integer_of(whole) == signed_i);
      REQUIRE(nearest(whole) == whole);
      for (const float part : {0.25f, 0.5f, 0.75f}) {
        if (i >= 1 << 21) continue;  // no float lies between
        REQUIRE(nearest(whole + part) == std::rint(whole + part));
      }
    }
  }
  // The nearest floats to a tie go their own ways.
  REQUIRE(nearest(std::nextafter(0.5f, 0.0f)) == 0.0f);
  REQUIRE(nearest(std::nextafter(0.5f, 1.0f)) == 1.0f);
  REQUIRE(nearest(std::nextafter(2.5f, 3.0f)) == 3.0f);
  for (const int code : {0, 1, 127, 128, 254, 255})
    REQUIRE(signed_code(static_cast<float>(code)) == code - 128);
  REQUIRE(pack_codes(signed_code(0.0f), signed_code(255.0f)) == 0x7f80);
}

TEST_CASE("Every tile of the int8 product gives the exact sums and the plain finishing", "[engine][cuda]") {
  Random random(7);
  struct Sizes {
    int rows, columns, depth;
  };
  const DeviceFacts device = use_device(0);
  std::vector<bool> used(static_cast<std::size_t>(tile_count()), false);
  for (const Sizes size : {Sizes{1, 16, 64}, Sizes{37, 80, 320}, Sizes{130, 144, 640}}) {
    const auto rows = static_cast<std::size_t>(size.rows), columns = static_cast<std::size_t>(size.columns),
               depth = static_cast<std::size_t>(size.depth);
    const DeviceArray<std::int8_t> a(random_codes(rows * depth, random)),
        b(random_codes(columns * depth, random));
    std::vector<std::int32_t> exact(rows * columns, 0), column_sums(2 * columns, 0);
    // Where the first of two segments ends.
    const int split = size.depth % (2 * depth_unit) == 0 ? 2 * depth_unit
                      : size.depth > depth_unit          ? depth_unit
                                                         : 0;
    std::vector<std::int32_t> first(rows * columns, 0);
    for (std::size_t r = 0; r < rows; ++r) {
      for (std::size_t j = 0; j < columns; ++j) {
        for (std::size_t k = 0; k < depth; ++k) {
          const std::int32_t product = a.data()[r * depth + k] * b.data()[j * depth + k];
          exact[r * columns + j] += product;
          if (k < static_cast<std::size_t>(split)) first[r * columns + j] += product;
        }
      }
    }
    for (std::size_t j = 0; j < columns; ++j) {
      for (std::size_t k = 0; k < depth; ++k)
        column_sums[(k < static_cast<std::size_t>(split) ? 0 : columns) + j] += b.data()[j * depth + k];
    }
    const std::vector<float> scale = random_floats(columns, 0.01f, random);
    const DeviceArray<float> bias(random_floats(columns, 1.0f, random));
    const DeviceArray<float> kept(random_floats(rows * 3, 1.0f, random)),
        kept_weights(random_floats(3 * columns, 0.1f, random));
    const Listed listed(rows, depth, random);
    const DeviceArray<std::int8_t> by_channel(random_codes(depth * columns, random));
    if (!split)
      column_sums.erase(column_sums.begin(), column_sums.begin() + static_cast<std::ptrdiff_t>(columns));
    std::vector<float> row_scale(rows);
    std::vector<std::int32_t> row_zero(rows);
    for (std::size_t r = 0; r < rows; ++r) {
      row_scale[r] = 0.5f + static_cast<float>(random.uniform());
      row_zero[r] = static_cast<std::int32_t>(random.below(split ? 65536 : 256));
    }
    const DeviceArray<float> scale_of_rows(row_scale);
    const DeviceArray<std::int32_t> zero_of_rows(row_zero);
    for (const bool by_row : {false, true}) {
      using Zero = Segment::Zero;
      std::vector<Segment> segments;
      if (split) segments.push_back({split / depth_unit, 0.02f, -5, by_row ? Zero::low_of_row : Zero::fixed});
      segments.push_back({size.depth / depth_unit, 0.03f, 17,
                          !by_row ? Zero::fixed
                          : split ? Zero::high_of_row
                                  : Zero::of_row});
      /// Of the signed codes of row r.
      const auto zero_of = [&](std::size_t s, std::size_t r) {
        if (!by_row) return segments[s].zero;
        if (!split) return row_zero[r] - code_shift;
        return (s == 0 ? row_zero[r] % 256 : row_zero[r] / 256) - code_shift;
      };
      const DeviceArray<Segment> device_segments(segments);
      const ColumnTerms terms = column_terms(segments, column_sums, scale);
      const DeviceArray<std::int32_t> terms_sums(terms.sums);
      const DeviceArray<float> terms_scale(terms.scale), terms_rest(terms.rest);

      Int8Product p;
      p.a = a.data();
      p.b = b.data();
      p.lda = p.depth = size.depth;
      p.rows = size.rows;
      p.columns = size.columns;
      Finishing& f = p.finish;
      f.stride = size.columns;
      f.column_sums = terms_sums.data();
      f.column_scale = terms_scale.data();
      f.column_rest = terms_rest.data();
      f.bias = bias.data();
      f.row_scale = scale_of_rows.data();
      f.row_zero = zero_of_rows.data();
      f.segments = device_segments.data();
      f.segment_count = static_cast<int>(segments.size());
      f.whole_segments = split % (2 * depth_unit) == 0;
      f.first = segments[0];
      f.kept = kept.data();
      f.kept_weights = kept_weights.data();
      f.codes_by_channel = by_channel.data();
      f.grids[0] = affine(-2, 2);
      const DeviceArray<std::int32_t> sums(rows * columns);
      const DeviceArray<float> reals(rows * columns), by_finishing(rows * columns);
      const DeviceArray<std::int8_t> codes(rows * columns);
      // Nothing in float; kept channels; outliers.
      for (const int kept_count : {0, 3, -1}) {
        for (int tile = 0; tile < tile_count(); ++tile) {
          if (!tile_can(tile, p, device)) continue;
          used[static_cast<std::size_t>(tile)] = true;
          INFO(tile_name(tile) << ", " << size.rows << " x " << size.columns << " x " << size.depth << ", "
                               << kept_count);
          f.kept_count = std::max(kept_count, 0);
          f.outliers = kept_count < 0 ? listed.view() : Outliers();
          f.output = Finishing::Output::sums;
          f.out = sums.data();
          multiply_tiled(tile, p, nullptr);
          REQUIRE(std::equal(exact.begin(), exact.end(), sums.data()));

          // The sums of the segments, finished apart.
          std::vector<std::int32_t> planes(segments.size() *
                                           static_cast<std::size_t>(padded_rows(size.rows)) * columns);
          const std::size_t plane = static_cast<std::size_t>(padded_rows(size.rows)) * columns;
          for (std::size_t i = 0; i < exact.size(); ++i) {
            if (split) planes[i] = first[i];
            planes[(segments.size() - 1) * plane + i] = exact[i] - first[i];
          }
          const DeviceArray<std::int32_t> device_planes(planes);
          for (const bool with_gelu : {false, true}) {
            f.gelu = with_gelu;
            f.output = Finishing::Output::reals;
            f.out = by_finishing.data();
            finish_sums(p, device_planes.data(), nullptr);
            f.out = reals.data();
            multiply_tiled(tile, p, nullptr);
            bool same = true, near = true;
            for (std::size_t i = 0; i < exact.size(); ++i) {
              same = same && reals.data()[i] == by_finishing.data()[i];
              const std::size_t r = i / columns, j = i % columns;
              double expected = bias.data()[j];
              for (int c = 0; c < kept_count; ++c)
                expected += static_cast<double>(kept.data()[r * kept_count + c]) *
                            kept_weights.data()[static_cast<std::size_t>(c) * columns + j];
              if (kept_count < 0) {
                for (std::size_t c = 0; c < depth; ++c)
                  expected += static_cast<double>(listed.at(r, c)) * terms.scale[j] *
                              by_channel.data()[c * columns + j];
              }
              for (std::size_t s = 0; s < segments.size(); ++s) {
                const double sum =
                    planes[s * plane + i] - static_cast<double>(zero_of(s, r)) * column_sums[s * columns + j];
                expected += sum * segments[s].scale * scale[j] * (by_row ? row_scale[r] : 1.0f);
              }
              if (with_gelu) expected = 0.5 * expected * (1 + std::erf(expected / std::sqrt(2.0)));
              near = near && std::abs(reals.data()[i] - expected) < 1e-3 + 1e-5 * std::abs(expected);
            }
            REQUIRE(same);
            REQUIRE(near);
            f.output = Finishing::Output::codes;
            f.out = codes.data();
            multiply_tiled(tile, p, nullptr);
            bool coded = true;
            for (std::size_t i = 0; i < exact.size(); ++i) {
              const float t = steps(f.grids[0], reals.data()[i]) + f.grids[0].offset;
              coded = coded && codes.data()[i] == static_cast<std::int8_t>(static_cast<int>(t) - code_shift);
            }
            REQUIRE(coded);
            check_kept_out(tile, p, device_planes.data(), reals);
          }
          f.gelu = false;
        }
      }
    }
  }
  REQUIRE(std::all_of(used.begin(), used.end(), [](bool tile) { return tile; }));
}

TEST_CASE(
    "Tuning drops a way whose codes or kept channels are not the others', and takes none that is refused",
    "[engine][cuda]") {
  Random random(23);
  constexpr std::size_t rows = 5, columns = 48, depth = 64;
  constexpr int kept_columns = 3;
  SiteFormat site;
  site.kind = SiteFormat::Kind::tensor;
  site.bits = 8;
  site.scale = {0.02f};
  site.zero = {100};
  Linear linear;
  linear.weight.rows = columns;
  linear.weight.cols = depth;
  linear.weight.bits = 8;
  linear.weight.codes = random_codes(columns * depth, random);
  linear.weight.scales = std::vector<float>{0.001f};
  linear.bias = random_floats(columns, 0.5f, random);
  const SiteLayout layout(site, depth, RealType::float32, false, {&linear.weight});
  std::vector<int> order(columns);
  std::iota(order.begin(), order.end(), 0);
  const DeviceLinear device_linear(linear, layout, order);
  SiteFormat by_column;
  by_column.kind = SiteFormat::Kind::columns;
  by_column.bits = 8;
  by_column.scale.assign(columns, 0.02f);
  by_column.zero.assign(columns, 128);
  std::fill(by_column.scale.end() - 16, by_column.scale.end(), -1.0f);
  const DeviceArray<float> grids(grids_of_columns({&by_column}, order));
  const DeviceArray<std::int8_t> left_codes(
      random_codes(static_cast<std::size_t>(padded_rows(rows)) * depth, random)),
      codes(rows * columns);
  const DeviceArray<float> kept(rows * kept_columns);
  Operand left;
  left.codes_as = Operand::Codes::plane;
  left.codes = left_codes.data();
  left.stride = depth;
  ProductTarget target;
  target.output = ProductTarget::Output::codes;
  target.out = codes.data();
  target.stride = columns;
  target.column_grids = grids.data();
  target.code_columns = columns - 16;
  target.kept = kept.data();
  target.kept_count = kept_columns;

  struct Restore {
    ~Restore() {
      after_kernel = nullptr;
      refuses_algorithm = nullptr;
    }
  } restore;
  // finish_kernel runs in cublasLt's ways alone, which are not the reference.
  const auto dropped_when = [&](const std::function<void()>& spoil) {
    after_kernel = [&](const std::string& kernel) {
      if (kernel == "finish_kernel") spoil();
    };
    Products products(use_device(0), true, -1);
    products.multiply(device_linear, left, rows, target, nullptr);
    const std::vector<std::string> dropped = products.dropped();
    for (const std::string& way : dropped) REQUIRE(way.find("cublasLt") == 0);
    for (const ProductTime& time : products.times())
      REQUIRE((dropped.empty() || time.way.find("cublasLt") != 0));
    return dropped;
  };
  REQUIRE(dropped_when([] {}).empty());
  const std::vector<std::string> all = dropped_when([&] { codes.data()[columns + 5] ^= 1; });
  REQUIRE(!all.empty());
  REQUIRE(all[0].find("in 1 words of a product of 5 x 48 x 64") != std::string::npos);
  REQUIRE(dropped_when([&] { kept.data()[rows * kept_columns - 1] += 1.0f; }) == all);
  after_kernel = nullptr;

  const std::vector<std::int8_t> expected(codes.data(), codes.data() + rows * columns);
  int refused = 0;
  refuses_algorithm = [&](const BlasProduct&, int) { return ++refused > 0; };
  // Tuned, and by a way that had been chosen before.
  for (const int only : {-1, tile_count()}) {
    std::fill_n(codes.data(), rows * columns, std::int8_t{0});
    refused = 0;
    Products products(use_device(0), true, only);
    products.multiply(device_linear, left, rows, target, nullptr);
    REQUIRE(refused > 0);
    REQUIRE(products.dropped().empty());
    REQUIRE(std::equal(expected.begin(), expected.end(), codes.data()));
    for (const ProductTime& time : products.times()) REQUIRE(time.way.find("cublasLt") != 0);
  }
}

TEST_CASE("A real product goes by the first of cublasLt's algorithms that is not refused", "[engine][cuda]") {
  Random random(29);
  constexpr std::size_t rows = 3, columns = 32, depth = 48;
  Linear linear;
  linear.weight.rows = columns;
  linear.weight.cols = depth;
  linear.weight.values = random_floats(columns * depth, 1.0f, random);
  linear.bias = random_floats(columns, 0.5f, random);
  const DeviceLinear device_linear({&linear}, SiteLayout(SiteFormat(), depth, RealType::float32, false, {}),
                                   RealType::float32);
  const DeviceArray<float> values(random_floats(rows * depth, 1.0f, random)), out(rows * columns);
  Operand left;
  left.real = values.data();
  left.real_stride = depth;
  ProductTarget target;
  target.out = out.data();
  target.stride = columns;
  struct Restore {
    ~Restore() { refuses_algorithm = nullptr; }
  } restore;
  const auto run = [&](bool tune) {
    std::fill_n(out.data(), rows * columns, 0.0f);
    Products products(use_device(0), tune, -1);
    products.multiply(device_linear, left, rows, target, nullptr);
    return std::vector<float>(out.data(), out.data() + rows * columns);
  };
  const std::vector<float> expected = run(false);
  REQUIRE(expected[0] != 0.0f);
  refuses_algorithm = [](const BlasProduct&, int algorithm) { return algorithm == 0; };
  REQUIRE(run(false) == expected);
  REQUIRE(run(true) == expected);
  refuses_algorithm = [](const BlasProduct&, int) { return true; };
  for (const bool tune : {false, true})
    REQUIRE(message([&] { run(tune); }).find("not supported") != std::string::npos);
}

namespace {

/// Queries, keys and values of examples with these lengths, as codes and as the reals that they stand for.
struct Heads {
  int depth, heads = 2, rows = 0, stride;
  std::vector<std::int32_t> offsets = {0};
  DeviceArray<std::int32_t> device_offsets;
  Grid grids[3] = {affine(-3, 2), affine(-2, 3), affine(-1, 1)};
  DeviceArray<std::int8_t> codes;
  DeviceArray<std::uint16_t> halves[2];  ///< float16, bfloat16
  DeviceArray<float> floats;

  Heads(const std::vector<int>& lengths, int head_depth, Random& random)
      : depth(head_depth), stride(3 * heads * depth) {
    for (const int length : lengths) offsets.push_back(rows += length);
    device_offsets = offsets;
    const std::size_t count = static_cast<std::size_t>(rows * stride);
    std::vector<std::int8_t> all = random_codes(count, random);
    std::vector<std::uint16_t> rounded[2] = {std::vector<std::uint16_t>(count),
                                             std::vector<std::uint16_t>(count)};
    std::vector<float> values(count);
    for (std::size_t i = 0; i < count; ++i) {
      const Grid& g = grids[i % static_cast<std::size_t>(stride) / static_cast<std::size_t>(heads * depth)];
      values[i] = (static_cast<float>(all[i] + code_shift) - g.offset) * g.scale;
      rounded[0][i] = float_to_half(values[i]);
      rounded[1][i] = float_to_bfloat(values[i]);
    }
    codes = all;
    floats = values;
    for (int k = 0; k < 2; ++k) halves[k] = rounded[k];
  }

  AttentionTask task(RealType type) const {
    AttentionTask t;
    t.offsets = device_offsets.data();
    t.examples = static_cast<int>(offsets.size()) - 1;
    for (std::size_t e = 0; e + 1 < offsets.size(); ++e)
      t.longest = std::max(t.longest, offsets[e + 1] - offsets[e]);
    t.heads = heads;
    t.depth = depth;
    HeadRows* sides[3] = {&t.query, &t.key, &t.value};
    for (int k = 0; k < 3; ++k) {
      const std::size_t at = static_cast<std::size_t>(k * heads * depth);
      sides[k]->codes = codes.data() + at;
      sides[k]->stride = sides[k]->real_stride = stride;
      sides[k]->grid = grids[k];
      sides[k]->type = type;
      sides[k]->real = type == RealType::float32 ? static_cast<const void*>(floats.data() + at)
                                                 : halves[type == RealType::bfloat16].data() + at;
    }
    return t;
  }
};

double largest_difference(const DeviceArray<float>& a, const DeviceArray<float>& b) {
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    worst = std::max<double>(worst, std::abs(a.data()[i] - b.data()[i]));
  return worst;
}

}  // namespace

TEST_CASE(
    "The attention kernels on matrix instructions agree with the plain one, up to 300 keys, and of each "
    "example's first query alone each gives what it gives of all",
    "[engine][cuda]") {
  Random random(9);
  for (const int depth : {32, 64}) {
    const Heads heads({5, 300, 64, 1, 129}, depth, random);
    const std::size_t width = static_cast<std::size_t>(heads.heads * depth);
    const std::size_t examples = heads.offsets.size() - 1;
    const DeviceArray<float> expected(static_cast<std::size_t>(heads.rows) * width), found(expected.size()),
        alone(examples * width);
    const auto both = [&](AttentionTask task, AttentionKernel kernel, std::size_t shared_bytes = 99 * 1024) {
      task.context_real_stride = static_cast<int>(width);
      REQUIRE(kernel_for(task, shared_bytes) == kernel);
      task.context = expected.data();
      attend(AttentionKernel::any, task, nullptr);
      task.context = found.data();
      attend(kernel, task, nullptr);
      task.first_alone = true;
      task.context = alone.data();
      for (const auto& [way, all] : {std::pair(AttentionKernel::any, &expected), std::pair(kernel, &found)}) {
        std::fill_n(alone.data(), alone.size(), std::nanf(""));
        attend(way, task, nullptr);
        for (std::size_t e = 0; e < examples; ++e) {
          const float* const row = all->data() + static_cast<std::size_t>(heads.offsets[e]) * width;
          REQUIRE(std::equal(row, row + width, alone.data() + e * width));
        }
      }
      return largest_difference(expected, found);
    };
    const Format scores = on(affine(-20, 20)), probs = on(affine(0, 0.5f));
    const double step = probs.grid.scale;

    AttentionTask integer = heads.task(RealType::float32);
    integer.integer_scores = integer.integer_context = true;
    for (const bool rounded_scores : {true, false}) {
      integer.scores = rounded_scores ? scores : Format();
      integer.probs = probs;
      // A probability on a boundary between codes may fall to either side: one step of it, on a value of at
      // most 1.
      REQUIRE(both(integer, AttentionKernel::codes) < 3 * step);
      integer.probs = on(affine(-0.1f, 0.4f));
      REQUIRE(both(integer, AttentionKernel::codes) < 3 * step);
      // Too little shared memory for all keys: chunk by chunk, to the bit.
      const std::vector<float> whole(found.data(), found.data() + found.size());
      REQUIRE(both(integer, AttentionKernel::codes_by_chunk, 24 * 1024) < 3 * step);
      REQUIRE(std::vector<float>(found.data(), found.data() + found.size()) == whole);
    }
    // Too little for a chunk: the plain kernel takes it.
    REQUIRE(kernel_for(integer, 8 * 1024) == AttentionKernel::any);

    for (const RealType type : {RealType::float16, RealType::bfloat16}) {
      const double rounding = type == RealType::float16 ? 0.002 : 0.016;
      AttentionTask real = heads.task(type);
      real.query.codes = real.key.codes = real.value.codes = nullptr;
      REQUIRE(both(real, AttentionKernel::reals) < rounding);
      real.scores = scores;
      real.probs = probs;
      REQUIRE(both(real, AttentionKernel::reals) < rounding + 8 * step);
    }
  }
}

namespace {

/// Rows of floats to codes with a grid for each row.
RowTask coded_by_row(int rows, int cols, const DeviceArray<float>& source, int source_stride,
                     const DeviceArray<std::int8_t>& codes, int stride) {
  RowTask task;
  task.rows = rows;
  task.cols = cols;
  task.source = source.data();
  task.source_stride = source_stride;
  task.target_format.kind = FormatKind::rows;
  task.target_format.bits = 8;
  task.target.codes_as = Operand::Codes::plane;
  task.target.codes = codes.data();
  task.target.stride = stride;
  return task;
}

}  // namespace

TEST_CASE("Wide rows, which eight warps share, are the narrow kernel's", "[engine][cuda]") {
  Random random(13);
  constexpr int cols = 1100, stride = 1104, rows = 3;
  std::vector<float> values = random_floats(static_cast<std::size_t>(rows * stride), 3.0f, random);
  const DeviceArray<float> source(values), seen(static_cast<std::size_t>(rows * cols)), scale(rows);
  const DeviceArray<std::int32_t> zero(rows);
  const DeviceArray<std::int8_t> codes(static_cast<std::size_t>(rows * 1152));
  RowTask task = coded_by_row(rows, cols, source, stride, codes, 1152);
  task.target.row_scale = scale.data();
  task.target.row_zero = zero.data();
  task.seen_target = seen.data();
  run_rows(task, nullptr);
  for (int r = 0; r < rows; ++r) {
    float lo = 0, hi = 0;
    for (int c = 0; c < cols; ++c) {
      lo = std::min(lo, values[static_cast<std::size_t>(r * stride + c)]);
      hi = std::max(hi, values[static_cast<std::size_t>(r * stride + c)]);
    }
    const Grid g = grid_of_range(task.target_format, lo, hi);
    REQUIRE(scale.data()[r] == g.scale);
    bool same = true;
    for (int c = 0; c < cols; ++c) {
      const float t = steps(g, values[static_cast<std::size_t>(r * stride + c)]);
      same =
          same && seen.data()[r * cols + c] == t * g.scale &&
          codes.data()[r * 1152 + c] == static_cast<std::int8_t>(static_cast<int>(t + g.offset) - code_shift);
    }
    REQUIRE(same);
  }
  task.cols = largest_row + 1;
  REQUIRE_THROWS_AS(run_rows(task, nullptr), Error);
}

TEST_CASE("A LayerNorm between grids of bytes is that of whole steps", "[engine][cuda]") {
  Random random(14);
  constexpr int rows = 5, stride = 1104, width = 1152;
  constexpr float epsilon = 1e-5f;
  // Rows of one warp and of eight, neither whole fours.
  for (const int cols : {70, 1099}) {
    std::vector<float> values = random_floats(static_cast<std::size_t>(rows * stride), 4.0f, random);
    std::fill_n(values.begin(), stride, 1.25f);  // whose variance is 0
    // Steps about a mean far from 0 lose none of their difference.
    for (int c = 0; c < cols; ++c) values[static_cast<std::size_t>(stride + c)] = c % 7 == 0 ? 4.97f : 5.0f;
    const DeviceArray<float> source(values), gain(random_floats(stride, 2.0f, random)),
        bias(random_floats(stride, 1.0f, random)), sums(static_cast<std::size_t>(rows * cols));
    const DeviceArray<std::int8_t> codes(static_cast<std::size_t>(rows * width));
    RowTask task;
    task.rows = rows;
    task.cols = cols;
    task.source = source.data();
    task.source_stride = stride;
    task.second = on(affine(-3, 5));
    task.gain = gain.data();
    task.bias = bias.data();
    task.epsilon = epsilon;
    task.target_format = on(affine(-4, 6));
    task.target.codes_as = Operand::Codes::plane;
    task.target.codes = codes.data();
    task.target.stride = width;
    task.seen_second = sums.data();
    run_rows(task, nullptr);
    const Grid &sum_grid = task.second.grid, &grid = task.target_format.grid;
    std::size_t wrong_sums = 0, wrong_codes = 0, on_threshold = 0;
    for (int r = 0; r < rows; ++r) {
      const auto step = [&](int c) {
        return static_cast<double>(steps(sum_grid, values[static_cast<std::size_t>(r * stride + c)]));
      };
      double mean = 0, variance = 0;
      for (int c = 0; c < cols; ++c) mean += step(c) / cols;
      for (int c = 0; c < cols; ++c) variance += (step(c) - mean) * (step(c) - mean) / cols;
      const double root = std::sqrt(variance + epsilon / (double{sum_grid.scale} * sum_grid.scale));
      for (int c = 0; c < cols; ++c) {
        wrong_sums += sums.data()[r * cols + c] != static_cast<float>(step(c)) * sum_grid.scale;
        const double v = (step(c) - mean) / root * gain.data()[c] + bias.data()[c];
        const double exact = std::clamp(v, double{grid.low}, double{grid.high}) / grid.scale;
        if (std::abs(exact - std::floor(exact) - 0.5) < 1e-4) {
          ++on_threshold;
          continue;
        }
        const auto code = static_cast<int>(std::nearbyint(exact) + grid.offset) - code_shift;
        wrong_codes += codes.data()[r * width + c] != static_cast<std::int8_t>(code);
      }
    }
    INFO(cols << " columns");
    REQUIRE(wrong_sums == 0);
    REQUIRE(wrong_codes == 0);
    REQUIRE(on_threshold < 10);
  }
}

TEST_CASE("What float16 could not hold takes the end codes of a grid within its range, GELU between or not",
          "[engine][cuda]") {
  constexpr int cols = 16;
  constexpr float beyond = 1e6f;
  const float values[cols] = {beyond, -beyond, 65504.0f, -65504.0f, 1.0f, -1.0f};
  std::vector<std::uint16_t> halves(cols);
  for (int c = 0; c < cols; ++c) halves[static_cast<std::size_t>(c)] = float_to_half(values[c]);
  REQUIRE(std::isinf(half_to_float(halves[0])));
  const DeviceArray<std::uint16_t> source(halves);
  const DeviceArray<std::int8_t> codes(64);
  RowTask task;
  task.rows = 1;
  task.cols = cols;
  task.source = source.data();
  task.source_type = RealType::float16;
  task.source_stride = cols;
  task.target_format = on(affine(-2, 6));
  task.target.codes_as = Operand::Codes::plane;
  task.target.codes = codes.data();
  task.target.stride = 64;
  for (const bool with_gelu : {false, true}) {
    task.map = with_gelu ? RowTask::Map::gelu : RowTask::Map::none;
    run_rows(task, nullptr);
    const Grid& g = task.target_format.grid;
    for (int c = 0; c < cols; ++c) {
      INFO(values[c] << ", GELU " << with_gelu);
      const float t = steps(g, with_gelu ? gelu(values[c]) : values[c]) + g.offset;
      REQUIRE(codes.data()[c] == static_cast<std::int8_t>(static_cast<int>(t) - code_shift));
    }
  }
}

TEST_CASE("Outliers of a row are listed by channel, leave its range and come back in the residual sum",
          "[engine][cuda]") {
  Random random(17);
  constexpr int rows = 6, stride = 1104, width = 1152;
  // Rows of one warp and of eight, neither whole fours.
  for (const int cols : {70, 1099}) {
    std::vector<float> values = random_floats(static_cast<std::size_t>(rows * stride), 3.0f, random);
    for (int c = 0; c < cols; ++c) {
      values[static_cast<std::size_t>(c)] = 0.5f;               // no outlier
      values[static_cast<std::size_t>(stride + c)] = 9.0f + c;  // nothing else
      values[static_cast<std::size_t>(2 * stride + c)] = 2.0f;  // the threshold itself is none
    }
    const DeviceArray<float> source(values), seen(static_cast<std::size_t>(rows * cols)), scale(rows),
        listed(static_cast<std::size_t>(rows * width)), sum(static_cast<std::size_t>(rows * cols));
    const DeviceArray<std::int32_t> zero(rows), count(rows);
    const DeviceArray<std::uint16_t> channels(static_cast<std::size_t>(rows * width));
    const DeviceArray<std::int8_t> codes(static_cast<std::size_t>(rows * width));
    for (const bool symmetric : {true, false}) {
      INFO(cols << " columns, symmetric " << symmetric);
      RowTask task = coded_by_row(rows, cols, source, stride, codes, width);
      task.target_format.symmetric = symmetric;
      task.target_format.outlier_threshold = 2.0f;
      task.target.row_scale = scale.data();
      task.target.row_zero = zero.data();
      task.target.outliers = {count.data(), channels.data(), listed.data(), width};
      task.seen_target = seen.data();
      run_rows(task, nullptr);
      bool same = true;
      for (int r = 0; r < rows; ++r) {
        const float* row = values.data() + r * stride;
        float lo = 0, hi = 0;
        for (int c = 0; c < cols; ++c) {
          if (std::abs(row[c]) > 2.0f) continue;
          lo = std::min(lo, row[c]);
          hi = std::max(hi, row[c]);
        }
        const Grid g = grid_of_range(task.target_format, lo, hi);
        same = same && scale.data()[r] == g.scale && zero.data()[r] == static_cast<int>(g.offset);
        int found = 0;
        for (int c = 0; c < cols; ++c) {
          const bool outlier = std::abs(row[c]) > 2.0f;
          const float t = outlier ? 0.0f : steps(g, row[c]);
          same = same && seen.data()[r * cols + c] == (outlier ? row[c] : t * g.scale);
          same = same && codes.data()[r * width + c] ==
                             static_cast<std::int8_t>(static_cast<int>(t + g.offset) - code_shift);
          if (!outlier) continue;
          same =
              same && channels.data()[r * width + found] == c && listed.data()[r * width + found] == row[c];
          ++found;
        }
        same = same && count.data()[r] == found;
      }
      REQUIRE(same);
      REQUIRE(count.data()[0] == 0);
      REQUIRE(count.data()[1] == cols);
      REQUIRE(count.data()[2] == 0);

      RowTask residual;
      residual.rows = rows;
      residual.cols = cols;
      residual.source = source.data();
      residual.source_stride = stride;
      residual.has_residual = true;
      residual.residual = task.target;
      residual.residual_format = task.target_format;
      residual.target = Operand();
      residual.seen_target = sum.data();
      run_rows(residual, nullptr);
      for (int r = 0; r < rows; ++r) {
        for (int c = 0; c < cols; ++c)
          same = same && sum.data()[r * cols + c] ==
                             values[static_cast<std::size_t>(r * stride + c)] + seen.data()[r * cols + c];
      }
      REQUIRE(same);
    }
  }
}

}  // namespace outlierlab::engine::emulated
