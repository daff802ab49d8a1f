// What goes wrong with NCCL: each call's errors in words, a rank that is gone or late though no connection breaks.
// Sums of the CPU's tensors go to the library that plays NCCL's part (fake_nccl.h), in this program's other tests, too.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>

#include "fake_nccl.h"
#include "ranks.h"

namespace udi {
namespace {

using nccl::Result;
using support::expect_well;
using support::RankResult;
using support::run_ranks;
using support::says;

using GroupOf = std::shared_ptr<Group>;

class Switch : public testing::Environment {
  void SetUp() override { nccl::use(at::kCPU, UDI_NCCL); }
};
[[maybe_unused]] const auto* const added = testing::AddGlobalTestEnvironment(new Switch);

TEST(Nccl, SumsGoThroughItAndItEndsInPeace) {
  const int aborts = fake_nccl_aborts(), destroyed = fake_nccl_destroyed();
  expect_well(run_ranks(3, [](const GroupOf& group) {
    group->use_device(at::kCPU);  // a second trainer's
    at::Tensor values = at::full({5}, double(group->rank()), at::kDouble);
    for (int i = 0; i < 3; ++i) group->sum_later(values[i].view({1}));
    group->sum_later(values.narrow(0, 3, 2));
    group->wait();
    EXPECT_TRUE((values == 3).all().item<bool>());
    group->wait();  // for nothing
  }));
  EXPECT_EQ(fake_nccl_aborts(), aborts);
  EXPECT_EQ(fake_nccl_destroyed(), destroyed + 3);
}

// Ranks that sum, of which one call of rank 1's fails.
std::vector<RankResult> failing(const char* call, Result result, bool later, const char* words = "what NCCL says") {
  fake_nccl_fail(call, call == std::string("ncclGetUniqueId") ? 0 : 1, result, later, words);
  return run_ranks(3, [](const GroupOf& group) {
    for (int i = 0; i < 4; ++i) {
      group->sum(at::ones({4}));
      group->agree_on([] {});
    }
  });
}

// This rank's own error is everyone's: the others do not wait until time is up.
TEST(Nccl, AnErrorOfOneRankIsNamedOnAll) {
  struct Case {
    const char* call;
    Result result;
    bool later;
    const char* words;
  };
  const Case cases[] = {
      {"ncclGetUniqueId", Result::kInternalError, false, "rank 0 of 3: ncclGetUniqueId: internal error: what NCCL says"},
      {"ncclCommInitRankConfig", Result::kUnhandledCudaError, false,
       "rank 1 of 3: ncclCommInitRankConfig: unhandled cuda error: what NCCL says"},
      {"ncclCommInitRankConfig", Result::kInvalidUsage, true,
       "rank 1 of 3: ncclCommInitRankConfig: invalid usage: what NCCL says (each rank needs a GPU of its own"},
      {"ncclAllReduce", Result::kInvalidArgument, false, "rank 1 of 3: ncclAllReduce: invalid argument: what NCCL says"},
      {"ncclAllReduce", Result::kUnhandledCudaError, true,
       "rank 1 of 3: ncclAllReduce: unhandled cuda error: what NCCL says"},
      {"ncclCommGetAsyncError", Result::kInternalError, false, "internal error: what NCCL says"},
  };
  for (const Case& c : cases) {
    const int aborts = fake_nccl_aborts();
    const auto start = std::chrono::steady_clock::now();
    const auto results = failing(c.call, c.result, c.later);
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(15)) << c.call;
    const bool met = c.call != std::string("ncclGetUniqueId");
    for (size_t rank = 0; rank < 3; ++rank) {
      EXPECT_EQ(results[rank].status, rank == 1 || !met ? UDI_E_DEVICE : UDI_E_IO) << c.call << " on rank " << rank;
      EXPECT_TRUE(says(results[rank].message, c.words)) << results[rank].message;
    }
    EXPECT_EQ(fake_nccl_aborts(), aborts + (met ? 3 : 0)) << c.call;
  }
}

// What NCCL says of a connection is not that rank's own fault.
TEST(Nccl, AConnectionThatBreaksIsNamed) {
  for (const auto& result : failing("ncclAllReduce", Result::kRemoteError, true)) {
    EXPECT_EQ(result.status, UDI_E_IO);
    EXPECT_TRUE(says(result.message, "ncclAllReduce: remote process exited: what NCCL says")) << result.message;
  }
}

// An end that fails is an end: nobody hears of it.
TEST(Nccl, AnEndThatFailsIsAnAbort) {
  const int aborts = fake_nccl_aborts();
  expect_well(failing("ncclCommFinalize", Result::kSystemError, false));
  EXPECT_EQ(fake_nccl_aborts(), aborts + 1);
}

// A rank that ends without a word breaks no sum: its beats stand still, and the sums are aborted long before time is up.
TEST(Nccl, ARankThatIsGoneIsMissed) {
  const int aborts = fake_nccl_aborts();
  const auto start = std::chrono::steady_clock::now();
  const auto results = run_ranks(
      3,
      [](const GroupOf& group) {
        group->sum(at::ones({4}));
        if (group->rank() == 1) return;
        for (;;) group->sum(at::ones({4}));
      },
      600);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(60));
  for (const size_t rank : {0, 2}) {
    EXPECT_EQ(results[rank].status, UDI_E_IO);
    EXPECT_TRUE(says(results[rank].message, "rank 1 of 3 is gone (ended, killed or stopped): ncclAllReduce"))
        << results[rank].message;
  }
  EXPECT_GE(fake_nccl_aborts(), aborts + 2);
}

// One that lives and does not come: the sum is aborted when time is up.
TEST(Nccl, ARankThatIsLateIsNamed) {
  std::atomic<bool> done{false};
  const int aborts = fake_nccl_aborts();
  const auto results = run_ranks(
      2,
      [&](const GroupOf& group) {
        group->sum(at::ones({4}));
        while (group->rank() == 1 && !done) std::this_thread::sleep_for(std::chrono::milliseconds(10));
        if (group->rank() == 1) return;
        try {
          group->sum(at::ones({4}));
        } catch (...) {
          done = true;
          throw;
        }
      },
      1);
  EXPECT_EQ(results[0].status, UDI_E_IO);
  EXPECT_TRUE(says(results[0].message, "rank 1 of 2 lives and has not come to where rank 0 waited: ncclAllReduce did "
                                       "not end within 1 s"))
      << results[0].message;
  EXPECT_GE(fake_nccl_aborts(), aborts + 1);
}

// All must be of one kind, and nobody waits in NCCL for one that is not.
TEST(Nccl, RefusesTwoKindsOfDevices) {
  const auto results = run_ranks(2, [](const GroupOf& group) {
    group->use_device(group->first() ? at::Device(at::kCPU) : at::Device(at::kCUDA, 0));
  });
  for (const auto& result : results) {
    EXPECT_EQ(result.status, UDI_E_INVALID);
    EXPECT_EQ(result.message, "rank 0 is on cpu, rank 1 on cuda: all must be on the CPU, or all on GPUs");
  }
}

}  // namespace
}  // namespace udi
