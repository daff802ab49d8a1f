#include "model/narrow_linear.h"

#include <ATen/Parallel.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "base/error.h"
#include "model/packed.h"

namespace udi {

namespace {

// An output's weights as whole numbers -127 to 127 of its scale, in bytes or in 16 bits, and their sum.
template <class Number>
void round_weights(const float* weight, int64_t depth, Number* out, float* scale, float* sum) {
  float largest = 0, finite = 0;
  for (int64_t i = 0; i < depth; ++i) {
    largest = std::max(largest, std::abs(weight[i]));
    finite += weight[i] - weight[i];  // 0, or NaN
  }
  *scale = largest / 127 + finite;
  const float steps = *scale > 1e-30f ? 1 / *scale : 0;
  int64_t total = 0;
  for (int64_t i = 0; i < depth; ++i) {
    out[i] = steps > 0 ? Number(std::lrint(weight[i] * steps)) : Number(0);
    total += out[i];
  }
  *sum = float(total);
}

// What a thread keeps rows in while they are multiplied.
struct RowMemory {
  std::vector<float> words;
  std::vector<gemm::Range> ranges;
};

RowMemory& row_memory(int64_t words, int64_t rows) {
  thread_local RowMemory memory;
  if (int64_t(memory.words.size()) < words) memory.words.resize(size_t(words));
  if (int64_t(memory.ranges.size()) < rows) memory.ranges.resize(size_t(rows));
  return memory;
}

}  // namespace

NarrowLinear::NarrowLinear(const at::Tensor& weight, const gemm::Narrow& k) : kernels(&k), depth(weight.size(1)) {
  const bool bytes = k.bits == gemm::Bits::kInt8;
  check(!bytes || depth <= gemm::kMostBytes, UDI_E_UNSUPPORTED, "a layer has ", depth,
        " inputs; sums of products in int8 hold at most ", gemm::kMostBytes);
  const int64_t outputs = weight.size(0), panel = k.words->panel, words = gemm::words(k, depth);
  const int64_t padded = gemm::padded(*k.words, outputs), row = gemm::row_words(k, depth);
  memory = at::empty({words * padded}, at::kFloat);
  columns = at::zeros({bytes ? 2 : 0, padded}, at::kFloat);
  const float* const from = weight.const_data_ptr<float>();
  float* const to = memory.mutable_data_ptr<float>();
  float* const scales = bytes ? columns.mutable_data_ptr<float>() : nullptr;
  const int64_t grain = std::max<int64_t>(1, at::internal::GRAIN_SIZE / (panel * std::max<int64_t>(1, depth)));
  at::parallel_for(0, gemm::panels(*k.words, outputs), grain, [&](int64_t begin, int64_t end) {
    std::vector<float> rows(size_t(panel * row));  // of a panel, in words; zeros where a word is not full
    for (int64_t first = begin * panel; first < std::min(outputs, end * panel); first += panel) {
      const int64_t count = std::min(outputs - first, panel);
      for (int64_t i = 0; i < count; ++i) {
        const float* const weights = from + (first + i) * depth;
        float* const out = rows.data() + i * row;
        if (!bytes) {
          std::vector<float> padded_row(size_t(words * k.numbers));
          std::copy_n(weights, depth, padded_row.begin());
          k.rows(padded_row.data(), 1, 0, words * k.numbers, out, nullptr);
        } else if (k.numbers == 4) {
          round_weights(weights, depth, reinterpret_cast<int8_t*>(out), scales + first + i,
                        scales + padded + first + i);
        } else {
          round_weights(weights, depth, reinterpret_cast<int16_t*>(out), scales + first + i,
                        scales + padded + first + i);
        }
      }
      k.words->pack(rows.data(), 1, row, words, count, to + first * words);
    }
  });
}

int64_t NarrowLinear::bytes(const gemm::Narrow& k, int64_t in, int64_t out) {
  const int64_t columns_of_bytes = k.bits == gemm::Bits::kInt8 ? 2 : 0;
  return int64_t(sizeof(float)) * (gemm::words(k, in) + columns_of_bytes) * gemm::padded(*k.words, out);
}

void NarrowLinear::forward(const at::Tensor& x, int64_t first, const at::Tensor& bias, bool gelu,
                           const at::Tensor& out) const {
  const gemm::Narrow& k = *kernels;
  const int64_t rows = x.size(0), count = out.size(1), row = gemm::row_words(k, depth);
  const int64_t before = first % k.words->panel;  // outputs between the beginning of a panel and the first
  if (before > 0) {
    const at::Tensor more = at::empty({rows, before + count}, at::kFloat);
    forward(x, first - before, bias.defined() ? at::constant_pad_nd(bias, {before, 0}) : bias, gelu, more);
    out.copy_(more.narrow(1, before, count));
    return;
  }
  RowMemory& memory_of_rows = row_memory(rows * row, rows);
  float* const a = memory_of_rows.words.data();
  gemm::Range* const ranges = memory_of_rows.ranges.data();
  const float* const numbers = x.const_data_ptr<float>();
  const int64_t stride = x.stride(0);
  at::parallel_for(0, rows, std::max<int64_t>(1, at::internal::GRAIN_SIZE / depth), [&](int64_t begin, int64_t end) {
    k.rows(numbers + begin * stride, end - begin, stride, depth, a + begin * row, ranges + begin);
  });

  gemm::Product product;
  product.rows = rows;
  product.columns = count;
  product.depth = gemm::words(k, depth);
  product.a = a;
  product.a_stride = row;
  product.b = memory.const_data_ptr<float>() + first * product.depth;
  product.b_stride = product.depth * k.words->panel;
  product.out = out.mutable_data_ptr<float>();
  product.out_stride = out.stride(0);
  if (bias.defined()) product.bias = bias.const_data_ptr<float>();
  product.gelu = gelu;
  if (k.bits == gemm::Bits::kInt8) {
    product.ranges = ranges;
    product.column_scale = columns.const_data_ptr<float>() + first;
    product.column_sum = product.column_scale + columns.size(1);
  }
  run_product(*k.words, k.product, product);
}

}  // namespace udi
