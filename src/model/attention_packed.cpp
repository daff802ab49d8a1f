#include <ATen/core/dispatch/Dispatcher.h>

#include <cmath>

#include "model/attention.h"
#include "model/attention_cuda.h"

namespace udi {

namespace {

// [rows, heads * d] as [rows, heads, d].
at::Tensor by_heads(const at::Tensor& rows, int64_t heads) { return rows.unflatten(1, {heads, rows.size(1) / heads}); }

// The heads of one segment, for the functions on images of one size.
Heads heads_of(const Packing& packing, size_t segment, const HeadRows& in) {
  const auto split = [&](const at::Tensor& rows) { return by_heads(rows, in.heads); };
  return {packing.asking_of(segment, split(in.query)).transpose(1, 2),
          packing.tokens_of(segment, split(in.key)).transpose(1, 2),
          packing.tokens_of(segment, split(in.value)).transpose(1, 2), in.fewer_bits};
}

// LibTorch has it for CUDA. Asking the dispatcher lets a test have it for the CPU.
bool flash_runs_on(const at::Tensor& tensor) {
  static const auto forward = c10::Dispatcher::singleton().findSchemaOrThrow("aten::_flash_attention_forward", "");
  return forward.hasKernelForDispatchKey(tensor.is_cuda() ? c10::DispatchKey::CUDA : c10::DispatchKey::CPU);
}

AttentionWay way_of(const HeadRows& in, AttentionKeeps keeps) {
  if (keeps == AttentionKeeps::kProbabilities) return AttentionWay::kSegments;
  if (kernels::take_attention(in)) return AttentionWay::kKernels;
  const at::ScalarType type = in.query.scalar_type();
  const int64_t width = in.query.size(1) / in.heads;
  const bool flash = (type == at::kHalf || type == at::kBFloat16) && width % 8 == 0 && width <= 256;
  return flash && flash_runs_on(in.query) ? AttentionWay::kFlash : AttentionWay::kSegments;
}

double scale_of(const HeadRows& in) { return 1 / std::sqrt(double(in.query.size(1) / in.heads)); }

void flash_forward(const Packing& packing, const HeadRows& in, AttentionMemory& memory) {
  auto [out, log_sum_exp, random_state, unused, mask] = at::_flash_attention_forward(
      by_heads(in.query, in.heads), by_heads(in.key, in.heads), by_heads(in.value, in.heads), packing.asking_offsets(),
      packing.row_offsets(), packing.longest_asking(), packing.longest(), 0.0, false, false, scale_of(in));
  memory.flash_out = out;
  memory.log_sum_exp = log_sum_exp;
  memory.random_state = random_state;
  memory.unused = unused;
}

// Determinism: a block of threads goes through all queries for 128 keys (64 for heads wider than 128) and writes their
// gradients alone; those of queries are added up in float32 by atomic additions, one a block of keys, onto zeros. Up to
// two blocks of keys, 256 tokens an image, the order does not matter: 0 + a + b is 0 + b + a. Images with more tokens
// get gradients whose last bits may change from run to run.
void flash_backward(const Packing& packing, const HeadRows& in, const AttentionMemory& memory, const at::Tensor& d_out,
                    const HeadRows& d_in) {
  const auto [d_query, d_key, d_value] = at::_flash_attention_backward(
      by_heads(d_out, in.heads), by_heads(in.query, in.heads), by_heads(in.key, in.heads), by_heads(in.value, in.heads),
      memory.flash_out, memory.log_sum_exp, packing.asking_offsets(), packing.row_offsets(), packing.longest_asking(),
      packing.longest(), 0.0, false, memory.random_state, memory.unused, scale_of(in));
  by_heads(d_in.query, in.heads).copy_(d_query);
  by_heads(d_in.key, in.heads).copy_(d_key);
  by_heads(d_in.value, in.heads).copy_(d_value);
}

int64_t probabilities_in(const Segment& s, int64_t heads) { return s.images * heads * s.asking * s.tokens; }

}  // namespace

at::Tensor AttentionMemory::probabilities_of(const Packing& packing, size_t segment, int64_t heads) const {
  int64_t first = 0;
  for (size_t i = 0; i < segment; ++i) first += probabilities_in(packing.segments()[i], heads);
  const Segment& s = packing.segments()[segment];
  return (*probabilities).narrow(0, first, probabilities_in(s, heads)).view({s.images, heads, s.asking, s.tokens});
}

at::Tensor attention_forward(const Packing& packing, const HeadRows& in, AttentionKeeps keeps,
                             AttentionMemory& memory) {
  memory.way = way_of(in, keeps);
  if (memory.way == AttentionWay::kFlash) {
    flash_forward(packing, in, memory);
    return memory.flash_out.flatten(1);
  }
  const bool kept = keeps != AttentionKeeps::kNothing;
  const at::Tensor out = memory.out.make({packing.asking(), in.query.size(1)}, in.query.options());
  if (memory.way == AttentionWay::kKernels) {
    const at::TensorOptions floats = in.query.options().dtype(at::kFloat);
    kernels::attention_forward(packing, in, out,
                               kept ? memory.log_sum.make({in.heads, packing.asking()}, floats) : at::Tensor());
    return out;
  }
  if (kept) {
    int64_t elements = 0;
    for (const Segment& segment : packing.segments()) elements += probabilities_in(segment, in.heads);
    memory.probabilities.make({elements}, in.query.options());
  }
  for (size_t i = 0; i < packing.segments().size(); ++i) {
    attention_forward(heads_of(packing, i, in), kept ? memory.probabilities_of(packing, i, in.heads) : at::Tensor(),
                      packing.asking_of(i, out));
  }
  return out;
}

void attention_backward(const Packing& packing, const HeadRows& in, AttentionMemory& memory, const at::Tensor& d_out,
                        const HeadRows& d_in) {
  if (memory.way == AttentionWay::kFlash) return flash_backward(packing, in, memory, d_out, d_in);
  if (memory.way == AttentionWay::kKernels) {
    const int64_t size = cuda::attention_workspace(in.heads, packing.asking());
    kernels::attention_backward(packing, in, *memory.out, *memory.log_sum, d_out, d_in,
                                memory.workspace.make({size}, in.query.options().dtype(at::kFloat)));
    return;
  }
  for (size_t i = 0; i < packing.segments().size(); ++i) {
    attention_backward(heads_of(packing, i, in), memory.probabilities_of(packing, i, in.heads),
                       packing.asking_of(i, d_out), heads_of(packing, i, d_in));
  }
}

}  // namespace udi
