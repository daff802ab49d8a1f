#include "data/pool.h"

#include <signal.h>

#include <algorithm>
#include <chrono>
#include <system_error>

namespace udi {
namespace {

// Signals are the host's business: our threads never run its handlers.
struct SignalsBlocked {
  sigset_t before;
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before, nullptr); }
};

}  // namespace

WorkerPool::WorkerPool(int workers) {
  if (workers <= 0) workers = int(std::max(1u, std::thread::hardware_concurrency()));
  const SignalsBlocked blocked;
  threads_.reserve(size_t(workers));
  try {
    for (int i = 0; i < workers; ++i) threads_.emplace_back([this, i] { work(i); });
  } catch (const std::system_error& error) {
    const size_t started = threads_.size();
    stop_and_join();
    fail(UDI_E_MEMORY, "worker thread ", started + 1, " of ", workers, " cannot be started: ", error.what(),
         "; ask for fewer workers");
  }
}

WorkerPool::~WorkerPool() { stop_and_join(); }

void WorkerPool::stop_and_join() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  work_ready_.notify_all();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void WorkerPool::push(std::shared_ptr<Task> task) {
  {
    const std::lock_guard lock(mutex_);
    if (task->items() == 0) {
      task->done_ = true;
      return;
    }
    queue_.push_back(std::move(task));
  }
  work_ready_.notify_all();
}

void WorkerPool::wait(Task& task, const Host* host) {
  std::unique_lock lock(mutex_);
  while (!task.done_) {
    if (!host) {
      task_done_.wait(lock);
      continue;
    }
    host->check_cancel();
    // A cancel may come from a signal handler, which can set a flag but not wake us.
    task_done_.wait_for(lock, std::chrono::milliseconds(20));
  }
  if (task.error_) std::rethrow_exception(task.error_);
}

void WorkerPool::drop_all() {
  const std::lock_guard lock(mutex_);
  queue_.clear();
}

void WorkerPool::work(int worker) {
  std::unique_lock lock(mutex_);
  while (true) {
    work_ready_.wait(lock, [this] { return stop_ || !queue_.empty(); });
    if (stop_) return;
    const std::shared_ptr<Task> task = queue_.front();
    const int64_t item = task->begun_++;
    if (task->begun_ == task->items()) queue_.pop_front();

    lock.unlock();
    std::exception_ptr error;
    try {
      task->run(item, worker);
    } catch (...) {
      error = std::current_exception();
    }
    lock.lock();

    if (error && (task->failed_item_ < 0 || item < task->failed_item_)) {
      task->failed_item_ = item;
      task->error_ = error;
    }
    if (++task->ended_ < task->items()) continue;
    if (!task->error_) {
      lock.unlock();
      try {
        task->finish();
      } catch (...) {
        error = std::current_exception();
      }
      lock.lock();
      task->error_ = error;
    }
    task->done_ = true;
    task_done_.notify_all();
  }
}

}  // namespace udi
