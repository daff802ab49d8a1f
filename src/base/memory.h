// Memory for intermediate results, kept from use to use.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

namespace udi {

class Memory {
 public:
  static constexpr size_t kAlignment = 64;  // of a cache line

  // At least `bytes` bytes at a multiple of kAlignment, holding anything. What was there is gone if it has to grow.
  uint8_t* room_for(size_t bytes) {
    if (bytes > size_) {
      data_.reset();
      size_ = 0;
      data_.reset(static_cast<uint8_t*>(::operator new(bytes, std::align_val_t(kAlignment))));
      size_ = bytes;
    }
    return data_.get();
  }
  float* room_for_floats(size_t count) { return reinterpret_cast<float*>(room_for(count * sizeof(float))); }
  uint8_t* data() const { return data_.get(); }

 private:
  struct Delete {
    void operator()(uint8_t* data) const { ::operator delete(data, std::align_val_t(kAlignment)); }
  };
  std::unique_ptr<uint8_t[], Delete> data_;
  size_t size_ = 0;
};

}  // namespace udi
