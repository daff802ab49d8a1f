#include "model/ops_cpu.h"

#include <ATen/Parallel.h>

#include <cmath>
#include <vector>

#include "model/lanes.h"

namespace udi::loops {

namespace {

using lanes::Floats;

// Sums over rows are taken in blocks of this many, whatever the number of threads, so that they do not depend on it.
constexpr int64_t kRowBlock = 64;

int64_t blocks_of(int64_t rows) { return (rows + kRowBlock - 1) / kRowBlock; }

// Blocks that a thread takes at least: waking another one costs as much as some ten thousand numbers.
int64_t grain_of(int64_t width) { return std::max<int64_t>(1, at::internal::GRAIN_SIZE / (kRowBlock * width)); }

// body(first, last) over blocks of rows of `width` numbers.
template <class Body>
void over_rows(int64_t rows, int64_t width, const Body& body) {
  at::parallel_for(0, blocks_of(rows), grain_of(width),
                   [&](int64_t begin, int64_t end) { body(begin * kRowBlock, std::min(rows, end * kRowBlock)); });
}

// body(first, last, sums) adds to `width` sums, which start at 0 for each block.
struct Sum {
  const at::Tensor& total;  // gets the sums of all blocks
  int64_t width;
};
template <class Body>
void over_rows_with_sums(int64_t rows, std::initializer_list<Sum> totals, const Body& body) {
  int64_t width = 0;
  for (const Sum& sum : totals) width += sum.width;
  const int64_t blocks = blocks_of(rows);
  const at::Tensor partial = at::zeros({blocks, width}, at::kFloat);
  float* sums = partial.mutable_data_ptr<float>();
  at::parallel_for(0, blocks, grain_of(width), [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; ++block) {
      body(block * kRowBlock, std::min(rows, (block + 1) * kRowBlock), sums + block * width);
    }
  });
  int64_t column = 0;
  for (const Sum& sum : totals) {
    float* total = sum.total.mutable_data_ptr<float>();
    for (int64_t block = 0; block < blocks; ++block) {
      for (int64_t i = 0; i < sum.width; ++i) total[i] += sums[block * width + column + i];
    }
    column += sum.width;
  }
}

// run(T()) for the type that the activations have.
template <class Run>
void for_type(const at::Tensor& activations, const Run& run) {
  if (activations.scalar_type() == at::kFloat) {
    run(float());
  } else {
    TORCH_INTERNAL_ASSERT(activations.scalar_type() == at::kBFloat16);
    run(c10::BFloat16());
  }
}

const float* floats(const at::Tensor& t) { return t.defined() ? t.const_data_ptr<float>() : nullptr; }
float* mutable_floats(const at::Tensor& t) { return t.defined() ? t.mutable_data_ptr<float>() : nullptr; }

// ---- Residual sum and LayerNorm ----------------------------------------------------------------------------------

template <class T, class Out>
struct SumNorm {
  int64_t dim, rows_per_image;
  const float* x;
  const T *branch, *bias;  // null: no sum
  const float* scale;      // null: 1
  float* x_out;
  const float *weight, *shift;  // null: no norm
  Out* out;
  float* statistics;
};

template <class T, class Out>
UDI_INLINE void normalize_row(const SumNorm<T, Out>& k, const float* x, int64_t row) {
  Floats sum{};
  lanes::each(k.dim, [&](int64_t i, int n) UDI_LAMBDA { sum += lanes::load(x + i, n); });
  const float mean = lanes::sum(sum) / float(k.dim);
  Floats squares{};
  lanes::each(k.dim, [&](int64_t i, int n) UDI_LAMBDA {
    Floats d = lanes::load(x + i, n) - mean;
    if (n < lanes::kLanes) d = lanes::first(d, n);
    squares += d * d;
  });
  const float inverse = 1 / std::sqrt(lanes::sum(squares) / float(k.dim) + float(kNormEpsilon));
  lanes::each(k.dim, [&](int64_t i, int n) UDI_LAMBDA {
    const Floats hat = (lanes::load(x + i, n) - mean) * inverse;
    lanes::store(k.out + row * k.dim + i, hat * lanes::load(k.weight + i, n) + lanes::load(k.shift + i, n), n);
  });
  k.statistics[2 * row] = mean;
  k.statistics[2 * row + 1] = inverse;
}

template <class T, class Out>
UDI_CLONES void sum_norm_rows(const SumNorm<T, Out>& k, int64_t begin, int64_t end) {
  for (int64_t row = begin; row < end; ++row) {
    const float* x = k.x + row * k.dim;
    if (k.branch) {
      const float scale = k.scale ? k.scale[row / k.rows_per_image] : 1;
      const T* branch = k.branch + row * k.dim;
      float* x_out = k.x_out + row * k.dim;
      lanes::each(k.dim, [&](int64_t i, int n) UDI_LAMBDA {
        const Floats b = lanes::load(branch + i, n) + lanes::load(k.bias + i, n);
        lanes::store(x_out + i, lanes::load(x + i, n) + b * scale, n);
      });
      x = x_out;
    }
    if (k.weight) normalize_row(k, x, row);
  }
}

template <class T>
struct NormBackward {
  int64_t dim;
  const T* d_out;
  const float *x, *statistics, *weight;
  float* d_x;
  int64_t rows_per_image;
  const float* scale;  // null: 1
  T* d_rows;           // null: no branch
};

template <class T>
UDI_CLONES void norm_backward_rows(const NormBackward<T>& k, int64_t begin, int64_t end, float* sums) {
  for (int64_t row = begin; row < end; ++row) {
    const T* d_out = k.d_out + row * k.dim;
    const float* x = k.x + row * k.dim;
    float* d_x = k.d_x + row * k.dim;
    const float mean = k.statistics[2 * row], inverse = k.statistics[2 * row + 1];
    const float scale = k.scale ? k.scale[row / k.rows_per_image] : 1;
    Floats sum{}, product{};
    lanes::each(k.dim, [&](int64_t i, int n) UDI_LAMBDA {
      const Floats d = lanes::load(d_out + i, n), hat = (lanes::load(x + i, n) - mean) * inverse;
      lanes::store(sums + i, lanes::load(sums + i, n) + d * hat, n);
      lanes::store(sums + k.dim + i, lanes::load(sums + k.dim + i, n) + d, n);
      const Floats g = d * lanes::load(k.weight + i, n);
      sum += g;
      product += g * hat;
    });
    const float mean_g = lanes::sum(sum) / float(k.dim), mean_product = lanes::sum(product) / float(k.dim);
    lanes::each(k.dim, [&](int64_t i, int n) UDI_LAMBDA {
      const Floats hat = (lanes::load(x + i, n) - mean) * inverse;
      const Floats g = lanes::load(d_out + i, n) * lanes::load(k.weight + i, n);
      Floats d = lanes::load(d_x + i, n) + (g - mean_g - hat * mean_product) * inverse;
      lanes::store(d_x + i, d, n);
      if (!k.d_rows) return;
      d *= scale;
      lanes::store(k.d_rows + row * k.dim + i, d, n);
      lanes::store(sums + 2 * k.dim + i, lanes::load(sums + 2 * k.dim + i, n) + d, n);
    });
  }
}

// ---- Sums over rows ----------------------------------------------------------------------------------------------

template <class T>
UDI_CLONES void sum_rows(const T* rows, int64_t dim, int64_t begin, int64_t end, float* sums) {
  for (int64_t row = begin; row < end; ++row) {
    lanes::each(dim, [&](int64_t i, int n) UDI_LAMBDA {
      lanes::store(sums + i, lanes::load(sums + i, n) + lanes::load(rows + row * dim + i, n), n);
    });
  }
}

template <class T>
struct BranchBackward {
  int64_t dim, rows_per_image;
  const float *d_x, *scale;
  T* d_rows;
};

template <class T>
UDI_CLONES void branch_backward_rows(const BranchBackward<T>& k, int64_t begin, int64_t end, float* sums) {
  for (int64_t row = begin; row < end; ++row) {
    const float scale = k.scale ? k.scale[row / k.rows_per_image] : 1;
    lanes::each(k.dim, [&](int64_t i, int n) UDI_LAMBDA {
      const Floats d = lanes::load(k.d_x + row * k.dim + i, n) * scale;
      lanes::store(k.d_rows + row * k.dim + i, d, n);
      lanes::store(sums + i, lanes::load(sums + i, n) + d, n);
    });
  }
}

// ---- GELU --------------------------------------------------------------------------------------------------------

template <class T>
UDI_CLONES void bias_gelu_rows(T* rows, const T* bias, T* out, int64_t dim, int64_t begin, int64_t end) {
  for (int64_t row = begin; row < end; ++row) {
    lanes::each(dim, [&](int64_t i, int n) UDI_LAMBDA {
      const Floats x = lanes::load(rows + row * dim + i, n) + lanes::load(bias + i, n);
      Floats distribution, density;
      lanes::normal(x, distribution, density);
      lanes::store(rows + row * dim + i, x, n);
      lanes::store(out + row * dim + i, x * distribution, n);
    });
  }
}

template <class T>
UDI_CLONES void gelu_backward_rows(T* rows, T* d_out, int64_t dim, int64_t begin, int64_t end, float* sums) {
  for (int64_t row = begin; row < end; ++row) {
    lanes::each(dim, [&](int64_t i, int n) UDI_LAMBDA {
      const Floats x = lanes::load(rows + row * dim + i, n);
      Floats distribution, density;
      lanes::normal(x, distribution, density);
      const Floats d = lanes::load(d_out + row * dim + i, n) * (distribution + x * density);
      lanes::store(rows + row * dim + i, x * distribution, n);
      lanes::store(d_out + row * dim + i, d, n);
      lanes::store(sums + i, lanes::load(sums + i, n) + d, n);
    });
  }
}

// ---- Patches -----------------------------------------------------------------------------------------------------

template <class In, class T>
struct Unfold {
  int64_t channels, height, width, patch;
  const In* images;
  T* out;
  std::vector<float> table;  // of uint8: [channels, 256]
  std::vector<float> mean, std;
};

// One row of patches.
template <class In, class T>
void unfold_patch_row(const Unfold<In, T>& k, int64_t index) {
  const int64_t columns = k.width / k.patch, patch_rows = k.height / k.patch;
  const int64_t image = index / patch_rows, top = index % patch_rows * k.patch;
  const int64_t area = k.patch * k.patch, length = k.channels * area;
  for (int64_t c = 0; c < k.channels; ++c) {
    for (int64_t y = 0; y < k.patch; ++y) {
      const In* in = k.images + ((image * k.channels + c) * k.height + top + y) * k.width;
      T* out = k.out + index * columns * length + c * area + y * k.patch;
      for (int64_t column = 0; column < columns; ++column, in += k.patch, out += length) {
        for (int64_t x = 0; x < k.patch; ++x) {
          if constexpr (std::is_same_v<In, uint8_t>) {
            out[x] = T(k.table[size_t(c * 256 + in[x])]);
          } else {
            out[x] = T((in[x] - k.mean[size_t(c)]) / k.std[size_t(c)]);
          }
        }
      }
    }
  }
}

template <class In, class T>
void unfold(const at::Tensor& images, const udi_model_config& config, bool normalized, const at::Tensor& out) {
  Unfold<In, T> k{images.size(1),
                  images.size(2),
                  images.size(3),
                  config.patch_size,
                  images.const_data_ptr<In>(),
                  out.mutable_data_ptr<T>(),
                  {},
                  {},
                  {}};
  for (int64_t c = 0; c < k.channels; ++c) {
    k.mean.push_back(normalized ? 0 : config.mean[c]);
    k.std.push_back(normalized ? 1 : config.std[c]);
    // The official order of operations: ToTensor divides by 255, Normalize subtracts and divides.
    for (int v = 0; v < 256; ++v) k.table.push_back((float(v) / 255.f - k.mean.back()) / k.std.back());
  }
  const int64_t patch_rows = images.size(0) * (k.height / k.patch);
  const int64_t grain = std::max<int64_t>(1, at::internal::GRAIN_SIZE / (k.channels * k.patch * k.width));
  at::parallel_for(0, patch_rows, grain, [&](int64_t begin, int64_t end) {
    for (int64_t index = begin; index < end; ++index) unfold_patch_row(k, index);
  });
}

}  // namespace

void bias_gradient(const at::Tensor& d_out, const at::Tensor& d_bias) {
  const int64_t dim = d_out.size(1);
  for_type(d_out, [&](auto type) {
    using T = decltype(type);
    const T* rows = d_out.const_data_ptr<T>();
    over_rows_with_sums(d_out.size(0), {{d_bias, dim}},
                        [&](int64_t begin, int64_t end, float* sums) { sum_rows(rows, dim, begin, end, sums); });
  });
}

void branch_backward(const at::Tensor& d_x, const BranchGradient& d) {
  if (d.rows.is_same(d_x)) return bias_gradient(d_x, d.bias);
  const int64_t rows = d_x.size(0), dim = d_x.size(1);
  for_type(d.rows, [&](auto type) {
    using T = decltype(type);
    const BranchBackward<T> k{dim, d.scale.defined() ? rows / d.scale.numel() : rows, floats(d_x), floats(d.scale),
                              d.rows.mutable_data_ptr<T>()};
    over_rows_with_sums(rows, {{d.bias, dim}},
                        [&](int64_t begin, int64_t end, float* sums) { branch_backward_rows(k, begin, end, sums); });
  });
}

void add_branch_norm(const at::Tensor& x, const Branch* branch, const at::Tensor& x_out, const NormWeights* weights,
                     const at::Tensor& out, const at::Tensor& statistics) {
  const int64_t rows = x.size(0), dim = x.size(1);
  const auto run = [&](auto type, auto out_type) {
    using T = decltype(type);
    using Out = decltype(out_type);
    SumNorm<T, Out> k{};
    k.dim = dim;
    k.x = floats(x);
    if (branch) {
      k.rows_per_image = branch->scale.defined() ? rows / branch->scale.numel() : rows;
      k.branch = branch->rows.const_data_ptr<T>();
      k.bias = branch->bias.const_data_ptr<T>();
      k.scale = floats(branch->scale);
      k.x_out = mutable_floats(x_out);
    }
    if (weights) {
      k.weight = floats(weights->weight);
      k.shift = floats(weights->bias);
      k.out = out.mutable_data_ptr<Out>();
      k.statistics = mutable_floats(statistics);
    }
    over_rows(rows, dim, [&](int64_t begin, int64_t end) { sum_norm_rows(k, begin, end); });
  };
  for_type(branch ? branch->rows : x,
           [&](auto type) { for_type(weights ? out : x, [&](auto out_type) { run(type, out_type); }); });
}

void norm_backward(const at::Tensor& d_out, const at::Tensor& x, const at::Tensor& statistics,
                   const NormWeights& weights, const at::Tensor& d_x, const NormWeights& grads,
                   const BranchGradient* branch) {
  const int64_t rows = x.size(0), dim = x.size(1);
  for_type(d_out, [&](auto type) {
    using T = decltype(type);
    NormBackward<T> k{};
    k.dim = dim;
    k.d_out = d_out.const_data_ptr<T>();
    k.x = floats(x);
    k.statistics = floats(statistics);
    k.weight = floats(weights.weight);
    k.d_x = mutable_floats(d_x);
    if (branch) {
      k.rows_per_image = branch->scale.defined() ? rows / branch->scale.numel() : rows;
      k.scale = floats(branch->scale);
      k.d_rows = branch->rows.mutable_data_ptr<T>();
    }
    const Sum of_branch = branch ? Sum{branch->bias, dim} : Sum{grads.bias, 0};
    over_rows_with_sums(rows, {{grads.weight, dim}, {grads.bias, dim}, of_branch},
                        [&](int64_t begin, int64_t end, float* sums) { norm_backward_rows(k, begin, end, sums); });
  });
}

void bias_gelu(const at::Tensor& rows, const at::Tensor& bias, const at::Tensor& out) {
  for_type(rows, [&](auto type) {
    using T = decltype(type);
    T *x = rows.mutable_data_ptr<T>(), *y = out.mutable_data_ptr<T>();
    const T* b = bias.const_data_ptr<T>();
    over_rows(rows.size(0), rows.size(1),
              [&](int64_t begin, int64_t end) { bias_gelu_rows(x, b, y, rows.size(1), begin, end); });
  });
}

void gelu_backward(const at::Tensor& rows, const at::Tensor& d_out, const at::Tensor& d_bias) {
  for_type(rows, [&](auto type) {
    using T = decltype(type);
    T *x = rows.mutable_data_ptr<T>(), *d = d_out.mutable_data_ptr<T>();
    over_rows_with_sums(rows.size(0), {{d_bias, rows.size(1)}}, [&](int64_t begin, int64_t end, float* sums) {
      gelu_backward_rows(x, d, rows.size(1), begin, end, sums);
    });
  });
}

void unfold_patches(const at::Tensor& images, const udi_model_config& config, bool normalized, const at::Tensor& out) {
  for_type(out, [&](auto type) {
    using T = decltype(type);
    if (images.scalar_type() == at::kByte) {
      unfold<uint8_t, T>(images, config, normalized, out);
    } else {
      unfold<float, T>(images, config, normalized, out);
    }
  });
}

UDI_CLONES void softmax_row_backward(float* row, const float* d_row, int64_t n, float scale) {
  Floats sum{};
  lanes::each(n, [&](int64_t i, int m) UDI_LAMBDA { sum += lanes::load(row + i, m) * lanes::load(d_row + i, m); });
  const float dot = lanes::sum(sum);
  lanes::each(n, [&](int64_t i, int m) UDI_LAMBDA {
    const Floats p = lanes::load(row + i, m);
    lanes::store(row + i, p * (lanes::load(d_row + i, m) - dot) * scale, m);
  });
}

}  // namespace udi::loops
