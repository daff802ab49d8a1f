// Attention over packed rows by the kernels of libudi_cuda.so, where kernels::take_activations().
#pragma once

#include "../../cuda/attention.h"
#include "model/attention.h"
#include "model/kernels.h"

namespace udi::kernels {

// Whether there is a kernel for heads of this width.
inline bool take_attention(const HeadRows& in) {
  const int64_t width = in.query.size(1) / in.heads;
  return take_activations(in.query) && width % 8 == 0 && width <= 128;
}

// log_sum: float32 [heads, asking rows], or undefined where no backward pass follows.
inline cuda::AttentionArgs attention_args(const Packing& packing, const HeadRows& in, const at::Tensor& out,
                                          const at::Tensor& log_sum) {
  cuda::AttentionArgs args{};
  args.queries = packing.asking();
  args.keys = packing.rows();
  args.crops = int32_t(packing.row_offsets().numel() - 1);
  args.heads = int32_t(in.heads);
  args.dim = int32_t(in.query.size(1) / in.heads);
  args.type = type_of(in.query);
  args.query_begin = packing.asking_offsets().const_data_ptr<int32_t>();
  args.key_begin = packing.row_offsets().const_data_ptr<int32_t>();
  args.query = in.query.const_data_ptr();
  args.key = in.key.const_data_ptr();
  args.value = in.value.const_data_ptr();
  args.query_stride = in.query.stride(0);
  args.key_stride = in.key.stride(0);
  args.out = out.mutable_data_ptr();
  args.log_sum = log_sum.defined() ? log_sum.mutable_data_ptr<float>() : nullptr;
  return args;
}

inline void attention_forward(const Packing& packing, const HeadRows& in, const at::Tensor& out,
                              const at::Tensor& log_sum) {
  check_queued(table().attention(attention_args(packing, in, out, log_sum), stream_of(out)));
}

// workspace: float32, cuda::attention_workspace().
inline void attention_backward(const Packing& packing, const HeadRows& in, const at::Tensor& out,
                               const at::Tensor& log_sum, const at::Tensor& d_out, const HeadRows& d_in,
                               const at::Tensor& workspace) {
  cuda::AttentionBackwardArgs args{};
  args.forward = attention_args(packing, in, out, log_sum);
  args.d_out = d_out.const_data_ptr();
  args.d_query = d_in.query.mutable_data_ptr();
  args.d_key = d_in.key.mutable_data_ptr();
  args.d_value = d_in.value.mutable_data_ptr();
  args.workspace = workspace.mutable_data_ptr<float>();
  check_queued(table().attention_backward(args, stream_of(out)));
}

}  // namespace udi::kernels
