// Whether bytes are UTF-8: what names must be before they go into messages, JSON and safetensors headers.
#pragma once

#include <cstdint>
#include <string>

namespace udi {

// No overlong forms, no surrogates, nothing past U+10FFFF.
inline bool valid_utf8(const std::string& text) {
  size_t i = 0;
  while (i < text.size()) {
    const auto lead = uint8_t(text[i++]);
    if (lead < 0x80) continue;
    if (lead < 0xC2 || lead > 0xF4) return false;
    const int more = lead < 0xE0 ? 1 : lead < 0xF0 ? 2 : 3;
    // The first byte that follows has a narrower range after some leads.
    const uint8_t low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    const uint8_t high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    for (int k = 0; k < more; ++k, ++i) {
      if (i >= text.size()) return false;
      const auto byte = uint8_t(text[i]);
      if (byte < (k == 0 ? low : 0x80) || byte > (k == 0 ? high : 0xBF)) return false;
    }
  }
  return true;
}

}  // namespace udi
