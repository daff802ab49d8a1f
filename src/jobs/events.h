// TensorBoard event files: TFRecords (length, masked CRC-32C, payload, masked CRC-32C) of protocol buffer "Event", of
// which four fields are enough for curves. Written by hand: no protobuf, no TensorFlow.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

namespace udi {

// CRC-32C (Castagnoli) and the masked form that TFRecords store.
uint32_t crc32c(const void* data, size_t size);
uint32_t masked_crc32c(const void* data, size_t size);

using Scalars = std::vector<std::pair<std::string, double>>;

// One TFRecord with the scalars of a step, as bytes.
std::string event_record(double wall_time, int64_t step, const Scalars& scalars);

class EventWriter {
 public:
  // A new events.out.tfevents.* file in folder. TensorBoard forgets what older files there say of steps from first_step
  // on: a run that goes on from a checkpoint does them again. UDI_E_IO.
  EventWriter(const std::string& folder, int64_t first_step);
  ~EventWriter();
  EventWriter(const EventWriter&) = delete;
  EventWriter& operator=(const EventWriter&) = delete;

  // Values that are not finite are left out. UDI_E_IO.
  void add(int64_t step, const Scalars& scalars);

 private:
  void write(const std::string& record);

  std::string path_;
  std::FILE* file_ = nullptr;
};

}  // namespace udi
