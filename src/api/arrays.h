// Callers' arrays as tensors, and tensors as callers' arrays.
#pragma once

#include <functional>

#include "api/context.h"
#include "udi.h"

struct udi_tensor {
  std::shared_ptr<udi::Context> context;
  at::Tensor tensor;  // contiguous, or as a caller's memory is laid out
};

namespace udi {

// A view of the caller's memory, on the CPU or on the context's device; every dimension at least 1. UDI_E_INVALID, or
// UDI_E_SHAPE for what is understood and does not fit, with the field's name behind `name`. release runs with the last use.
at::Tensor borrow(const Context& context, const udi_array* array, const char* name, std::function<void()> release = {});

// The same with an owner. If this fails, release does not run.
udi_tensor* own(std::shared_ptr<Context> context, const udi_array& array, const char* name,
                std::function<void()> release);

// The tensor's own memory; shape and strides live as long as the tensor.
udi_array array_of(const at::Tensor& tensor);

// UDI_E_SHAPE unless the tensor has this shape; -1 stands for any size.
void check_shape(const at::Tensor& tensor, const char* name, at::IntArrayRef shape, const char* meaning);
// UDI_E_SHAPE unless its dtype is among these.
void check_dtype(const at::Tensor& tensor, const char* name, std::initializer_list<udi_dtype> allowed);

// A copy of memory that an at::Tensor can own: results that the core keeps as vectors.
at::Tensor copy_of(const void* data, at::IntArrayRef shape, udi_dtype dtype);

udi_tensor* new_tensor(std::shared_ptr<Context> context, const at::Tensor& tensor);

const char* dtype_text(udi_dtype dtype);  // "UDI_F32"

}  // namespace udi
