// Callers' images: pixels, or encoded files, of any size.
#pragma once

#include <functional>

#include "api/context.h"
#include "image/image.h"
#include "udi.h"

namespace udi {

class ImageList {
 public:
  // Borrows. Checks every struct; what is wrong is named as "images[3].width ...". limits: of encoded files.
  ImageList(const udi_image* images, int64_t count, const DecodeLimits& limits);

  int64_t count() const { return count_; }
  // Of the images that are pixels, which must agree; 0 if all are encoded.
  int32_t channels() const { return channels_; }
  // As the core takes them: UDI_U16 becomes UDI_F32 / 65535. Encoded files are brought to `channels`, pixels must have
  // as many. Any thread.
  Image read(int64_t i, int channels, bool exif_turn) const;

 private:
  udi_image at(int64_t i) const;

  const unsigned char* first_;
  size_t stride_ = 0;  // the caller's struct_size
  int64_t count_;
  DecodeLimits limits_;
  int32_t channels_ = 0;
};

// Runs item(i, worker) for i in [0, count) on the context's threads; a failure is named "images[i]: ...".
void for_each_image(Context& context, int64_t count, const std::function<void(int64_t, int)>& item);

}  // namespace udi
