#include "replay_train.h"

#include <cstring>

#include "../core/model/golden.h"
#include "base/files.h"

namespace udi {
namespace {

template <class T>
std::vector<T> values(const SafetensorsFile& file, const std::string& name) {
  const TensorView& view = file.at(name);
  std::vector<T> out(view.bytes / sizeof(T));
  std::memcpy(out.data(), view.data, view.bytes);
  return out;
}

Views read_batch(const SafetensorsFile& file, const std::string& prefix, int64_t patch_size) {
  Views views;
  const TensorView& global = file.at(prefix + "global_u8");
  views.batch = global.shape.at(1);
  views.channels = global.shape.at(2);
  views.global_size = global.shape.at(4);
  views.global = values<uint8_t>(file, prefix + "global_u8");
  if (const TensorView* local = file.find(prefix + "local_u8")) {
    views.local_crops = local->shape.at(0);
    views.local_size = local->shape.at(4);
    views.local = values<uint8_t>(file, prefix + "local_u8");
    views.sample_local = values<uint8_t>(file, prefix + "sample_local");
  }
  views.patch_size = patch_size;
  views.coords = values<float>(file, prefix + "coords");
  views.sample_global = values<uint8_t>(file, prefix + "sample_global");
  for (int64_t i = 0; i < views.batch; ++i) views.sample.push_back(i);
  views.maps =
      make_sample_maps(views.batch, views.local_crops, views.global_size / patch_size, views.local_size / patch_size,
                       views.coords.data(), views.sample_global.data(), views.sample_local.data());
  return views;
}

udi_train_config read_config(const nlohmann::json& j) {
  udi_train_config c;
  udi_train_config_init(&c, sizeof c);
  c.steps_per_epoch = j.at("iters_per_epoch");
  c.total_steps = j.at("epochs").get<int64_t>() * c.steps_per_epoch;
  c.warmup_steps = j.at("warmup_epochs").get<int64_t>() * c.steps_per_epoch;
  c.freeze_last_layer_steps = j.at("freeze_last").get<int64_t>() * c.steps_per_epoch;
  c.teacher_temp_warmup_epochs = j.at("temp_epochs");
  c.warmup_teacher_temp = j.at("temp0");
  c.teacher_temp = j.at("temp1");
  c.lr = j.at("lr");
  c.min_lr = j.at("min_lr");
  c.weight_decay = j.at("wd");
  c.weight_decay_end = j.at("wd_end");
  c.momentum_teacher = j.at("momentum");
  c.clip_grad = j.at("clip");
  c.alpha = j.at("alpha");
  return c;
}

TensorView doubles(const char* name, std::vector<int64_t> shape, const std::vector<double>& values) {
  return {name, UDI_F64, std::move(shape), values.data(), values.size() * sizeof(double)};
}

}  // namespace

GoldenRun::GoldenRun(const std::string& folder)
    : model(model_from_tensors(golden::config(folder), SafetensorsFile(folder + "/init.safetensors").tensors(), false,
                               nullptr, at::kCPU)) {
  const nlohmann::json json = nlohmann::json::parse(read_text(folder + "/golden.json"));
  train = read_config(json.at("config"));
  steps = int64_t(json.at("steps").size());
  const SafetensorsFile file(folder + "/batches.safetensors");
  for (int i = 0; i < 3; ++i) {
    batches.push_back(read_batch(file, "b" + std::to_string(i) + ".", model.config.patch_size));
  }
}

GoldenReplay replay(Trainer& trainer, const GoldenRun& run) {
  GoldenReplay out;
  const Host host;
  for (int64_t i = 0; i < run.steps; ++i) {
    udi_step_stats stats{};
    trainer.step({&run.batches[size_t(i) % run.batches.size()]}, host, &stats);
    out.stats.push_back(stats);
    if (i == 0) {
      const Parameters& grads = trainer.gradients();
      out.first_gradients = grads.to(grads.dtype(), grads.dtype(), grads.device());
    }
  }
  return out;
}

void write_replay(const Trainer& trainer, const GoldenReplay& replay, const std::vector<TensorView>& more,
                  const std::string& path) {
  std::vector<double> loss, parts;
  for (const udi_step_stats& s : replay.stats) {
    loss.push_back(s.loss);
    parts.insert(parts.end(), {s.global_cls, s.global_cls_plus, s.global_patch, s.local_cls, s.local_cls_plus});
  }
  const int64_t steps = int64_t(loss.size());
  std::vector<TensorView> all = {doubles("loss", {steps}, loss), doubles("parts", {steps, 5}, parts)};
  const auto add = [&](const std::vector<TensorView>& views) { all.insert(all.end(), views.begin(), views.end()); };
  const auto& entries = trainer.student().entries();
  const std::vector<TensorView> grads = replay.first_gradients.views("grads.");
  for (size_t i = 0; i < entries.size(); ++i) {
    if (entries[i].trainable) all.push_back(grads[i]);
  }
  add(trainer.student().views("student."));
  add(trainer.teacher().views("teacher."));
  const at::Tensor center = trainer.centers().to(at::kFloat).contiguous();
  all.push_back({"center", UDI_F32, center.sizes().vec(), center.const_data_ptr(), center.nbytes()});
  add(more);
  write_safetensors(path, all, {});
}

}  // namespace udi
