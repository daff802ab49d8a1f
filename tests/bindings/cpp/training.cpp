// Views, image sets, steps, and files that go on to the bit.
#include <cmath>

#include "expect.hpp"
#include "recipe.hpp"

namespace {

udi::Loader open(const udi::Context& context, const std::string& pictures) {
  udi::LoaderConfig config;
  config.batch_size = 4;
  config.max_bad_percent = 100;
  return udi::Loader(context, pictures, recipe::crops(), config);
}

udi::TrainConfig nine_steps() {
  udi::TrainConfig config;
  config.total_steps = 9;
  config.lr = 1e-3;
  return config;
}

void check_loader(const udi::Context& context, const std::string& folder, const std::string& pictures) {
  udi::Loader loader = open(context, pictures);
  udi::Trainer trainer(recipe::model(context), nine_steps());
  expect(loader.images() > 40 && loader.steps_per_epoch() == loader.images() / 4, "images and batches");
  std::vector<double> losses;
  const std::string path = folder + "/run.safetensors";
  while (losses.size() < 4) {
    losses.push_back(trainer.step(loader.next()).loss);
    if (losses.size() == 2) trainer.save(path, &loader);
  }
  expect(trainer.steps() == 4 && loader.position() == 4 && losses[0] != losses[1], "four steps");

  udi::Loader again = open(context, pictures);
  udi::Trainer resumed = udi::Trainer::load(context, path, &again);
  expect(resumed.steps() == 2 && again.position() == 2, "where it was saved");
  again.seek(1);
  again.next();
  for (std::size_t step = 2; step < 4; ++step) {
    const udi_step_stats stats = resumed.step(again.next());
    expect(stats.loss == losses[step] && stats.step == int64_t(step), "the same losses");
  }
  expect(udi::Trainer::load(context, path).steps() == 2, "without its loader");
  const udi::Model student = udi::Model::load(context, path, UDI_STUDENT), teacher = resumed.model();
  expect(student.info().num_parameters == teacher.info().num_parameters, "both are in the file");
  teacher.save(folder + "/teacher.safetensors");
  expect(udi::Model::load(context, folder + "/teacher.safetensors").config().out_dim == 64, "a model alone");
  fails([&] { again.seek(-1); }, UDI_E_INVALID, "position is -1");
}

void check_views(const udi::Context& context) {
  const recipe::Images images;
  const udi::Views views(context, recipe::crops(), images.all, 7, 0);
  const udi::Tensor global = views.global_crops(), local = views.local_crops(), coords = views.coords();
  expect(global.shape()[1] == 8 && local.shape()[0] == 2 && coords.shape()[0] == 4, "shapes");

  // The same crops as a caller's own; every second token is a sample.
  std::vector<uint8_t> sample_global(8 * 16), sample_local(8 * 4);
  for (std::size_t i = 0; i < sample_global.size(); i += 2) sample_global[i] = 1;
  for (std::size_t i = 0; i < sample_local.size(); i += 2) sample_local[i] = 1;
  const udi::Array of_global(sample_global, {8, 16}), of_local(sample_local, {8, 4});
  std::vector<udi::Views> both;
  both.push_back(udi::Views::from_arrays(context, recipe::crops(), global, local, coords, of_global, of_local));
  both.emplace_back(context, recipe::crops(), images.all, 7, 0, 100);
  expect(both[0].count() == 8, "eight images");
  const udi::span<const uint8_t> there = both[0].global_crops().data<uint8_t>(), here = global.data<uint8_t>();
  expect(there.size() == here.size(), "as many pixels");
  udi::Trainer trainer(recipe::model(context), nine_steps());
  expect(std::isfinite(trainer.step(both).loss) && trainer.steps() == 1, "one step over two views");
  fails([&] { trainer.step(udi::span<const udi::Views>()); }, UDI_E_INVALID, "views");

  udi::ViewConfig alone = recipe::crops();
  alone.local_crops = 0;
  const udi::span<const float> all = coords.data<float>();
  const udi::Array of_two(udi::span<const float>(all.data(), 2 * 8 * 4), {2, 8, 4});
  const udi::Views without =
      udi::Views::from_arrays(context, alone, global, std::nullopt, of_two, of_global, std::nullopt);
  expect(std::isfinite(trainer.step(without).loss), "without local crops");
  fails([&] { udi::Views::from_arrays(context, alone, global, local, coords, of_global, of_local); }, UDI_E_INVALID,
        "local");
}

// A group of one rank meets nobody and changes no step.
void check_group(const udi::Context& context) {
  const recipe::Images images;
  udi::GroupConfig alone;
  alone.rank = 0;
  alone.world = 1;
  udi::Trainer joined(recipe::model(context), nine_steps()), other(recipe::model(context), nine_steps());
  {
    udi::Group group(context, alone);
    expect(group.rank() == 0 && group.world() == 1, "the only rank");
    joined.join(group);
  }
  const udi::Views views(context, recipe::crops(), images.all, 7, 0);
  expect(joined.step(views).loss == other.step(views).loss, "the same step");
  alone.rank = 1;
  fails([&] { udi::Group(context, alone); }, UDI_E_INVALID, "rank");
}

}  // namespace

void check_training(const std::string& folder, const std::string& pictures) {
  const udi::Context context(udi::ContextConfig(), [](udi_log_level, std::string_view) {});
  check_loader(context, folder, pictures);
  check_views(context);
  check_group(context);
}
