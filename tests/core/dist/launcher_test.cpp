// Which rank this is, out of what launchers set. Slurm's and Open MPI's variables are as their manuals have them.
#include "dist/launcher.h"

#include <gtest/gtest.h>

#include <map>

#include "base/error.h"

namespace udi {
namespace {

using Variables = std::map<std::string, std::string>;

Environment environment_of(const Variables& variables) {
  return [&variables](const char* name) {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  };
}

Place place(const Variables& variables, const GroupSettings& settings = {}) {
  return place_of(settings, environment_of(variables));
}

std::string refused(const Variables& variables, const GroupSettings& settings = {}) {
  try {
    place(variables, settings);
  } catch (const Error& error) {
    EXPECT_EQ(error.status, UDI_E_INVALID);
    return error.message;
  }
  return "accepted";
}

bool says(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

TEST(Launcher, NoneIsOneProcess) {
  EXPECT_EQ(place({}).world, 1);
  EXPECT_EQ(place({{"RANK", "1"}}).world, 1);  // a shell's own variable, perhaps
  EXPECT_EQ(place({{"RANK", "0"}, {"WORLD_SIZE", "1"}, {"MASTER_ADDR", "nowhere"}}).address, "");
}

TEST(Launcher, Torchrun) {
  const Place there = place({{"RANK", "3"}, {"WORLD_SIZE", "4"}, {"MASTER_ADDR", "a.b"}, {"MASTER_PORT", "1234"}});
  EXPECT_EQ(there.rank, 3);
  EXPECT_EQ(there.world, 4);
  EXPECT_EQ(there.address, "a.b");
  EXPECT_EQ(there.port, 1234);
  EXPECT_FALSE(there.store_is_kept);
  const Place kept = place({{"RANK", "0"},
                            {"WORLD_SIZE", "2"},
                            {"TORCHELASTIC_USE_AGENT_STORE", "True"},
                            {"TORCHELASTIC_RESTART_COUNT", "2"}});
  EXPECT_TRUE(kept.store_is_kept);
  EXPECT_TRUE(says(kept.prefix, "attempt_2"));
  EXPECT_EQ(kept.port, kDefaultPort);
}

TEST(Launcher, OpenMpi) {
  Variables variables = {{"OMPI_COMM_WORLD_RANK", "1"},
                         {"OMPI_COMM_WORLD_SIZE", "2"},
                         {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"},
                         {"PMIX_NAMESPACE", "prterun-x-77@1"}};
  const Place there = place(variables);
  EXPECT_EQ(there.rank, 1);
  EXPECT_EQ(there.world, 2);
  EXPECT_EQ(there.address, "127.0.0.1");
  EXPECT_EQ(there.port, place(variables).port);
  EXPECT_NE(there.port, kDefaultPort);
  variables["OMPI_COMM_WORLD_LOCAL_SIZE"] = "1";
  EXPECT_TRUE(says(refused(variables), "MASTER_ADDR"));
  variables["MASTER_ADDR"] = "10.0.0.1";
  EXPECT_EQ(place(variables).address, "10.0.0.1");
}

TEST(Launcher, Slurm) {
  Variables variables = {{"SLURM_PROCID", "5"},       {"SLURM_NTASKS", "8"},  {"SLURM_LOCALID", "1"},
                         {"SLURM_JOB_ID", "123"},     {"SLURM_STEP_ID", "0"}, {"SLURM_STEP_NUM_TASKS", "6"},
                         {"SLURM_STEP_NODELIST", "gpu[03-05,9],other"}};
  const Place there = place(variables);
  EXPECT_EQ(there.rank, 5);
  EXPECT_EQ(there.world, 6);
  EXPECT_EQ(there.address, "gpu03");
  EXPECT_GE(there.port, 20000);
  EXPECT_LT(there.port, 30000);
  for (const auto& [list, host] : {std::pair("one", "one"), {"a,b[1-2]", "a"}, {"n[7]", "n7"}, {"n[1,4]", "n1"}}) {
    variables["SLURM_STEP_NODELIST"] = list;
    EXPECT_EQ(place(variables).address, host) << list;
  }
  variables["SLURM_NNODES"] = "1";
  EXPECT_EQ(place(variables).address, "127.0.0.1");
  variables.erase("SLURM_STEP_ID");  // the batch script itself: not started by srun
  EXPECT_EQ(place(variables).world, 1);
}

TEST(Launcher, WhatIsSaidComesFirst) {
  const Variables variables = {{"RANK", "1"}, {"WORLD_SIZE", "4"}, {"MASTER_ADDR", "a"}, {"MASTER_PORT", "1"}};
  GroupSettings settings;
  settings.world = 1;
  EXPECT_EQ(place(variables, settings).world, 1);
  settings.world = 2;
  settings.rank = 0;
  EXPECT_EQ(place(variables, settings).world, 2);
  EXPECT_EQ(place(variables, settings).rank, 0);
  EXPECT_EQ(place(variables, settings).address, "a");
  settings.address = "b";
  settings.port = 7;
  EXPECT_EQ(place(variables, settings).address, "b");
  EXPECT_EQ(place(variables, settings).port, 7);
}

TEST(Launcher, RefusesNonsense) {
  EXPECT_TRUE(says(refused({{"RANK", "x"}, {"WORLD_SIZE", "2"}}), "RANK is 'x', must be a whole number from 0 to 1"));
  EXPECT_TRUE(says(refused({{"RANK", "2"}, {"WORLD_SIZE", "2"}}), "RANK is '2'"));
  EXPECT_TRUE(says(refused({{"RANK", "-1"}, {"WORLD_SIZE", "2"}}), "RANK is '-1'"));
  EXPECT_TRUE(says(refused({{"RANK", "0"}, {"WORLD_SIZE", "99999999999999999999"}}), "WORLD_SIZE is"));
  EXPECT_TRUE(says(refused({{"RANK", "0"}, {"WORLD_SIZE", "2"}, {"MASTER_PORT", "65536"}}), "MASTER_PORT is"));
  EXPECT_TRUE(says(refused({{"RANK", "1"}, {"WORLD_SIZE", "2"}, {"MASTER_PORT", "0"}}), "port is 0 on rank 1"));
  EXPECT_TRUE(says(refused({{"OMPI_COMM_WORLD_RANK", "2"}, {"OMPI_COMM_WORLD_SIZE", "2"}}), "OMPI_COMM_WORLD_RANK"));
}

TEST(Launcher, LocalRank) {
  const auto local = [](const Variables& variables) { return local_rank(environment_of(variables)); };
  EXPECT_EQ(local({}), 0);
  EXPECT_EQ(local({{"LOCAL_RANK", "3"}}), 3);
  EXPECT_EQ(local({{"OMPI_COMM_WORLD_LOCAL_RANK", "2"}}), 2);
  EXPECT_EQ(local({{"SLURM_LOCALID", "1"}, {"SLURM_STEP_ID", "0"}}), 1);
}

}  // namespace
}  // namespace udi
