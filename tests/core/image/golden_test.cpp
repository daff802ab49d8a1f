// Every operation of tests/golden/augment.json, through the code that udi-golden runs.
#include <gtest/gtest.h>

#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>

#include "../../golden/replay_augment.h"
#include "image/support.h"

namespace udi {
namespace {

using Json = nlohmann::json;
using udi_test::Difference;

bool may_differ_by_one(const std::string& op) {
  return op == "brightness" || op == "contrast" || op == "saturation" || op == "hue" || op == "gaussian_blur";
}

TEST(Golden, EveryOperationIsPillows) {
  const std::string base = std::string(UDI_TEST_DIR) + "/golden/augment";
  const udi_test::TempFolder folder;
  replay_augment(base, folder / "out.safetensors");
  const SafetensorsFile want(base + ".safetensors"), got(folder / "out.safetensors");
  const Json recipe = Json::parse(read_text(base + ".json"));
  ASSERT_EQ(got.tensors().size(), recipe.at("ops").size());
  std::map<std::string, Difference> worst;
  for (const Json& entry : recipe.at("ops")) {
    const std::string key = entry.at("key"), op = entry.at("op");
    const TensorView &a = got.at(key), &b = want.at(key);
    ASSERT_EQ(a.shape, b.shape) << key;
    const Difference d =
        udi_test::difference(static_cast<const uint8_t*>(a.data), static_cast<const uint8_t*>(b.data), size_t(a.bytes));
    EXPECT_LE(d.largest, may_differ_by_one(op) ? 1 : 0) << key;
    EXPECT_LE(d.mean, 0.1) << key;
    worst[op].largest = std::max(worst[op].largest, d.largest);
    worst[op].mean = std::max(worst[op].mean, d.mean);
  }
  for (const auto& [op, d] : worst) std::printf("  %-38s largest %d, mean %.4f\n", op.c_str(), d.largest, d.mean);
}

}  // namespace
}  // namespace udi
