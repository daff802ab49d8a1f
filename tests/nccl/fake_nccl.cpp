// NCCL's functions between ranks that are threads of one process, on host memory: each communicator works through what it
// was given on a thread of its own, as NCCL's do through a stream, and waits for its partners until it is aborted. A rank
// that is gone breaks nothing here: partners of NCCL's that share a machine do not notice, either.
#include "fake_nccl.h"

#include <condition_variable>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

using udi::nccl::Config;
using udi::nccl::RedOp;
using udi::nccl::Result;
using udi::nccl::Type;
using udi::nccl::UniqueId;

namespace {

// One exchange: a place a rank.
struct Meeting {
  std::vector<const void*> in;
  std::vector<size_t> count;
  std::vector<Type> type;
  int arrived = 0, done = 0;
  bool broken = false;  // by one that was aborted: the others wait
};

struct Clique {
  std::mutex mutex;
  std::condition_variable changed;
  std::map<int64_t, Meeting> meetings;
};

struct Fault {
  std::string call;
  int rank;
  Result result;
  bool later;
};

std::mutex mutex;  // guards what follows
std::map<std::string, std::weak_ptr<Clique>> cliques;
std::vector<Fault> faults;
std::string last_words;
int next_id = 0, aborts = 0, destroyed = 0;

template <class T>
void sum(const Meeting& meeting, std::vector<char>& out) {
  const size_t count = meeting.count[0];
  out.resize(count * sizeof(T));
  T* const sums = reinterpret_cast<T*>(out.data());
  for (size_t i = 0; i < count; ++i) {
    sums[i] = 0;
    for (const void* in : meeting.in) sums[i] += static_cast<const T*>(in)[i];
  }
}

}  // namespace

namespace udi::nccl {

struct Communicator {
  std::shared_ptr<Clique> clique;
  int rank = 0, world = 0;
  int64_t exchanges = 0;
  std::mutex mutex;  // guards what follows
  std::condition_variable changed;
  std::deque<std::function<Result()>> queue;
  Result state = Result::kSuccess;
  bool working = false, stop = false;
  std::thread thread{[this] { work(); }};

  void work() {
    std::unique_lock lock(mutex);
    for (;;) {
      changed.wait(lock, [&] { return stop || !queue.empty(); });
      if (stop) return;
      const auto task = queue.front();
      queue.pop_front();
      working = true;
      lock.unlock();
      const Result result = task();
      lock.lock();
      working = false;
      if (result != Result::kSuccess) state = result;
    }
  }
  void push(std::function<Result()> task) {
    const std::lock_guard lock(mutex);
    queue.push_back(std::move(task));
    changed.notify_all();
  }
  Result now() {
    const std::lock_guard lock(mutex);
    if (state != Result::kSuccess) return state;
    return working || !queue.empty() ? Result::kInProgress : Result::kSuccess;
  }
  bool stopped() {
    const std::lock_guard lock(mutex);
    return stop;
  }
  void end() {
    {
      const std::lock_guard lock(mutex);
      stop = true;
      changed.notify_all();
    }
    {
      const std::lock_guard lock(clique->mutex);
      clique->changed.notify_all();
    }
    thread.join();
  }

  // All ranks' n-th exchange; out may be null: they only meet.
  Result exchange(int64_t n, const void* in, void* out, size_t count, Type type) {
    std::vector<char> result;
    std::unique_lock lock(clique->mutex);
    Meeting& meeting = clique->meetings[n];
    meeting.in.resize(size_t(world));
    meeting.count.resize(size_t(world));
    meeting.type.resize(size_t(world));
    meeting.in[size_t(rank)] = in;
    meeting.count[size_t(rank)] = count;
    meeting.type[size_t(rank)] = type;
    ++meeting.arrived;
    clique->changed.notify_all();
    const auto wait_for_all = [&](const int& come) {
      while (come < world || meeting.broken) {
        if (stopped()) meeting.broken = true;
        if (stopped()) return false;
        clique->changed.wait(lock);
      }
      return true;
    };
    if (!wait_for_all(meeting.arrived)) return Result::kInternalError;
    for (int r = 0; r < world; ++r) {
      if (meeting.count[size_t(r)] != meeting.count[0] || meeting.type[size_t(r)] != meeting.type[0])
        return Result::kInternalError;
    }
    if (out && type == Type::kFloat32) sum<float>(meeting, result);
    if (out && type == Type::kFloat64) sum<double>(meeting, result);
    if (out && type == Type::kInt64) sum<int64_t>(meeting, result);
    ++meeting.done;
    clique->changed.notify_all();
    if (!wait_for_all(meeting.done)) return Result::kInternalError;  // others read what this rank would overwrite
    if (out) std::memcpy(out, result.data(), result.size());
    return Result::kSuccess;
  }
};

}  // namespace udi::nccl

namespace {

using udi::nccl::Communicator;

// Success unless a test wants another end. later: given to the communicator's thread.
Result begin(const char* call, int rank, Communicator* of = nullptr) {
  const std::lock_guard lock(mutex);
  for (size_t i = 0; i < faults.size(); ++i) {
    const Fault fault = faults[i];
    if (fault.call != call || (fault.rank >= 0 && fault.rank != rank)) continue;
    faults.erase(faults.begin() + int64_t(i));
    if (!fault.later) return fault.result;
    of->push([fault] { return fault.result; });
  }
  return Result::kSuccess;
}

}  // namespace

extern "C" {

void fake_nccl_fail(const char* call, int rank, Result result, bool later, const char* words) {
  const std::lock_guard lock(mutex);
  faults.push_back({call, rank, result, later});
  last_words = words;
}
int fake_nccl_aborts() {
  const std::lock_guard lock(mutex);
  return aborts;
}
int fake_nccl_destroyed() {
  const std::lock_guard lock(mutex);
  return destroyed;
}

Result ncclGetVersion(int* out) {
  *out = 22809;
  return Result::kSuccess;
}

Result ncclGetUniqueId(UniqueId* id) {
  const Result result = begin("ncclGetUniqueId", 0);
  const std::lock_guard lock(mutex);
  std::memset(id, 0, sizeof *id);
  std::strcpy(id->internal + 60, std::to_string(++next_id).c_str());  // behind zeros, as NCCL's may be
  return result;
}

Result ncclCommInitRankConfig(Communicator** out, int world, UniqueId id, int rank, Config* config) {
  if (config->magic != 0xcafebeef || config->size != sizeof *config) return Result::kInvalidArgument;
  if (config->blocking != 0) return Result::kInvalidArgument;
  *out = new Communicator;
  (*out)->rank = rank;
  (*out)->world = world;
  {
    const std::lock_guard lock(mutex);
    std::weak_ptr<Clique>& known = cliques[std::string(id.internal, sizeof id.internal)];
    (*out)->clique = known.lock();
    if (!(*out)->clique) known = (*out)->clique = std::make_shared<Clique>();
  }
  const Result result = begin("ncclCommInitRankConfig", rank, *out);
  if (result != Result::kSuccess) return result;
  Communicator* const self = *out;
  const int64_t n = self->exchanges++;
  self->push([=] { return self->exchange(n, nullptr, nullptr, 0, Type::kFloat32); });
  return Result::kInProgress;
}

Result ncclAllReduce(const void* in, void* out, size_t count, Type type, RedOp op, Communicator* of, void* stream) {
  if (of->now() != Result::kSuccess) return Result::kInvalidUsage;  // called before the last call was through
  if (op != RedOp::kSum || stream) return Result::kInvalidArgument;
  const Result result = begin("ncclAllReduce", of->rank, of);
  if (result != Result::kSuccess) return result;
  const int64_t n = of->exchanges++;
  of->push([=] { return of->exchange(n, in, out, count, type); });
  return Result::kInProgress;
}

Result ncclCommGetAsyncError(Communicator* of, Result* result) {
  *result = of->now();
  return begin("ncclCommGetAsyncError", of->rank, of);
}

Result ncclCommFinalize(Communicator* of) { return begin("ncclCommFinalize", of->rank, of); }

Result ncclCommDestroy(Communicator* of) {
  of->end();
  delete of;
  const std::lock_guard lock(mutex);
  ++destroyed;
  return Result::kSuccess;
}

Result ncclCommAbort(Communicator* of) {
  of->end();
  delete of;
  const std::lock_guard lock(mutex);
  ++aborts;
  return Result::kSuccess;
}

const char* ncclGetErrorString(Result result) {
  static const char* const kWords[] = {"no error",       "unhandled cuda error", "unhandled system error",
                                       "internal error", "invalid argument",     "invalid usage",
                                       "remote process exited", "in progress"};
  return kWords[int(result)];
}

const char* ncclGetLastError(Communicator*) {
  const std::lock_guard lock(mutex);
  return last_words.c_str();
}
}
