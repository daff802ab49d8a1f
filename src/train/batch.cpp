#include "train/batch.h"

#include <algorithm>

#include "base/error.h"

namespace udi {
namespace {

void check_one(const Views& v, const Views& first, const udi_model_config& model) {
  check(v.batch >= 1, UDI_E_SHAPE, "views hold no image");
  check(v.channels == model.channels, UDI_E_SHAPE, "views have ", v.channels, " channels, the model has ",
        model.channels);
  check(v.patch_size == model.patch_size, UDI_E_SHAPE, "views are made for patches of ", v.patch_size,
        " pixels, the model has patches of ", model.patch_size);
  check(v.global_size >= v.patch_size && v.global_size % v.patch_size == 0, UDI_E_SHAPE, "global crops of ",
        v.global_size, " pixels are no multiple of patch_size, ", v.patch_size);
  check(v.local_crops == 0 || (v.local_size >= v.patch_size && v.local_size % v.patch_size == 0), UDI_E_SHAPE,
        "local crops of ", v.local_size, " pixels are no multiple of patch_size, ", v.patch_size);
  check(v.local_crops == first.local_crops, UDI_E_SHAPE, "views of one step have ", first.local_crops, " and ",
        v.local_crops, " local crops");
  check(v.dtype == UDI_U8 || v.dtype == UDI_F32, UDI_E_SHAPE, "crops must be UDI_U8 or UDI_F32, not ", v.dtype);
  const int64_t grid = v.global_size / v.patch_size;
  check(!model.include_patch ||
            (v.maps.batch == v.batch && v.maps.local_crops == v.local_crops && v.maps.tokens_global == grid * grid),
        UDI_E_SHAPE, "views have sample maps of ", v.maps.batch, " images, ", v.maps.local_crops, " local crops and ",
        v.maps.tokens_global, " tokens, their crops are of ", v.batch, ", ", v.local_crops, " and ", grid * grid);
}

// [groups, B, C, S, S] in place, images of the chunk picked.
at::Tensor pick(const Chunk& chunk, const std::vector<uint8_t>& bytes, int64_t groups, int64_t size,
                const at::TensorOptions& options) {
  const Views& v = *chunk.views;
  const auto type = v.dtype == UDI_U8 ? at::kByte : at::kFloat;
  const at::Tensor all =
      at::from_blob(const_cast<uint8_t*>(bytes.data()), {groups, v.batch, v.channels, size, size}, type)
          .narrow(1, chunk.begin, chunk.images)
          .contiguous()
          .flatten(0, 1);
  return v.dtype == UDI_U8 ? all : all.to(options.dtype());
}

}  // namespace

void check_views(const std::vector<const Views*>& views, const udi_model_config& model) {
  check(!views.empty(), UDI_E_INVALID, "a step needs at least one views");
  for (const Views* v : views) {
    check(v != nullptr, UDI_E_INVALID, "a views is NULL");
    check_one(*v, *views[0], model);
  }
}

BatchTotals totals_of(const std::vector<const Views*>& views) {
  BatchTotals totals;
  for (const Views* v : views) {
    totals.images += v->batch;
    totals.local_crops = v->local_crops;
    totals.add(v->maps);
  }
  return totals;
}

std::vector<Chunk> make_chunks(const std::vector<const Views*>& views, const std::vector<int64_t>& position,
                               int64_t images) {
  std::vector<Chunk> chunks;
  for (size_t i = 0; i < views.size(); ++i) {
    for (int64_t begin = 0; begin < views[i]->batch; begin += images) {
      chunks.push_back({views[i], begin, std::min(images, views[i]->batch - begin), position[i] + begin, {}, {}});
    }
  }
  return chunks;
}

at::Tensor global_crops(const Chunk& chunk, const at::TensorOptions& options) {
  if (chunk.global.defined()) return chunk.global;
  return pick(chunk, chunk.views->global, 2, chunk.views->global_size, options);
}

at::Tensor local_crops(const Chunk& chunk, const at::TensorOptions& options) {
  if (chunk.local.defined()) return chunk.local;
  return pick(chunk, chunk.views->local, chunk.views->local_crops, chunk.views->local_size, options);
}

}  // namespace udi
