#include "jobs/plan.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "jobs/machine.h"
#include "model/config.h"

namespace udi {
namespace {

double square(double x) { return x * x; }

// What the backward pass needs of one crop: the tokens between all operations of each block, and the attention.
double activations(const udi_model_config& model, double patches) {
  const double tokens = patches + model.class_tokens;
  const double of_a_token = 9.0 * model.embed_dim + 2.0 * double(hidden_dim(model));
  return model.depth * tokens * (of_a_token + model.heads * tokens) * sizeof(float);
}

std::string count_text(int64_t count) {
  char out[32];
  if (count >= 1000000) {
    std::snprintf(out, sizeof out, "%.1f M", double(count) / 1e6);
  } else if (count >= 10000) {
    std::snprintf(out, sizeof out, "%.0f k", double(count) / 1e3);
  } else {
    std::snprintf(out, sizeof out, "%lld", (long long)count);
  }
  return out;
}

}  // namespace

std::string bytes_text(int64_t bytes) {
  char out[32];
  const double size = double(bytes);
  std::snprintf(out, sizeof out, size >= 1e9 ? "%.1f GB" : "%.0f MB", size >= 1e9 ? size / 1e9 : size / 1e6);
  return out;
}

std::vector<std::pair<std::string, int64_t>> memory_parts(const RunPlan& plan) {
  const udi_model_config& model = plan.model;
  const double weights = double(plan.parameters) * sizeof(float);
  const double copy16 = plan.train.precision == UDI_BF16 ? 0.5 : 0;
  const double moments = plan.train.optimizer == UDI_ADAMW ? 2 : 1;
  const double prototypes = double(model.out_dim) * model.head_bottleneck_dim * sizeof(float);
  const double global = square(double(plan.views.global_size)), local = square(double(plan.views.local_size));
  const double batch = double(plan.batch_size) * model.channels * (2 * global + plan.views.local_crops * local);
  const double global_crops = 2 * activations(model, global / square(double(model.patch_size)));
  const double local_crops = plan.views.local_crops * activations(model, local / square(double(model.patch_size)));
  constexpr double kLogitsRows = 64;  // logits exist for a block of rows at a time
  std::vector<std::pair<std::string, int64_t>> parts = {
      {"weights of student and teacher", int64_t(2 * weights * (1 + copy16))},
      {"gradients", int64_t(weights)},
      {"optimizer", int64_t(moments * weights)},
      {"prototypes and logits", int64_t(3 * prototypes + kLogitsRows * model.out_dim * sizeof(float))},
      {"activations", int64_t(double(plan.micro_batch) * std::max(global_crops, local_crops))},
      {"images ahead", int64_t((2.0 + double(plan.accumulate)) * batch)},
      {"libraries", int64_t(250) << 20},
  };
  std::stable_sort(parts.begin(), parts.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
  return parts;
}

Json announce(const JobHost& host, const RunPlan& plan, const std::string& data) {
  const udi_model_config& m = plan.model;
  const udi_train_config& t = plan.train;
  const int64_t per_step = plan.batch_size * plan.accumulate;
  const Host& log = host.host;
  log.log(UDI_LOG_INFO, "data:      ", plan.images, " images in ", data, "; 2 crops of ", plan.views.global_size,
          " and ", plan.views.local_crops, " of ", plan.views.local_size, " pixels of each");
  log.log(UDI_LOG_INFO, "model:     width ", m.embed_dim, ", ", m.depth, " blocks, ", m.heads, " heads, patches of ",
          m.patch_size, ", ", m.out_dim, " prototypes; ", count_text(plan.parameters), " parameters, ",
          count_text(plan.backbone_parameters), " of them in the backbone");
  log.log(UDI_LOG_INFO, "run:       ", plan.steps, " steps of ", per_step, " images, ", t.steps_per_epoch,
          " steps an epoch; learning rate up to ", t.lr, " in ", t.warmup_steps, " steps");
  int64_t sum = 0;
  std::string list;
  Json memory = Json::object();
  for (const auto& [name, bytes] : memory_parts(plan)) {
    sum += bytes;
    memory[name] = bytes;
    list += (list.empty() ? "" : ", ") + name + " " + bytes_text(bytes);
  }
  const int64_t available = host.device.is_cpu() ? available_bytes() : 0;
  log.log(UDI_LOG_INFO, "memory:    about ", bytes_text(sum), " on ", host.device.str(), ": ", list);
  if (available > 0 && sum > available) {
    log.log(UDI_LOG_WARN, "about ", bytes_text(sum), " are needed and ", bytes_text(available),
            " are free: a smaller micro_batch, batch_size or out_dim takes less");
  }
  return {{"images", plan.images},         {"images_a_step", per_step},
          {"steps", plan.steps},           {"steps_per_epoch", t.steps_per_epoch},
          {"parameters", plan.parameters}, {"backbone_parameters", plan.backbone_parameters},
          {"memory_bytes", sum},           {"memory", memory}};
}

}  // namespace udi
