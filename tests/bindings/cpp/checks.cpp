// Errors, fit and leaks as in bindings/README.md; handles. Usage: checks EMPTY_FOLDER PICTURES
#include <cstdio>
#include <cstring>
#include <fstream>

#include "expect.hpp"
#include "recipe.hpp"

namespace {

static_assert(!std::is_copy_constructible_v<udi::Context> && !std::is_copy_assignable_v<udi::Model>);
static_assert(std::is_nothrow_move_constructible_v<udi::Context> && std::is_nothrow_move_constructible_v<udi::Tensor>);
static_assert(std::is_convertible_v<udi::Tensor&, udi::Array> && !std::is_convertible_v<udi_tensor*, udi::Tensor>);

void check_errors() {
  const udi::Context context;
  fails([] { udi::ModelConfig("vit_huge"); }, UDI_E_NOT_FOUND, "UDI_E_NOT_FOUND: no architecture is called 'vit_huge'");
  fails([&] { udi::Model(context, recipe::sizes(7)); }, UDI_E_INVALID, "patch_size");
  fails([&] { udi::Model::load(context, "/no/such.safetensors"); }, UDI_E_NOT_FOUND, "/no/such.safetensors");
  fails([&] { udi::Model::load(context, std::string("a\0b", 3)); }, UDI_E_INVALID, "NUL");
  try {
    recipe::model(context).save("/no/such/folder/model.safetensors");
    expect(false, "written");
  } catch (const std::runtime_error& error) {
    const auto& own = dynamic_cast<const udi::Error&>(error);
    expect(own.status() == UDI_E_IO && own.native_code() == ENOENT, error.what());
  }
  udi::Context other;
  fails([&] { other.set_stream(nullptr); }, UDI_E_UNSUPPORTED, "on the CPU");
  expect(std::strcmp(udi::version(), "0.0.0") > 0, udi::version());
  expect(std::string(udi::build_info()).find(udi::version()) != std::string::npos, udi::build_info());
  expect(std::string(udi::job_schema()).find("\"pretrain\"") != std::string::npos, "the schema lists jobs");
}

bool fits(char fingerprint, uint32_t version, uint32_t abi) {
  const std::string ours(64, 'a'), its(64, fingerprint);
  try {
    udi::require_fit({ours, 2000, 0}, {its, version, abi});
    return true;
  } catch (const udi::Error& error) {
    expect(error.status() == UDI_E_VERSION, error.what());
    const std::string text = error.what();
    expect(text.find("made for 0.2.0 (ABI 0, interface aaaaaaaaaaaa):") != std::string::npos, text);
    return false;
  }
}

void check_fit() {
  udi::require_fit();
  expect(fits('a', 2000, 0) && fits('b', 2001, 0), "the same and a newer one fit");
  expect(!fits('b', 2000, 0) && !fits('b', 1999, 0) && !fits('b', 2001, 1), "others do not");
}

void check_handles() {
  udi::Context context;
  udi::Model one = recipe::model(context), two = std::move(one);
  expect(!one && two && two.info().embed_dim == 24, "moved");
  fails([&] { one.info(); }, UDI_E_INVALID, "model is NULL");
  fails([&] { udi::Trainer(one, udi::TrainConfig()); }, UDI_E_INVALID, "NULL");
  expect(one.param_count() == 0, "an empty handle has no weights");
  one = std::move(two);
  one = recipe::model(context);  // the first is freed
  udi::Context moved = std::move(context);
  context.cancel();  // nothing is there
  context.clear_cancel();
  fails([&] { recipe::model(context); }, UDI_E_INVALID, "context is NULL");
  udi::Model third = recipe::model(moved);
  moved = udi::Context();
  expect(third.info().depth == 2 && one.config().image_size == 32, "handles keep their context");
}

void round(const recipe::Images& images, bool by_hand) {
  std::optional<udi::Context> context(std::in_place, recipe::one_thread());
  std::optional<udi::Views> views(std::in_place, *context, recipe::crops(),
                                  udi::span<const udi_image>(images.all.data(), 2), 7, 0);
  const udi::Model model = recipe::model(*context);
  expect(views->count() == 2, "two images");
  if (!by_hand) return;
  context.reset();
  views.reset();
}

long resident(const recipe::Images& images, int rounds) {  // KiB
  for (int i = 0; i < rounds; ++i) round(images, i % 2 == 0);
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    if (word != "VmRSS:") continue;
    status >> word;
    return std::stol(word);
  }
  throw std::logic_error("no VmRSS");
}

}  // namespace

int main(int, char** arguments) try {
  check_errors();
  check_fit();
  check_handles();
  check_memory(arguments[2]);
  check_training(arguments[1], arguments[2]);
  check_callbacks(arguments[1], arguments[2]);
  const recipe::Images images;
  const long before = resident(images, 100), grown = resident(images, 1000) - before;
  expect(grown < 8 * 1024, "1,000 rounds grew memory by " + std::to_string(grown) + " KiB");
  std::printf("errors, fit, memory, training and callbacks as promised; 1,000 rounds grew memory by %ld KiB\n", grown);
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
