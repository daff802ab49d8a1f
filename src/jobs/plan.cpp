#include "jobs/plan.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "data/masks.h"
#include "jobs/machine.h"
#include "jobs/watch.h"
#include "model/config.h"
#include "model/dense.h"
#include "train/trainer.h"

namespace udi {
namespace {

double square(double x) { return x * x; }

// Bytes that a vision transformer keeps of a crop of `patches` patches (the buffers of model/vit.h). narrow: bytes of a
// number among the activations; the residual stream keeps the weights' float32. flash: attention keeps a float32 number
// a row and head in place of probabilities.
struct CropBytes {
  double block;              // of each block, for the backward pass
  double forward, backward;  // shared by the blocks
};

CropBytes crop_bytes(const udi_model_config& model, double patches, double narrow, bool flash) {
  constexpr double kWide = sizeof(float);
  const double tokens = patches + model.class_tokens, dim = model.embed_dim, hidden = double(hidden_dim(model));
  const double pixels = model.channels * square(model.patch_size);
  const double attention = model.heads * (flash ? kWide : tokens * narrow);
  return {tokens * (2 * dim * kWide + (6 * dim + hidden) * narrow + attention),
          tokens * (dim * kWide + (pixels + 2 * dim) * narrow),
          tokens * (2 * dim * kWide + (2 * hidden + 5 * dim) * narrow)};
}

// The same of the SRS module, asked `queries` times for a mix of `taps` tokens, and of the head for a row.
double srs_bytes(const udi_model_config& model, double patches, double queries, double taps, double narrow) {
  const double dim = model.embed_dim;
  return narrow * (4 * patches * dim + queries * ((6 + 2 * taps) * dim + model.srs_heads * patches));
}
double head_bytes(const udi_model_config& model, double narrow) {
  return narrow * (2.0 * model.embed_dim + 2.0 * model.head_hidden_dim + 2.0 * model.head_bottleneck_dim);
}

// What one strand (train/strand.h) works in.
struct StrandBytes {
  double activations, logits;
};

StrandBytes strand_bytes(const RunPlan& plan, at::Device device, double images) {
  const udi_model_config& model = plan.model;
  const double narrow = plan.train.precision == UDI_BF16 ? 2 : 4;
  const double locals = plan.views.local_crops, classes = model.class_tokens;
  const int64_t grid = plan.views.global_size / model.patch_size;
  const int64_t local_grid = locals > 0 ? plan.views.local_size / model.patch_size : 0;
  const double patches = square(double(grid));
  const bool flash = !device.is_cpu() && plan.train.precision == UDI_BF16;
  const CropBytes global = crop_bytes(model, patches, narrow, flash),
                  local = crop_bytes(model, square(double(local_grid)), narrow, flash);
  double samples = 0, queries = 0;  // of a global crop, and those of all crops that its teacher answers
  if (model.include_patch) {
    samples = double(samples_of(grid, plan.views.global_window));
    queries = samples + locals * double(samples_of(local_grid, plan.views.local_window));
  }
  // On the CPU buffers serve global crops, then local ones: the larger use counts; elsewhere all at once. A backward
  // pass doubles what SRS and head hold.
  const auto in_turn = [&](double a, double b) { return device.is_cpu() ? std::max(a, b) : a + b; };
  const auto student = [&](const CropBytes& of) { return model.depth * of.block + of.forward + of.backward; };
  double crops = in_turn(2 * student(global), locals * student(local)) + 2 * (global.block + global.forward);
  if (model.include_patch) {
    crops += 2 * (2 * srs_bytes(model, patches, samples, 1, narrow) + srs_bytes(model, patches, queries, 4, narrow));
  }
  const double rows = in_turn(2 * (classes + samples), locals * classes), teacher_rows = 2 * (1 + queries);
  crops += (2.5 * rows + teacher_rows) * head_bytes(model, narrow);

  const double at_once = double(rows_at_once(model.out_dim, device));
  const double copies = device.is_cpu() ? 2 : 7;  // of student and teacher; elsewhere, of what ATen makes of them, too
  return {images * crops, copies * std::min(images * rows, at_once) * model.out_dim * sizeof(float)};
}

// LibTorch compiles 16-bit products on a CPU for their shapes and keeps the latest 1,024 a thread. Row counts follow
// the valid samples, so that steps go on bringing new shapes. Measured, not counted (docs/performance.md).
double compiled_bytes(const RunPlan& plan, at::Device device, double strands) {
  if (plan.train.precision != UDI_BF16 || !device.is_cpu()) return 0;
  constexpr double kAtOnce = 80e6, kStep = 8.5e6, kMost = 870e6;
  return strands * std::min(kMost, kAtOnce + kStep * double(plan.steps));
}

// Beside the training: a float32 copy of the teacher, its backbone packed for extraction, images ahead; then features
// of both sets, one token of them normalised, and their products (eval/knn.h).
double knn_bytes(const RunPlan& plan, at::Device device) {
  if (plan.knn_test == 0) return 0;
  const udi_model_config& model = plan.model;
  const double rows = double(plan.knn_train + plan.knn_test), width = model.embed_dim;
  const double images = 4.0 * kKnnWatchBatch * model.channels * square(model.image_size);
  double bytes = sizeof(float) * double(plan.parameters);
  if (!device.is_cpu()) return bytes + images;
  bytes += sizeof(float) * double(plan.backbone_parameters);
  const KnnOptions chunks;
  const double similar = double(std::min(chunks.test_chunk, plan.knn_test)) *
                         double(std::min(chunks.train_chunk, plan.knn_train)) * sizeof(float);
  const double features = sizeof(float) * rows * width;
  return bytes + model.class_tokens * features + std::max(images, features + similar);
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

std::vector<std::pair<std::string, int64_t>> memory_parts(const RunPlan& plan, at::Device device) {
  const udi_model_config& model = plan.model;
  const int64_t own = plan.batch_size / plan.ranks;  // of this rank in a batch
  const Spread spread = spread_of(model, plan.train, device, own * plan.accumulate, plan.views.global_size);
  const StrandBytes strand = strand_bytes(plan, device, double(spread.chunk));
  const double strands = double(spread.strands);
  const double weights = double(plan.parameters) * sizeof(float);
  const double copy16 = plan.train.precision == UDI_BF16 ? 0.5 : 0;
  const double moments = plan.train.optimizer == UDI_ADAMW ? 2 : 1;
  const double prototypes = double(model.out_dim) * model.head_bottleneck_dim * sizeof(float);
  const double global = square(plan.views.global_size), local = square(plan.views.local_size);
  const double batch = double(own) * model.channels * (2 * global + plan.views.local_crops * local);
  std::vector<std::pair<std::string, int64_t>> parts = {
      {"weights of student and teacher", int64_t(2 * weights * (1 + copy16))},
      {"gradients", int64_t(strands * weights)},
      {"optimizer", int64_t(moments * weights)},
      {"prototypes and logits", int64_t(2 * prototypes + strands * strand.logits)},
      {"activations", int64_t(strands * strand.activations)},
      {"images ahead", int64_t((2.0 + double(plan.accumulate)) * batch)},
      {"libraries", int64_t(160) << 20},
  };
  if (device.is_cpu()) {
    // Both backbones for products in float32, once a step; what a strand packs for other products as it meets them.
    const double packed = plan.train.precision == UDI_BF16 ? 0 : 2 * sizeof(float) * double(plan.backbone_parameters);
    if (packed > 0) parts.push_back({"packed weights", int64_t(packed)});
    parts.push_back({"products", int64_t(strands * double(gemm::kept_bytes()))});
  }
  const double compiled = compiled_bytes(plan, device, strands);
  if (compiled > 0) parts.push_back({"compiled products", int64_t(compiled)});
  if (plan.knn_test > 0) parts.push_back({"k-NN", int64_t(knn_bytes(plan, device))});
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
  const std::string ranks = plan.ranks > 1 ? text(" on ", plan.ranks, " ranks") : "";
  log.log(UDI_LOG_INFO, "run:       ", plan.steps, " steps of ", per_step, " images", ranks, ", ", t.steps_per_epoch,
          " steps an epoch; learning rate up to ", t.lr, " in ", t.warmup_steps, " steps");
  int64_t sum = 0;
  std::string list;
  Json memory = Json::object();
  for (const auto& [name, bytes] : memory_parts(plan, host.device)) {
    sum += bytes;
    memory[name] = bytes;
    list += (list.empty() ? "" : ", ") + name + " " + bytes_text(bytes);
  }
  const int64_t available = host.device.is_cpu() ? available_bytes() : 0;
  log.log(UDI_LOG_INFO, "memory:    about ", bytes_text(sum), " on ", host.device.str(), ": ", list);
  if (available > 0 && sum > available) {
    log.log(UDI_LOG_WARN, "about ", bytes_text(sum), " are needed and ", bytes_text(available),
            " are free: a smaller micro_batch, batch_size or out_dim, or fewer threads (OMP_NUM_THREADS), take less");
  }
  return {{"images", plan.images},
          {"images_a_step", per_step},
          {"ranks", plan.ranks},
          {"steps", plan.steps},
          {"steps_per_epoch", t.steps_per_epoch},
          {"parameters", plan.parameters},
          {"backbone_parameters", plan.backbone_parameters},
          {"memory_bytes", sum},
          {"memory", memory}};
}

}  // namespace udi
