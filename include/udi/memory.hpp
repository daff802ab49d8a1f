// The caller's memory for libudi: spans, images, arrays. All of it is borrowed.
#ifndef UDI_MEMORY_HPP
#define UDI_MEMORY_HPP

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "call.hpp"

namespace udi {
inline namespace UDI_HPP_RELEASE {

// A pointer and a number of elements; from anything that has data() and size(), a std::span of C++20 too, and to one.
template <class T>
class span {
 public:
  constexpr span() noexcept = default;
  constexpr span(T* data, std::size_t size) noexcept : data_(data), size_(size) {}
  template <class Memory, class Element = std::remove_pointer_t<decltype(std::data(std::declval<Memory&>()))>,
            class = std::enable_if_t<std::is_convertible_v<Element (*)[], T (*)[]>>>
  constexpr span(Memory&& memory) noexcept : data_(std::data(memory)), size_(std::size(memory)) {}

  constexpr T* data() const noexcept { return data_; }
  constexpr std::size_t size() const noexcept { return size_; }
  constexpr bool empty() const noexcept { return size_ == 0; }
  constexpr T* begin() const noexcept { return data_; }
  constexpr T* end() const noexcept { return data_ + size_; }
  constexpr T& operator[](std::size_t index) const { return data_[index]; }

 private:
  T* data_ = nullptr;
  std::size_t size_ = 0;
};

// The udi_dtype of T. UDI_F16 and UDI_BF16 have no type of C++17: a udi_array names them.
template <class T>
constexpr udi_dtype dtype_of() noexcept {
  using U = std::remove_cv_t<T>;
  constexpr udi_dtype found = std::is_same_v<U, uint8_t>    ? UDI_U8
                              : std::is_same_v<U, uint16_t> ? UDI_U16
                              : std::is_same_v<U, int32_t>  ? UDI_I32
                              : std::is_same_v<U, int64_t>  ? UDI_I64
                              : std::is_same_v<U, float>    ? UDI_F32
                              : std::is_same_v<U, double>   ? UDI_F64
                                                            : 0;
  static_assert(found != 0, "elements are of uint8_t, uint16_t, int32_t, int64_t, float or double");
  return found;
}

namespace detail {

// A container that ends with the expression would leave what borrows from it with nothing; a span or a view does not.
template <class Memory>
constexpr void check_borrowed() {
  static_assert(std::is_lvalue_reference_v<Memory> || std::is_trivially_destructible_v<std::remove_reference_t<Memory>>,
                "the memory must outlive what borrows it: give it a name");
}

template <class Memory>
using Element = std::remove_pointer_t<decltype(std::data(std::declval<Memory&>()))>;

}  // namespace detail

// A JPEG, PNG or .npy file's bytes: a vector, string or span of char, unsigned char or std::byte.
template <class Bytes>
udi_image encoded(Bytes&& bytes) {
  detail::check_borrowed<Bytes>();
  static_assert(sizeof(detail::Element<Bytes>) == 1, "a file is bytes");
  return {sizeof(udi_image), 0, 0, 0, 0, 0, std::data(bytes), std::size(bytes)};
}

// Pixels [height, width, channels], row by row, of uint8_t, uint16_t or float (0..1).
template <class Memory>
udi_image pixels(Memory&& memory, int32_t height, int32_t width, int32_t channels = 3) {
  detail::check_borrowed<Memory>();
  using Element = detail::Element<Memory>;
  return {sizeof(udi_image),
          dtype_of<Element>(),
          height,
          width,
          channels,
          0,
          std::data(memory),
          std::size(memory) * sizeof(Element)};
}

// A borrowed array: memory in row-major order with its shape, a Tensor, or a udi_array of any strides and device.
class Array {
 public:
  // Array(pixels, {images, height, width, channels}). UDI_E_SHAPE: the sizes do not multiply to the number of elements.
  template <class Memory>
  Array(Memory&& memory, std::initializer_list<int64_t> shape)
      : Array(std::forward<Memory>(memory), span<const int64_t>(shape.begin(), shape.size())) {}
  template <class Memory>
  Array(Memory&& memory, span<const int64_t> shape) : shape_(shape.begin(), shape.end()) {
    detail::check_borrowed<Memory>();
    check_size(std::size(memory));
    array_ = {sizeof array_,
              dtype_of<detail::Element<Memory>>(),
              UDI_CPU,
              0,
              int32_t(shape.size()),
              0,
              nullptr,
              nullptr,
              const_cast<void*>(static_cast<const void*>(std::data(memory)))};
  }
  Array(const udi_array& array) : array_(array) {}

  // For C; its shape lies in this Array where that was made from memory.
  udi_array get() const& noexcept {
    udi_array array = array_;
    if (!array.shape) array.shape = shape_.data();
    return array;
  }
  udi_array get() const&& = delete;

 private:
  void check_size(std::size_t elements) const {
    uint64_t left = elements;
    std::string sizes;
    bool fits = true;
    for (const int64_t size : shape_) {
      sizes += (sizes.empty() ? "" : ", ") + std::to_string(size);
      fits = fits && size > 0 && left % uint64_t(size) == 0;
      if (fits) left /= uint64_t(size);
    }
    if (fits && left == 1) return;
    throw Error(UDI_E_SHAPE, "an array of shape [" + sizes + "] is given " + std::to_string(elements) + " elements");
  }

  std::vector<int64_t> shape_;
  udi_array array_;
};

}  // namespace UDI_HPP_RELEASE
}  // namespace udi

#endif  // UDI_MEMORY_HPP
