#include "dist/group.h"

#include <chrono>
#include <cstring>
#include <mutex>
#include <thread>

#include "base/error.h"
#include "dist/c10d.h"
#include "dist/heart.h"
#include "dist/nccl_link.h"
#include "dist/sockets.h"
#define USE_C10D_GLOO
#include "torch/csrc/distributed/c10d/ProcessGroupGloo.hpp"

namespace udi {
namespace {

constexpr int64_t kBucketBytes = 16 << 20;
constexpr auto kPatienceAtTheEnd = std::chrono::seconds(5);
constexpr auto kPatienceForWords = std::chrono::seconds(2);
constexpr const char* kInterface = "GLOO_SOCKET_IFNAME";  // as PyTorch has it

std::string left_key(int64_t rank) { return text("left/", rank); }  // set by a rank that leaves

// How a rank's part of agree() ended.
struct Outcome {
  Group::Words words{};
  int32_t status = UDI_OK, native_code = 0;
  char message[504] = {};
};

// What a rank's exception says; the exception itself is for the rank's own caller.
Outcome outcome_of(const std::exception_ptr& failure) {
  Outcome outcome;
  const auto say = [&](udi_status status, const char* what) {
    outcome.status = status;
    std::strncpy(outcome.message, what, sizeof outcome.message - 1);
  };
  try {
    std::rethrow_exception(failure);
  } catch (const Error& error) {
    say(error.status, error.what());
    outcome.native_code = error.native_code;
  } catch (const std::bad_alloc&) {
    say(UDI_E_MEMORY, "out of memory");
  } catch (const c10::Error& error) {
    say(UDI_E_INTERNAL, error.what_without_backtrace());
  } catch (const std::exception& error) {
    say(UDI_E_INTERNAL, error.what());
  } catch (...) {
    say(UDI_E_INTERNAL, "an exception of unknown type");
  }
  return outcome;
}

bool asked_to_stop(udi_status status) { return status == UDI_E_CANCELLED || status == UDI_E_CALLBACK; }

at::Tensor bytes_of(const void* data, size_t size) {
  const at::Tensor bytes = at::empty({int64_t(size)}, at::kByte);
  std::memcpy(bytes.mutable_data_ptr(), data, size);
  return bytes;
}

}  // namespace

struct Group::Link {
  Board board;
  std::unique_ptr<Heart> heart;
  c10::intrusive_ptr<c10d::ProcessGroupGloo> gloo;
  std::unique_ptr<NcclLink> nccl;  // null: no sums between GPUs
  std::vector<c10::intrusive_ptr<c10d::Work>> pending;
  // The last to come is the first to go: connections, then the beats, then the store.
};

// ---- Meeting -----------------------------------------------------------------------------------------------------

GroupSettings Group::alone() {
  GroupSettings settings;
  settings.rank = 0;
  settings.world = 1;
  return settings;
}

Group::Group(const GroupSettings& settings, const Host& host)
    : bucket_bytes_(settings.bucket_bytes > 0 ? settings.bucket_bytes : kBucketBytes), timeout_(settings.timeout) {
  const Place place = place_of(settings);
  rank_ = place.rank;
  world_ = place.world;
  if (world_ > 1) meet(place, host);
}

// Connections go first: who still waits for this rank must not wait for the rest. The store goes when all have left, so
// that none of them misses it.
Group::~Group() {
  if (!link_) return;
  const WithoutSigpipe quiet;
  if (!lost_.empty() && link_->nccl) link_->nccl->abort();
  link_->nccl.reset();
  link_->pending.clear();
  link_->gloo.reset();
  link_->heart.reset();
  // Where a rank is lost the others may not have read yet why: the store stays a moment, for those that are left.
  const auto patience = lost_.empty() ? kPatienceAtTheEnd : kPatienceForWords;
  try {
    if (!keeps_store_) link_->board.set(left_key(rank_), "");  // waits for no answer, unlike other calls
    const auto end = std::chrono::steady_clock::now() + patience;
    for (int64_t rank = 1; keeps_store_ && rank < world_ && std::chrono::steady_clock::now() < end;) {
      if (link_->board.look(left_key(rank))) {
        ++rank;
      } else {
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
      }
    }
  } catch (const std::exception&) {
  }
}

void Group::meet(const Place& place, const Host& host) {
  const WithoutSigpipe quiet;
  const auto start = std::chrono::steady_clock::now();
  const auto seconds = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(); };
  link_ = std::make_unique<Link>(Link{Board(place, timeout_, [&] { host.check_cancel(); }), nullptr, {}, {}, {}});
  Board& board = link_->board;
  if (place.rank == 0) host.log(UDI_LOG_INFO, "ranks:     ", world_, ", meeting at ", place.address, " port ", board.port());

  const std::string world = std::to_string(world_), agreed = board.set_once("world", world);
  check(agreed == world, UDI_E_INVALID, "rank ", rank_, " takes part in a run of ", world_, ", another rank in one of ",
        agreed, ": every process must be told the same number");
  check(board.add(text("here/", rank_), 1) == 1, UDI_E_INVALID, "two processes are rank ", rank_, " of ", world_,
        ": each must have a number of its own");
  for (int64_t missing = 0; missing < world_;) {
    if (board.look(text("here/", missing))) {
      ++missing;
      continue;
    }
    host.check_cancel();
    check(seconds() < timeout_, UDI_E_IO, "rank ", missing, " of ", world_, " has not come to ", place.address, " port ",
          board.port(), " within ", timeout_, " s");
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }

  keeps_store_ = place.rank == 0 && !place.store_is_kept;
  link_->heart = std::make_unique<Heart>(board.another(), rank_, world_, std::min(1.0, timeout_ / 4), keeps_store_);
  exchange([&] {
    const auto options = c10d::ProcessGroupGloo::Options::create(std::chrono::milliseconds(int64_t(timeout_ * 1000)));
    const char* const interface = own_environment(kInterface);
    options->devices.push_back(interface && *interface
                                   ? c10d::ProcessGroupGloo::createDeviceForInterface(interface)
                                   : c10d::ProcessGroupGloo::createDeviceForHostname(
                                         own_address(place.address, board.port())));
    link_->gloo = c10::make_intrusive<c10d::ProcessGroupGloo>(board.connection().store, int(rank_), int(world_), options);
  });
  agree_on([] {});  // nobody leaves while another one is still connecting
}

// By NCCL's own interface: c10d's ends the process when time is up, and is compiled with CUDA's headers.
void Group::use_device(at::Device device) {
  if (!link_) return;
  const auto ranks = agree([&](Words& mine) {
    mine[0] = int64_t(device.type());
    if (nccl::takes(device)) mine[1] = nccl::version();
  });
  for (int64_t rank = 1; rank < world_; ++rank) {
    const Words &first = ranks[0], &other = ranks[size_t(rank)];
    check(other[0] == first[0], UDI_E_INVALID, "rank 0 is on ", c10::DeviceTypeName(at::DeviceType(first[0]), true),
          ", rank ", rank, " on ", c10::DeviceTypeName(at::DeviceType(other[0]), true),
          ": all must be on the CPU, or all on GPUs");
    check(other[1] == first[1], UDI_E_DEVICE, "rank 0 has NCCL ", first[1], ", rank ", rank, " ", other[1],
          ": all must have the same");
  }
  if (!nccl::takes(device) || link_->nccl) return;
  std::string id;
  agree_on([&] {
    if (first()) id = NcclLink::new_id();
  });
  id = broadcast_text(id);
  exchange([&] {
    link_->nccl = std::make_unique<NcclLink>(device, rank_, world_, id, timeout_,
                                             [this] { return link_->heart->suspects(); });
  });
  agree_on([] {});
}

// LibTorch notes each exchange of the process in one table, whose lock it takes too late: ranks that are threads of one
// process would damage it. start: begins one and waits for nothing.
template <class Start>
c10::intrusive_ptr<c10d::Work> one_at_a_time(const Start& start) {
  static std::mutex table;
  const std::lock_guard<std::mutex> lock(table);
  return start();
}

// ---- Exchanging --------------------------------------------------------------------------------------------------

// What LibTorch or NCCL throws when a connection breaks or time is up becomes an error that names the rank that it was; an
// Error is this rank's own.
template <class Body>
void Group::exchange(Body&& body) {
  if (!lost_.empty()) fail(UDI_E_IO, lost_);
  const WithoutSigpipe quiet;
  link_->heart->note_exchange();
  try {
    body();
  } catch (const Error& error) {
    fail_here(error);
  } catch (const c10::Error& error) {
    fail_lost(error.what_without_backtrace());
  } catch (const std::exception& error) {
    fail_lost(error.what());
  }
}

void Group::fail_lost(const std::string& reason) {
  if (link_->nccl) link_->nccl->abort();
  lost_ = link_->heart->diagnose(link_->board, reason.substr(0, std::min(reason.find('\n'), size_t(160))));
  fail(UDI_E_IO, lost_);
}

void Group::fail_here(Error error) {
  leave(error.message);
  error.message = lost_;
  error.rank = rank_;
  throw error;
}

void Group::leave(const std::string& why) {
  if (!link_ || !lost_.empty()) return;
  lost_ = text("rank ", rank_, " of ", world_, ": ", why);
  link_->heart->announce(link_->board, lost_);
}

void Group::sum(const at::Tensor& values) {
  sum_later(values);
  wait();
}

void Group::sum_later(const at::Tensor& values) {
  if (!link_ || !lost_.empty()) return;  // wait() says so
  exchange([&] {
    if (link_->nccl && link_->nccl->device() == values.device()) return link_->nccl->sum_later(values);
    std::vector<at::Tensor> list{values};
    link_->pending.push_back(one_at_a_time([&] { return link_->gloo->allreduce(list); }));
  });
}

void Group::wait() {
  if (!link_) return;
  const auto pending = std::exchange(link_->pending, {});
  std::string broken;
  for (const auto& work : pending) {  // each to its end: none may write to memory that its owner goes on to use
    try {
      work->wait();
    } catch (const c10::Error& error) {
      if (broken.empty()) broken = error.what_without_backtrace();
    } catch (const std::exception& error) {
      if (broken.empty()) broken = error.what();
    }
  }
  if (!lost_.empty()) fail(UDI_E_IO, lost_);
  if (!broken.empty()) fail_lost(broken);
  if (link_->nccl) exchange([&] { link_->nccl->wait(); });
}

void Group::broadcast(const at::Tensor& values) {
  if (!link_) return;
  exchange([&] {
    std::vector<at::Tensor> list{values};
    one_at_a_time([&] { return link_->gloo->broadcast(list); })->wait();
  });
}

std::vector<at::Tensor> Group::gather(const at::Tensor& values, bool to_first_only) {
  if (!link_) return {values};
  const bool takes = first() || !to_first_only;
  std::vector<std::vector<at::Tensor>> all(takes ? 1 : 0);
  for (int64_t rank = 0; takes && rank < world_; ++rank) all[0].push_back(at::empty_like(values));
  std::vector<at::Tensor> mine{values};
  exchange([&] {
    one_at_a_time([&] {
      return to_first_only ? link_->gloo->gather(all, mine) : link_->gloo->allgather(all, mine);
    })->wait();
  });
  return takes ? all[0] : std::vector<at::Tensor>();
}

std::vector<std::string> Group::gather_text(const std::string& mine) {
  if (!link_) return {mine};
  int64_t longest = 1;
  std::vector<int64_t> sizes;
  for (const Words& words : agree([&](Words& words) { words[0] = int64_t(mine.size()); })) {
    sizes.push_back(words[0]);
    longest = std::max(longest, words[0]);
  }
  std::string padded = mine;
  padded.resize(size_t(longest));
  const auto all = gather(bytes_of(padded.data(), padded.size()));
  std::vector<std::string> texts;
  for (size_t rank = 0; rank < all.size(); ++rank)
    texts.emplace_back(static_cast<const char*>(all[rank].const_data_ptr()), size_t(sizes[rank]));
  return texts;
}

std::string Group::broadcast_text(const std::string& of_first) {
  if (!link_) return of_first;
  const at::Tensor size = at::full({1}, int64_t(of_first.size()), at::kLong);
  broadcast(size);
  std::string text = of_first;
  text.resize(size_t(size.item<int64_t>()));
  if (text.empty()) return text;
  const at::Tensor bytes = bytes_of(text.data(), text.size());
  broadcast(bytes);
  return {static_cast<const char*>(bytes.const_data_ptr()), text.size()};
}

// ---- Agreeing ----------------------------------------------------------------------------------------------------

void Group::agree_on(const std::function<void()>& body) {
  agree([&](Words&) { body(); });
}

std::vector<Group::Words> Group::agree(const std::function<void(Words&)>& body) {
  Words mine{};
  if (!link_) {
    body(mine);
    return {mine};
  }
  std::exception_ptr failure;
  Outcome own;
  try {
    body(mine);
  } catch (...) {
    failure = std::current_exception();
    own = outcome_of(failure);
  }
  if (failure && !lost_.empty()) std::rethrow_exception(failure);
  own.words = mine;
  const auto all = gather(bytes_of(&own, sizeof own));
  std::vector<Words> words;
  Outcome worst;
  int64_t who = -1;
  for (int64_t rank = 0; rank < world_; ++rank) {
    Outcome outcome;
    std::memcpy(&outcome, all[size_t(rank)].const_data_ptr(), sizeof outcome);
    words.push_back(outcome.words);
    // The first that failed, but for those that were merely asked to stop.
    const bool worse = who < 0 || (asked_to_stop(worst.status) && !asked_to_stop(outcome.status));
    if (outcome.status == UDI_OK || !worse) continue;
    worst = outcome;
    who = rank;
  }
  if (who < 0) return words;
  Error error(worst.status, text("rank ", who, " of ", world_, ": ", worst.message), worst.native_code);
  error.rank = who;
  if (who == rank_) {
    try {
      std::rethrow_exception(failure);
    } catch (const Error& whole) {  // longer than what the others were told
      error.message = text("rank ", who, " of ", world_, ": ", whole.message);
      error.lines = whole.lines;
    } catch (...) {
    }
  }
  throw error;
}

}  // namespace udi
