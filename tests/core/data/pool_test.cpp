#include "data/pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>

#include "data/support.h"

namespace udi {
namespace {

using udi_test::expect_error;

struct Count : WorkerPool::Task {
  explicit Count(int64_t n) : seen(size_t(n)) {}
  int64_t items() const override { return int64_t(seen.size()); }
  void run(int64_t item, int) override {
    ++seen[size_t(item)];
    if (item >= fails_from) fail(UDI_E_FORMAT, "item ", item);
  }
  void finish() override { ++finished; }
  std::vector<std::atomic<int>> seen;
  std::atomic<int> finished{0};
  int64_t fails_from = INT64_MAX;
};

// Stands still until it is let go.
struct Gate : WorkerPool::Task {
  int64_t items() const override { return 1; }
  void run(int64_t, int) override {
    began = true;
    while (!open) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  void wait_for_begin() const {
    while (!began) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  std::atomic<bool> began{false}, open{false};
};

TEST(WorkerPool, RunsEveryItemOnce) {
  WorkerPool pool(4);
  EXPECT_EQ(pool.workers(), 4);
  std::vector<std::shared_ptr<Count>> tasks;
  for (int i = 0; i < 20; ++i) tasks.push_back(std::make_shared<Count>(i));
  for (const auto& task : tasks) pool.push(task);
  for (const auto& task : tasks) {
    pool.wait(*task, nullptr);
    for (const auto& seen : task->seen) EXPECT_EQ(seen, 1);
    EXPECT_EQ(task->finished, task->items() > 0 ? 1 : 0);
  }
}

TEST(WorkerPool, GivesTheErrorOfTheFirstItemThatFailed) {
  for (int trial = 0; trial < 20; ++trial) {
    WorkerPool pool(4);
    const auto task = std::make_shared<Count>(50);
    task->fails_from = 17;
    pool.push(task);
    expect_error(UDI_E_FORMAT, "item 17", [&] { pool.wait(*task, nullptr); });
    EXPECT_EQ(task->finished, 0);
  }
}

TEST(WorkerPool, ACancelWakesWhoWaits) {
  WorkerPool pool(1);
  const auto gate = std::make_shared<Gate>();
  pool.push(gate);
  Host host;
  std::thread canceller([&] {
    gate->wait_for_begin();
    host.cancelled = true;
  });
  expect_error(UDI_E_CANCELLED, "cancelled", [&] { pool.wait(*gate, &host); });
  canceller.join();
  gate->open = true;
  pool.wait(*gate, nullptr);  // the task went on
}

TEST(WorkerPool, DropsWhatHasNotBegun) {
  WorkerPool pool(1);
  const auto gate = std::make_shared<Gate>();
  const auto dropped = std::make_shared<Count>(1000), after = std::make_shared<Count>(3);
  pool.push(gate);
  gate->wait_for_begin();
  pool.push(dropped);
  pool.drop_all();
  pool.push(after);
  gate->open = true;
  pool.wait(*after, nullptr);
  for (const auto& seen : dropped->seen) EXPECT_EQ(seen, 0);
}

TEST(WorkerPool, EndsWithWorkLeft) {
  const auto task = std::make_shared<Count>(1000000);
  {
    WorkerPool pool(3);
    pool.push(task);
  }
  EXPECT_EQ(task.use_count(), 1);
}

}  // namespace
}  // namespace udi
