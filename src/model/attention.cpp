#include "model/attention.h"

#include <ATen/Parallel.h>

#include <cmath>
#include <vector>

#include "base/memory.h"
#include "model/dense.h"
#include "model/narrow.h"
#include "model/ops_cpu.h"

namespace udi {

namespace {

// A matrix in memory, row-major: row r begins at data + r * stride.
struct Matrix {
  float* data;
  int64_t rows, columns, stride;
};

gemm::Factor factor(const Matrix& m) { return {m.data, m.stride, 1}; }

// out = a b
void multiply(const gemm::Kernels& k, const gemm::Factor& a, const gemm::Factor& b, int64_t depth, const Matrix& out) {
  gemm::Product product;
  product.rows = out.rows;
  product.columns = out.columns;
  product.depth = depth;
  product.out = out.data;
  product.out_stride = out.stride;
  gemm::multiply(k, product, a, b);
}

Matrix matrix(const at::Tensor& heads, int64_t image, int64_t head) {
  return {heads.mutable_data_ptr<float>() + image * heads.stride(0) + head * heads.stride(1), heads.size(2),
          heads.size(3), heads.stride(2)};
}

bool take_loops(const Heads& in) { return in.query.is_cpu() && in.query.scalar_type() == at::kFloat; }

double scale_of(const Heads& in) { return 1 / std::sqrt(double(in.query.size(3))); }

// body(image, head), a head at a time on a core: its scores stay in the cache.
template <class Body>
void over_heads(const Heads& in, const Body& body) {
  const int64_t heads = in.query.size(1);
  const int64_t scores = in.query.size(2) * in.key.size(2);  // each costs a product of d, an exp and more
  const int64_t grain = std::max<int64_t>(1, at::internal::GRAIN_SIZE / (16 * scores));
  at::parallel_for(0, in.query.size(0) * heads, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) body(i / heads, i % heads);
  });
}

// What a thread works in while it attends: keys and values of a head, packed, and scores of a tile of queries.
float* working_memory(int64_t floats) {
  thread_local Memory memory;
  return memory.room_for_floats(size_t(floats));
}

// Numbers of two rows, one behind the other, in turn.
void interleave(const uint16_t* rows, int64_t count, uint16_t* out) {
  for (int64_t i = 0; i < count; ++i) {
    out[2 * i] = rows[i];
    out[2 * i + 1] = rows[count + i];
  }
}

// A few queries at a time: their scores stay in the first cache from product to softmax to product.
void attend(const gemm::Kernels& k, const Matrix& query, const Matrix& key, const Matrix& value, float scale,
            const Matrix* probabilities, const Matrix& out) {
  const int64_t count = key.rows, depth = query.columns, width = gemm::padded(k, count);
  const int64_t key_size = gemm::packed_size(k, depth, count), value_size = gemm::packed_size(k, count, depth);
  float* const keys = working_memory(key_size + value_size + k.tile_rows * width);
  float* const values = keys + key_size;
  float* const scores = values + value_size;
  k.pack(key.data, 1, key.stride, depth, count, keys);
  k.pack(value.data, value.stride, 1, count, depth, values);

  gemm::Product asking, mixing;
  asking.columns = mixing.depth = count;
  asking.depth = mixing.columns = depth;
  asking.a_stride = query.stride;
  asking.b = keys;
  asking.b_stride = depth * k.panel;
  asking.out = scores;
  asking.out_stride = mixing.a_stride = width;
  asking.padded = true;
  mixing.a = scores;
  mixing.b = values;
  mixing.b_stride = count * k.panel;
  mixing.out_stride = out.stride;
  int64_t tiles = (query.rows + k.tile_rows - 1) / k.tile_rows;
  for (int64_t row = 0; row < query.rows; row += asking.rows, --tiles) {
    asking.rows = mixing.rows = (query.rows - row + tiles - 1) / tiles;
    asking.a = query.data + row * query.stride;
    mixing.out = out.data + row * out.stride;
    k.product(asking);
    k.softmax(scores, asking.rows, width, count, scale);
    for (int64_t i = 0; probabilities && i < asking.rows; ++i) {
      std::copy_n(scores + i * width, count, probabilities->data + (row + i) * probabilities->stride);
    }
    k.product(mixing);
  }
}

// The same with products in bfloat16. A word is two numbers of the depth: two of a query's and a key's, two tokens of
// the values'.
void attend_bf16(const gemm::Narrow& k, const Matrix& query, const Matrix& key, const Matrix& value, float scale,
                 const Matrix& out) {
  const gemm::Kernels& panels = *k.words;
  const int64_t count = key.rows, depth = query.columns, width = gemm::padded(panels, count);
  const int64_t words = gemm::words(k, depth), row = gemm::row_words(k, depth);
  const int64_t pairs = gemm::words(k, count), weights_row = gemm::row_words(k, count);
  const int64_t keys_size = gemm::packed_size(panels, words, count);
  const int64_t values_size = gemm::packed_size(panels, pairs, depth);
  float* const keys =
      working_memory(keys_size + values_size + 2 * (count + 1) * row + panels.tile_rows * (width + weights_row + row));
  float* const values = keys + keys_size;
  float* const rows = values + values_size;  // [count + 1, row], keys, then values: one more of zeros
  float* const turned = rows + (count + 1) * row;
  float* const scores = turned + (count + 1) * row;
  float* const weights = scores + panels.tile_rows * width;
  float* const queries = weights + panels.tile_rows * weights_row;
  k.rows(key.data, count, key.stride, depth, rows, nullptr);
  panels.pack(rows, 1, row, words, count, keys);
  k.rows(value.data, count, value.stride, depth, rows, nullptr);
  std::fill_n(rows + count * row, row, 0.f);
  for (int64_t pair = 0; pair < pairs; ++pair) {
    interleave(reinterpret_cast<const uint16_t*>(rows + 2 * pair * row), 2 * row,
               reinterpret_cast<uint16_t*>(turned + 2 * pair * row));
  }
  panels.pack(turned, 2 * row, 1, pairs, depth, values);

  gemm::Product asking, mixing;
  asking.columns = count;
  asking.depth = words;
  asking.a = queries;
  asking.a_stride = row;
  asking.b = keys;
  asking.b_stride = words * panels.panel;
  asking.out = scores;
  asking.out_stride = width;
  asking.padded = true;
  mixing.columns = depth;
  mixing.depth = pairs;
  mixing.a = weights;
  mixing.a_stride = weights_row;
  mixing.b = values;
  mixing.b_stride = pairs * panels.panel;
  mixing.out_stride = out.stride;
  int64_t tiles = (query.rows + panels.tile_rows - 1) / panels.tile_rows;
  for (int64_t first = 0; first < query.rows; first += asking.rows, --tiles) {
    asking.rows = mixing.rows = (query.rows - first + tiles - 1) / tiles;
    mixing.out = out.data + first * out.stride;
    k.rows(query.data + first * query.stride, asking.rows, query.stride, depth, queries, nullptr);
    k.product(asking);
    panels.softmax(scores, asking.rows, width, count, scale);
    k.rows(scores, asking.rows, width, count, weights, nullptr);
    k.product(mixing);
  }
}

}  // namespace

at::Tensor split_heads(const at::Tensor& packed, int64_t parts, int64_t part, int64_t heads) {
  return packed.view({packed.size(0), packed.size(1), parts, heads, -1}).select(2, part).transpose(1, 2);
}

void attention_forward(const Heads& in, const at::Tensor& probabilities, const at::Tensor& out) {
  const at::Tensor out_heads = split_heads(out, 1, 0, in.query.size(1));
  if (!take_loops(in)) {
    const at::Tensor p = at::softmax(at::matmul(in.query, in.key.transpose(2, 3)) * scale_of(in), -1);
    if (probabilities.defined()) probabilities.copy_(p);
    out_heads.copy_(at::matmul(p, in.value));
    return;
  }
  const gemm::Kernels& kernels = gemm::kernels();
  const float scale = float(scale_of(in));
  const gemm::Narrow* const bf16 =
      in.fewer_bits && !probabilities.defined() ? gemm::narrow(gemm::Bits::kBf16) : nullptr;
  over_heads(in, [&](int64_t image, int64_t head) {
    if (bf16) {
      return attend_bf16(*bf16, matrix(in.query, image, head), matrix(in.key, image, head),
                         matrix(in.value, image, head), scale, matrix(out_heads, image, head));
    }
    Matrix p{};
    if (probabilities.defined()) p = matrix(probabilities, image, head);
    attend(kernels, matrix(in.query, image, head), matrix(in.key, image, head), matrix(in.value, image, head), scale,
           probabilities.defined() ? &p : nullptr, matrix(out_heads, image, head));
  });
}

void attention_backward(const Heads& in, const at::Tensor& probabilities, const at::Tensor& d_out, const Heads& d_in) {
  const at::Tensor d = split_heads(d_out, 1, 0, in.query.size(1));
  if (!take_loops(in)) {
    d_in.value.copy_(at::matmul(probabilities.transpose(2, 3), d));
    const at::Tensor d_p = at::matmul(d, in.value.transpose(2, 3));
    const at::Tensor d_s =
        at::_softmax_backward_data(d_p, probabilities, -1, probabilities.scalar_type()) * scale_of(in);
    d_in.query.copy_(at::matmul(d_s, in.key));
    d_in.key.copy_(at::matmul(d_s.transpose(2, 3), in.query));
    return;
  }
  const gemm::Kernels& k = gemm::kernels();
  const float scale = float(scale_of(in));
  const int64_t area = probabilities.size(2) * probabilities.size(3);
  const at::Tensor scratch = at::empty({at::get_num_threads(), area}, at::kFloat);
  over_heads(in, [&](int64_t image, int64_t head) {
    const Matrix p = matrix(probabilities, image, head), d_head = matrix(d, image, head);
    const Matrix d_p = {scratch.mutable_data_ptr<float>() + at::get_thread_num() * area, p.rows, p.columns, p.stride};
    multiply(k, turned(factor(p)), factor(d_head), p.rows, matrix(d_in.value, image, head));
    multiply(k, factor(d_head), turned(factor(matrix(in.value, image, head))), d_head.columns, d_p);
    for (int64_t row = 0; row < p.rows; ++row) {
      loops::softmax_row_backward(p.data + row * p.stride, d_p.data + row * p.stride, p.columns, scale);
    }
    multiply(k, factor(p), factor(matrix(in.key, image, head)), p.columns, matrix(d_in.query, image, head));
    multiply(k, turned(factor(p)), factor(matrix(in.query, image, head)), p.rows, matrix(d_in.key, image, head));
  });
}

}  // namespace udi
