#include <cinttypes>
#include <cstdio>
#include <cstring>

#include "recipe.hpp"

namespace {

uint64_t fnv1a(udi::span<const float> values) {
  uint64_t hash = UINT64_C(14695981039346656037);
  const auto* bytes = reinterpret_cast<const unsigned char*>(values.data());
  for (std::size_t i = 0; i < values.size() * sizeof(float); ++i) hash = (hash ^ bytes[i]) * UINT64_C(1099511628211);
  return hash;
}

udi::Model train(const udi::Context& context, const recipe::Images& images) {
  udi::TrainConfig config;
  config.total_steps = 3;
  config.warmup_steps = 0;
  config.seed = 3;
  udi::Trainer trainer(recipe::model(context), config);
  for (int step = 0; step < 3; ++step) {  // each step is an epoch
    const double loss = trainer.step(udi::Views(context, recipe::crops(), images.all, 7, step)).loss;
    uint64_t bits;
    std::memcpy(&bits, &loss, sizeof bits);
    std::printf("step %d loss %016" PRIx64 "\n", step, bits);
  }
  return trainer.model();
}

}  // namespace

int main() try {
  const recipe::Images images;
  std::printf("api %s\n", udi_api_fingerprint());
  const udi::Context context(recipe::one_thread());
  const udi::Model model = train(context, images);
  udi::ExtractConfig config;
  config.token = UDI_TOKEN_BOTH;
  const udi::Tensor tokens = model.extract(model.prepare(images.all), UDI_NCHW, config);
  const udi::span<const int64_t> shape = tokens.shape();
  std::printf("tokens %" PRId64 " %" PRId64 " %016" PRIx64 "\n", shape[0], shape[1], fnv1a(tokens.data<float>()));
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
