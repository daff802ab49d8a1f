// The sample maps of the SRS module by the kernels of libudi_cuda.so, where kernels::take().
#pragma once

#include "../../cuda/srs.h"
#include "model/kernels.h"
#include "model/srs.h"

namespace udi::kernels {

// x: T [B N, D] -> out T [B Q, D].
inline void srs_gather(const at::Tensor& x, const SrsQueries& queries, const at::Tensor& out) {
  const int64_t images = queries.index.size(0);
  if (images == 0) return;
  const at::Tensor index = queries.index.contiguous(), weight = queries.weight.contiguous();
  check_queued(table().srs_gather({images, int32_t(x.size(0) / images), int32_t(index.size(1)), int32_t(index.size(2)),
                                   int32_t(x.size(1)), type_of(x), x.const_data_ptr(), index.const_data_ptr<int64_t>(),
                                   weight.const_data_ptr<float>(), out.mutable_data_ptr(), nullptr},
                                  stream_of(x)));
}

// d_x [B N, D] += what comes back from d_out [B Q, D].
inline void srs_scatter(const at::Tensor& d_out, const SrsQueries& queries, const at::Tensor& d_x) {
  const int64_t images = queries.index.size(0);
  if (images == 0) return;
  const at::Tensor index = queries.index.contiguous(), weight = queries.weight.contiguous();
  check_queued(
      table().srs_scatter({images, int32_t(d_x.size(0) / images), int32_t(index.size(1)), int32_t(index.size(2)),
                           int32_t(d_x.size(1)), type_of(d_x), d_out.const_data_ptr(), index.const_data_ptr<int64_t>(),
                           weight.const_data_ptr<float>(), d_x.mutable_data_ptr()},
                          stream_of(d_x)));
}

}  // namespace udi::kernels
