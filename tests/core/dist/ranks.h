// Ranks as threads of one process, each with a group of its own, connected over 127.0.0.1. Rank 0's store takes a free
// port and names it in the log.
#pragma once

#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "dist/group.h"

namespace udi::support {

class MeetingPoint {
 public:
  // Settings for a rank; ranks other than 0 wait for rank 0's port.
  GroupSettings settings(int32_t rank, int32_t world, double timeout) {
    GroupSettings settings;
    settings.rank = rank;
    settings.world = world;
    settings.timeout = timeout;
    settings.port = 0;
    settings.address = "127.0.0.1";
    if (rank > 0) {
      std::unique_lock lock(mutex_);
      known_.wait(lock, [&] { return port_ > 0; });
      settings.port = port_;
    }
    return settings;
  }
  // Rank 0's log.
  void hear(const std::string& line) {
    const size_t at = line.rfind(" port ");
    if (line.find("meeting at") == std::string::npos || at == std::string::npos) return;
    const std::lock_guard lock(mutex_);
    port_ = std::stoi(line.substr(at + 6));
    known_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable known_;
  int port_ = 0;
};

// What a rank's body threw; empty: nothing.
struct RankResult {
  udi_status status = UDI_OK;
  std::string message;
};

// body(group) on each rank; the group ends when it returns. Anything but an Error ends the test.
template <class Body>
std::vector<RankResult> run_ranks(int32_t world, Body&& body, double timeout = 20, int64_t bucket_bytes = 0) {
  MeetingPoint point;
  std::vector<RankResult> results(static_cast<size_t>(world));
  std::vector<std::thread> threads;
  for (int32_t rank = 0; rank < world; ++rank) {
    threads.emplace_back([&, rank] {
      Host host;
      host.sink = [&](udi_log_level, const std::string& line) { point.hear(line); };
      try {
        GroupSettings settings = point.settings(rank, world, timeout);
        settings.bucket_bytes = bucket_bytes;
        const auto group = std::make_shared<Group>(settings, host);
        group->use_device(at::kCPU);
        body(group);
      } catch (const Error& error) {
        results[size_t(rank)] = {error.status, error.message};
      }
    });
  }
  for (auto& thread : threads) thread.join();
  return results;
}

inline bool says(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

// All ranks ended well.
inline void expect_well(const std::vector<RankResult>& results) {
  for (size_t rank = 0; rank < results.size(); ++rank)
    EXPECT_EQ(results[rank].status, UDI_OK) << "rank " << rank << ": " << results[rank].message;
}

}  // namespace udi::support
