#include "front/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Bytes of the character at text, 0 if they are not UTF-8. Overlong forms, surrogates and what lies past U+10FFFF are
 * not. */
static size_t utf8_length(const unsigned char* text) {
  const unsigned char lead = text[0];
  if (lead < 0x80) return 1;
  const size_t length = lead >= 0xC2 && lead <= 0xDF   ? 2
                        : (lead & 0xF0) == 0xE0        ? 3
                        : lead >= 0xF0 && lead <= 0xF4 ? 4
                                                       : 0;
  for (size_t i = 1; i < length; ++i) {
    if ((text[i] & 0xC0) != 0x80) return 0; /* also at the terminating NUL */
  }
  if ((lead == 0xE0 && text[1] < 0xA0) || (lead == 0xED && text[1] > 0x9F)) return 0;
  if ((lead == 0xF0 && text[1] < 0x90) || (lead == 0xF4 && text[1] > 0x8F)) return 0;
  return length;
}

udi_status front_write_error(udi_error* error, udi_status status, int32_t native_code, const char* text) {
  if (!error) return status;
  error->status = status;
  error->native_code = native_code;
  size_t used = 0;
  while (*text) {
    const size_t length = utf8_length((const unsigned char*)text);
    const size_t bytes = length ? length : 1;
    if (used + bytes >= sizeof error->message) break;
    memcpy(error->message + used, length ? text : "?", bytes);
    used += bytes;
    text += bytes;
  }
  memset(error->message + used, 0, sizeof error->message - used);
  return status;
}

udi_status front_fail(udi_error* error, udi_status status, const char* format, ...) {
  char text[2048];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  return front_write_error(error, status, 0, text);
}
