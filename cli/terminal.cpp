#include "terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace cli {
namespace {

std::string duration(double seconds) {
  char out[32];
  const long long total = std::llround(seconds);
  if (total >= 86400) {
    std::snprintf(out, sizeof out, "%lldd %02lldh", total / 86400, total / 3600 % 24);
  } else if (total >= 3600) {
    std::snprintf(out, sizeof out, "%lld:%02lld:%02lld", total / 3600, total / 60 % 60, total % 60);
  } else {
    std::snprintf(out, sizeof out, "%lld:%02lld", total / 60, total % 60);
  }
  return out;
}

std::string numbers(const udi_progress& progress) {
  char out[160];
  std::snprintf(out, sizeof out, "%lld/%lld", (long long)progress.done, (long long)progress.total);
  std::string line = out;
  if (progress.images_per_second > 0) {
    std::snprintf(out, sizeof out, "  %.*f images/s", progress.images_per_second < 10 ? 1 : 0,
                  progress.images_per_second);
    line += out;
  }
  if (!std::isnan(progress.loss)) {
    std::snprintf(out, sizeof out, "  loss %.4f", progress.loss);
    line += out;
  }
  if (progress.done < progress.total && progress.eta_seconds > 0) line += "  ETA " + duration(progress.eta_seconds);
  return line;
}

std::string bar(const udi_progress& progress) {
  constexpr int kCells = 24;
  const int full = progress.total > 0 ? int(kCells * progress.done / progress.total) : 0;
  std::string cells;
  for (int i = 0; i < kCells; ++i) cells += i < full ? '#' : '.';
  return "[" + cells + "]";
}

size_t columns() {
  winsize size{};
  return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

}  // namespace

Terminal::Terminal(bool quiet, bool verbose)
    : level_(quiet     ? UDI_LOG_ERROR
             : verbose ? UDI_LOG_DEBUG
                       : UDI_LOG_INFO),
      quiet_(quiet) {
  const char* kind = std::getenv("TERM");
  const char* no_color = std::getenv("NO_COLOR");
  bar_ = ::isatty(STDERR_FILENO) && kind && std::strcmp(kind, "dumb") != 0;
  color_ = bar_ && !(no_color && *no_color);
}

void Terminal::log(udi_log_level level, const std::string& message) {
  if (level > level_) return;
  const std::lock_guard<std::mutex> lock(mutex_);
  if (drawn_) std::fputs("\r\033[K", stderr);
  drawn_ = false;
  const char* word = level == UDI_LOG_ERROR ? "error: " : level == UDI_LOG_WARN ? "warning: " : "";
  const char* color = !color_ || !*word ? "" : level == UDI_LOG_ERROR ? "\033[31m" : "\033[33m";
  std::fprintf(stderr, "%s%s%s%s\n", color, word, *color ? "\033[0m" : "", message.c_str());
}

void Terminal::progress(const udi_progress& progress) {
  if (quiet_) return;
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto now = Clock::now();
  const bool last = progress.done >= progress.total;
  if (stage_ != progress.stage) {
    stage_ = progress.stage;
    next_ = bar_ ? now : now + std::chrono::seconds(5);  // a short stage needs no line in a log
  }
  if (now < next_ && !(last && bar_)) return;
  next_ = now + (bar_ ? std::chrono::milliseconds(100) : std::chrono::seconds(15));
  const std::string line = stage_ + (bar_ ? "  " + bar(progress) : "") + "  " + numbers(progress);
  if (bar_) {
    draw(line);
  } else {
    std::fprintf(stderr, "%s\n", line.c_str());
  }
}

void Terminal::draw(const std::string& line) {
  std::fprintf(stderr, "\r%s\033[K", line.substr(0, columns() - 1).c_str());
  std::fflush(stderr);
  drawn_ = true;
}

void Terminal::clear() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (drawn_) std::fputs("\r\033[K", stderr);
  drawn_ = false;
}

}  // namespace cli
