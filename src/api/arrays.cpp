#include "api/arrays.h"

#include "api/structs.h"

namespace udi {

namespace {

struct Dtype {
  udi_dtype dtype;
  at::ScalarType scalar;
  const char* text;
};
constexpr Dtype kDtypes[] = {{UDI_U8, at::kByte, "UDI_U8"},    {UDI_U16, at::kUInt16, "UDI_U16"},
                             {UDI_I32, at::kInt, "UDI_I32"},   {UDI_I64, at::kLong, "UDI_I64"},
                             {UDI_F16, at::kHalf, "UDI_F16"},  {UDI_BF16, at::kBFloat16, "UDI_BF16"},
                             {UDI_F32, at::kFloat, "UDI_F32"}, {UDI_F64, at::kDouble, "UDI_F64"}};

at::ScalarType scalar_of(udi_dtype dtype, const char* name) {
  for (const Dtype& known : kDtypes) {
    if (known.dtype == dtype) return known.scalar;
  }
  fail(UDI_E_INVALID, name, ".dtype is ", dtype, ", must be UDI_U8 (1) to UDI_F64 (8)");
}

udi_dtype dtype_of(const at::Tensor& tensor) {
  for (const Dtype& known : kDtypes) {
    if (known.scalar == tensor.scalar_type()) return known.dtype;
  }
  fail(UDI_E_INTERNAL, "a tensor has a dtype that udi.h does not know: ", c10::toString(tensor.scalar_type()));
}

// The bytes from data to the end of the last element must be a size that memory can have.
void check_extent(const udi_array& a, const char* name, int64_t element) {
  int64_t last = 0;  // in elements, the one farthest from data
  int64_t row_major = 1;
  for (int i = a.ndim - 1; i >= 0; --i) {
    const int64_t size = a.shape[i], stride = a.strides ? a.strides[i] : row_major;
    check(size >= 1, UDI_E_SHAPE, name, ".shape[", i, "] is ", size, ", must be at least 1");
    check(stride >= 0, UDI_E_INVALID, name, ".strides[", i, "] is ", stride, ", must be at least 0");
    int64_t reach = 0;
    const bool fits = !__builtin_mul_overflow(size - 1, stride, &reach) &&
                      !__builtin_add_overflow(last, reach, &last) &&
                      !__builtin_mul_overflow(row_major, size, &row_major);
    int64_t bytes = 0;
    check(fits && !__builtin_mul_overflow(row_major, element, &bytes) && last < INT64_MAX / element - 1, UDI_E_SHAPE,
          name, ".shape is of more than 2^63 bytes");
  }
}

void check_device(const Context& context, const udi_array& a, const char* name) {
  check(a.device_type == UDI_CPU || a.device_type == UDI_CUDA, UDI_E_INVALID, name, ".device_type is ", a.device_type,
        ", must be UDI_CPU (1) or UDI_CUDA (2)");
  if (a.device_type == UDI_CPU) {
    check(a.device_index == 0, UDI_E_INVALID, name, ".device_index is ", a.device_index, ", must be 0 for UDI_CPU");
    return;
  }
  check(context.device.is_cuda() && context.device.index() == a.device_index, UDI_E_DEVICE, name, " is on GPU ",
        a.device_index, ", the context is on ", context.device.str());
}

std::string shape_text(at::IntArrayRef shape) {
  std::string out = "[";
  for (size_t i = 0; i < shape.size(); ++i) out += text(i ? ", " : "", shape[i]);
  return out + "]";
}

}  // namespace

const char* dtype_text(udi_dtype dtype) {
  for (const Dtype& known : kDtypes) {
    if (known.dtype == dtype) return known.text;
  }
  return "an unknown dtype";
}

at::Tensor borrow(const Context& context, const udi_array* array, const char* name, std::function<void()> release) {
  const udi_array a = read_struct(array, name, udi_array{});
  const at::ScalarType scalar = scalar_of(a.dtype, name);
  const int64_t element = int64_t(c10::elementSize(scalar));
  check(a.flags == 0, UDI_E_INVALID, name, ".flags is ", a.flags, ", must be 0");
  check(a.ndim >= 0 && a.ndim <= 8, UDI_E_INVALID, name, ".ndim is ", a.ndim, ", must be 0 to 8");
  check(a.data != nullptr, UDI_E_INVALID, name, ".data is NULL");
  check(reinterpret_cast<uintptr_t>(a.data) % size_t(element) == 0, UDI_E_INVALID, name,
        ".data is not aligned to its elements of ", element, " bytes");
  check(a.ndim == 0 || a.shape != nullptr, UDI_E_INVALID, name, ".shape is NULL");
  check_extent(a, name, element);
  check_device(context, a, name);
  const auto options = at::TensorOptions().dtype(scalar).device(a.device_type == UDI_CPU ? at::kCPU : context.device);
  const at::IntArrayRef shape(a.shape, size_t(a.ndim));
  at::TensorMaker maker = at::for_blob(a.data, shape);
  maker.options(options);
  if (a.strides) maker.strides(at::IntArrayRef(a.strides, size_t(a.ndim)));
  if (release) maker.deleter([release = std::move(release)](void*) { release(); });
  return maker.make_tensor();
}

udi_array array_of(const at::Tensor& tensor) {
  udi_array a{};
  a.struct_size = sizeof a;
  a.dtype = dtype_of(tensor);
  a.device_type = tensor.is_cuda() ? UDI_CUDA : UDI_CPU;
  a.device_index = tensor.is_cuda() ? tensor.device().index() : 0;
  a.ndim = int32_t(tensor.dim());
  a.shape = tensor.sizes().data();
  a.strides = tensor.strides().data();
  a.data = tensor.data_ptr();
  return a;
}

void check_shape(const at::Tensor& tensor, const char* name, at::IntArrayRef shape, const char* meaning) {
  bool same = size_t(tensor.dim()) == shape.size();
  for (size_t i = 0; same && i < shape.size(); ++i) same = shape[i] < 0 || shape[i] == tensor.size(int64_t(i));
  std::string wanted = shape_text(shape);
  for (size_t at; (at = wanted.find("-1")) != std::string::npos;) wanted.replace(at, 2, "any");
  check(same, UDI_E_SHAPE, name, ".shape is ", shape_text(tensor.sizes()), ", must be ", wanted, ": ", meaning);
}

void check_dtype(const at::Tensor& tensor, const char* name, std::initializer_list<udi_dtype> allowed) {
  const udi_dtype found = dtype_of(tensor);
  std::string wanted;
  for (const udi_dtype dtype : allowed) {
    if (dtype == found) return;
    wanted += text(wanted.empty() ? "" : " or ", dtype_text(dtype));
  }
  fail(UDI_E_SHAPE, name, ".dtype is ", dtype_text(found), ", must be ", wanted);
}

at::Tensor copy_of(const void* data, at::IntArrayRef shape, udi_dtype dtype) {
  const at::Tensor out = at::empty(shape, at::TensorOptions().dtype(scalar_of(dtype, "result")));
  if (out.nbytes() > 0) std::memcpy(out.data_ptr(), data, out.nbytes());
  return out;
}

udi_tensor* new_tensor(std::shared_ptr<Context> context, const at::Tensor& tensor) {
  return new udi_tensor{std::move(context), tensor.contiguous()};
}

udi_tensor* own(std::shared_ptr<Context> context, const udi_array& array, const char* name,
                std::function<void()> release) {
  const auto owned = std::make_shared<bool>(false);  // until nothing can fail any more
  const at::Tensor tensor = borrow(*context, &array, name, [=] {
    if (*owned) release();
  });
  auto* out = new udi_tensor{std::move(context), tensor};
  *owned = true;
  return out;
}

}  // namespace udi
