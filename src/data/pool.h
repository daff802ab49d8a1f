// Threads that work through tasks of independent items, earliest task first. Which thread runs an item says nothing
// about its result.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "base/host.h"

namespace udi {

class WorkerPool {
 public:
  class Task {
   public:
    virtual ~Task() = default;
    virtual int64_t items() const = 0;
    // Items run in any order and at the same time; worker is 0 to workers() - 1, for scratch memory.
    virtual void run(int64_t item, int worker) = 0;
    virtual void finish() {}  // once, after the last item, unless one failed

   private:
    friend class WorkerPool;
    int64_t begun_ = 0, ended_ = 0;
    bool done_ = false;
    int64_t failed_item_ = -1;  // the lowest, so that the error does not depend on timing
    std::exception_ptr error_;
  };

  explicit WorkerPool(int workers);  // 0: one a core
  ~WorkerPool();                     // items not begun are dropped
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  int workers() const { return int(threads_.size()); }
  void push(std::shared_ptr<Task> task);
  // Returns when the task is finished; throws what an item threw. host, if not nullptr, can cancel the wait (the task
  // goes on then).
  void wait(Task& task, const Host* host);
  // Items not begun are dropped; tasks that lost some never finish.
  void drop_all();

 private:
  void work(int worker);
  void stop_and_join();

  std::mutex mutex_;
  std::condition_variable work_ready_, task_done_;
  std::deque<std::shared_ptr<Task>> queue_;  // tasks with items not begun
  bool stop_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace udi
