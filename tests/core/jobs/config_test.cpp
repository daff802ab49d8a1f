#include "jobs/config.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace udi {
namespace {

// The message of the failure, which must be UDI_E_INVALID.
std::string failure(const std::string& job, const std::string& config) {
  try {
    JobConfig(job, config);
  } catch (const Error& error) {
    EXPECT_EQ(error.status, UDI_E_INVALID) << error.message;
    return error.message;
  }
  ADD_FAILURE() << job << " takes " << config;
  return "";
}

void expect_failure(const std::string& job, const std::string& config, const std::string& part) {
  EXPECT_NE(failure(job, config).find(part), std::string::npos) << failure(job, config);
}

const char kPretrain[] = R"({"data": "d", "out": "o"})";

TEST(Schema, EveryDefaultPassesItsOwnCheck) {
  for (const char* job : {"pretrain", "extract", "knn", "attention", "inspect", "convert", "bench", "demo-data"}) {
    Json config = Json::object();
    for (const auto& option : find_job(job).options) {
      EXPECT_FALSE(option.name.empty());
      if (!option.fallback.is_null()) config[option.name] = option.fallback;
      if (option.required) config[option.name] = option.type == "enum" ? option.choices.at(0) : "x";
    }
    EXPECT_NO_THROW(JobConfig(job, config.dump())) << job;
  }
}

TEST(Schema, WhatOptionsNeedAreOptions) {
  for (const char* job : {"pretrain", "extract", "knn", "attention", "inspect", "convert", "bench", "demo-data"}) {
    for (const auto& option : find_job(job).options) {
      EXPECT_TRUE(option.needs.empty() || find_job(job).find(option.needs)) << job << " " << option.name;
    }
  }
}

TEST(Schema, PresetsNameOptionsThatExistWithValuesThatPass) {
  for (const char* preset : {"paper", "code", "small-data"}) {
    Json config = Json::parse(kPretrain);
    for (const auto& [name, value] : preset_defaults(preset).items()) config[name] = value;
    EXPECT_NO_THROW(JobConfig("pretrain", config.dump())) << preset;
  }
}

TEST(Config, FillsInDefaultsThenPresetThenValues) {
  const JobConfig paper("pretrain", kPretrain);
  EXPECT_EQ(paper.integer("local_crops"), 10);
  EXPECT_FALSE(paper.flag("norm_last_layer"));
  EXPECT_FALSE(paper.given("embed_dim"));
  const JobConfig code("pretrain", R"({"data": "d", "out": "o", "preset": "code"})");
  EXPECT_EQ(code.integer("local_crops"), 6);
  EXPECT_TRUE(code.flag("norm_last_layer"));
  const JobConfig own("pretrain", R"({"data": "d", "out": "o", "preset": "code", "local_crops": 2, "lr": 1})");
  EXPECT_EQ(own.integer("local_crops"), 2);
  EXPECT_EQ(own.number("lr"), 1.0);
  EXPECT_EQ(own.string("preset"), "code");
}

TEST(Config, ReadsEveryType) {
  const JobConfig knn("knn", R"({"train": "a", "test": "b", "k": [10, 20.0], "token": "both", "temperature": 1})");
  EXPECT_EQ(knn.integers("k"), (std::vector<int64_t>{10, 20}));
  EXPECT_EQ(knn.choice("token"), 2);
  EXPECT_EQ(knn.number("temperature"), 1.0);
  const JobConfig one("knn", R"({"train": "a", "test": "b", "k": 7})");
  EXPECT_EQ(one.integers("k"), std::vector<int64_t>{7});
  const JobConfig attention("attention", R"({"model": "m", "data": "d", "out": "o", "source": ["srs"]})");
  EXPECT_EQ(attention.strings("source"), std::vector<std::string>{"srs"});
}

TEST(Config, ItsValuesAreAConfigurationAgain) {
  const JobConfig first("pretrain", R"({"data": "d", "out": "o", "preset": "small-data", "steps": 12})");
  const JobConfig second("pretrain", first.values().dump());
  EXPECT_EQ(first.values(), second.values());
}

TEST(Config, NamesTheNearestOption) {
  expect_failure("pretrain", R"({"data": "d", "out": "o", "bach_size": 3})", "did you mean 'batch_size'?");
  expect_failure("pretrain", R"({"data": "d", "out": "o", "batch-size": 3})", "did you mean 'batch_size'?");
  EXPECT_EQ(failure("pretrain", R"({"data": "d", "out": "o", "zzzzzzzzzzz": 3})").find("did you mean"),
            std::string::npos);
  expect_failure("pretrian", "{}", "did you mean 'pretrain'?");
  expect_failure("", "{}", "Jobs: ");
}

TEST(Config, NamesOptionValueAndLimit) {
  expect_failure("pretrain", R"({"data": "d", "out": "o", "batch_size": 0})",
                 "batch_size: 0 is below the minimum of 1");
  expect_failure("pretrain", R"({"data": "d", "out": "o", "alpha": 1.5})", "alpha: 1.5 is above the maximum of 1");
  expect_failure("pretrain", R"({"data": "d", "out": "o", "batch_size": 2.5})", "batch_size: 2.5 is not an integer");
  expect_failure("pretrain", R"({"data": "d", "out": "o", "batch_size": "8"})", "batch_size: \"8\" is not an integer");
  expect_failure("pretrain", R"({"data": "d", "out": "o", "seed": 18446744073709551615})", "seed");
  expect_failure("pretrain", R"({"data": "d", "out": "o", "seed": 1e300})", "seed");
  expect_failure("pretrain", R"({"data": "d", "out": "o", "lr": true})", "lr: true is not a number");
  expect_failure("pretrain", R"({"data": "d", "out": "o", "lr": 1e999})", "not valid JSON");
  expect_failure("pretrain", R"({"data": "d", "out": "o", "dry_run": 1})", "dry_run: 1 is not true or false");
  expect_failure("pretrain", R"({"data": "d", "out": "o", "arch": "vit_giant"})", "vit_tiny, vit_small, vit_base");
  expect_failure("pretrain", R"({"data": 3, "out": "o"})", "data: 3 is not a text");
  expect_failure("pretrain", R"({"data": "", "out": "o"})", "data: is empty");
  expect_failure("pretrain", "{\"data\": \"a\\u0000b\", \"out\": \"o\"}", "zero byte");
  expect_failure("pretrain", R"({"out": "o"})", "'data' must be given");
  expect_failure("pretrain", R"({"data": null, "out": "o"})", "'data' must be given");
  expect_failure("knn", R"({"train": "a", "test": "b", "k": []})", "k: the list is empty");
  expect_failure("knn", R"({"train": "a", "test": "b", "k": [5, 0]})", "k: 0 is below");
}

TEST(Config, RefusesOptionsThatWouldDoNothing) {
  const std::pair<const char*, const char*> idle[] = {
      {R"("knn_every": 3)", "knn_every: does nothing without knn_train"},
      {R"("knn_k": 5)", "knn_k: does nothing without knn_train"},
      {R"("report_images": "i")", "report_images: does nothing without report"},
      {R"("partial": true)", "partial: does nothing without init"}};
  for (const auto& [option, words] : idle) {
    expect_failure("pretrain", std::string(R"({"data": "d", "out": "o", )") + option + "}", words);
  }
  EXPECT_NO_THROW(JobConfig("pretrain", R"({"data": "d", "out": "o", "knn_k": 20, "partial": false})"));
  EXPECT_NO_THROW(JobConfig(
      "pretrain", R"({"data": "d", "out": "o", "knn_k": 5, "knn_every": 3, "knn_train": "a", "knn_test": "b"})"));
}

TEST(Config, RefusesWhatIsNoObjectOfOptions) {
  expect_failure("pretrain", "", "not valid JSON");
  expect_failure("pretrain", "[1, 2]", "must be a JSON object");
  expect_failure("pretrain", "3", "must be a JSON object");
  expect_failure("pretrain", R"({"data": "d", "out": "o", "out": "p"})", "'out' is given twice");
  expect_failure("pretrain", std::string(100000, '['), "not valid JSON");
  expect_failure("pretrain",
                 R"({"data": "d", "out": "o", "lr": )" + std::string(50000, '[') + std::string(50000, ']') + "}",
                 "lr: a list is not a number");
  expect_failure("pretrain", std::string((1 << 20) + 1, ' '), "more than the limit");
  expect_failure("pretrain", "{\"data\": \"\xff\", \"out\": \"o\"}", "not valid JSON");
}

TEST(Config, ListsDifferencesButNotOfFreeOptions) {
  const Json before = JobConfig("pretrain", kPretrain).values();
  Json now = before;
  EXPECT_TRUE(differences("pretrain", before, now).empty());
  now["workers"] = 7;
  now["log_steps"] = 1;
  EXPECT_TRUE(differences("pretrain", before, now).empty());
  now["lr"] = 0.25;
  now["embed_dim"] = 96;
  EXPECT_EQ(differences("pretrain", before, now),
            (std::vector<std::string>{"embed_dim: null before, 96 now", "lr: 0.0005 before, 0.25 now"}));
}

}  // namespace
}  // namespace udi
