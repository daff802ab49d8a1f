// What libudi_cuda.so offers: kernels on raw pointers and a stream, behind one exported table. No header of CUDA is
// needed to include this.
//
// All launch functions: pointers are device memory of the stream's device, which must be the thread's current one, and
// dense (row-major) unless said otherwise; they allocate nothing, wait for nothing, and return as soon as the work is
// queued, so that they may be captured in a graph. No rows is no work and no error. Bits depend on arguments alone, not
// on the GPU's size or on timing: no floating-point atomics. 16-byte aligned pointers and row lengths that are
// multiples of 8 take the fast path; others work. Any thread; a stream one thread at a time.
#pragma once

#include <cstdint>

struct CUstream_st;

struct udi_cuda_status {
  int32_t code;      // 0: queued; 1: an argument is wrong, nothing was queued; 2: CUDA refused
  const char* text;  // what is wrong; static, never null
};

namespace udi::cuda {

using Stream = CUstream_st*;  // cudaStream_t

enum class Type : int32_t { kFloat = 0, kHalf = 1, kBFloat16 = 2, kByte = 3 };

struct NormForwardArgs;
struct NormBackwardArgs;
struct GeluForwardArgs;
struct GeluBackwardArgs;
struct PatchesArgs;
struct TargetsArgs;
struct CrossEntropyArgs;
struct UpdateArgs;
struct WeightNormArgs;
struct WeightNormBackwardArgs;
struct SrsGatherArgs;
struct SrsScatterArgs;
struct AttentionArgs;
struct AttentionBackwardArgs;
struct AugmentArgs;

struct Kernels {
  int32_t version;  // kVersion of the header that the library was built with; another one must not be used
  udi_cuda_status (*norm_forward)(const NormForwardArgs&, Stream);
  udi_cuda_status (*norm_backward)(const NormBackwardArgs&, Stream);
  udi_cuda_status (*gelu_forward)(const GeluForwardArgs&, Stream);
  udi_cuda_status (*gelu_backward)(const GeluBackwardArgs&, Stream);
  udi_cuda_status (*patches)(const PatchesArgs&, Stream);
  udi_cuda_status (*targets)(const TargetsArgs&, Stream);
  udi_cuda_status (*cross_entropy)(const CrossEntropyArgs&, Stream);
  udi_cuda_status (*update)(const UpdateArgs&, Stream);
  udi_cuda_status (*weight_norm)(const WeightNormArgs&, Stream);
  udi_cuda_status (*weight_norm_backward)(const WeightNormBackwardArgs&, Stream);
  udi_cuda_status (*srs_gather)(const SrsGatherArgs&, Stream);
  udi_cuda_status (*srs_scatter)(const SrsScatterArgs&, Stream);
  udi_cuda_status (*attention)(const AttentionArgs&, Stream);
  udi_cuda_status (*attention_backward)(const AttentionBackwardArgs&, Stream);
  udi_cuda_status (*augment)(const AugmentArgs&, Stream);
};

constexpr int32_t kVersion = 2;

}  // namespace udi::cuda

// The one symbol that the library exports; never null.
extern "C" const udi::cuda::Kernels* udi_cuda_kernels(void);
