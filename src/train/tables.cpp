#include "train/tables.h"

#include "train/drop_path.h"

namespace udi {

void ChunkTables::tables(std::vector<at::Tensor*>& all) {
  all.insert(all.end(), {&global, &local, &global_drop_path, &local_drop_path});
  samples.tables(all);
  global_rows.tables(all);
  local_rows.tables(all);
}

ChunkTables make_tables(const Chunk& chunk, const TableSettings& s) {
  const Views& views = *chunk.views;
  const at::TensorOptions options = at::TensorOptions(s.weights.dtype());
  const auto factors = [&](int64_t first_crop, int64_t crops) {
    return drop_path_factors(s.model, s.train.seed, s.step, chunk.position, chunk.images, first_crop, crops, options);
  };
  ChunkTables out;
  out.global = global_crops(chunk, options);
  out.global_drop_path = factors(0, 2);
  if (s.model.include_patch)
    out.samples = samples_of(views.maps, chunk.begin, chunk.begin + chunk.images, s.weights.scalar_type(), s.padded);
  out.samples.images = chunk.images;
  out.samples.local_crops = views.local_crops;

  LossRows rows = s.objective.global_rows(out.samples, s.totals);
  out.global_rows = std::move(rows.table);
  out.labels.global = std::move(rows.labels);
  out.global_rows.cut(s.model.out_dim, s.weights);
  if (views.local_crops > 0) {
    out.local = local_crops(chunk, options);
    out.local_drop_path = factors(2, views.local_crops);
    rows = s.objective.local_rows(out.samples, s.totals);
    out.local_rows = std::move(rows.table);
    out.labels.local = std::move(rows.labels);
    out.local_rows.cut(s.model.out_dim, s.weights);
  }
  out.labels.samples = !views.sample.empty();
  for (int64_t i = 0; i < chunk.images; ++i)
    out.labels.names.push_back(out.labels.samples ? views.sample[size_t(chunk.begin + i)] : chunk.position + i);
  return out;
}

}  // namespace udi
