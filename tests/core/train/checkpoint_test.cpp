#include "train/checkpoint.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "base/files.h"
#include "support.h"
#include "train/checksum.h"

namespace udi {
namespace {

using support::make_model;
using support::make_views;
using support::small_model;
using support::small_train;

void steps(Trainer& trainer, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    const Views views = make_views(uint64_t(trainer.steps()));
    trainer.step({&views}, Host(), nullptr);
  }
}

Trainer trained(int64_t count, udi_train_config train = small_train()) {
  udi_model_config config = small_model();
  config.drop_path_rate = 0.2f;
  Trainer trainer(make_model(config), train);
  steps(trainer, count);
  return trainer;
}

void flip(const std::string& path, int64_t at) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(at);
  const char byte = char(file.get() ^ 1);
  file.seekp(at);
  file.put(byte);
}

int64_t size_of(const std::string& path) { return int64_t(std::filesystem::file_size(path)); }

TEST(Checksum, AgreesWithItsSpecification) {
  EXPECT_EQ(xxh64("", 0), 0xEF46DB3751D8E999u);
  EXPECT_EQ(xxh64("abc", 3), 0x44BC2CF5AD770999u);
  EXPECT_EQ(xxh64_hex("", 0), "ef46db3751d8e999");
  const std::string text = "Nobody inspects the spammish repetition";  // longer than one stripe of 32
  EXPECT_EQ(xxh64(text.data(), text.size()), 0xFBCEA83C8A378BF1u);
}

class Resumed : public testing::TestWithParam<udi_optimizer> {};

TEST_P(Resumed, GoesOnToTheSameBits) {
  support::TemporaryFolder folder;
  const std::string path = folder.path + "/checkpoint.safetensors";
  udi_train_config train = small_train();
  train.optimizer = GetParam();
  train.seed = 77;
  Trainer straight = trained(3, train);  // beyond the frozen last layer: counts of updates differ
  const nlohmann::json extra = {{"position", 3}, {"words", {"a", "\xC3\xA9"}}};
  save_checkpoint(straight, extra, path);
  steps(straight, 4);

  LoadedCheckpoint loaded = load_checkpoint(path, at::kCPU, false);
  EXPECT_EQ(loaded.extra, extra);
  EXPECT_EQ(loaded.path, path);
  EXPECT_EQ(loaded.damage, "");
  EXPECT_EQ(loaded.trainer->steps(), 3);
  EXPECT_EQ(config_to_json(loaded.trainer->config()), config_to_json(train));
  steps(*loaded.trainer, 4);
  EXPECT_TRUE(support::same_bits(straight, *loaded.trainer));
}

INSTANTIATE_TEST_SUITE_P(All, Resumed, testing::Values(UDI_ADAMW, UDI_SGD, UDI_LARS));

TEST(Checkpoint, IsAModelToo) {
  support::TemporaryFolder folder;
  const std::string path = folder.path + "/c.safetensors";
  Trainer trainer = trained(3);
  save_checkpoint(trainer, {}, path);
  const SafetensorsFile file(path);
  EXPECT_TRUE(at::equal(load_model(file, UDI_STUDENT, at::kCPU).weights.flat, trainer.student().flat));
  EXPECT_TRUE(at::equal(load_model(file, UDI_TEACHER, at::kCPU).weights.flat, trainer.teacher().flat));
  EXPECT_EQ(file.at("center").shape, (std::vector<int64_t>{3, 60}));
  EXPECT_NE(file.find("exp_avg_sq.head.0.mlp.0.weight"), nullptr);
}

TEST(Checkpoint, KeepsThePreviousOne) {
  support::TemporaryFolder folder;
  const std::string path = folder.path + "/c.safetensors";
  Trainer trainer = trained(0);
  for (int64_t i = 0; i < 3; ++i) {
    save_checkpoint(trainer, {}, path);
    EXPECT_EQ(load_checkpoint(path, at::kCPU, false).trainer->steps(), i);
    if (i > 0) {
      EXPECT_EQ(load_checkpoint(previous_checkpoint(path), at::kCPU, false).trainer->steps(), i - 1);
    }
    steps(trainer, 1);
  }
  size_t files = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder.path)) ++files;
  EXPECT_EQ(files, 2u);  // nothing temporary is left
}

TEST(Checkpoint, DamageIsNamedAndThePreviousOneUsed) {
  support::TemporaryFolder folder;
  const std::string path = folder.path + "/c.safetensors";
  Trainer trainer = trained(1);
  save_checkpoint(trainer, {}, path);
  steps(trainer, 1);
  save_checkpoint(trainer, {}, path);
  // One bit of the last tensor's bytes.
  const SafetensorsFile intact(path);
  const std::string last = intact.tensors().back().name;
  flip(path, size_of(path) - 1);
  try {
    load_checkpoint(path, at::kCPU, false);
    FAIL() << "a damaged checkpoint was read";
  } catch (const Error& error) {
    EXPECT_EQ(error.status, UDI_E_FORMAT);
    EXPECT_NE(error.message.find(path), std::string::npos) << error.message;
    EXPECT_NE(error.message.find("'" + last + "'"), std::string::npos) << error.message;
  }
  LoadedCheckpoint loaded = load_checkpoint(path, at::kCPU, true);
  EXPECT_EQ(loaded.path, previous_checkpoint(path));
  EXPECT_NE(loaded.damage.find(last), std::string::npos);
  EXPECT_EQ(loaded.trainer->steps(), 1);
  std::filesystem::remove(path);
  EXPECT_EQ(load_checkpoint(path, at::kCPU, true).trainer->steps(), 1);
  flip(previous_checkpoint(path), size_of(previous_checkpoint(path)) - 1);
  EXPECT_THROW(load_checkpoint(path, at::kCPU, true), Error);
}

// A bit anywhere, an end anywhere: an error, never a crash and never a run from wrong numbers.
TEST(Checkpoint, NoDamageGoesUnseen) {
  support::TemporaryFolder folder;
  const std::string path = folder.path + "/c.safetensors", copy = folder.path + "/d.safetensors";
  Trainer before = trained(1);
  save_checkpoint(before, {{"position", 12345}}, path);
  const int64_t size = size_of(path);
  Random random(1, Random::kTest);
  int64_t header = 0;
  std::ifstream(path, std::ios::binary).read(reinterpret_cast<char*>(&header), 8);
  for (int i = 0; i < 120; ++i) {
    std::filesystem::copy_file(path, copy, std::filesystem::copy_options::overwrite_existing);
    const int64_t where = int64_t(random.below(uint64_t(i % 3 ? header : size)));  // the header more often
    if (i % 10 == 9) {
      std::filesystem::resize_file(copy, uint64_t(where));
    } else {
      flip(copy, where);
    }
    EXPECT_THROW(load_checkpoint(copy, at::kCPU, false), Error) << "byte " << where << " of " << size;
  }
}

// Someone rewrites a file whole, checksums and all: shapes and counts are checked before memory is taken.
TEST(Checkpoint, RefusesWhatDoesNotFitTogether) {
  support::TemporaryFolder folder;
  const std::string path = folder.path + "/c.safetensors", forged = folder.path + "/f.safetensors";
  Trainer before = trained(1);
  save_checkpoint(before, {}, path);
  const SafetensorsFile file(path);
  const auto forge = [&](const std::string& key, const std::string& value, size_t drop = 0) {
    Metadata metadata = file.metadata();
    metadata[key] = value;
    nlohmann::json sums = nlohmann::json::parse(metadata["udi.checksums"]);
    std::vector<TensorView> tensors(file.tensors().begin(), file.tensors().end() - int64_t(drop));
    for (size_t i = tensors.size(); i < file.tensors().size(); ++i) sums.erase(file.tensors()[i].name);
    sums["metadata:" + key] = xxh64_hex(value.data(), value.size());
    metadata["udi.checksums"] = sums.dump();
    write_safetensors(forged, tensors, metadata);
    try {
      load_checkpoint(forged, at::kCPU, false);
    } catch (const Error& error) {
      return error.status;
    }
    return udi_status(UDI_OK);
  };
  const std::string model = file.metadata().at(kConfigKey);
  ASSERT_EQ(forge(kConfigKey, model), UDI_OK);  // the forger's tools work
  EXPECT_EQ(forge(kConfigKey, model, 1), UDI_E_FORMAT);
  nlohmann::json huge = nlohmann::json::parse(model);
  huge["out_dim"] = 1 << 22;
  EXPECT_EQ(forge(kConfigKey, huge.dump()), UDI_E_FORMAT);
  EXPECT_EQ(forge(kConfigKey, "{}"), UDI_E_FORMAT);
  EXPECT_EQ(forge("udi.state", R"({"steps": -1, "updates": []})"), UDI_E_FORMAT);
  EXPECT_EQ(forge("udi.state", R"({"steps": 1.5})"), UDI_E_FORMAT);
  EXPECT_EQ(forge("udi.state", "[]"), UDI_E_FORMAT);
  EXPECT_EQ(forge("udi.train", R"({"optimizer": "sgd"})"), UDI_E_FORMAT);
  EXPECT_NE(forge("udi.train", R"({"lr": "much"})"), UDI_OK);
  EXPECT_EQ(forge("udi.format", "2"), UDI_E_VERSION);
  EXPECT_EQ(forge("udi.format", "\"x\""), UDI_E_FORMAT);
}

TEST(Checkpoint, AFailedSaveLeavesTheOldOne) {
  support::TemporaryFolder folder;
  const std::string path = folder.path + "/c.safetensors";
  Trainer trainer = trained(1);
  save_checkpoint(trainer, {}, path);
  steps(trainer, 1);
  std::filesystem::create_directories(path + ".next/in the way");
  EXPECT_THROW(save_checkpoint(trainer, {}, path), Error);
  EXPECT_EQ(load_checkpoint(path, at::kCPU, false).trainer->steps(), 1);
  EXPECT_THROW(save_checkpoint(trainer, {}, folder.path + "/no/such/folder"), Error);
}

}  // namespace
}  // namespace udi
