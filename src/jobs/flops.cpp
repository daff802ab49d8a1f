#include "jobs/flops.h"

#include "model/config.h"

namespace udi {
namespace {

struct Sizes {
  double dim, hidden, depth, classes;
};

Sizes sizes_of(const udi_model_config& model) {
  return {double(model.embed_dim), double(hidden_dim(model)), double(model.depth), double(model.class_tokens)};
}

// A crop of `patches` patches through the backbone. In the last block all tokens are keys and values, and all of them,
// or the class tokens alone, are queries and go on to the MLP.
double backbone(const udi_model_config& model, double patches, bool class_tokens_only) {
  const Sizes s = sizes_of(model);
  const double tokens = patches + s.classes, last = class_tokens_only ? s.classes : tokens;
  const auto block = [&](double queries) {
    const double linear = 2 * tokens * 2 * s.dim * s.dim + 2 * queries * (2 * s.dim * s.dim + 2 * s.dim * s.hidden);
    return linear + 4 * queries * tokens * s.dim;
  };
  const double embed = 2 * patches * s.dim * model.channels * model.patch_size * model.patch_size;
  return embed + (s.depth - 1) * block(tokens) + block(last);
}

double srs(const udi_model_config& model, double patches, double queries) {
  const double dim = model.embed_dim;
  return 2 * patches * 2 * dim * dim + queries * (4 * dim * dim + 4 * patches * dim);
}

double head(const udi_model_config& model) {
  const double hidden = model.head_hidden_dim;
  return 2 * (model.embed_dim * hidden + hidden * hidden + hidden * model.head_bottleneck_dim);
}

double square(double x) { return x * x; }

}  // namespace

double extract_flops(const udi_model_config& model) {
  return backbone(model, square(double(model.image_size / model.patch_size)), true);
}

double step_flops(const udi_model_config& model, const udi_view_config& views, double valid_share) {
  const double grid = views.global_size / views.patch_size, local_grid = views.local_size / views.patch_size;
  const double locals = views.local_crops, classes = model.class_tokens;
  const bool patches = model.include_patch;
  const double samples = patches ? valid_share * square(double(int(grid) / views.global_window)) : 0;
  const double local_samples = patches ? valid_share * square(double(int(local_grid) / views.local_window)) : 0;
  const double prototypes = 2.0 * model.head_bottleneck_dim * model.out_dim;

  // The student's products come three times: forward, gradient of the input, gradient of the weights.
  const double student_rows = 2 * classes + 2 * samples + locals * classes;
  const double student_crops =
      2 * backbone(model, square(grid), !patches) + locals * backbone(model, square(local_grid), true);
  const double student_srs = patches ? 2 * srs(model, square(grid), samples) : 0;
  const double student = 3 * (student_crops + student_srs + student_rows * (head(model) + prototypes));

  // The teacher: one pass over two crops; local targets of both crops are averaged before the prototypes.
  const double teacher_head_rows = 2 + 2 * samples + 2 * locals * local_samples;
  const double teacher_logit_rows = 2 + 2 * samples + 1 + (classes > 1 ? 2 + locals : 0);
  const double teacher = 2 * backbone(model, square(grid), !patches) +
                         (patches ? 2 * srs(model, square(grid), samples + locals * local_samples) : 0) +
                         teacher_head_rows * head(model) + teacher_logit_rows * prototypes;
  return student + teacher;
}

}  // namespace udi
