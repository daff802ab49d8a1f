// Weights from one file format to another.
#include "base/safetensors.h"
#include "jobs/features.h"
#include "jobs/model_file.h"
#include "model/config.h"
#include "train/checkpoint.h"
#include "weights/derive.h"
#include "weights/names.h"
#include "weights/onnx.h"
#include "weights/pth_write.h"

namespace udi {
namespace {

bool ends_with(const std::string& text, const std::string& end) {
  return text.size() > end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

std::string ending_of(const std::string& to) {
  return to == "official" ? ".pth" : to == "onnx" ? ".onnx" : ".safetensors";
}

std::string target_of(const JobConfig& config, const std::string& output) {
  const bool pth = ends_with(output, ".pth"), onnx = ends_with(output, ".onnx");
  check(pth || onnx || ends_with(output, ".safetensors"), UDI_E_INVALID, "output: ", output,
        " ends neither in .safetensors, nor in .pth, nor in .onnx");
  const std::string to = config.given("to") ? config.string("to") : pth ? "official" : onnx ? "onnx" : "udi";
  check(ends_with(output, ending_of(to)), UDI_E_INVALID, "to ", to, " is written to a file that ends in ",
        ending_of(to));
  return to;
}

// The fields of the configuration by which images become the model's input, as weights/derive.cpp reads them back.
nlohmann::json transform_of(const udi_model_config& config) {
  nlohmann::json transform = nlohmann::json::object();
  const nlohmann::json all = config_to_json(config);
  for (const char* name : kTransformFields) {
    if (all.contains(name)) transform[name] = all[name];
  }
  return transform;
}

// What the official code's readers, and ours, cannot see from the shapes. heads, srs_heads and the transform are no
// arguments of the official code, which passes over them.
nlohmann::json official_args(const udi_model_config& config) {
  nlohmann::json args = {{"patch_size", config.patch_size},
                         {"heads", config.heads},
                         {"srs_heads", config.srs_heads},
                         {"out_dim", config.out_dim},
                         {"norm_last_layer", config.norm_last_layer != 0},
                         {"drop_path_rate", config.drop_path_rate}};
  args.update(transform_of(config));
  return args;
}

// A checkpoint of a training run, with everything that the official code goes on from.
void write_official_run(const std::string& input, const FormatLimits& limits, const std::string& output) {
  const auto trainer = load_checkpoint(input, at::kCPU, false, limits).trainer;
  const auto tensors = trainer->tensors();
  const auto group = [&](const std::string& prefix) {
    std::vector<TensorView> views;
    for (const auto& [name, tensor] : tensors) {
      if (name.rfind(prefix, 0) != 0) continue;
      views.push_back(
          {name.substr(prefix.size()), UDI_F32, tensor.sizes().vec(), tensor.const_data_ptr(), tensor.nbytes()});
    }
    return views;
  };
  const udi_train_config& train = trainer->config();
  const auto state = trainer->state();
  OfficialCheckpoint checkpoint;
  checkpoint.student = group("student.");
  checkpoint.teacher = group("teacher.");
  checkpoint.center = group("center").at(0);
  checkpoint.epoch = state["steps"].get<int64_t>() / std::max<int64_t>(train.steps_per_epoch, 1);
  checkpoint.args = official_args(trainer->model_config());
  if (train.optimizer == UDI_ADAMW) {
    const auto first = group("exp_avg."), second = group("exp_avg_sq.");
    auto& optimizer = checkpoint.optimizer.emplace();
    optimizer.lr = train.lr;
    optimizer.weight_decay = train.weight_decay;
    optimizer.beta1 = train.beta1;
    optimizer.beta2 = train.beta2;
    optimizer.epsilon = train.epsilon;
    const auto layout = parameter_layout(trainer->model_config());
    for (size_t i = 0; i < layout.size(); ++i) {
      const int64_t updates = state["updates"][i];
      if (!layout[i].trainable) continue;
      optimizer.moments.push_back({layout[i].name, layout[i].decayed, updates, {}, {}});
      if (updates == 0) continue;
      optimizer.moments.back().exp_avg = first[i];
      optimizer.moments.back().exp_avg_sq = second[i];
    }
  }
  write_official_pth(output, checkpoint);
}

// Both roles of a file; where it holds one, that one twice.
void write_official(const std::string& input, const ModelFileOptions& options, const Model& model,
                    const std::string& output) {
  ModelFileOptions other = options;
  other.role = UDI_STUDENT;
  const Model student = open_model_file(input, other, at::kCPU).model;
  OfficialCheckpoint checkpoint;
  checkpoint.student = student.weights.views();
  checkpoint.teacher = model.weights.views();
  checkpoint.args = official_args(model.config);
  write_official_pth(output, checkpoint);
}

bool is_checkpoint(const std::string& path, const FormatLimits& limits) {
  return is_safetensors(path) &&
         SafetensorsFile(path, SafetensorsFile::limits_of(limits)).metadata().count("udi.train") > 0;
}

void write_timm(const Model& model, const std::string& output) {
  const TimmWeights weights = export_timm(model.weights.views(), true);
  Metadata metadata = {{"format", "pt"}, {"heads", std::to_string(model.config.heads)}};
  const nlohmann::json transform = transform_of(model.config);
  for (const auto& [name, value] : transform.items()) metadata[name] = value.dump();
  write_safetensors(output, weights.tensors, metadata);
}

// The metadata is the model's configuration, a field each.
void export_onnx(const Model& model, const std::string& output) {
  Metadata metadata;
  const nlohmann::json config = config_to_json(model.config);
  for (const auto& [name, value] : config.items()) metadata[name] = value.dump();
  write_onnx(output, model.config, model.weights.views(), metadata);
}

}  // namespace

Json run_convert(const JobHost& host, JobConfig& config) {
  const std::string input = config.string("input"), output = config.string("output");
  const std::string to = target_of(config, output);
  ModelFileOptions options = model_file_settings(config);
  options.partial = config.flag("partial");
  const ModelFile file = open_model_file(input, options, at::kCPU);
  for (const auto& note : file.notes) host.host.log(UDI_LOG_INFO, input, ": ", note);
  for (const auto& line : file.misfits) host.host.log(UDI_LOG_WARN, input, ": ", line);
  host.host.check_cancel();
  if (to == "udi") {
    save_model(file.model, output);
  } else if (to == "timm") {
    write_timm(file.model, output);
  } else if (to == "onnx") {
    export_onnx(file.model, output);
  } else if (is_checkpoint(input, options.limits)) {
    write_official_run(input, options.limits, output);
  } else {
    write_official(input, options, file.model, output);
  }
  return {{"input", input},
          {"layout", file.layout},
          {"output", output},
          {"to", to},
          {"parameters", file.model.weights.count()},
          {"notes", file.notes.size() + file.misfits.size()}};
}

}  // namespace udi
