#include "model/extractor.h"

#include <algorithm>

namespace udi {

bool Extractor::Asked::operator==(const Asked& other) const {
  const udi_extract_config &a = options, &b = other.options;
  return model == other.model && version == other.version && host == other.host && way == other.way &&
         stream == other.stream && graphs == other.graphs && a.token == b.token && a.block == b.block &&
         a.num_blocks == b.num_blocks && a.normalize == b.normalize && a.batch_size == b.batch_size &&
         a.precision == b.precision;
}

// The kept one, unless it would fill up more than half of its batches with nothing.
std::unique_ptr<Extraction> Extractor::take(const Asked& asked, int64_t count, int64_t patches) {
  const Model& model = *asked.model;
  const int64_t wanted = std::min(count, images_at_once(model, asked.options, patches));
  std::unique_ptr<Extraction> kept = std::move(kept_);
  if (kept && asked_ == asked && kept->capacity() >= wanted && kept->capacity() / 2 < wanted) return kept;
  kept.reset();  // before its successor takes memory
  ++made_;
  asked_ = asked;
  udi_extract_config options = asked.options;
  if (options.batch_size >= 0) options.batch_size = int32_t(wanted);  // else it is refused
  return std::make_unique<Extraction>(model, options, asked.host, patches, asked.way);
}

at::Tensor Extractor::extract(const Model& model, const at::Tensor& images, udi_layout layout,
                              const udi_extract_config& options, const Host* host, Extraction::Way way) {
  const at::Tensor all = channels_first(model, images, layout);
  const int64_t patch = model.config.patch_size, count = all.size(0);
  const Asked asked = {&model, model.weights.version(), options, host, way, current_stream(model.weights.device()),
                       kernels::graphs()};
  std::unique_ptr<Extraction> extraction = take(asked, count, all.size(2) / patch * (all.size(3) / patch));
  const int64_t at_once = extraction->staged() ? extraction->capacity() : count;
  std::vector<at::Tensor> parts;
  for (int64_t first = 0; first < count; first += at_once) {
    if (extraction->full()) parts.push_back(extraction->pop());
    extraction->push({all.narrow(0, first, std::min(at_once, count - first))});
  }
  while (!extraction->empty()) parts.push_back(extraction->pop());
  if (extraction->staged()) kept_ = std::move(extraction);
  return at::cat(parts).contiguous();
}

}  // namespace udi
