// What stands between the classes of udi.hpp and the functions of udi.h: errors, the check of the library, calls,
// owners.
#ifndef UDI_CALL_HPP
#define UDI_CALL_HPP

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "layout.hpp"

namespace udi {
inline namespace UDI_HPP_RELEASE {

// ---- Errors ---------------------------------------------------------------------------------------------------------

// A failed call. what(): the status's name and libudi's text, "UDI_E_SHAPE: images has ..."; UTF-8.
class Error : public std::runtime_error {
 public:
  Error(udi_status status, const std::string& text, int32_t native_code = 0)
      : std::runtime_error(std::string(udi_status_name(status)) + ": " + text),
        status_(status),
        native_code_(native_code) {}

  udi_status status() const noexcept { return status_; }
  int32_t native_code() const noexcept { return native_code_; }  // errno or a CUDA error, else 0

 private:
  udi_status status_;
  int32_t native_code_;
};

// What a program was built for, or what a library offers (bindings/README.md).
struct Interface {
  std::string_view fingerprint;  // 64 hex digits
  uint32_t version;              // UDI_VERSION_NUMBER
  uint32_t abi;

  std::string text() const {
    return std::to_string(version / 1000000) + "." + std::to_string(version / 1000 % 1000) + "." +
           std::to_string(version % 1000) + " (ABI " + std::to_string(abi) + ", interface " +
           std::string(fingerprint.substr(0, 12)) + ")";
  }
};

// Throws UDI_E_VERSION unless the library serves: it has the same interface, or it is newer and of the same ABI.
inline void require_fit(const Interface& made_for, const Interface& library) {
  if (library.fingerprint == made_for.fingerprint) return;
  if (library.abi == made_for.abi && library.version > made_for.version) return;
  throw Error(UDI_E_VERSION, "libudi " + library.text() + " does not fit this binding, made for " + made_for.text() +
                                 ": install a library of that version or newer with the same ABI");
}

// The same of this header and the libudi that was loaded. Contexts and configurations begin with it.
inline void require_fit() {
  require_fit({detail::header_fingerprint(), UDI_VERSION_NUMBER, UDI_ABI_VERSION},
              {udi_api_fingerprint(), udi_version(), udi_abi_version()});
}

// Called with whole lines, one at a time, maybe on a worker thread.
using Log = std::function<void(udi_log_level level, std::string_view line)>;
// Called on the thread that runs the job. true: go on; false: stop with UDI_E_CALLBACK.
using Progress = std::function<bool(const udi_progress& now)>;

// ---- Calls ----------------------------------------------------------------------------------------------------------

namespace detail {

// What the handles of one context share: the context itself, freed after them, and its log.
struct Lane {
  Lane() = default;
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;
  ~Lane() { udi_context_free(context); }

  static void on_log(void* user, udi_log_level level, const char* line) noexcept {
    Lane& lane = *static_cast<Lane*>(user);
    try {
      lane.log(level, line);
    } catch (...) {
      const std::lock_guard<std::mutex> lock(lane.mutex);
      if (!lane.thrown) lane.thrown = std::current_exception();
      udi_context_cancel(lane.context);
    }
  }

  void open(udi_context* opened) {
    const std::lock_guard<std::mutex> lock(mutex);
    context = opened;
    if (thrown) udi_context_cancel(context);
  }

  // Throws what the log threw, and takes back the cancel that it was stopped by; not one of Context::cancel.
  void rethrow() {
    std::exception_ptr found;
    {
      const std::lock_guard<std::mutex> lock(mutex);
      if (!thrown) return;
      found = std::exchange(thrown, nullptr);
      udi_context_clear_cancel(context);
      if (cancelled) udi_context_cancel(context);
    }
    std::rethrow_exception(found);
  }

  Log log;
  udi_context* context = nullptr;
  std::atomic<bool> cancelled{false};
  std::mutex mutex;  // of what follows
  std::exception_ptr thrown;
};
static_assert(std::atomic<bool>::is_always_lock_free, "Context::cancel is for signal handlers");

// The string for C, where it ends with its first NUL.
inline const char* chars(const std::string& text) {
  if (text.find('\0') == std::string::npos) return text.c_str();
  throw Error(UDI_E_INVALID, "a string has a NUL byte in it: " + std::string(text.c_str()) + "...");
}

using LanePointer = std::shared_ptr<Lane>;

inline void check(const LanePointer& lane, udi_status status, const udi_error& error) {
  if (status == UDI_OK) return;
  if (lane) lane->rethrow();
  throw Error(status, error.message, error.native_code);
}

// Calls a function of udi.h; the udi_error that comes last is added here.
template <class Function, class... Arguments>
void call(const LanePointer& lane, Function function, Arguments... arguments) {
  udi_error error{};
  check(lane, function(arguments..., &error), error);
}

// The owner of a T. The lane goes after it: the deleter holds it.
template <class T, void (*Free)(T*)>
class Handle {
 public:
  T* get() const noexcept { return pointer_.get(); }
  explicit operator bool() const noexcept { return get() != nullptr; }
  const LanePointer& lane() const noexcept { return pointer_.get_deleter().lane; }

  // What the function gives by its `out`.
  template <class Function, class... Arguments>
  static Handle made(const LanePointer& lane, Function function, Arguments... arguments) {
    T* out = nullptr;
    call(lane, function, arguments..., &out);
    return Handle(lane, out);
  }

 private:
  struct Deleter {
    LanePointer lane;
    void operator()(T* pointer) const noexcept { Free(pointer); }
  };
  Handle(const LanePointer& lane, T* pointer) noexcept : pointer_(pointer, Deleter{lane}) {}

  std::unique_ptr<T, Deleter> pointer_;
};

}  // namespace detail

}  // namespace UDI_HPP_RELEASE
}  // namespace udi

#endif  // UDI_CALL_HPP
