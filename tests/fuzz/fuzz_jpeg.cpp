// Any bytes as a JPEG: our own decoder makes what libjpeg-turbo makes, or leaves it alone; with and without it the same
// is said.
#include <cstdlib>
#include <string>

#include "base/error.h"
#include "image/decode.h"
#include "image/jpeg_baseline.h"

namespace {

udi::DecodeLimits small() {
  udi::DecodeLimits limits;
  limits.max_pixels = 1 << 14;
  limits.max_file_bytes = 1 << 16;
  return limits;
}

std::string words(const uint8_t* data, size_t size, int channels, udi::BaselineUse use, udi::Image& image) {
  udi::use_baseline_jpeg(use);
  try {
    udi::decode_image(data, size, small(), channels, false, image);
    return "";
  } catch (const udi::Error& error) {
    return error.message;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (udi::file_kind(data, size) != udi::FileKind::kJpeg) return 0;
  for (const int channels : {3, 1}) {
    udi::Image ours, theirs;
    const std::string our_words = words(data, size, channels, udi::BaselineUse::kAlways, ours);
    const std::string their_words = words(data, size, channels, udi::BaselineUse::kNever, theirs);
    if (our_words != their_words) std::abort();
    if (our_words.empty() && (ours.bytes != theirs.bytes || ours.width != theirs.width)) std::abort();
  }
  return 0;
}
