#include "objective/rows.h"

#include <algorithm>

#include "../../cuda/prototypes.h"
#include "model/kernels.h"

namespace udi {

namespace {

// What next_block finds, in numbers of the block.
struct Places {
  std::vector<int64_t> used;
  std::vector<int32_t> target;  // parallel to RowTable::target from begin[first]
};

// The first row always goes in, however many targets it has.
RowBlock next_block(const RowTable& table, int64_t first, int64_t limit, Places& places) {
  RowBlock block;
  block.first = block.last = first;
  std::vector<std::pair<int32_t, int32_t>> known;  // (target row, place), sorted by target row
  while (block.last < table.rows() && block.last - first < limit) {
    const int32_t begin = table.begin[size_t(block.last)], end = table.begin[size_t(block.last) + 1];
    if (block.last > first && int64_t(places.used.size()) + (end - begin) > limit) break;
    for (int32_t i = begin; i < end; ++i) {
      const int32_t row = table.target[size_t(i)];
      const auto at = std::lower_bound(known.begin(), known.end(), std::pair(row, int32_t(0)));
      if (at != known.end() && at->first == row) {
        places.target.push_back(at->second);
        continue;
      }
      places.target.push_back(int32_t(places.used.size()));
      known.insert(at, {row, int32_t(places.used.size())});
      places.used.push_back(row);
    }
    ++block.last;
  }
  return block;
}

// The bytes of plain structs, at least one of them.
template <class T>
at::Tensor bytes_tensor(std::vector<T> items) {
  if (items.empty()) items.emplace_back();
  return at::from_blob(items.data(), {int64_t(items.size() * sizeof(T))}, at::kByte).clone();
}

void fill_tables(const RowTable& table, const Places& places, const at::Tensor& z, RowBlock& block) {
  const auto first = block.first, rows = block.last - block.first;
  const int32_t first_share = table.begin[size_t(first)];
  std::vector<int32_t> levels, begin;
  for (const int64_t row : places.used) levels.push_back(table.level[size_t(row)]);
  for (int64_t r = first; r <= block.last; ++r) begin.push_back(table.begin[size_t(r)] - first_share);
  const std::vector<double> shares(table.share.begin() + first_share, table.share.begin() + first_share + begin.back());
  const std::vector<double> weights(table.weight.begin() + first, table.weight.begin() + block.last);
  block.used = at::tensor(places.used, at::kLong);
  block.level = at::tensor(levels, at::kInt);
  switch (row_pass(z)) {
    case RowPass::kLoops:
      block.begin = at::tensor(begin, at::kInt);
      block.target = at::tensor(places.target, at::kInt);
      block.share = at::tensor(shares, at::kDouble);
      block.weight = at::tensor(weights, at::kDouble);
      return;
    case RowPass::kKernels: {
      std::vector<cuda::TargetShare> parts;
      for (size_t i = 0; i < shares.size(); ++i) parts.push_back({places.target[i], float(shares[i])});
      block.begin = at::tensor(begin, at::kInt);
      block.share = bytes_tensor(std::move(parts));
      block.weight = at::tensor(weights, at::kDouble).to(at::kFloat);
      return;
    }
    case RowPass::kAten: {
      at::Tensor dense = at::zeros({rows, int64_t(places.used.size())}, at::kDouble);
      auto share_at = dense.accessor<double, 2>();
      for (int64_t r = 0; r < rows; ++r) {
        for (int32_t i = begin[size_t(r)]; i < begin[size_t(r) + 1]; ++i)
          share_at[r][places.target[size_t(i)]] += shares[size_t(i)];
      }
      block.level = block.level.to(at::kLong);
      block.share = dense.to(z.scalar_type());
      block.weight = at::tensor(weights, at::kDouble).unsqueeze(1).to(z.scalar_type());
      return;
    }
  }
}

}  // namespace

// 32 MB of logits on the CPU (small enough to be cheap, large enough for a matrix product), 256 MB elsewhere.
int64_t rows_at_once(int64_t prototypes, at::Device device) {
  const int64_t elements = device.is_cpu() ? int64_t(1) << 23 : int64_t(1) << 26;
  return std::clamp<int64_t>(elements / prototypes, 16, 4096);
}

RowPass row_pass(const at::Tensor& z) {
  if (kernels::take(z)) return RowPass::kKernels;
  return z.is_cpu() && z.scalar_type() == at::kFloat ? RowPass::kLoops : RowPass::kAten;
}

void RowTable::cut(int64_t prototypes, const at::Tensor& z) {
  const int64_t limit = rows_at_once(prototypes, z.device());
  blocks.clear();
  for (int64_t first = 0; first < rows(); first = blocks.back().last) {
    Places places;
    RowBlock block = next_block(*this, first, limit, places);
    fill_tables(*this, places, z, block);
    blocks.push_back(std::move(block));
  }
}

void RowTable::tables(std::vector<at::Tensor*>& all) {
  for (RowBlock& block : blocks)
    all.insert(all.end(), {&block.used, &block.level, &block.begin, &block.target, &block.share, &block.weight});
}

}  // namespace udi
