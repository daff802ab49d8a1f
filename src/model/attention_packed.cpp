#include <ATen/core/dispatch/Dispatcher.h>

#include <cmath>

#include "model/attention.h"

namespace udi {

namespace {

// [rows, heads * d] as [rows, heads, d].
at::Tensor by_heads(const at::Tensor& rows, int64_t heads) {
  return rows.unflatten(1, {heads, rows.size(1) / heads});
}

// The heads of one segment, for the functions on images of one size.
Heads heads_of(const Packing& packing, size_t segment, const HeadRows& in) {
  const auto split = [&](const at::Tensor& rows) { return by_heads(rows, in.heads); };
  return {packing.asking_of(segment, split(in.query)).transpose(1, 2),
          packing.tokens_of(segment, split(in.key)).transpose(1, 2),
          packing.tokens_of(segment, split(in.value)).transpose(1, 2), in.fewer_bits};
}

// What all segments are attended with. A kernel of libudi_cuda.so would be asked for here, before the others, as
// kernels::take() asks elsewhere.
enum class Way {
  kSegments,  // one segment after the other: loops on the CPU, else products over [B, heads, Q, T]
  kFlash,     // LibTorch's flash attention over sequences of several lengths: nothing of size Q T in memory
};

// LibTorch has it for CUDA. Asking the dispatcher lets a test have it for the CPU.
bool flash_runs_on(const at::Tensor& tensor) {
  static const auto forward = c10::Dispatcher::singleton().findSchemaOrThrow("aten::_flash_attention_forward", "");
  return forward.hasKernelForDispatchKey(tensor.is_cuda() ? c10::DispatchKey::CUDA : c10::DispatchKey::CPU);
}

Way way_of(const HeadRows& in, AttentionKeeps keeps) {
  const at::ScalarType type = in.query.scalar_type();
  const int64_t width = in.query.size(1) / in.heads;
  const bool flash = (type == at::kHalf || type == at::kBFloat16) && width % 8 == 0 && width <= 256 &&
                     keeps != AttentionKeeps::kProbabilities && flash_runs_on(in.query);
  return flash ? Way::kFlash : Way::kSegments;
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
// two blocks of keys, 256 tokens an image, the order does not matter: 0 + a + b is 0 + b + a. Images with more tokens get
// gradients whose last bits may change from run to run.
void flash_backward(const Packing& packing, const HeadRows& in, const AttentionMemory& memory, const at::Tensor& d_out,
                    const HeadRows& d_in) {
  const auto [d_query, d_key, d_value] = at::_flash_attention_backward(
      by_heads(d_out, in.heads), by_heads(in.query, in.heads), by_heads(in.key, in.heads),
      by_heads(in.value, in.heads), memory.flash_out, memory.log_sum_exp, packing.asking_offsets(),
      packing.row_offsets(), packing.longest_asking(), packing.longest(), 0.0, false, memory.random_state,
      memory.unused, scale_of(in));
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
  memory.log_sum_exp = at::Tensor();
  if (way_of(in, keeps) == Way::kFlash) {
    flash_forward(packing, in, memory);
    return memory.flash_out.flatten(1);
  }
  const at::Tensor out = memory.out.make({packing.asking(), in.query.size(1)}, in.query.options());
  if (keeps != AttentionKeeps::kNothing) {
    int64_t elements = 0;
    for (const Segment& segment : packing.segments()) elements += probabilities_in(segment, in.heads);
    memory.probabilities.make({elements}, in.query.options());
  }
  for (size_t i = 0; i < packing.segments().size(); ++i) {
    const at::Tensor probabilities =
        keeps != AttentionKeeps::kNothing ? memory.probabilities_of(packing, i, in.heads) : at::Tensor();
    attention_forward(heads_of(packing, i, in), probabilities, packing.asking_of(i, out));
  }
  return out;
}

void attention_backward(const Packing& packing, const HeadRows& in, AttentionMemory& memory, const at::Tensor& d_out,
                        const HeadRows& d_in) {
  if (memory.log_sum_exp.defined()) return flash_backward(packing, in, memory, d_out, d_in);
  for (size_t i = 0; i < packing.segments().size(); ++i) {
    attention_backward(heads_of(packing, i, in), memory.probabilities_of(packing, i, in.heads),
                       packing.asking_of(i, d_out), heads_of(packing, i, d_in));
  }
}

}  // namespace udi
