// The hand-written backward passes against autograd over the twin: in float64, where only a mistake can show, in
// float32, whose loops are other code, and in bfloat16 for size.
#include "cases.h"
#include "model/head.h"
#include "model/srs.h"
#include "model/vit.h"
#include "twin.h"

namespace udi {
namespace {

struct Precision {
  const char* name;
  at::ScalarType weights, products;
  double value, gradient;  // tolerances, relative norms
};
constexpr Precision kPrecisions[] = {{"float64", at::kDouble, at::kDouble, 1e-12, 1e-10},
                                     {"float32", at::kFloat, at::kFloat, 3e-6, 2e-5},
                                     {"bfloat16", at::kFloat, at::kBFloat16, 2e-2, 1e-1}};

class Backward : public testing::TestWithParam<Precision> {
 protected:
  void SetUp() override { at::manual_seed(1); }

  Parameters parameters(const udi_model_config& config) const {
    Parameters p(config, GetParam().weights, GetParam().products, at::kCPU);
    cases::randomize(p);
    p.refresh();
    return p;
  }
  at::Tensor cast(const at::Tensor& t) const { return t.defined() ? t.to(GetParam().weights) : t; }
  // Gradients that are noise against the largest are not compared in their own size: the key biases' are exactly zero.
  double floor(const twin::Weights& w) const {
    double largest = 0;
    for (const auto& [name, tensor] : w) {
      if (tensor.grad().defined()) largest = std::max(largest, tensor.grad().norm().item<double>());
    }
    return largest * 1e-3;
  }
};

TEST_P(Backward, Vit) {
  for (const cases::Case& c : cases::all()) {
    for (const bool class_tokens_only : {false, true}) {
      SCOPED_TRACE(testing::Message() << c.name << (class_tokens_only ? ", class tokens only" : ""));
      const Parameters p = parameters(c.config);
      const twin::Weights w = twin::leaves(p);
      const at::Tensor images = twin::random({c.images, c.config.channels, c.height, c.width});
      const at::Tensor factors = cases::drop_path_factors(c);
      at::Tensor reference = twin::vit(c.config, w, images, factors).back();
      if (class_tokens_only) reference = reference.narrow(1, 0, c.config.class_tokens);
      const at::Tensor reference_cls =
          twin::norm(reference.narrow(1, 0, c.config.class_tokens), w, "backbone.backbone.norm");
      const at::Tensor d_tokens = twin::random(reference.sizes()), d_cls = twin::random(reference_cls.sizes());
      ((reference * d_tokens).sum() + (reference_cls * d_cls).sum()).backward();

      VitOptions options;
      options.class_tokens_only = class_tokens_only;
      options.keep_for_backward = true;
      options.pixels = Pixels::kNormalized;
      options.drop_path = cast(factors);
      const Parameters grads = p.zeros_like();
      Vit vit(c.config, p);
      // Twice, the first time with other images: nothing may stay behind in the working memory but the sums.
      vit.forward(cast(images) * 0.5, options);
      const VitOutput out = vit.forward(cast(images), options);
      EXPECT_LE(twin::distance(out.tokens, reference), GetParam().value);
      EXPECT_LE(twin::distance(out.cls, reference_cls), GetParam().value);
      vit.backward(cast(d_tokens), cast(d_cls), grads.vit);
      twin::expect_gradients(grads, w, GetParam().gradient, floor(w));
    }
  }
}

TEST_P(Backward, VitAddsToGradients) {
  const cases::Case c = cases::all().back();
  const Parameters p = parameters(c.config), once = p.zeros_like(), twice = p.zeros_like();
  const at::Tensor images = cast(twin::random({c.images, 3, c.height, c.width}));
  const at::Tensor d_cls = cast(twin::random({c.images, 2, c.config.embed_dim}));
  VitOptions options;
  options.keep_for_backward = true;
  options.class_tokens_only = true;
  Vit vit(c.config, p);
  for (const Parameters* grads : {&once, &twice, &twice}) {
    vit.forward(images, options);
    vit.backward({}, d_cls, grads->vit);
  }
  EXPECT_LE(twin::distance(twice.flat, once.flat * 2), 1e-6);
  EXPECT_THROW(vit.backward({}, d_cls, once.vit), Error);  // what forward kept is used up
}

TEST_P(Backward, Srs) {
  for (const cases::Case& c : cases::all()) {
    if (!c.config.include_patch) continue;
    for (const int64_t taps : {1, 4}) {
      SCOPED_TRACE(testing::Message() << c.name << ", taps " << taps);
      const int64_t patches = c.height * c.width / (c.config.patch_size * c.config.patch_size), queries = 7;
      const Parameters p = parameters(c.config);
      const twin::Weights w = twin::leaves(p);
      const at::Tensor tokens =
          twin::random({c.images, c.config.class_tokens + patches, c.config.embed_dim}).set_requires_grad(true);
      const at::Tensor index = at::randint(patches, {c.images, queries, taps}, at::kLong);
      const at::Tensor weight = at::rand({c.images, queries, taps}, at::kDouble);
      weight.select(1, 3).zero_();  // a sample whose teacher row is all zero
      const at::Tensor map = at::zeros({c.images, queries, patches}, at::kDouble).scatter_add_(2, index, weight);
      const at::Tensor reference = twin::srs(c.config, w, tokens, map);
      const at::Tensor d_out = twin::random(reference.sizes());
      (reference * d_out).sum().backward();

      const Parameters grads = p.zeros_like();
      Srs srs(c.config, p);
      const at::Tensor out = srs.forward(cast(tokens.detach()), {index, cast(weight)}, true);
      EXPECT_LE(twin::distance(out, reference), GetParam().value);
      const at::Tensor d_before = twin::random(tokens.sizes()), d_tokens = cast(d_before).clone();
      srs.backward(cast(d_out), grads.srs, d_tokens);
      EXPECT_LE(twin::distance(d_tokens, d_before + tokens.grad()), GetParam().gradient);
      twin::expect_gradients(grads, w, GetParam().gradient, floor(w));
    }
  }
}

TEST_P(Backward, Head) {
  const udi_model_config config = cases::small();
  const Parameters p = parameters(config);
  const twin::Weights w = twin::leaves(p);
  const at::Tensor rows = twin::random({70, config.embed_dim}).set_requires_grad(true);
  const at::Tensor reference = twin::head(w, rows);
  const at::Tensor d_z = twin::random(reference.sizes());
  (reference * d_z).sum().backward();

  const Parameters grads = p.zeros_like();
  Head head(config, p);
  EXPECT_LE(twin::distance(head.forward(cast(rows.detach()), true), reference), GetParam().value);
  EXPECT_LE(twin::distance(head.backward(cast(d_z), grads.head), rows.grad()), GetParam().gradient);
  twin::expect_gradients(grads, w, GetParam().gradient, floor(w));
}

TEST_P(Backward, Prototypes) {
  udi_model_config config = cases::small();
  config.out_dim = 4100;  // more rows than are worked on at once
  const Parameters p = parameters(config);
  const twin::Weights w = twin::leaves(p);
  const at::Tensor reference = twin::prototypes(w);
  const at::Tensor d = twin::random(reference.sizes());
  (reference * d).sum().backward();

  const Parameters grads = p.zeros_like();
  const at::Tensor out = at::empty_like(p.head.weight_v);
  prototype_weights(p.head, out);
  EXPECT_LE(twin::distance(out, reference), 1e-6);
  grads.head.weight_v.copy_(d);
  prototype_backward(p.head, grads.head);
  twin::expect_gradients(grads, w, std::min(GetParam().gradient, 2e-5), floor(w));
}

INSTANTIATE_TEST_SUITE_P(All, Backward, testing::ValuesIn(kPrecisions),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace udi
