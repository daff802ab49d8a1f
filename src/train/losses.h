// What the cross-entropies of a step's rows say: the parts of the loss, and what of them is not finite.
#pragma once

#include <array>
#include <vector>

#include "train/tables.h"

namespace udi {

// Of a chunk's rows, where they were computed.
struct ChunkLosses {
  at::Tensor global, local;  // [R]: as the rows of its tables; local undefined without local crops
  at::Tensor entropy;        // [2 images]: of the targets of cls
};

struct LossSums {
  std::array<double, kParts> parts{};
  double entropy = 0;

  // losses: on the CPU.
  void add(const ChunkLabels& labels, const ChunkLosses& losses);
};

// "the loss is not finite in global_cls for samples 17, 18 and 5 more", or nothing. losses: on the CPU, parallel to
// labels.
std::string what_is_not_finite(const std::vector<ChunkLabels>& labels, const std::vector<ChunkLosses>& losses);

}  // namespace udi
