// What the kernels compute, written plainly in float64: one loop nest a formula, no sharing with cuda/.
#pragma once

#include <cmath>
#include <cstdint>

#include "memory.h"

namespace udi::cuda::test::twins {

// ---- Residual branch and LayerNorm: rows of x are [rows, dim] ------------------------------------------------------

struct Norm {
  Numbers x_out, out, mean, inverse;
};

// branch empty: no sum; scale empty: 1.
inline Norm norm_forward(int64_t rows, int64_t dim, const Numbers& x, const Numbers& branch, const Numbers& bias,
                         const Numbers& scale, int64_t rows_per_image, const Numbers& weight, const Numbers& shift,
                         double epsilon) {
  Norm result{x, Numbers(x.size()), Numbers(size_t(rows)), Numbers(size_t(rows))};
  for (int64_t row = 0; row < rows; ++row) {
    double* const sum = &result.x_out[size_t(row * dim)];
    for (int64_t i = 0; i < dim && !branch.empty(); ++i)
      sum[i] +=
          (scale.empty() ? 1 : scale[size_t(row / rows_per_image)]) * (branch[size_t(row * dim + i)] + bias[size_t(i)]);
    double mean = 0, variance = 0;
    for (int64_t i = 0; i < dim; ++i) mean += sum[i] / double(dim);
    for (int64_t i = 0; i < dim; ++i) variance += (sum[i] - mean) * (sum[i] - mean) / double(dim);
    const double inverse = 1 / std::sqrt(variance + epsilon);
    for (int64_t i = 0; i < dim; ++i)
      result.out[size_t(row * dim + i)] = (sum[i] - mean) * inverse * weight[size_t(i)] + shift[size_t(i)];
    result.mean[size_t(row)] = mean;
    result.inverse[size_t(row)] = inverse;
  }
  return result;
}

struct NormGradient {
  Numbers d_x, d_weight, d_shift;
};

inline NormGradient norm_backward(int64_t rows, int64_t dim, const Numbers& d_out, const Numbers& x,
                                  const Numbers& mean, const Numbers& inverse, const Numbers& weight) {
  NormGradient result{Numbers(x.size()), Numbers(size_t(dim)), Numbers(size_t(dim))};
  for (int64_t row = 0; row < rows; ++row) {
    const size_t r = size_t(row), at = size_t(row * dim);
    double mean_g = 0, mean_product = 0;
    for (size_t i = 0; i < size_t(dim); ++i) {
      const double hat = (x[at + i] - mean[r]) * inverse[r];
      result.d_weight[i] += d_out[at + i] * hat;
      result.d_shift[i] += d_out[at + i];
      mean_g += d_out[at + i] * weight[i] / double(dim);
      mean_product += d_out[at + i] * weight[i] * hat / double(dim);
    }
    for (size_t i = 0; i < size_t(dim); ++i) {
      const double hat = (x[at + i] - mean[r]) * inverse[r];
      result.d_x[at + i] = (d_out[at + i] * weight[i] - mean_g - hat * mean_product) * inverse[r];
    }
  }
  return result;
}

// ---- GELU --------------------------------------------------------------------------------------------------------

inline double gelu(double x) { return 0.5 * x * (1 + std::erf(x * std::sqrt(0.5))); }

inline double gelu_slope(double x) {
  return 0.5 * (1 + std::erf(x * std::sqrt(0.5))) + x * std::exp(-0.5 * x * x) / std::sqrt(2 * std::acos(-1.0));
}

// ---- Patches -----------------------------------------------------------------------------------------------------

// in: [images, channels, height, width], as float32 arithmetic goes.
inline Numbers patches(int64_t images, int64_t channels, int64_t height, int64_t width, int64_t patch, bool bytes,
                       const Numbers& in, const float* mean, const float* std) {
  Numbers out;
  for (int64_t image = 0; image < images; ++image)
    for (int64_t row = 0; row < height / patch; ++row)
      for (int64_t column = 0; column < width / patch; ++column)
        for (int64_t c = 0; c < channels; ++c)
          for (int64_t y = row * patch; y < (row + 1) * patch; ++y)
            for (int64_t x = column * patch; x < (column + 1) * patch; ++x) {
              float value = float(in[size_t(((image * channels + c) * height + y) * width + x)]);
              if (bytes) value = value / 255.0f;
              value = value - mean[c];
              out.push_back(value / std[c]);
            }
  return out;
}

// ---- Sample maps: index and weight are [images, queries, taps]
// -------------------------------------------------------

struct Maps {
  int64_t images, tokens, queries, taps, dim;
};

inline bool token_of(const Maps& m, const std::vector<int64_t>& index, size_t entry, size_t& token) {
  if (index[entry] < 0 || index[entry] >= m.tokens) return false;
  token = entry / size_t(m.queries * m.taps) * size_t(m.tokens) + size_t(index[entry]);
  return true;
}

inline Numbers srs_gather(const Maps& m, const Numbers& x, const std::vector<int64_t>& index, const Numbers& weight) {
  Numbers out(size_t(m.images * m.queries * m.dim));
  for (size_t entry = 0, token; entry < index.size(); ++entry)
    for (size_t i = 0; i < size_t(m.dim) && token_of(m, index, entry, token); ++i)
      out[entry / size_t(m.taps) * size_t(m.dim) + i] += weight[entry] * x[token * size_t(m.dim) + i];
  return out;
}

// d_x is added to.
inline void srs_scatter(const Maps& m, const Numbers& d_out, const std::vector<int64_t>& index, const Numbers& weight,
                        Numbers& d_x) {
  for (size_t entry = 0, token; entry < index.size(); ++entry)
    for (size_t i = 0; i < size_t(m.dim) && token_of(m, index, entry, token); ++i)
      d_x[token * size_t(m.dim) + i] += weight[entry] * d_out[entry / size_t(m.taps) * size_t(m.dim) + i];
}

// ---- Attention: crops of rows that lie one behind the other, heads side by side in a row ---------------------------

struct AttentionShape {
  std::vector<int32_t> query_begin, key_begin;  // [crops + 1]
  int64_t heads, dim, query_stride, key_stride;
};

// body(query, keys of the crop [first, end), head) for every query of every crop and head.
template <class Body>
void each_query(const AttentionShape& s, const Body& body) {
  for (size_t crop = 0; crop + 1 < s.query_begin.size(); ++crop)
    for (int64_t head = 0; head < s.heads; ++head)
      for (int64_t query = s.query_begin[crop]; query < s.query_begin[crop + 1]; ++query)
        body(query, int64_t(s.key_begin[crop]), int64_t(s.key_begin[crop + 1]), head);
}

inline double dot(const double* a, const double* b, int64_t size) {
  double sum = 0;
  for (int64_t i = 0; i < size; ++i) sum += a[i] * b[i];
  return sum;
}

// p: of one query; log_sum: base 2.
inline Numbers attention_row(const AttentionShape& s, const double* q, const double* k, int64_t first, int64_t end,
                             double& log_sum) {
  Numbers p;
  double most = -INFINITY, total = 0;
  for (int64_t key = first; key < end; ++key) {
    p.push_back(dot(q, k + key * s.key_stride, s.dim) / std::sqrt(double(s.dim)));
    most = std::fmax(most, p.back());
  }
  for (const double x : p) total += std::exp(x - most);
  for (double& x : p) x = std::exp(x - most) / total;
  log_sum = (most + std::log(total)) / std::log(2.0);
  return p;
}

// out: [queries, heads dim], log_sum: [heads, queries].
inline void attention(const AttentionShape& s, const double* q, const double* k, const double* v, Numbers& out,
                      Numbers& log_sum) {
  const int64_t queries = s.query_begin.back(), width = s.heads * s.dim;
  each_query(s, [&](int64_t query, int64_t first, int64_t end, int64_t head) {
    const int64_t at = head * s.dim;
    const Numbers p =
        attention_row(s, q + query * s.query_stride + at, k + at, first, end, log_sum[size_t(head * queries + query)]);
    for (int64_t i = 0; i < s.dim; ++i) {
      double& sum = out[size_t(query * width + at + i)];
      sum = 0;
      for (int64_t key = first; key < end; ++key) sum += p[size_t(key - first)] * v[key * s.key_stride + at + i];
    }
  });
}

// d_q, d_k, d_v: strided like q, k and v; added to.
inline void attention_backward(const AttentionShape& s, const double* q, const double* k, const double* v,
                               const double* d_out, double* d_q, double* d_k, double* d_v) {
  const double scale = 1 / std::sqrt(double(s.dim));
  each_query(s, [&](int64_t query, int64_t first, int64_t end, int64_t head) {
    const int64_t at = head * s.dim, q_at = query * s.query_stride + at;
    const double* const d = d_out + query * s.heads * s.dim + at;
    double log_sum = 0, delta = 0;
    const Numbers p = attention_row(s, q + q_at, k + at, first, end, log_sum);
    for (int64_t key = first; key < end; ++key)
      delta += p[size_t(key - first)] * dot(d, v + key * s.key_stride + at, s.dim);
    for (int64_t key = first; key < end; ++key) {
      const int64_t k_at = key * s.key_stride + at;
      const double share = p[size_t(key - first)], slope = share * (dot(d, v + k_at, s.dim) - delta) * scale;
      for (int64_t i = 0; i < s.dim; ++i) {
        d_q[q_at + i] += slope * k[k_at + i];
        d_k[k_at + i] += slope * q[q_at + i];
        d_v[k_at + i] += share * d[i];
      }
    }
  });
}

// ---- Prototypes --------------------------------------------------------------------------------------------------

// softmax((logits - center) / temp) of one row.
inline Numbers softmax(const double* logits, const double* center, int64_t size, double temp) {
  Numbers p;
  double most = -INFINITY, total = 0;
  for (int64_t k = 0; k < size; ++k) {
    p.push_back((logits[k] - (center ? center[k] : 0)) / temp);
    most = std::fmax(most, p.back());
  }
  for (double& u : p) total += u = std::exp(u - most);
  for (double& u : p) u /= total;
  return p;
}

inline double entropy(const Numbers& p) {
  double sum = 0;
  for (const double x : p) sum -= x > 0 ? x * std::log(x) : 0;
  return sum;
}

// The loss of one row, whose logits become `weight` times its gradient.
inline double cross_entropy(double* logits, const Numbers& target, double temp, double weight) {
  const Numbers q = softmax(logits, nullptr, int64_t(target.size()), temp);
  double most = -INFINITY, total = 0, loss = 0, whole = 0;
  for (size_t k = 0; k < target.size(); ++k) most = std::fmax(most, logits[k] / temp);
  for (size_t k = 0; k < target.size(); ++k) total += std::exp(logits[k] / temp - most);
  for (size_t k = 0; k < target.size(); ++k) {
    loss -= target[k] * (logits[k] / temp - most - std::log(total));
    whole += target[k];
  }
  for (size_t k = 0; k < target.size(); ++k) logits[k] = weight / temp * (whole * q[k] - target[k]);
  return loss;
}

// ---- Weight normalisation: v [rows, dim], g [rows] -----------------------------------------------------------------

inline Numbers weight_norm(int64_t rows, int64_t dim, const Numbers& v, const Numbers& g) {
  Numbers out(v.size());
  for (size_t row = 0; row < size_t(rows); ++row) {
    double square = 0;
    for (size_t i = row * size_t(dim); i < (row + 1) * size_t(dim); ++i) square += v[i] * v[i];
    for (size_t i = row * size_t(dim); i < (row + 1) * size_t(dim); ++i) out[i] = g[row] * v[i] / std::sqrt(square);
  }
  return out;
}

// d: gradient of W -> of v; d_g is added to.
inline void weight_norm_backward(int64_t rows, int64_t dim, const Numbers& v, const Numbers& g, Numbers& d,
                                 Numbers& d_g) {
  for (size_t row = 0; row < size_t(rows); ++row) {
    double square = 0, dot = 0;
    for (size_t i = row * size_t(dim); i < (row + 1) * size_t(dim); ++i) {
      square += v[i] * v[i];
      dot += v[i] * d[i];
    }
    const double length = std::sqrt(square), along = dot / length;
    for (size_t i = row * size_t(dim); i < (row + 1) * size_t(dim); ++i)
      d[i] = g[row] / length * (d[i] - along * v[i] / length);
    d_g[row] += along;
  }
}

// ---- AdamW and the teacher's average of one number
// -------------------------------------------------------------------

struct Adam {
  double weight, first, second, teacher;
};

inline void adamw(Adam& at, double gradient, double lr, double weight_decay, double beta1, double beta2, double epsilon,
                  int64_t updates) {
  at.weight *= 1 - lr * weight_decay;
  at.first = beta1 * at.first + (1 - beta1) * gradient;
  at.second = beta2 * at.second + (1 - beta2) * gradient * gradient;
  const double mean = at.first / (1 - std::pow(beta1, double(updates)));
  const double square = at.second / (1 - std::pow(beta2, double(updates)));
  at.weight -= lr * mean / (std::sqrt(square) + epsilon);
}

}  // namespace udi::cuda::test::twins
