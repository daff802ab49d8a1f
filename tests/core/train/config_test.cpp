#include "train/config.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "support.h"

namespace udi {
namespace {

TEST(TrainConfig, SurvivesJson) {
  udi_train_config c = support::small_train();
  c.precision = UDI_BF16;
  c.optimizer = UDI_LARS;
  c.target_blend = c.loss_reduction = 1;
  c.micro_batch = 3;
  c.seed = UINT64_MAX;
  c.lr = 0.1 + 0.2;  // needs all its digits
  const nlohmann::json json = config_to_json(c);
  EXPECT_EQ(json.size(), 30u);  // every field but struct_size and reserved
  const udi_train_config back = train_config_from_json(nlohmann::json::parse(json.dump()));
  EXPECT_EQ(config_to_json(back), json);
  EXPECT_EQ(back.lr, c.lr);
  EXPECT_EQ(back.seed, c.seed);
  udi_train_config fallback;
  udi_train_config_init(&fallback, sizeof fallback);
  EXPECT_EQ(config_to_json(train_config_from_json(nlohmann::json::object())), config_to_json(fallback));
}

TEST(TrainConfig, NamesFieldValueAndLimit) {
  const auto message = [](auto change) {
    udi_train_config c = support::small_train();
    change(c);
    try {
      check_train_config(c);
    } catch (const Error& error) {
      EXPECT_EQ(error.status, UDI_E_INVALID);
      return error.message;
    }
    return std::string("accepted");
  };
  EXPECT_EQ(message([](udi_train_config&) {}), "accepted");
  EXPECT_EQ(message([](udi_train_config& c) { c.total_steps = 0; }), "total_steps is 0, must be 1 to 1099511627776");
  EXPECT_EQ(message([](udi_train_config& c) { c.alpha = 1.5; }), "alpha is 1.5, must be 0 to 1");
  EXPECT_NE(message([](udi_train_config& c) { c.lr = std::nan(""); }), "accepted");
  EXPECT_NE(message([](udi_train_config& c) { c.teacher_temp = 0; }), "accepted");
  EXPECT_NE(message([](udi_train_config& c) { c.micro_batch = -1; }), "accepted");
  EXPECT_NE(message([](udi_train_config& c) { c.optimizer = 4; }), "accepted");
  EXPECT_NE(message([](udi_train_config& c) { c.precision = UDI_F16; }), "accepted");
  EXPECT_EQ(message([](udi_train_config& c) { c.rank = 1, c.world = 2; }), "accepted");
  EXPECT_EQ(message([](udi_train_config& c) { c.rank = 1; }), "rank is 1, must be 0 to 0");
  EXPECT_NE(message([](udi_train_config& c) { c.world = 0; }), "accepted");
  EXPECT_THROW(Trainer(support::make_model(support::small_model()),
                       [] {
                         udi_train_config c = support::small_train();
                         c.beta1 = 1;
                         return c;
                       }()),
               Error);
}

TEST(TrainConfig, RefusesJsonThatItDoesNotKnow) {
  for (const char* bad : {R"({"learning_rate": 1})", R"({"lr": "1"})", R"({"total_steps": 1.5})", R"({"seed": -1})",
                          R"({"total_steps": 18446744073709551615})", R"({"optimizer": "adam"})", R"({"precision": 7})",
                          R"([])", R"({"rank": 1})"})
    EXPECT_THROW(train_config_from_json(nlohmann::json::parse(bad)), Error) << bad;
}

}  // namespace
}  // namespace udi
