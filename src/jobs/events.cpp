#include "jobs/events.h"

#include <unistd.h>

#include <array>
#include <chrono>
#include <cmath>
#include <cstring>
#include <filesystem>

#include "base/error.h"
#include "base/protobuf.h"

namespace udi {
namespace {

using namespace protobuf;

// Event: wall_time = 1 (double), step = 2 (int64), file_version = 3 (string), summary = 5, session_log = 7.
std::string event_head(double wall_time, int64_t step) {
  std::string event;
  put_tag(&event, 1, kFixed64);
  put_raw(&event, wall_time);
  put_tag(&event, 2, kVarint);
  put_varint(&event, uint64_t(step));
  return event;
}

std::string tf_record(const std::string& payload) {
  std::string record;
  put_raw(&record, uint64_t(payload.size()));
  put_raw(&record, masked_crc32c(record.data(), 8));
  record += payload;
  put_raw(&record, masked_crc32c(payload.data(), payload.size()));
  return record;
}

double now() { return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count(); }

}  // namespace

uint32_t crc32c(const void* data, size_t size) {
  static const std::array<uint32_t, 256> table = [] {
    std::array<uint32_t, 256> entries{};
    for (uint32_t i = 0; i < 256; ++i) {
      uint32_t value = i;
      for (int bit = 0; bit < 8; ++bit) value = value >> 1 ^ (value & 1 ? 0x82F63B78u : 0);
      entries[i] = value;
    }
    return entries;
  }();
  uint32_t crc = 0xFFFFFFFFu;
  const auto* bytes = static_cast<const uint8_t*>(data);
  for (size_t i = 0; i < size; ++i) crc = crc >> 8 ^ table[(crc ^ bytes[i]) & 0xFF];
  return ~crc;
}

uint32_t masked_crc32c(const void* data, size_t size) {
  const uint32_t crc = crc32c(data, size);
  return (crc >> 15 | crc << 17) + 0xA282EAD8u;
}

std::string event_record(double wall_time, int64_t step, const Scalars& scalars) {
  std::string summary;
  for (const auto& [tag, value] : scalars) {
    std::string entry;  // Summary.Value: tag = 1, simple_value = 2 (float)
    put_bytes(&entry, 1, tag);
    put_tag(&entry, 2, kFixed32);
    put_raw(&entry, float(value));
    put_bytes(&summary, 1, entry);
  }
  std::string event = event_head(wall_time, step);
  put_bytes(&event, 5, summary);
  return tf_record(event);
}

EventWriter::EventWriter(const std::string& folder, int64_t first_step) {
  char host[256] = "host";
  ::gethostname(host, sizeof(host) - 1);
  // TensorBoard reads files in the order of their names: the time comes first, and no name may occur twice.
  for (int64_t number = 0;; ++number) {
    path_ = text(folder, "/events.out.tfevents.", int64_t(now()), ".", host, ".", ::getpid(), ".", number);
    if (!std::filesystem::exists(path_)) break;
  }
  file_ = std::fopen(path_.c_str(), "wbe");
  if (!file_) fail_errno(path_, ": cannot be created");
  try {
    std::string version = event_head(now(), 0);
    put_bytes(&version, 3, "brain.Event:2");
    write(tf_record(version));
    std::string start = event_head(now(), first_step);
    put_bytes(&start, 7, std::string("\x08\x01", 2));  // SessionLog: status = 1 (START)
    write(tf_record(start));
  } catch (...) {
    std::fclose(file_);
    throw;
  }
}

EventWriter::~EventWriter() { std::fclose(file_); }

void EventWriter::add(int64_t step, const Scalars& scalars) {
  Scalars finite;
  for (const auto& scalar : scalars) {
    if (std::isfinite(scalar.second)) finite.push_back(scalar);
  }
  if (!finite.empty()) write(event_record(now(), step, finite));
}

void EventWriter::write(const std::string& record) {
  if (std::fwrite(record.data(), 1, record.size(), file_) != record.size() || std::fflush(file_) != 0) {
    fail_errno(path_, ": cannot be written");
  }
}

}  // namespace udi
