#include "train/config.h"

#include <cmath>
#include <string>

#include "base/error.h"

namespace udi {
namespace {

// Every number, with its range, so that defaults, checks and JSON cannot forget one.
struct IntField {
  const char* name;
  int32_t udi_train_config::*field;
  int32_t low, high;
};
constexpr IntField kIntFields[] = {
    {"target_blend", &udi_train_config::target_blend, 0, 1},
    {"loss_reduction", &udi_train_config::loss_reduction, 0, 1},
    {"micro_batch", &udi_train_config::micro_batch, 0, 1 << 20},
    {"world", &udi_train_config::world, 1, 1 << 20},
    {"rank", &udi_train_config::rank, 0, (1 << 20) - 1},
    {"rank_reduction", &udi_train_config::rank_reduction, 0, 1},
    {"reserved", &udi_train_config::reserved, 0, 0},
};
struct LongField {
  const char* name;
  int64_t udi_train_config::*field;
  int64_t low, high;
};
constexpr int64_t kMaxSteps = int64_t(1) << 40;
constexpr LongField kLongFields[] = {
    {"total_steps", &udi_train_config::total_steps, 1, kMaxSteps},
    {"steps_per_epoch", &udi_train_config::steps_per_epoch, 1, kMaxSteps},
    {"warmup_steps", &udi_train_config::warmup_steps, 0, kMaxSteps},
    {"freeze_last_layer_steps", &udi_train_config::freeze_last_layer_steps, 0, kMaxSteps},
    {"teacher_temp_warmup_epochs", &udi_train_config::teacher_temp_warmup_epochs, 0, kMaxSteps},
};
struct RealField {
  const char* name;
  double udi_train_config::*field;
  double low, high;
};
constexpr RealField kRealFields[] = {
    {"lr", &udi_train_config::lr, 0, 1e6},
    {"min_lr", &udi_train_config::min_lr, 0, 1e6},
    {"weight_decay", &udi_train_config::weight_decay, 0, 1e6},
    {"weight_decay_end", &udi_train_config::weight_decay_end, 0, 1e6},
    {"clip_grad", &udi_train_config::clip_grad, 0, 1e12},
    {"momentum_teacher", &udi_train_config::momentum_teacher, 0, 1},
    {"momentum_teacher_end", &udi_train_config::momentum_teacher_end, 0, 1},
    {"student_temp", &udi_train_config::student_temp, 1e-4, 1e4},
    {"teacher_temp", &udi_train_config::teacher_temp, 1e-4, 1e4},
    {"warmup_teacher_temp", &udi_train_config::warmup_teacher_temp, 1e-4, 1e4},
    {"alpha", &udi_train_config::alpha, 0, 1},
    {"center_momentum", &udi_train_config::center_momentum, 0, 1},
    {"beta1", &udi_train_config::beta1, 0, 0.999999},
    {"beta2", &udi_train_config::beta2, 0, 0.99999999},
    {"epsilon", &udi_train_config::epsilon, 1e-30, 1},
    {"sgd_momentum", &udi_train_config::sgd_momentum, 0, 0.999999},
};

struct Word {
  const char* name;
  int32_t value;
};
constexpr Word kOptimizers[] = {{"adamw", UDI_ADAMW}, {"sgd", UDI_SGD}, {"lars", UDI_LARS}};
constexpr Word kPrecisions[] = {{"f32", UDI_F32}, {"bf16", UDI_BF16}};

template <size_t N>
const Word* find_word(const Word (&words)[N], int32_t value) {
  for (const Word& word : words) {
    if (word.value == value) return &word;
  }
  return nullptr;
}

template <size_t N>
void read_word(const nlohmann::json& value, const char* field, const Word (&words)[N], int32_t* out) {
  std::string known;
  for (const Word& word : words) {
    if (value == word.name) {
      *out = word.value;
      return;
    }
    known += std::string(known.empty() ? "" : ", ") + word.name;
  }
  fail(UDI_E_INVALID, field, " must be one of: ", known);
}

template <class Field, size_t N>
void check_fields(const Field (&fields)[N], const udi_train_config& config) {
  for (const Field& f : fields) {
    const auto value = config.*f.field;
    check(value >= f.low && value <= f.high, UDI_E_INVALID, f.name, " is ", value, ", must be ", f.low, " to ", f.high);
  }
}

template <class T>
void read_integer(const nlohmann::json& value, const char* name, int64_t low, int64_t high, T* out) {
  // Compared as JSON: an unsigned number beyond int64 would wrap in get<int64_t>.
  check(value.is_number_integer() && value >= low && value <= high, UDI_E_INVALID, name,
        " must be a whole number from ", low, " to ", high);
  *out = value.get<T>();
}

}  // namespace

void check_train_config(const udi_train_config& config) {
  check(find_word(kPrecisions, config.precision), UDI_E_INVALID, "precision is ", config.precision,
        ", must be UDI_F32 or UDI_BF16");
  check(find_word(kOptimizers, config.optimizer), UDI_E_INVALID, "optimizer is ", config.optimizer,
        ", must be UDI_ADAMW, UDI_SGD or UDI_LARS");
  check_fields(kIntFields, config);
  check_fields(kLongFields, config);
  check_fields(kRealFields, config);
  check(config.rank < config.world, UDI_E_INVALID, "rank is ", config.rank, ", must be 0 to ", config.world - 1);
}

nlohmann::json config_to_json(const udi_train_config& config) {
  nlohmann::json json = nlohmann::json::object();
  json["precision"] = find_word(kPrecisions, config.precision)->name;
  json["optimizer"] = find_word(kOptimizers, config.optimizer)->name;
  for (const IntField& f : kIntFields) {
    if (f.field != &udi_train_config::reserved) json[f.name] = config.*f.field;
  }
  for (const LongField& f : kLongFields) json[f.name] = config.*f.field;
  for (const RealField& f : kRealFields) json[f.name] = config.*f.field;
  json["seed"] = config.seed;
  return json;
}

udi_train_config train_config_from_json(const nlohmann::json& json) {
  check(json.is_object(), UDI_E_INVALID, "a training configuration must be a JSON object");
  udi_train_config config;
  udi_train_config_init(&config, sizeof config);
  for (const auto& item : json.items()) {
    const std::string& key = item.key();
    const nlohmann::json& value = item.value();
    bool known = true;
    if (key == "precision") {
      read_word(value, "precision", kPrecisions, &config.precision);
    } else if (key == "optimizer") {
      read_word(value, "optimizer", kOptimizers, &config.optimizer);
    } else if (key == "seed") {
      check(value.is_number_unsigned() || (value.is_number_integer() && value.get<int64_t>() >= 0), UDI_E_INVALID,
            "seed must be a whole number from 0 to 2^64 - 1");
      config.seed = value.get<uint64_t>();
    } else {
      known = false;
    }
    for (const IntField& f : kIntFields) {
      if (key != f.name) continue;
      known = true;
      read_integer(value, f.name, f.low, f.high, &(config.*f.field));
    }
    for (const LongField& f : kLongFields) {
      if (key != f.name) continue;
      known = true;
      read_integer(value, f.name, f.low, f.high, &(config.*f.field));
    }
    for (const RealField& f : kRealFields) {
      if (key != f.name) continue;
      known = true;
      check(value.is_number(), UDI_E_INVALID, f.name, " must be a number");
      config.*f.field = value.get<double>();
    }
    check(known, UDI_E_INVALID, "a training configuration has no field '", key, "'");
  }
  check_train_config(config);
  return config;
}

}  // namespace udi
