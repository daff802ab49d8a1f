// One exception type for the whole core. src/api/guard.h is the only place that catches it and makes a udi_error of it.
#pragma once

#include <cerrno>
#include <cstring>
#include <exception>
#include <sstream>
#include <string>
#include <vector>

#include "udi.h"

namespace udi {

struct Error : std::exception {
  udi_status status;
  int native_code;
  std::string message;
  std::vector<std::string> lines;  // of an error about many things: each of them, for the log
  int64_t rank = -1;               // of a group's error: where it happened (dist/group.h)

  Error(udi_status status, std::string message, int native_code = 0)
      : status(status), native_code(native_code), message(std::move(message)) {}
  const char* what() const noexcept override { return message.c_str(); }
};

// "patch_size 15 does not divide image_size 224": the parts are written one after the other.
template <class... Parts>
std::string text(const Parts&... parts) {
  std::ostringstream out;
  out.imbue(std::locale::classic());
  out.precision(9);
  (out << ... << parts);
  return out.str();
}

template <class... Parts>
[[noreturn]] void fail(udi_status status, const Parts&... parts) {
  throw Error(status, text(parts...));
}

// Fails with UDI_E_IO and what errno says.
template <class... Parts>
[[noreturn]] void fail_errno(const Parts&... parts) {
  const int code = errno;
  throw Error(UDI_E_IO, text(parts..., ": ", std::strerror(code)), code);
}

template <class... Parts>
void check(bool good, udi_status status, const Parts&... parts) {
  if (!good) fail(status, parts...);
}

// An error about many things: the message names as many of `lines` as it has room for, the log gets all of them.
// where: the file, say; may be empty.
[[noreturn]] inline void fail_listing(udi_status status, const std::string& where, const std::string& what,
                                      const std::vector<std::string>& lines) {
  constexpr size_t kRoom = sizeof(udi_error::message) - 1, kRoomForMore = 40;
  const std::string start = where.empty() ? "" : where + ": ";
  Error error(status, start + what);
  for (const std::string& line : lines) error.lines.push_back(start + line);
  for (size_t i = 0; i < lines.size(); ++i) {
    const bool last = i + 1 == lines.size();
    const size_t size = error.message.size() + 2 + lines[i].size() + (last ? 0 : kRoomForMore);
    if (size > kRoom) {
      error.message += i == 0 ? ": the log names them" : text("; and ", lines.size() - i, " more, all in the log");
      break;
    }
    error.message += (i == 0 ? ": " : "; ") + lines[i];
  }
  throw error;
}

}  // namespace udi
