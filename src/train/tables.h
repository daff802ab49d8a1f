// All that the work on a chunk needs beside the weights: its crops, and what follows from views, maps, masks and
// schedule. Made by the host, before the work; the work reads nothing else and says nothing to the host.
#pragma once

#include <vector>

#include "objective/udi.h"
#include "train/batch.h"

namespace udi {

// What the host keeps of a chunk, to read its rows' cross-entropies by.
struct ChunkLabels {
  RowLabels global, local;
  std::vector<int64_t> names;  // of the images: their samples, or their places in the step
  bool samples = false;        // names are samples
};

// Tensors are on the CPU until they are moved (stage.h).
struct ChunkTables {
  at::Tensor global, local;                      // crops, as batch.h gives them
  at::Tensor global_drop_path, local_drop_path;  // as VitOptions::drop_path
  Samples samples;
  RowTable global_rows, local_rows;  // cut; no local rows without local crops
  ChunkLabels labels;

  // Appends the handles of all tensors.
  void tables(std::vector<at::Tensor*>& all);
};

struct TableSettings {
  const udi_model_config& model;
  const udi_train_config& train;
  const UdiObjective& objective;
  const BatchTotals& totals;
  int64_t step;         // of the draws of stochastic depth
  at::Tensor weights;   // what the tables are for: their dtype, and the pass over rows that their device takes
  bool padded = false;  // shapes follow from the chunk's shape alone: see Places
};
ChunkTables make_tables(const Chunk& chunk, const TableSettings& settings);

}  // namespace udi
