// udi.hpp - libudi for C++17 and later: udi.h with owners, exceptions and spans. Header-only, and all of it is inline:
// a program links libudi and nothing else.
//
//     udi::Context context;  // the CPU; nothing is logged
//     udi::Model model = udi::Model::load(context, "checkpoint.safetensors");
//     std::vector<udi_image> images = {udi::encoded(jpeg), udi::pixels(rgb, height, width)};
//     udi::Tensor batch = model.prepare(images);
//     udi::Tensor cls = model.extract(batch);  // [images, embed_dim]
//     for (float value : cls.data<float>()) ...
//
// A method is the function of udi.h that it calls; sizes, ranges, units and statuses stand there. Constants and structs
// are those of udi.h; a configuration is the same struct with libudi's defaults in it. What is added:
//
// Errors      A call that fails throws udi::Error and has done nothing.
// Ownership   Handles are moved, not copied, and freed by their destructors, in any order: each keeps its context. One
//             that was moved from is empty; its calls give UDI_E_INVALID. Spans, arrays and images borrow: what they
//             were made from must outlive them; a tensor's are valid as long as the tensor.
// Threads     As in C: a context and its handles are one lane, any thread, one at a time. Context::cancel is for any
//             thread and for signal handlers. Destroy a handle when no call uses it.
// Callbacks   They may throw. What a Progress throws stops the job and leaves Context::run. What a Log throws, maybe on
//             a worker thread, cancels the running call, or the next one; that call throws it, and the context can be
//             used again. A callback may call nothing of its context but Context::cancel.
#ifndef UDI_HPP
#define UDI_HPP

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "udi.h"
#include "udi/call.hpp"
#include "udi/memory.hpp"

namespace udi {
inline namespace UDI_HPP_RELEASE {

inline const char* version() noexcept { return udi_version_string(); }
inline const char* build_info() noexcept { return udi_build_info(); }  // JSON
inline const char* job_schema() noexcept { return udi_job_schema(); }  // JSON: every job and its options

// ---- Configurations: made with libudi's defaults; then change fields ------------------------------------------------

template <class Struct, void (*Init)(Struct*, std::size_t)>
struct Config : Struct {
  Config() : Struct() {
    require_fit();
    Init(this, sizeof(Struct));
  }
};

using ContextConfig = Config<udi_context_config, udi_context_config_init>;
using ViewConfig = Config<udi_view_config, udi_view_config_init>;
using LoaderConfig = Config<udi_loader_config, udi_loader_config_init>;
using TrainConfig = Config<udi_train_config, udi_train_config_init>;
using GroupConfig = Config<udi_group_config, udi_group_config_init>;
using ExtractConfig = Config<udi_extract_config, udi_extract_config_init>;
using AttentionConfig = Config<udi_attention_config, udi_attention_config_init>;

struct ModelConfig : udi_model_config {
  // arch: "vit_tiny", "vit_small", "vit_base", "vit_large".
  explicit ModelConfig(const std::string& arch) : udi_model_config() {
    require_fit();
    detail::call(nullptr, udi_model_config_init, this, sizeof(udi_model_config), detail::chars(arch));
  }
};

// ---- Context --------------------------------------------------------------------------------------------------------

// A device, a log, limits: where everything else lives.
class Context {
 public:
  // log: takes the place of config.log and config.log_user; config.log_level chooses its lines.
  explicit Context(const udi_context_config& config = ContextConfig(), Log log = {})
      : lane_(std::make_shared<detail::Lane>()) {
    require_fit();
    udi_context_config given = config;
    if (log) {
      lane_->log = std::move(log);
      given.log = detail::Lane::on_log;
      given.log_user = lane_.get();
    }
    udi_context* context = nullptr;
    detail::call(lane_, udi_context_create, &given, &context);
    lane_->open(context);
  }
  Context(Context&&) noexcept = default;
  Context& operator=(Context&&) noexcept = default;

  // Makes the running call, and every later one, throw UDI_E_CANCELLED.
  void cancel() noexcept {
    if (lane_) lane_->cancelled = true;
    udi_context_cancel(get());
  }
  void clear_cancel() noexcept {
    if (lane_) lane_->cancelled = false;
    udi_context_clear_cancel(get());
  }

  // stream: a cudaStream_t that outlives the context's last handle; NULL: the default stream.
  void set_stream(void* stream) { detail::call(lane_, udi_context_set_stream, get(), stream); }

  // Runs a whole job: context.run("knn", R"({"model": "checkpoint.safetensors", ...})"). options: a JSON object of what
  // job_schema() lists. Returns a JSON object.
  std::string run(const std::string& job, const std::string& options, const Progress& progress = {}) {
    struct Watch {
      const Progress& progress;
      std::exception_ptr thrown;

      static int32_t on_progress(void* user, const udi_progress* now) noexcept {
        Watch& watch = *static_cast<Watch*>(user);
        try {
          return watch.progress(*now) ? 0 : 1;
        } catch (...) {
          watch.thrown = std::current_exception();
          return 1;
        }
      }
    } watch{progress, nullptr};
    udi_error error{};
    char* out = nullptr;
    const udi_status status = udi_job_run(get(), detail::chars(job), detail::chars(options),
                                          progress ? Watch::on_progress : nullptr, &watch, &out, &error);
    const std::unique_ptr<char, void (*)(char*)> result(out, udi_string_free);
    if (watch.thrown) std::rethrow_exception(watch.thrown);
    detail::check(lane_, status, error);
    return out;
  }

  udi_context* get() const noexcept { return lane_ ? lane_->context : nullptr; }
  const detail::LanePointer& lane() const noexcept { return lane_; }

 private:
  detail::LanePointer lane_;
};

// ---- Tensor ---------------------------------------------------------------------------------------------------------

// An array that libudi owns.
class Tensor : public detail::Handle<udi_tensor, udi_tensor_free> {
 public:
  explicit Tensor(Handle&& made) noexcept : Handle(std::move(made)) {}

  // Over the caller's memory, which nothing of libudi writes to. release, called once on any thread when the memory is
  // free again, and not if this fails, must not throw.
  static Tensor wrap(const Context& context, const Array& array, std::function<void()> release = {}) {
    const udi_array borrowed = array.get();
    auto user = release ? std::make_unique<std::function<void()>>(std::move(release)) : nullptr;
    const auto call_release = [](void* given) noexcept {
      (*std::unique_ptr<std::function<void()>>(static_cast<std::function<void()>*>(given)))();
    };
    Tensor tensor(made(context.lane(), udi_tensor_wrap, context.get(), &borrowed,
                       user ? udi_release_fn(call_release) : nullptr, static_cast<void*>(user.get())));
    static_cast<void>(user.release());
    return tensor;
  }

  // DLPack 1: out, for another library, which calls the deleter; and in, where managed belongs to the tensor unless
  // this fails. Nothing is copied.
  DLManagedTensorVersioned* to_dlpack() const {
    DLManagedTensorVersioned* out = nullptr;
    detail::call(lane(), udi_tensor_to_dlpack, get(), &out);
    return out;
  }
  static Tensor from_dlpack(const Context& context, DLManagedTensorVersioned* managed) {
    return Tensor(made(context.lane(), udi_tensor_from_dlpack, context.get(), managed));
  }

  // The tensor's memory, valid as long as the tensor.
  udi_array view() const {
    udi_array array{};
    array.struct_size = sizeof array;
    detail::call(lane(), udi_tensor_view, get(), &array);
    return array;
  }
  operator Array() const { return view(); }

  span<const int64_t> shape() const {
    const udi_array array = view();
    return {array.shape, std::size_t(array.ndim)};
  }

  // All elements in row-major order. UDI_E_SHAPE: they are not of type T, or lie otherwise; UDI_E_DEVICE: on a GPU.
  template <class T>
  span<const T> data() const {
    const udi_array array = view();
    if (array.dtype != dtype_of<T>()) {
      throw Error(UDI_E_SHAPE, "the tensor is of udi_dtype " + std::to_string(array.dtype) + ", it is asked for as " +
                                   std::to_string(dtype_of<T>()));
    }
    if (array.device_type != UDI_CPU) throw Error(UDI_E_DEVICE, "the tensor is on a GPU: view() tells where");
    int64_t size = 1;
    for (int32_t i = array.ndim - 1; i >= 0; --i) {
      if (array.strides && array.shape[i] != 1 && array.strides[i] != size) {
        throw Error(UDI_E_SHAPE, "the tensor's elements are not side by side: view() tells their strides");
      }
      size *= array.shape[i];
    }
    return {static_cast<const T*>(array.data), std::size_t(size)};
  }
};

// ---- Model ----------------------------------------------------------------------------------------------------------

// A backbone with SRS module and projection head.
class Model : public detail::Handle<udi_model, udi_model_free> {
 public:
  explicit Model(Handle&& made) noexcept : Handle(std::move(made)) {}

  Model(const Context& context, const udi_model_config& config, uint64_t seed = 0)
      : Handle(made(context.lane(), udi_model_create, context.get(), &config, seed)) {}

  static Model load(const Context& context, const std::string& path, udi_role role = UDI_TEACHER) {
    return Model(made(context.lane(), udi_model_load, context.get(), detail::chars(path), role));
  }

  // The same weights for another context on the same device: one for each thread.
  Model share(const Context& context) const {
    return Model(made(context.lane(), udi_model_share, get(), context.get()));
  }

  void save(const std::string& path) const { detail::call(lane(), udi_model_save, get(), detail::chars(path)); }

  udi_model_config config() const {
    udi_model_config config{};
    config.struct_size = sizeof config;
    detail::call(lane(), udi_model_get_config, get(), &config);
    return config;
  }

  udi_model_info info() const {
    udi_model_info info{};
    info.struct_size = sizeof info;
    detail::call(lane(), udi_model_get_info, get(), &info);
    return info;
  }

  // Weights by their official names. A parameter is a copy: UDI_F32 on the CPU.
  int64_t param_count() const noexcept { return udi_model_param_count(get()); }
  const char* param_name(int64_t index) const noexcept { return udi_model_param_name(get(), index); }
  Tensor param(const std::string& name) const {
    return Tensor(Tensor::made(lane(), udi_model_param_get, get(), detail::chars(name)));
  }
  void set_param(const std::string& name, const Array& value) {
    const udi_array borrowed = value.get();
    detail::call(lane(), udi_model_param_set, get(), detail::chars(name), &borrowed);
  }

  // The evaluation transform: [images, channels, image_size, image_size], for extract and attention.
  Tensor prepare(span<const udi_image> images) const {
    return Tensor(Tensor::made(lane(), udi_model_prepare, get(), images.data(), int64_t(images.size())));
  }

  // Tokens, float: [B, D] for B images of [B, C, H, W], or of [B, H, W, C] with UDI_NHWC; other shapes at udi_token.
  Tensor extract(const Array& images, udi_layout layout = UDI_NCHW,
                 const udi_extract_config& config = ExtractConfig()) const {
    return over(images, layout, udi_model_extract, &config);
  }

  // Attention over the patches, float: [B, heads, H / patch_size, W / patch_size].
  Tensor attention(const Array& images, udi_layout layout = UDI_NCHW,
                   const udi_attention_config& config = AttentionConfig()) const {
    return over(images, layout, udi_model_attention, &config);
  }

 private:
  template <class Function, class Settings>
  Tensor over(const Array& images, udi_layout layout, Function function, const Settings* config) const {
    const udi_array borrowed = images.get();
    return Tensor(Tensor::made(lane(), function, get(), &borrowed, layout, config));
  }
};

// ---- Views and loader -----------------------------------------------------------------------------------------------

// The crops of a batch of images and their sample maps.
class Views : public detail::Handle<udi_views, udi_views_free> {
 public:
  explicit Views(Handle&& made) noexcept : Handle(std::move(made)) {}

  Views(const Context& context, const udi_view_config& config, span<const udi_image> images, uint64_t seed,
        int64_t epoch, int64_t first_sample = 0)
      : Handle(made(context.lane(), udi_views_create, context.get(), &config, images.data(), int64_t(images.size()),
                    seed, epoch, first_sample)) {}

  // Of a caller's own augmentation: global [2, B, C, G, G], local [L, B, C, l, l], coords [2 + L, B, 4], masks [B, N]
  // and [B, n]. local and sample_local: std::nullopt where config has no local crops.
  static Views from_arrays(const Context& context, const udi_view_config& config, const Array& global,
                           const std::optional<Array>& local, const Array& coords, const Array& sample_global,
                           const std::optional<Array>& sample_local) {
    const udi_array arrays[] = {global.get(), local ? local->get() : udi_array{}, coords.get(), sample_global.get(),
                                sample_local ? sample_local->get() : udi_array{}};
    return Views(made(context.lane(), udi_views_from_arrays, context.get(), &config, &arrays[0],
                      local ? &arrays[1] : nullptr, &arrays[2], &arrays[3], sample_local ? &arrays[4] : nullptr));
  }

  int64_t count() const noexcept { return udi_views_count(get()); }  // images

  // Copies: [2, B, C, G, G], [L, B, C, l, l], and float [2 + L, B, 4].
  Tensor global_crops() const { return Tensor(Tensor::made(lane(), udi_views_crops, get(), 1)); }
  Tensor local_crops() const { return Tensor(Tensor::made(lane(), udi_views_crops, get(), 0)); }
  Tensor coords() const { return Tensor(Tensor::made(lane(), udi_views_coords, get())); }
};

// An image set on disk, turned into views by worker threads.
class Loader : public detail::Handle<udi_loader, udi_loader_free> {
 public:
  Loader(const Context& context, const std::string& path, const udi_view_config& views = ViewConfig(),
         const udi_loader_config& config = LoaderConfig())
      : Handle(made(context.lane(), udi_loader_open, context.get(), detail::chars(path), &views, &config)) {}

  int64_t images() const noexcept { return udi_loader_images(get()); }
  int64_t steps_per_epoch() const noexcept { return udi_loader_steps_per_epoch(get()); }

  // The next batch; epochs follow each other without end.
  Views next() { return Views(Views::made(lane(), udi_loader_next, get())); }

  // Batches given out since the start of training; seek goes on as if so many had been.
  int64_t position() const noexcept { return udi_loader_position(get()); }
  void seek(int64_t position) { detail::call(lane(), udi_loader_seek, get(), position); }
};

// ---- Group ----------------------------------------------------------------------------------------------------------

// The processes of a distributed run: by default those that the launcher started.
class Group : public detail::Handle<udi_group, udi_group_free> {
 public:
  explicit Group(const Context& context, const udi_group_config& config = GroupConfig())
      : Handle(made(context.lane(), udi_group_create, context.get(), &config)) {}

  int32_t rank() const noexcept { return udi_group_rank(get()); }
  int32_t world() const noexcept { return udi_group_world(get()); }
};

// ---- Trainer --------------------------------------------------------------------------------------------------------

// Student, teacher, centers, optimizer, schedules.
class Trainer : public detail::Handle<udi_trainer, udi_trainer_free> {
 public:
  explicit Trainer(Handle&& made) noexcept : Handle(std::move(made)) {}

  // In the model's context; the model stays as it is.
  Trainer(const Model& model, const udi_train_config& config)
      : Handle(made(model.lane(), udi_trainer_create, model.lane() ? model.lane()->context : nullptr, model.get(),
                    &config)) {}

  // loader: set to its saved position; may be NULL.
  static Trainer load(const Context& context, const std::string& path, Loader* loader = nullptr) {
    return Trainer(
        made(context.lane(), udi_trainer_load, context.get(), detail::chars(path), loader ? loader->get() : nullptr));
  }

  // Steps from now on are over the group's ranks; every rank's trainer becomes what rank 0's is.
  void join(const Group& group) { detail::call(lane(), udi_trainer_join, get(), group.get()); }

  // One optimisation step over the images of all views.
  udi_step_stats step(const Views& views) { return step(span<const Views>(&views, 1)); }
  udi_step_stats step(span<const Views> views) {
    std::vector<const udi_views*> pointers;
    for (const Views& one : views) pointers.push_back(one.get());
    udi_step_stats stats{};
    stats.struct_size = sizeof stats;
    detail::call(lane(), udi_trainer_step, get(), pointers.data(), int64_t(pointers.size()), &stats);
    return stats;
  }

  int64_t steps() const noexcept { return udi_trainer_steps(get()); }  // done

  // A copy of the weights as they are now.
  Model model(udi_role role = UDI_TEACHER) const { return Model(Model::made(lane(), udi_trainer_model, get(), role)); }

  // loader: its position goes along; may be NULL.
  void save(const std::string& path, const Loader* loader = nullptr) const {
    detail::call(lane(), udi_trainer_save, get(), loader ? loader->get() : nullptr, detail::chars(path));
  }
};

}  // namespace UDI_HPP_RELEASE
}  // namespace udi

#endif  // UDI_HPP
