// Attention over packed rows of several lengths against float64, image by image: one segment after the other as the CPU
// does it, and through a stand-in for LibTorch's flash attention, which is for CUDA alone: what it is passed is right
// if the stand-in, which reads it as LibTorch's documents say, gives what the twin gives. Where kernels are switched on
// (tests/cuda) they come before both.
#include "model/attention.h"

#include <torch/library.h>

#include <cmath>

#include "cases.h"
#include "model/kernels.h"
#include "model/vit.h"
#include "twin.h"

namespace udi {
namespace {

using Optional = std::optional<at::Tensor>;
int flash_calls = 0;

void expect_lengths(const at::Tensor& offsets, const at::Tensor& rows, const c10::SymInt& longest) {
  ASSERT_EQ(offsets.scalar_type(), at::kInt);
  ASSERT_TRUE(offsets.is_contiguous());
  EXPECT_EQ(offsets[0].item<int>(), 0);
  EXPECT_EQ(offsets[-1].item<int>(), rows.size(0));
  EXPECT_EQ(offsets.diff().max().item<int>(), longest.expect_int());
  ASSERT_EQ(rows.dim(), 3);
  EXPECT_EQ(rows.stride(2), 1);
}

at::Tensor sequence(const at::Tensor& rows, const at::Tensor& offsets, int64_t i) {  // [heads, length, d], float64
  const int64_t begin = offsets[i].item<int>(), end = offsets[i + 1].item<int>();
  return rows.slice(0, begin, end).transpose(0, 1).to(at::kDouble);
}

std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor, at::Tensor> flash_forward(
    const at::Tensor& query, const at::Tensor& key, const at::Tensor& value, const Optional& query_offsets,
    const Optional& key_offsets, c10::SymInt max_query, c10::SymInt max_key, double dropout, bool causal, bool,
    std::optional<double> scale, std::optional<c10::SymInt>, std::optional<c10::SymInt>, const Optional&,
    const Optional&) {
  ++flash_calls;
  EXPECT_TRUE(dropout == 0 && !causal);
  expect_lengths(*query_offsets, query, max_query);
  expect_lengths(*key_offsets, key, max_key);
  const at::Tensor out = at::empty(query.sizes(), query.options());
  const at::Tensor log_sum = at::empty({query.size(1), query.size(0)}, at::kFloat);
  for (int64_t i = 0; i + 1 < query_offsets->numel(); ++i) {
    const at::Tensor scores =
        at::matmul(sequence(query, *query_offsets, i), sequence(key, *key_offsets, i).transpose(1, 2)) * *scale;
    const int64_t begin = (*query_offsets)[i].item<int>();
    out.narrow(0, begin, scores.size(1))
        .copy_(at::matmul(at::softmax(scores, -1), sequence(value, *key_offsets, i)).transpose(0, 1));
    log_sum.narrow(1, begin, scores.size(1)).copy_(at::logsumexp(scores, -1));
  }
  return {out, log_sum, at::zeros({2}, at::kLong), at::zeros({1}), at::Tensor()};
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> flash_backward(
    const at::Tensor& d_out, const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
    const at::Tensor& out, const at::Tensor& log_sum, const at::Tensor& query_offsets, const at::Tensor& key_offsets,
    c10::SymInt max_query, c10::SymInt max_key, double, bool, const at::Tensor& random_state, const at::Tensor& unused,
    std::optional<double> scale, std::optional<c10::SymInt>, std::optional<c10::SymInt>) {
  expect_lengths(query_offsets, query, max_query);
  expect_lengths(key_offsets, key, max_key);
  EXPECT_TRUE(random_state.numel() == 2 && unused.numel() == 1);
  const at::Tensor d_query = at::empty(query.sizes(), query.options());
  const at::Tensor d_key = at::empty(key.sizes(), key.options()), d_value = at::empty(key.sizes(), key.options());
  for (int64_t i = 0; i + 1 < query_offsets.numel(); ++i) {
    const at::Tensor q = sequence(query, query_offsets, i), k = sequence(key, key_offsets, i);
    const at::Tensor v = sequence(value, key_offsets, i), d = sequence(d_out, query_offsets, i);
    const int64_t begin = query_offsets[i].item<int>(), key_begin = key_offsets[i].item<int>();
    const at::Tensor sums = log_sum.narrow(1, begin, q.size(1)).to(at::kDouble).unsqueeze(2);
    const at::Tensor p = at::exp(at::matmul(q, k.transpose(1, 2)) * *scale - sums);
    const at::Tensor dot = (d * sequence(out, query_offsets, i)).sum(-1, true);
    const at::Tensor d_scores = p * (at::matmul(d, v.transpose(1, 2)) - dot) * *scale;
    d_query.narrow(0, begin, q.size(1)).copy_(at::matmul(d_scores, k).transpose(0, 1));
    d_key.narrow(0, key_begin, k.size(1)).copy_(at::matmul(d_scores.transpose(1, 2), q).transpose(0, 1));
    d_value.narrow(0, key_begin, k.size(1)).copy_(at::matmul(p.transpose(1, 2), d).transpose(0, 1));
  }
  return {d_query, d_key, d_value};
}

// As long as it lives LibTorch has flash attention on the CPU.
class FlashOnTheCpu {
 public:
  FlashOnTheCpu() : library_(torch::Library::IMPL, "aten", c10::DispatchKey::CPU, __FILE__, __LINE__) {
    library_.impl("_flash_attention_forward", TORCH_FN(flash_forward));
    library_.impl("_flash_attention_backward", TORCH_FN(flash_backward));
    flash_calls = 0;
  }

 private:
  torch::Library library_;
};

struct Way {
  const char* name;
  at::ScalarType type;
  bool flash;
  double tolerance;
};
constexpr Way kWays[] = {{"float64", at::kDouble, false, 1e-12},
                         {"float32", at::kFloat, false, 3e-6},
                         {"bfloat16", at::kBFloat16, false, 2e-2},
                         {"flash_bfloat16", at::kBFloat16, true, 1e-2},
                         {"flash_half", at::kHalf, true, 2e-3}};

class PackedAttention : public testing::TestWithParam<Way> {};

TEST_P(PackedAttention, IsEachImagesOwn) {
  at::manual_seed(5);
  std::unique_ptr<FlashOnTheCpu> flash;
  if (GetParam().flash) flash = std::make_unique<FlashOnTheCpu>();
  const int64_t heads = 3, width = 8, dim = heads * width;
  const std::vector<std::vector<Segment>> packings = {
      {{2, 21, 21}}, {{2, 21, 21}, {7, 5, 2}}, {{1, 1, 1}, {3, 9, 1}, {2, 33, 33}, {1, 9, 1}}, {{4, 6, 1}}};
  AttentionMemory memory;  // of all of them: nothing may stay behind
  Packing packing;
  for (const std::vector<Segment>& segments : packings) {
    packing.make(segments, at::kCPU);
    SCOPED_TRACE(testing::Message() << packing.rows() << " rows, " << packing.asking() << " ask");
    const auto random = [&](int64_t rows, int64_t columns) {
      return twin::random({rows, columns}).to(GetParam().type);
    };
    // Query, key and value lie in wider matrices.
    const at::Tensor queries = random(packing.asking(), dim + 8), key_values = random(packing.rows(), 2 * dim);
    const auto heads_of = [&](const at::Tensor& q, const at::Tensor& kv) {
      return HeadRows{q.narrow(1, 8, dim), kv.narrow(1, 0, dim), kv.narrow(1, dim, dim), heads};
    };
    const at::Tensor d_out = random(packing.asking(), dim);
    const at::Tensor out =
        attention_forward(packing, heads_of(queries, key_values), AttentionKeeps::kForBackward, memory);
    const at::Tensor d_queries = at::zeros_like(queries), d_key_values = at::zeros_like(key_values);

    const at::Tensor q64 = queries.to(at::kDouble).set_requires_grad(true);
    const at::Tensor kv64 = key_values.to(at::kDouble).set_requires_grad(true);
    std::vector<at::Tensor> images;
    int64_t first = 0, first_asking = 0;
    for (const Segment& s : segments) {
      for (int64_t i = 0; i < s.images; ++i, first += s.tokens, first_asking += s.asking) {
        const auto split = [&](const at::Tensor& rows, int64_t column, int64_t begin, int64_t count) {
          return rows.narrow(0, begin, count).narrow(1, column, dim).unflatten(1, {heads, width}).transpose(0, 1);
        };
        const at::Tensor q = split(q64, 8, first_asking, s.asking), k = split(kv64, 0, first, s.tokens);
        const at::Tensor p = at::softmax(at::matmul(q, k.transpose(1, 2)) / std::sqrt(double(width)), -1);
        images.push_back(at::matmul(p, split(kv64, dim, first, s.tokens)).transpose(0, 1).flatten(1));
      }
    }
    const at::Tensor reference = at::cat(images);
    EXPECT_LE(twin::distance(out, reference), GetParam().tolerance);
    (reference * d_out.to(at::kDouble)).sum().backward();
    attention_backward(packing, heads_of(queries, key_values), memory, d_out, heads_of(d_queries, d_key_values));
    EXPECT_LE(twin::distance(d_queries, q64.grad()), 2 * GetParam().tolerance);
    EXPECT_LE(twin::distance(d_key_values, kv64.grad()), 2 * GetParam().tolerance);
    EXPECT_TRUE(at::equal(d_queries.narrow(1, 0, 8), at::zeros_like(d_queries.narrow(1, 0, 8))));
  }
  const bool kernels = kernels::take_activations(at::empty({1}, GetParam().type));
  EXPECT_EQ(flash_calls, GetParam().flash && !kernels ? 4 : 0);
  flash_calls = 0;
}

INSTANTIATE_TEST_SUITE_P(All, PackedAttention, testing::ValuesIn(kWays),
                         [](const auto& info) { return info.param.name; });

// The whole ViT with it in bfloat16: probabilities, where they are wanted, still come from the other way.
TEST(FlashAttention, GoesThroughTheVit) {
  if (kernels::take_activations(at::empty({1}))) GTEST_SKIP() << "kernels come before it";
  const FlashOnTheCpu flash;
  at::manual_seed(6);
  const udi_model_config config = cases::small();
  Parameters p(config, at::kFloat, at::kBFloat16, at::kCPU);
  cases::randomize(p);
  p.refresh();
  std::vector<VitBatch> batches(2);
  batches[0].images = at::randn({2, 3, 16, 16});
  batches[1].images = at::randn({3, 3, 8, 8});
  batches[1].options.class_tokens_only = true;
  for (VitBatch& batch : batches) batch.options.keep_for_backward = true;
  const at::Tensor d_tokens = at::randn({2, 18, 24}), d_cls = at::randn({3, 2, 24});
  const auto run = [&](const Parameters& grads, at::Tensor* attention) {
    batches[0].options.attention = attention;
    Vit vit(config, p);
    const at::Tensor cls = vit.forward(batches)[1].cls.clone();
    vit.backward({{d_tokens, {}}, {{}, d_cls}}, grads.vit);
    return cls;
  };
  const Parameters grads = p.zeros_like(), expected = p.zeros_like();
  const at::Tensor cls = run(grads, nullptr);
  EXPECT_EQ(flash_calls, config.depth);
  at::Tensor attention;
  const at::Tensor expected_cls = run(expected, &attention);
  EXPECT_EQ(flash_calls, 2 * config.depth - 1);
  EXPECT_EQ(attention.sizes(), (std::vector<int64_t>{2, config.heads, 18, 18}));
  EXPECT_LE(twin::distance(cls, expected_cls), 1e-2);
  EXPECT_LE(twin::distance(grads.flat, expected.flat), 3e-2);
  flash_calls = 0;
}

// What lies on the device stays there from call to call.
TEST(Packing, IsMadeOnce) {
  Packing packing;
  packing.make({{2, 5, 5}, {3, 4, 1}}, at::kCPU);
  const void* const rows = packing.row_offsets().const_data_ptr();
  EXPECT_TRUE(at::equal(packing.row_offsets(), at::tensor({0, 5, 10, 14, 18, 22}, at::kInt)));
  EXPECT_TRUE(at::equal(packing.asking_offsets(), at::tensor({0, 5, 10, 11, 12, 13}, at::kInt)));
  packing.make({{2, 5, 5}, {3, 4, 1}}, at::kCPU);
  EXPECT_EQ(packing.row_offsets().const_data_ptr(), rows);
  packing.make({{2, 5, 5}, {3, 4, 2}}, at::kCPU);
  EXPECT_EQ(packing.asking(), 16);
  EXPECT_EQ(packing.longest(), 5);
  EXPECT_FALSE(packing.all_ask());
  EXPECT_THROW(packing.make({{1 << 20, 1 << 20, 1}}, at::kCPU), Error);
}

}  // namespace
}  // namespace udi
