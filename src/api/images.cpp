#include "api/images.h"

#include <cmath>

#include "api/arrays.h"
#include "api/guard.h"
#include "api/structs.h"
#include "image/decode.h"

namespace udi {

namespace {

int64_t element_size(udi_dtype dtype) { return dtype == UDI_U8 ? 1 : dtype == UDI_U16 ? 2 : 4; }

void check_image(const udi_image& image) {
  require(image.data, "data");
  check(image.reserved == 0, UDI_E_INVALID, "reserved is ", image.reserved, ", must be 0");
  check(image.size >= 1, UDI_E_INVALID, "size is 0 bytes");
  if (image.dtype == 0) return;
  check(image.dtype == UDI_U8 || image.dtype == UDI_U16 || image.dtype == UDI_F32, UDI_E_INVALID, "dtype is ",
        image.dtype, ", must be UDI_U8 (1), UDI_U16 (2), UDI_F32 (7), or 0 for an encoded file");
  in_range("height", image.height, 1, 1 << 20);
  in_range("width", image.width, 1, 1 << 20);
  in_range("channels", image.channels, 1, 16);
  const uint64_t bytes =
      uint64_t(image.height) * uint64_t(image.width) * uint64_t(image.channels) * uint64_t(element_size(image.dtype));
  check(image.size == bytes, UDI_E_SHAPE, "size is ", image.size, " bytes, must be ", bytes, ": ", image.height, " x ",
        image.width, " x ", image.channels, " of ", dtype_text(image.dtype));
}

Image pixels_of(const udi_image& given) {
  Image image;
  image.height = given.height;
  image.width = given.width;
  image.channels = given.channels;
  const size_t elements = size_t(given.height) * size_t(given.width) * size_t(given.channels);
  const auto* bytes = static_cast<const uint8_t*>(given.data);
  if (given.dtype == UDI_U8) {
    image.bytes.assign(bytes, bytes + elements);
    return image;
  }
  image.dtype = UDI_F32;
  image.bytes.resize(elements * sizeof(float));
  if (given.dtype == UDI_U16) {
    for (size_t i = 0; i < elements; ++i) {
      uint16_t value;
      std::memcpy(&value, bytes + 2 * i, sizeof value);  // the caller's memory may be aligned for bytes alone
      image.f32()[i] = float(value) / 65535.0f;
    }
    return image;
  }
  std::memcpy(image.bytes.data(), bytes, image.bytes.size());
  for (size_t i = 0; i < elements; ++i) {
    check(std::isfinite(image.f32()[i]), UDI_E_INVALID, "value ", i, " is not finite");
  }
  return image;
}

class EachImage : public WorkerPool::Task {
 public:
  EachImage(const Host& host, int64_t count, const std::function<void(int64_t, int)>& item)
      : host_(host), count_(count), item_(item) {}
  int64_t items() const override { return count_; }
  void run(int64_t i, int worker) override {
    host_.check_cancel();
    naming(text("images[", i, "]"), [&] { item_(i, worker); });
  }

 private:
  const Host& host_;
  const int64_t count_;
  const std::function<void(int64_t, int)>& item_;
};

}  // namespace

ImageList::ImageList(const udi_image* images, int64_t count, const DecodeLimits& limits)
    : first_(reinterpret_cast<const unsigned char*>(require(images, "images"))),
      count_(count),
      limits_(limits) {
  in_range("count", count, 1, int64_t(1) << 32);  // first: an empty list may begin anywhere
  stride_ = images->struct_size;
  for (int64_t i = 0; i < count; ++i) {
    const udi_image image = at(i);
    naming(text("images[", i, "]"), [&] {
      check_image(image);
      if (image.dtype == 0) return;
      check(channels_ == 0 || channels_ == image.channels, UDI_E_SHAPE, "channels is ", image.channels,
            ", an image before it has ", channels_);
      channels_ = image.channels;
    });
  }
}

udi_image ImageList::at(int64_t i) const {
  const auto* image = reinterpret_cast<const udi_image*>(first_ + size_t(i) * stride_);
  check(image->struct_size == stride_, UDI_E_INVALID, "images[", i, "].struct_size is ", image->struct_size,
        ", images[0] has ", stride_);
  return read_struct(image, text("images[", i, "]").c_str(), udi_image{});
}

Image ImageList::read(int64_t i, int channels, bool exif_turn) const {
  const udi_image image = at(i);
  if (image.dtype == 0) {
    return decode_image(static_cast<const uint8_t*>(image.data), size_t(image.size), limits_, channels,
                        exif_turn);
  }
  check(image.channels == channels, UDI_E_SHAPE, "channels is ", image.channels, ", must be ", channels);
  return pixels_of(image);
}

void for_each_image(Context& context, int64_t count, const std::function<void(int64_t, int)>& item) {
  WorkerPool& workers = context.workers();
  const auto task = std::make_shared<EachImage>(context.host, count, item);
  workers.push(task);
  workers.wait(*task, nullptr);  // to its end: the items use the caller's memory
}

}  // namespace udi
