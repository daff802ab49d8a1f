#include "dist/nccl_link.h"

#include <c10/core/DeviceGuard.h>
#include <c10/core/Event.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <chrono>
#include <cstring>
#include <stdexcept>
#include <thread>
#include <utility>

#include "base/error.h"

namespace udi {
namespace {

using nccl::Result;
using Clock = std::chrono::steady_clock;

constexpr double kPatienceAtTheEnd = 5;  // seconds

nccl::Type type_of(const at::Tensor& values) {
  switch (values.scalar_type()) {
    case at::kLong:
      return nccl::Type::kInt64;
    case at::kHalf:
      return nccl::Type::kFloat16;
    case at::kFloat:
      return nccl::Type::kFloat32;
    case at::kDouble:
      return nccl::Type::kFloat64;
    case at::kBFloat16:
      return nccl::Type::kBfloat16;
    default:
      fail(UDI_E_INTERNAL, "NCCL is not asked for sums of ", c10::toString(values.scalar_type()));
  }
}

// System and remote errors are what NCCL has to say of a connection that broke.
void check_result(const char* call, Result result, nccl::Communicator* of) {
  if (result == Result::kSuccess) return;
  const char* const more = nccl::api().GetLastError(of);
  const std::string words =
      text(call, ": ", nccl::api().GetErrorString(result), more && *more ? ": " : "", more ? more : "");
  if (result == Result::kSystemError || result == Result::kRemoteError) throw std::runtime_error(words);
  check(result != Result::kInvalidUsage, UDI_E_DEVICE, words, " (each rank needs a GPU of its own: device_index -1 takes ",
        "that of the launcher's local rank)");
  fail(UDI_E_DEVICE, words);
}

}  // namespace

std::string NcclLink::new_id() {
  nccl::UniqueId id;
  check_result("ncclGetUniqueId", nccl::api().GetUniqueId(&id), nullptr);
  return {id.internal, sizeof id.internal};
}

NcclLink::NcclLink(at::Device device, int64_t rank, int64_t world, const std::string& id, double timeout,
                   std::function<bool()> lost)
    : device_(device), timeout_(timeout), lost_(std::move(lost)) {
  const c10::DeviceGuard guard(device_);
  if (!device_.is_cpu()) side_ = c10::impl::VirtualGuardImpl(device_.type()).getStreamFromGlobalPool(device_, true);
  nccl::UniqueId own_id;
  check(id.size() == sizeof own_id.internal, UDI_E_INTERNAL, "an NCCL id of ", id.size(), " bytes");
  std::memcpy(own_id.internal, id.data(), id.size());
  nccl::Config config;
  config.blocking = 0;
  constexpr const char* kCall = "ncclCommInitRankConfig";
  or_abort([&] {
    begin(kCall, nccl::api().CommInitRankConfig(&communicator_, int(world), own_id, int(rank), &config));
    until_queued(kCall);
  });
}

// In peace: what is left of the sums on the way to other ranks is sent first.
NcclLink::~NcclLink() {
  if (!communicator_) return;
  const c10::DeviceGuard guard(device_);
  try {
    until_queued("ncclAllReduce");
    begin("ncclCommFinalize", nccl::api().CommFinalize(communicator_));
    until("ncclCommFinalize", kPatienceAtTheEnd, [&] {
      Result result = Result::kSuccess;
      check_result("ncclCommFinalize", nccl::api().CommGetAsyncError(communicator_, &result), communicator_);
      return result != Result::kInProgress;
    });
    nccl::api().CommDestroy(std::exchange(communicator_, nullptr));
  } catch (const std::exception&) {
    abort();
  }
}

void NcclLink::sum_later(const at::Tensor& values) {
  const c10::DeviceGuard guard(device_);
  or_abort([&] {
    until_queued("ncclAllReduce");  // the last one: NCCL takes one call at a time
    if (side_) {
      c10::Event so_far(device_.type());
      so_far.record(c10::impl::VirtualGuardImpl(device_.type()).getStream(device_));
      so_far.block(*side_);
    }
    pending_.push_back(values);
    void* const data = values.mutable_data_ptr();
    begin("ncclAllReduce", nccl::api().AllReduce(data, data, size_t(values.numel()), type_of(values), nccl::RedOp::kSum,
                                                 communicator_, side_ ? side_->native_handle() : nullptr));
  });
}

void NcclLink::wait() {
  if (pending_.empty()) return;
  const c10::DeviceGuard guard(device_);
  or_abort([&] {
    until_queued("ncclAllReduce");
    if (side_) {
      c10::Event done(device_.type());
      done.record(*side_);
      until("ncclAllReduce", timeout_, [&] {
        Result result = Result::kSuccess;
        check_result("ncclAllReduce", nccl::api().CommGetAsyncError(communicator_, &result), communicator_);
        check_result("ncclAllReduce", result, communicator_);
        return done.query();
      });
    }
  });
  pending_.clear();
}

// Kernels that wait for another rank end by this; the stream is waited for, but not for ever.
void NcclLink::abort() {
  if (!communicator_) return;
  const c10::DeviceGuard guard(device_);
  nccl::api().CommAbort(std::exchange(communicator_, nullptr));
  try {
    const auto end = Clock::now() + std::chrono::duration<double>(kPatienceAtTheEnd);
    while (side_ && !side_->query() && Clock::now() < end) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  } catch (const std::exception&) {  // CUDA has failed: nothing runs there any more
  }
  pending_.clear();
}

void NcclLink::begin(const char* call, Result result) {
  if (result != Result::kInProgress) check_result(call, result, communicator_);
}

// A communicator that does not block works on a thread of NCCL's, until what was begun is in the stream.
void NcclLink::until_queued(const char* call) {
  until(call, timeout_, [&] {
    Result result = Result::kSuccess;
    check_result(call, nccl::api().CommGetAsyncError(communicator_, &result), communicator_);
    if (result == Result::kInProgress) return false;
    check_result(call, result, communicator_);
    return true;
  });
}

void NcclLink::until(const char* call, double seconds, const std::function<bool()>& done) {
  const auto end = Clock::now() + std::chrono::duration<double>(seconds);
  for (int round = 0; !done(); ++round) {
    if (lost_()) throw std::runtime_error(text(call, " waited for a rank that is gone"));
    if (Clock::now() > end) throw std::runtime_error(text(call, " did not end within ", seconds, " s"));
    if (round < 100) {
      std::this_thread::yield();
    } else {
      std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
  }
}

template <class Body>
void NcclLink::or_abort(Body&& body) {
  try {
    body();
  } catch (const c10::Error& error) {  // of the stream or an event: CUDA has failed on this rank
    abort();
    const std::string what = error.what_without_backtrace();
    fail(UDI_E_DEVICE, what.substr(0, what.find('\n')));
  } catch (...) {
    abort();
    throw;
  }
}

}  // namespace udi
