// udi-golden: replays golden folders (README.md) on the core and writes what came out.
#include <cstdio>
#include <cstring>

#include "base/error.h"
#include "replay_augment.h"
#include "replay_features.h"
#include "replay_train.h"

namespace {

using namespace udi;

void train(const std::string& folder, const std::string& out) {
  const GoldenRun run(folder);
  const auto features = replay_features(run);
  Trainer trainer(run.model, run.train);
  const GoldenReplay done = replay(trainer, run);
  std::vector<TensorView> views;
  for (const auto& [name, tensor] : features)
    views.push_back({name, UDI_F32, tensor.sizes().vec(), tensor.const_data_ptr(), tensor.nbytes()});
  write_replay(trainer, done, views, out);
}

}  // namespace

int main(int argc, char** argv) {
  const bool known = argc == 4 && (!std::strcmp(argv[1], "train") || !std::strcmp(argv[1], "augment"));
  if (!known) {
    std::fprintf(stderr,
                 "usage: udi-golden train DIR OUT.safetensors\n"
                 "       udi-golden augment BASE OUT.safetensors    (BASE.json and BASE.safetensors)\n");
    return 2;
  }
  try {
    if (!std::strcmp(argv[1], "train")) {
      train(argv[2], argv[3]);
    } else {
      replay_augment(argv[2], argv[3]);
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "udi-golden: %s\n", error.what());
    return 1;
  }
  return 0;
}
