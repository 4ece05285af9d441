#include "engine/cuda/blas.h"

#include <cublasLt.h>

#include <array>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"

namespace outlierlab::engine::OUTLIERLAB_CUDA_NAMESPACE {

namespace {

/// Every cublasLt status goes through here.
void check(cublasStatus_t status, const char* call, const std::string& asked) {
  if (status != CUBLAS_STATUS_SUCCESS)
    throw Error(std::string(call) + " (" + asked + "): " + cublasLtGetStatusString(status));
}

/// There is no such product, or not by this algorithm: what another way may do. A device that has failed
/// says so in the next call, too.
bool refuses(cublasStatus_t status) {
  return status == CUBLAS_STATUS_NOT_SUPPORTED || status == CUBLAS_STATUS_INVALID_VALUE ||
         status == CUBLAS_STATUS_ARCH_MISMATCH || status == CUBLAS_STATUS_ALLOC_FAILED ||
         status == CUBLAS_STATUS_INTERNAL_ERROR;
}

constexpr std::size_t workspace_bytes = 32u << 20;
constexpr int most_algorithms = 8;

cudaDataType_t data_type(RealType type) {
  return type == RealType::float32 ? CUDA_R_32F : type == RealType::float16 ? CUDA_R_16F : CUDA_R_16BF;
}

std::string text_of(const BlasProduct& p) {
  return std::string(p.codes   ? "int8"
                     : p.eight ? "float8"
                               : name_of(p.type)) +
         ", " + std::to_string(p.rows) + " x " + std::to_string(p.columns) + " x " + std::to_string(p.depth);
}

/// cublasLt counts columns first: it sees out^T [columns, rows] = b [columns, depth] * a^T, that is, with b
/// transposed and a as it lies ("TN", the form that its integer kernels require).
class Descriptors {
 public:
  explicit Descriptors(const BlasProduct& p) {
    const cublasComputeType_t compute = p.codes ? CUBLAS_COMPUTE_32I : CUBLAS_COMPUTE_32F;
    const cudaDataType_t in = p.codes   ? CUDA_R_8I
                              : p.eight ? CUDA_R_8F_E4M3
                                        : data_type(p.type),
                         out = p.codes ? CUDA_R_32I : data_type(p.out_type);
    const std::string asked = text_of(p);
    check(cublasLtMatmulDescCreate(&operation, compute, p.codes ? CUDA_R_32I : CUDA_R_32F),
          "cublasLtMatmulDescCreate", asked);
    const auto set = [&](cublasLtMatmulDescAttributes_t attribute, const auto& value, const char* name) {
      check(cublasLtMatmulDescSetAttribute(operation, attribute, &value, sizeof value),
            "cublasLtMatmulDescSetAttribute", std::string(name) + ", " + asked);
    };
    set(CUBLASLT_MATMUL_DESC_TRANSA, CUBLAS_OP_T, "transposed first operand");
    if (p.eight) {
      const std::int8_t fast = 1;
      set(CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, p.b_scale, "scale of the weights");
      set(CUBLASLT_MATMUL_DESC_FAST_ACCUM, fast, "fast accumulation");
    }
    if (p.bias) {
      set(CUBLASLT_MATMUL_DESC_EPILOGUE, p.gelu ? CUBLASLT_EPILOGUE_GELU_BIAS : CUBLASLT_EPILOGUE_BIAS,
          "epilogue");
      set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, p.bias, "bias");
      set(CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, out, "type of the bias");
    }
    create(b, in, p.depth, p.columns, p.ldb, asked);
    create(a, in, p.depth, p.rows, p.lda, asked);
    create(c, out, p.columns, p.rows, p.ldo, asked);
  }
  ~Descriptors() {
    for (cublasLtMatrixLayout_t layout : {a, b, c}) {
      if (layout) cublasLtMatrixLayoutDestroy(layout);
    }
    if (operation) cublasLtMatmulDescDestroy(operation);
  }
  Descriptors(const Descriptors&) = delete;
  Descriptors& operator=(const Descriptors&) = delete;

  cublasLtMatmulDesc_t operation = nullptr;
  cublasLtMatrixLayout_t a = nullptr, b = nullptr, c = nullptr;

 private:
  static void create(cublasLtMatrixLayout_t& layout, cudaDataType_t type, int rows, int columns, int stride,
                     const std::string& asked) {
    check(cublasLtMatrixLayoutCreate(&layout, type, static_cast<std::uint64_t>(rows),
                                     static_cast<std::uint64_t>(columns), stride),
          "cublasLtMatrixLayoutCreate", asked);
  }
};

/// Few rows are computed as more, into room that the caller left for them.
BlasProduct padded(BlasProduct p) {
  if (p.codes) p.rows = padded_rows(p.rows);
  return p;
}

/// The largest power of two up to 256 that divides an address: algorithms are chosen by it.
std::uint32_t alignment_of(const void* p) {
  const auto address = reinterpret_cast<std::uintptr_t>(p) | 256u;
  return static_cast<std::uint32_t>(address & (~address + 1));
}

using Key = std::array<std::uint32_t, 14>;

Key key_of(const BlasProduct& p) {
  const auto number = [](auto value) { return static_cast<std::uint32_t>(value); };
  return {number(p.codes + 2 * p.eight),
          number(p.type),
          number(p.out_type),
          number(p.bias != nullptr),
          number(p.gelu),
          number(p.lda),
          number(p.ldb),
          number(p.ldo),
          number(alike_rows(p.rows)),
          number(p.columns),
          number(p.depth),
          alignment_of(p.a),
          alignment_of(p.b),
          alignment_of(p.out)};
}

}  // namespace

struct Blas::Handle {
  cublasLtHandle_t lt = nullptr;
  DeviceArray<unsigned char> workspace{workspace_bytes};
  std::map<Key, std::vector<cublasLtMatmulAlgo_t>> known;

  Handle() { check(cublasLtCreate(&lt), "cublasLtCreate", "a handle"); }
  ~Handle() { cublasLtDestroy(lt); }

  const std::vector<cublasLtMatmulAlgo_t>& algorithms(const BlasProduct& p, const Descriptors& d) {
    const auto found = known.find(key_of(p));
    if (found != known.end()) return found->second;
    cublasLtMatmulPreference_t preference = nullptr;
    check(cublasLtMatmulPreferenceCreate(&preference), "cublasLtMatmulPreferenceCreate", text_of(p));
    cublasStatus_t status = CUBLAS_STATUS_SUCCESS;
    const auto prefer = [&](cublasLtMatmulPreferenceAttributes_t attribute, auto value) {
      if (status == CUBLAS_STATUS_SUCCESS)
        status = cublasLtMatmulPreferenceSetAttribute(preference, attribute, &value, sizeof value);
    };
    prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, workspace_bytes);
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, alignment_of(p.b));
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, alignment_of(p.a));
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, alignment_of(p.out));
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, alignment_of(p.out));
    cublasLtMatmulHeuristicResult_t results[most_algorithms];
    int count = 0;
    if (status == CUBLAS_STATUS_SUCCESS) {
      status = cublasLtMatmulAlgoGetHeuristic(lt, d.operation, d.b, d.a, d.c, d.c, preference,
                                              most_algorithms, results, &count);
    }
    cublasLtMatmulPreferenceDestroy(preference);
    if (refuses(status)) {
      count = 0;
    } else {
      check(status, "cublasLtMatmulAlgoGetHeuristic", text_of(p));
    }
    // What the heuristic offers is not always what the product accepts: int8 with few rows, for one.
    std::vector<cublasLtMatmulAlgo_t> usable;
    for (int i = 0; i < count; ++i) {
      if (results[i].state != CUBLAS_STATUS_SUCCESS) continue;
      cublasLtMatmulHeuristicResult_t checked;
      if (cublasLtMatmulAlgoCheck(lt, d.operation, d.b, d.a, d.c, d.c, &results[i].algo, &checked) ==
              CUBLAS_STATUS_SUCCESS &&
          checked.workspaceSize <= workspace_bytes)
        usable.push_back(results[i].algo);
    }
    return known.emplace(key_of(p), std::move(usable)).first->second;
  }
};

Blas::Blas() : handle_(std::make_unique<Handle>()) {}
Blas::~Blas() = default;

int Blas::algorithms(const BlasProduct& product) {
  const BlasProduct p = padded(product);
  const Descriptors descriptors(p);
  return static_cast<int>(handle_->algorithms(p, descriptors).size());
}

void Blas::multiply(const BlasProduct& product, int algorithm, Stream stream) {
  const BlasProduct p = padded(product);
  const Descriptors d(p);
  const std::vector<cublasLtMatmulAlgo_t>& known = handle_->algorithms(p, d);
  if (algorithm < 0 || algorithm >= static_cast<int>(known.size()))
    fail_expected("cublasLt, " + text_of(p), "an algorithm for this shape",
                  "algorithm " + std::to_string(algorithm) + " of " + std::to_string(known.size()));
  const float one = 1, zero = 0;
  const std::int32_t integer_one = 1, integer_zero = 0;
  const void* alpha = p.codes ? static_cast<const void*>(&integer_one) : &one;
  const void* beta = p.codes ? static_cast<const void*>(&integer_zero) : &zero;
  const cublasStatus_t status =
      cublasLtMatmul(handle_->lt, d.operation, alpha, p.b, d.b, p.a, d.a, beta, p.out, d.c, p.out, d.c,
                     &known[static_cast<std::size_t>(algorithm)], handle_->workspace.data(), workspace_bytes,
                     static_cast<cudaStream_t>(stream));
  if (refuses(status))
    throw BlasRefusal("cublasLtMatmul (" + text_of(p) + "): " + cublasLtGetStatusString(status));
  check(status, "cublasLtMatmul", text_of(p));
}

std::size_t Blas::bytes() const {
  return handle_->workspace.bytes();
}

}  // namespace outlierlab::engine::OUTLIERLAB_CUDA_NAMESPACE
