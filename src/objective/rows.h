// Which student row is to predict which mixture of target rows, and what it weighs in the loss. All of it follows from
// masks and maps, so it is known before a pixel is looked at: lists on the host, cut into blocks of rows, whose tables
// go to the device.
#pragma once

#include <cstdint>
#include <vector>

#include "model/aten.h"

namespace udi {

// Student rows [first, last) and the U target rows that they use, each once. Tables are on the CPU until somebody moves
// them (train/stage.h); which of them there are, and in which form, is up to the pass that reads them (prototypes.h).
struct RowBlock {
  int64_t first = 0, last = 0;
  at::Tensor used;    // int64 [U]: target rows
  at::Tensor level;   // [U]: row of the centers
  at::Tensor begin;   // int32 [last - first + 1]: of each row's mixture in target and share
  at::Tensor target;  // int32: place in `used`
  at::Tensor share;
  at::Tensor weight;  // [last - first]
};

// The target of student row r is the sum of share[i] * target row target[i], i from begin[r] to begin[r + 1]. Rows with
// common targets should be neighbours: a target is computed once for each block that uses it.
struct RowTable {
  std::vector<int32_t> level;  // [T]: row of the centers of each target row
  std::vector<double> weight;  // [R]: of the row's cross-entropy in the loss
  std::vector<int32_t> begin = {0};
  std::vector<int32_t> target;
  std::vector<double> share;
  std::vector<RowBlock> blocks;  // of cut()

  // A row is appended by add_target for each of its targets, then end_row.
  void add_target(int32_t row, double part) {
    target.push_back(row);
    share.push_back(part);
  }
  void end_row(double row_weight) {
    weight.push_back(row_weight);
    begin.push_back(int32_t(target.size()));
  }
  int64_t rows() const { return int64_t(weight.size()); }
  int64_t targets() const { return int64_t(level.size()); }

  // Makes the blocks for logits of `prototypes` columns and z like `z`: its device and dtype choose the pass.
  void cut(int64_t prototypes, const at::Tensor& z);
  // Appends the blocks' tables to `all`, in an order that depends on their number alone.
  void tables(std::vector<at::Tensor*>& all);
};

// Student rows, and target rows, whose logits exist at a time.
int64_t rows_at_once(int64_t prototypes, at::Device device);

// How a block's logits are worked on.
enum class RowPass {
  kLoops,    // float32 on the CPU: level int32, share and weight float64
  kKernels,  // model/kernels.h: level int32, share: bytes of cuda::TargetShare, weight float32; no target
  kAten,     // level int64, share [rows, U] and weight [rows, 1] like z; no begin, no target
};
RowPass row_pass(const at::Tensor& z);

}  // namespace udi
