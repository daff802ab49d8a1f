#include "model/packed.h"

#include <ATen/Parallel.h>

namespace udi {

namespace {

constexpr double kFlopsWorthAThread = 1e6;  // some five microseconds, what waking one costs

// Part of a product: rows and columns, the latter from the beginning of a panel. a and b may be null: dense.h has its own.
gemm::Product cut(const gemm::Kernels& k, const gemm::Product& whole, int64_t row, int64_t rows, int64_t column,
                  int64_t columns) {
  gemm::Product part = whole;
  part.rows = rows;
  part.columns = columns;
  if (part.a) part.a += row * whole.a_stride;
  if (part.b) part.b += column / k.panel * whole.b_stride;
  part.out += row * whole.out_stride + column;
  if (part.bias) part.bias += column;
  if (part.add) part.add += row * whole.add_stride + column;
  if (part.before) part.before += row * whole.out_stride + column;
  if (part.ranges) {
    part.ranges += row;
    part.column_scale += column;
    part.column_sum += column;
  }
  return part;
}

}  // namespace

void PackedLinear::pack(const at::Tensor& weight) {
  kernels = &gemm::kernels();
  depth = weight.size(1);
  const int64_t outputs = weight.size(0), panel = kernels->panel, size = gemm::packed_size(*kernels, depth, outputs);
  if (!memory.defined() || memory.numel() != size) memory = at::empty({size}, at::kFloat);
  const float* from = weight.const_data_ptr<float>();
  float* to = memory.mutable_data_ptr<float>();
  const int64_t grain = std::max<int64_t>(1, at::internal::GRAIN_SIZE / (panel * std::max<int64_t>(1, depth)));
  at::parallel_for(0, gemm::panels(*kernels, outputs), grain, [&](int64_t begin, int64_t end) {
    const int64_t first = begin * panel, count = std::min(outputs, end * panel) - first;
    kernels->pack(from + first * depth, 1, depth, depth, count, to + first * depth);
  });
  current = true;
}

const float* PackedLinear::from(int64_t output) const {
  if (!current || output % kernels->panel != 0) return nullptr;
  return memory.const_data_ptr<float>() + output * depth;
}

void over_threads(const gemm::Kernels& k, const gemm::Product& p, const ProductPart& body) {
  const double flops = 2.0 * double(p.rows) * double(p.columns) * double(p.depth);
  const int64_t threads = at::in_parallel_region() ? 1 : at::get_num_threads();
  if (threads == 1 || flops < 2 * kFlopsWorthAThread) return body(p, 0, 0);
  const int64_t tiles = (p.rows + k.tile_rows - 1) / k.tile_rows, panels = gemm::panels(k, p.columns);
  const bool by_rows = tiles >= 4 * threads || tiles >= panels;
  const int64_t pieces = by_rows ? tiles : panels, size = by_rows ? k.tile_rows : k.panel;
  const int64_t grain = std::max<int64_t>(1, int64_t(double(pieces) * kFlopsWorthAThread / flops));
  at::parallel_for(0, pieces, grain, [&](int64_t begin, int64_t end) {
    const int64_t first = begin * size;
    if (by_rows) {
      body(cut(k, p, first, std::min(p.rows, end * size) - first, 0, p.columns), first, 0);
    } else {
      body(cut(k, p, 0, p.rows, first, std::min(p.columns, end * size) - first), 0, first);
    }
  });
}

void run_product(const gemm::Kernels& k, const gemm::Product& p) { run_product(k, k.product, p); }

void run_product(const gemm::Kernels& k, void (*kernel)(const gemm::Product&), const gemm::Product& p) {
  over_threads(k, p, [&](const gemm::Product& part, int64_t, int64_t) { kernel(part); });
}

}  // namespace udi
