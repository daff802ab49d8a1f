// Working memory that is kept from call to call: on the CPU, fresh memory for every step costs page faults that show.
#pragma once

#include "model/aten.h"

namespace udi {

class Buffer {
 public:
  // A contiguous tensor of this shape in the buffer's memory, with whatever was in it. It shares that memory with what
  // earlier calls returned, unless the buffer had to grow.
  const at::Tensor& make(at::IntArrayRef shape, const at::TensorOptions& options) {
    const int64_t elements = c10::multiply_integers(shape);
    if (!memory_.defined() || memory_.numel() < elements || memory_.scalar_type() != options.dtype().toScalarType() ||
        memory_.device() != options.device()) {
      memory_ = tensor_ = at::Tensor();  // the old memory goes first
      memory_ = at::empty({elements}, options);
    }
    return tensor_ = memory_.narrow(0, 0, elements).view(shape);
  }
  // What make() returned last.
  const at::Tensor& operator*() const { return tensor_; }

 private:
  at::Tensor memory_, tensor_;
};

}  // namespace udi
