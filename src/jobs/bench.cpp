// Speed and memory of the data path, of a training step, of extraction: medians over rounds, on synthetic inputs unless
// images are given.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <functional>
#include <memory>

#include "base/files.h"
#include "base/random.h"
#include "data/augment.h"
#include "data/loader.h"
#include "image/jpeg.h"
#include "image/jpeg_baseline.h"
#include "jobs/draw.h"
#include "jobs/features.h"
#include "jobs/flops.h"
#include "jobs/machine.h"
#include "jobs/settings.h"
#include "model/extractor.h"
#include "model/kernels.h"
#include "train/trainer.h"

namespace udi {
namespace {

constexpr int kWidth = 500, kHeight = 375;  // of synthetic images: ImageNet's usual size

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// Seconds of each measured round.
std::vector<double> time_rounds(const JobHost& host, const JobConfig& config, const std::function<void()>& round) {
  const int64_t warmup = config.integer("warmup"), repeats = config.integer("repeats");
  Pace pace(host, "bench", warmup + repeats);
  std::vector<double> seconds;
  for (int64_t i = 0; i < warmup + repeats; ++i) {
    const auto start = Clock::now();
    round();
    if (i >= warmup) seconds.push_back(seconds_since(start));
    pace.advance(1, 0);
  }
  return seconds;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t half = values.size() / 2;
  return values.size() % 2 ? values[half] : (values[half - 1] + values[half]) / 2;
}

Json rates(const std::vector<double>& seconds, int64_t images) {
  const double fastest = *std::min_element(seconds.begin(), seconds.end());
  const double slowest = *std::max_element(seconds.begin(), seconds.end());
  return {{"images_per_second", double(images) / median(seconds)},
          {"slowest", double(images) / slowest},
          {"fastest", double(images) / fastest},
          {"images_a_round", images},
          {"rounds", seconds.size()}};
}

// Memory above what was there before: resident bytes of the process on the CPU, bytes that tensors hold elsewhere.
class MemoryMark {
 public:
  explicit MemoryMark(at::Device device) : device_(device) {
    base_ = device.is_cpu() ? resident_bytes() : device_bytes(device);
    device.is_cpu() ? reset_peak_resident() : reset_peak_device(device);
  }
  void write(Json* result) const {
    const int64_t peak = device_.is_cpu() ? peak_resident_bytes() : peak_device_bytes(device_);
    (*result)["peak_bytes"] = base_ < 0 ? Json() : Json(std::max<int64_t>(0, peak - base_));
    (*result)["base_bytes"] = base_ < 0 ? Json() : Json(base_);
  }

 private:
  at::Device device_;
  int64_t base_;  // -1: not known
};

void write_gemm_share(const JobHost& host, double operations_per_second, Json* result) {
  const double peak = host.device.is_cpu() ? sgemm_peak() : 0;
  (*result)["gemm_share"] = peak > 0 ? Json(operations_per_second / peak) : Json();
  (*result)["gemm_gflops"] = peak > 0 ? Json(peak / 1e9) : Json();
  (*result)["gflops"] = operations_per_second / 1e9;
}

// ---- data ----------------------------------------------------------------------------------------------------------

// Drawn pictures, enlarged and with fine noise: JPEG files of a photograph's size and weight.
class SyntheticPhotos {
 public:
  SyntheticPhotos(uint64_t seed, int64_t count) {
    path_ = (std::filesystem::temp_directory_path() / text("udi-bench-", ::getpid())).string();
    std::filesystem::create_directories(path_);
    for (int64_t i = 0; i < count; ++i) {
      const Image small = draw_picture(seed, int(i % 10), uint64_t(i));
      Image photo = resize_bicubic(small, {0, 0, small.height, small.width}, false, kHeight, kWidth);
      Random random(seed, Random::kDraw, 99, uint64_t(i));
      for (uint8_t& value : photo.bytes) value = uint8_t(std::clamp(int(value) + int(random.below(25)) - 12, 0, 255));
      const auto bytes = encode_jpeg(photo, 90);
      write_atomically(text(path_, "/", i, ".jpg"), [&](const Append& append) { append(bytes.data(), bytes.size()); });
    }
  }
  ~SyntheticPhotos() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// Milliseconds an image of each part, one after the other on this thread.
Json data_parts(const ImageSource& source, const JobConfig& config, const udi_view_config& views) {
  const int64_t count = std::min<int64_t>(source.size(), 32);
  const uint64_t seed = uint64_t(config.integer("seed"));
  double read = 0, decode = 0, crops = 0;
  Views out;
  shape_views(views, 1, config.integer("channels"), UDI_U8, 0, out);
  ViewMaker maker;
  std::vector<uint8_t> bytes;
  Image image;
  const auto jpeg = std::make_unique<BaselineJpeg>();
  double maps = 0;
  for (int64_t i = 0; i < count; ++i) {
    auto start = Clock::now();
    const auto lap = [&](double* sum) {
      *sum += seconds_since(start) * 1000 / double(count);
      start = Clock::now();
    };
    source.read(i, bytes);
    lap(&read);
    decode_image(bytes.data(), bytes.size(), decode_settings(config), int(out.channels), views.exif_turn != 0, image,
                 jpeg.get());
    lap(&decode);
    check(image.dtype == UDI_U8, UDI_E_UNSUPPORTED, "the parts of the data path are measured on 8-bit images");
    maker.fill_row(image, views, seed, i, 0, out);
    lap(&crops);
    finish_views(views, out);
    lap(&maps);
  }
  return {{"read_ms", read}, {"decode_ms", decode}, {"crops_ms", crops}, {"maps_ms", maps}};
}

Json bench_data(const JobHost& host, JobConfig& config) {
  const udi_view_config views = view_settings(config);
  std::unique_ptr<SyntheticPhotos> photos;
  if (!config.given("data")) photos = std::make_unique<SyntheticPhotos>(uint64_t(config.integer("seed")), 64);
  const std::string path = photos ? photos->path() : config.string("data");
  const ImageSource::Options options = source_settings(config);
  const udi_loader_config settings = loader_settings(config, host.num_threads);

  // What is not made here needs no GPU here.
  const bool planned = config.string("augment_on") == "device";
  Loader loader(ImageSource::open(path, options, host.host), views, settings, host.host, planned);
  Views batch;
  const int64_t batches = std::max<int64_t>(1, std::min<int64_t>(64 / settings.batch_size, loader.steps_per_epoch()));
  const MemoryMark memory(at::kCPU);
  const auto seconds = time_rounds(host, config, [&] {
    for (int64_t i = 0; i < batches; ++i) loader.next(batch);
  });
  Json result = rates(seconds, batches * settings.batch_size);
  const int workers = settings.workers ? settings.workers : int(std::thread::hardware_concurrency());
  result["images_per_second_a_core"] = result["images_per_second"].get<double>() / workers;
  result["workers"] = workers;
  memory.write(&result);
  result["gemm_share"] = nullptr;
  result["parts"] = data_parts(loader.source(), config, views);
  return result;
}

// ---- step ----------------------------------------------------------------------------------------------------------

std::vector<Image> random_images(const udi_model_config& model, uint64_t seed, int64_t count, int height, int width) {
  std::vector<Image> images(static_cast<size_t>(count));
  for (size_t i = 0; i < images.size(); ++i) {
    images[i].height = height;
    images[i].width = width;
    images[i].channels = model.channels;
    images[i].bytes.resize(size_t(height) * size_t(width) * size_t(model.channels));
    Random random(seed, Random::kDraw, 98, i);
    for (uint8_t& value : images[i].bytes) value = uint8_t(random.next());
  }
  return images;
}

Json bench_step(const JobHost& host, JobConfig& config) {
  const udi_model_config model_config = model_settings(config);
  const udi_view_config views = view_settings(config);
  const uint64_t seed = uint64_t(config.integer("seed"));
  const int64_t batch = config.integer("batch_size");
  const bool on_device = augments_on_device(config, host.device);
  udi_train_config train;
  udi_train_config_init(&train, sizeof train);
  train.total_steps = 1000000;
  train.steps_per_epoch = 1000;
  train.freeze_last_layer_steps = 0;
  train.lr = 1e-4;
  train.micro_batch = int32_t(config.integer("micro_batch"));
  check(config.string("precision") != "int8", UDI_E_INVALID, "precision: a step is in f32 or bf16; int8 is of extract");
  train.precision = config.string("precision") == "bf16" ? UDI_BF16 : UDI_F32;
  train.seed = seed;

  std::unique_ptr<Trainer> trainer;
  {
    Model model(model_config, host.device);
    model.weights.initialize(model_config, seed);
    trainer = std::make_unique<Trainer>(model, train);
  }
  Views input;
  if (config.given("data")) {
    Loader(ImageSource::open(config.string("data"), source_settings(config), host.host), views,
           loader_settings(config, host.num_threads), host.host, on_device)
        .next(input);
  } else {
    std::vector<int64_t> samples;
    for (int64_t i = 0; i < batch; ++i) samples.push_back(i);
    make_views(random_images(model_config, seed, batch, kHeight, kWidth), views, seed, 0, samples, input, nullptr,
               on_device);
  }

  udi_step_stats stats{};
  const MemoryMark memory(host.device);
  const auto seconds = time_rounds(host, config, [&] { trainer->step({&input}, host.host, &stats); });
  Json result = rates(seconds, batch);
  memory.write(&result);
  write_gemm_share(host, step_flops(model_config, views, stats.valid_share) * double(batch) / median(seconds), &result);
  result["micro_batch"] = std::min(batch, trainer->micro_batch(input));
  result["valid_share"] = stats.valid_share;
  result["loss"] = stats.loss;
  result["parameters"] = trainer->student().count();
  return result;
}

// ---- extract -------------------------------------------------------------------------------------------------------

Json bench_extract(const JobHost& host, JobConfig& config) {
  const udi_model_config model_config = model_settings(config);
  const uint64_t seed = uint64_t(config.integer("seed"));
  const int64_t batch = config.integer("batch_size");
  Model model(model_config, host.device);
  model.weights.initialize(model_config, seed);
  udi_extract_config options = extract_config_default();
  options.batch_size = int32_t(batch);
  options.precision = config.choice("precision");

  const MemoryMark memory(host.device);
  std::vector<double> seconds;
  int64_t images = batch;
  if (config.given("data")) {
    const ImageSource source = ImageSource::open(config.string("data"), source_settings(config), host.host);
    const JobHost quiet{host.host, host.device, host.num_threads, {}};
    seconds = time_rounds(host, config, [&] {
      images = extract_features(quiet, model, source, config, options, "extract",
                                [](const at::Tensor&, const std::vector<int64_t>&) {})
                   .images;
    });
  } else {
    const int side = model_config.image_size;
    const auto pixels = random_images(model_config, seed, batch, side, side);
    std::vector<at::Tensor> rows;
    for (const auto& image : pixels) {
      rows.push_back(at::from_blob(const_cast<uint8_t*>(image.u8()), {model_config.channels, side, side}, at::kByte));
    }
    const at::Tensor input = at::stack(rows).to(host.device);
    Extractor extractor;
    seconds = time_rounds(host, config, [&] { extractor.extract(model, input, UDI_NCHW, options); });
  }
  Json result = rates(seconds, images);
  memory.write(&result);
  write_gemm_share(host, extract_flops(model_config) * double(images) / median(seconds), &result);
  result["parameters"] = model.weights.count();
  return result;
}

// options kernels and graph, as long as the job runs
class KernelSwitch {
 public:
  KernelSwitch(const JobHost& host, JobConfig& config) : on_(config.flag("kernels")) {
    check(on_ || !config.flag("graph"), UDI_E_INVALID, "graph needs kernels (--kernels --graph)");
    if (!on_) return;
    check(host.device.is_cuda(), UDI_E_INVALID, "kernels are for CUDA; the device is the CPU (--device cuda)");
    kernels::use(at::kCUDA);
    if (config.flag("graph")) kernels::use_graphs();
  }
  ~KernelSwitch() {
    if (on_) kernels::leave();
  }

 private:
  bool on_;
};

}  // namespace

Json run_bench(const JobHost& host, JobConfig& config) {
  model_settings(config);  // names misfits before anything is measured
  const KernelSwitch turned(host, config);
  const std::string what = config.string("what");
  Json result = {{"what", what},
                 {"batch_size", config.integer("batch_size")},
                 {"precision", config.string("precision")},
                 {"kernels", kernels::take(at::empty({0}, at::TensorOptions(host.device)))},
                 {"graph", kernels::graphs()},
                 {"augment_on", config.string("augment_on")}};
  result.update(what == "data"   ? bench_data(host, config)
                : what == "step" ? bench_step(host, config)
                                 : bench_extract(host, config));
  return result;
}

}  // namespace udi
