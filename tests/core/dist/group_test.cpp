// What ranks exchange, and what they say of one that is gone.
#include "dist/group.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <thread>

#include "base/error.h"
#include "ranks.h"

namespace udi {
namespace {

using support::expect_well;
using support::run_ranks;
using support::says;

using GroupOf = std::shared_ptr<Group>;

int threads_now() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    if (word != "Threads:") continue;
    int count = 0;
    status >> count;
    return count;
  }
  return -1;
}

TEST(Group, OfOneNeedsNobody) {
  Group alone;
  EXPECT_EQ(alone.world(), 1);
  const at::Tensor values = at::arange(3, at::kFloat);
  alone.sum(values);
  alone.broadcast(values);
  EXPECT_TRUE(at::equal(values, at::arange(3, at::kFloat)));
  EXPECT_TRUE(at::equal(alone.gather(values).at(0), values));
  EXPECT_EQ(alone.gather_text("x"), std::vector<std::string>{"x"});
  EXPECT_THROW(alone.agree_on([] { fail(UDI_E_FORMAT, "no"); }), Error);
}

TEST(Group, Exchanges) {
  for (const int32_t world : {2, 3}) {
    expect_well(run_ranks(world, [&](const GroupOf& group) {
      const double rank = double(group->rank());
      const at::Tensor sum = at::full({5}, rank + 1, at::kDouble);
      group->sum(sum);
      EXPECT_EQ(sum[4].item<double>(), world * (world + 1) / 2.0);

      at::Tensor pieces = at::full({1000}, rank, at::kFloat);
      for (int64_t i = 0; i < 10; ++i) group->sum_later(pieces.narrow(0, 100 * i, 100));
      group->wait();
      EXPECT_TRUE((pieces == world * (world - 1) / 2.0).all().item<bool>());

      const at::Tensor first = at::full({3}, rank + 7, at::kFloat);
      group->broadcast(first);
      EXPECT_EQ(first[2].item<float>(), 7);

      const auto all = group->gather(at::full({2, 2}, rank, at::kFloat));
      ASSERT_EQ(int32_t(all.size()), world);
      for (int32_t r = 0; r < world; ++r) EXPECT_EQ(all[size_t(r)][1][1].item<float>(), r);
      EXPECT_EQ(int32_t(group->gather(at::ones({2}), true).size()), group->first() ? world : 0);

      const auto texts = group->gather_text(std::string(size_t(3 * rank), 'x'));
      for (int32_t r = 0; r < world; ++r) EXPECT_EQ(texts[size_t(r)], std::string(size_t(3 * r), 'x'));
      EXPECT_EQ(group->broadcast_text(group->first() ? "from the first" : ""), "from the first");
      EXPECT_EQ(group->broadcast_text(""), "");

      const auto words = group->agree([&](Group::Words& mine) { mine[7] = 10 + group->rank(); });
      for (int32_t r = 0; r < world; ++r) EXPECT_EQ(words[size_t(r)][7], 10 + r);
    }));
  }
}

// One rank's error is everyone's; after it the group is as good as before.
TEST(Group, FailsTogether) {
  const auto results = run_ranks(3, [&](const GroupOf& group) {
    const auto fails = [&](const auto& body) {
      try {
        group->agree_on(body);
      } catch (const Error& error) {
        return error;
      }
      return Error(UDI_OK, "");
    };
    const Error one = fails([&] {
      if (group->rank() == 1) fail(UDI_E_FORMAT, "a damaged file");
    });
    EXPECT_EQ(one.status, UDI_E_FORMAT);
    EXPECT_EQ(one.message, "rank 1 of 3: a damaged file");
    EXPECT_EQ(one.rank, 1);
    // Being asked to stop gives way to what went wrong.
    const Error two = fails([&] { fail(group->rank() == 2 ? UDI_E_IO : UDI_E_CANCELLED, "x"); });
    EXPECT_EQ(two.status, UDI_E_IO);
    EXPECT_EQ(two.rank, 2);
    EXPECT_EQ(fails([&] { fail(UDI_E_CANCELLED, "x"); }).status, UDI_E_CANCELLED);
    EXPECT_EQ(fails([&] {
                if (group->first()) throw std::bad_alloc();
              }).status,
              UDI_E_MEMORY);
    EXPECT_EQ(fails([] {}).status, UDI_OK);
  });
  expect_well(results);
}

TEST(Group, LeavesNoThreadBehind) {
  expect_well(run_ranks(2, [](const GroupOf&) {}));
  // A thread that was joined may be counted for a moment.
  const auto settled = [] {
    int count = threads_now();
    for (int i = 0; i < 50; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
      count = std::min(count, threads_now());
    }
    return count;
  };
  const int before = settled();
  expect_well(run_ranks(2, [](const GroupOf& group) {
    EXPECT_GT(threads_now(), 4);
    group->sum(at::ones({4}));
  }));
  EXPECT_LE(settled(), before);
}

// A rank that ends without a word is named by those that are left, whichever it is.
void expect_named(int64_t gone) {
  const auto results = run_ranks(3, [&](const GroupOf& group) {
    group->sum(at::ones({4}));
    if (group->rank() == gone) return;
    for (;;) group->sum(at::ones({4}));
  });
  const std::string name = "rank " + std::to_string(gone);
  for (int64_t rank = 0; rank < 3; ++rank) {
    if (rank == gone) continue;
    EXPECT_EQ(results[size_t(rank)].status, UDI_E_IO) << gone;
    EXPECT_TRUE(says(results[size_t(rank)].message, name)) << results[size_t(rank)].message;
    EXPECT_TRUE(says(results[size_t(rank)].message, "gone")) << results[size_t(rank)].message;
  }
}

TEST(Group, NamesTheRankThatIsGone) {
  std::vector<std::thread> at_once;
  for (int64_t gone = 0; gone < 3; ++gone) at_once.emplace_back(expect_named, gone);
  for (auto& thread : at_once) thread.join();
}

// One that leaves with a reason is quoted.
TEST(Group, QuotesTheRankThatLeaves) {
  const auto results = run_ranks(2, [&](const GroupOf& group) {
    if (group->rank() == 1) return group->leave("the disk is full");
    group->sum(at::ones({4}));
  });
  EXPECT_EQ(results[0].message, "rank 1 of 2: the disk is full");
}

// One that lives and does not come is named when time is up, and nothing works afterwards.
TEST(Group, NamesTheRankThatIsLate) {
  std::atomic<bool> done{false};
  const auto results = run_ranks(
      2,
      [&](const GroupOf& group) {
        group->sum(at::ones({4}));
        if (group->rank() == 1) {
          while (!done) std::this_thread::sleep_for(std::chrono::milliseconds(10));
          return;
        }
        std::string first, second;
        try {
          group->sum(at::ones({4}));
        } catch (const Error& error) {
          first = error.message;
        }
        try {
          group->agree_on([] {});
        } catch (const Error& error) {
          second = error.message;
        }
        done = true;
        EXPECT_TRUE(says(first, "rank 1 of 2 lives and has not come to where rank 0 waited")) << first;
        EXPECT_EQ(first, second);
      },
      1);
  expect_well(results);
}

TEST(Group, NamesTheRankThatHasNotCome) {
  Host host;
  GroupSettings settings;
  settings.rank = 0;
  settings.world = 3;
  settings.port = 0;
  settings.timeout = 0.3;
  try {
    Group group(settings, host);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.status, UDI_E_IO);
    EXPECT_TRUE(says(error.message, "rank 1 of 3 has not come to 127.0.0.1 port")) << error.message;
  }
  settings.rank = 1;
  settings.port = 1;  // nobody listens there
  try {
    Group group(settings, host);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.status, UDI_E_IO);
    EXPECT_TRUE(says(error.message, "nobody answers at 127.0.0.1 port 1")) << error.message;
  }
  host.cancelled = true;
  settings.timeout = 60;
  try {
    Group group(settings, host);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.status, UDI_E_CANCELLED);
  }
}

// Two processes that were told the same number, or different ones of the whole.
TEST(Group, RefusesRanksThatContradictEachOther) {
  std::atomic<int> arrived{0};
  const auto results = run_ranks(2, [&](const GroupOf& group) { arrived += int(group->world()); });
  EXPECT_EQ(arrived, 4);
  expect_well(results);

  support::MeetingPoint point;
  Host listening;
  listening.sink = [&](udi_log_level, const std::string& line) { point.hear(line); };
  std::string first, second;
  std::thread rank0([&] {
    try {
      Group group(point.settings(0, 3, 2), listening);
    } catch (const Error& error) {
      first = error.message;
    }
  });
  GroupSettings settings = point.settings(1, 2, 2);
  try {
    Group group(settings, Host());
  } catch (const Error& error) {
    second = error.message;
  }
  rank0.join();
  EXPECT_EQ(second, "rank 1 takes part in a run of 2, another rank in one of 3: every process must be told the same number");
  EXPECT_TRUE(says(first, "has not come")) << first;
}

}  // namespace
}  // namespace udi
