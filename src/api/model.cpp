#include "api/model.h"

#include <optional>

#include "api/arrays.h"
#include "api/guard.h"
#include "api/images.h"
#include "api/structs.h"
#include "image/transform.h"
#include "jobs/model_file.h"

using namespace udi;

namespace {

udi_model_config read_model_config(const udi_model_config* given) {
  return read_struct(given, "config", model_config_preset("vit_small"));
}

at::Tensor borrow_images(const udi_model& model, const udi_array* images, udi_layout layout) {
  check(layout == UDI_NCHW || layout == UDI_NHWC, UDI_E_INVALID, "layout is ", layout,
        ", must be UDI_NCHW (1) or UDI_NHWC (2)");
  const at::Tensor tensor = borrow(*model.context, images, "images");
  const int64_t channels = model.model.config.channels;
  const bool nchw = layout == UDI_NCHW;
  check_shape(tensor, "images", nchw ? at::IntArrayRef{-1, channels, -1, -1} : at::IntArrayRef{-1, -1, -1, channels},
              nchw ? "UDI_NCHW" : "UDI_NHWC");
  check_dtype(tensor, "images", {UDI_U8, UDI_F32});
  return tensor;
}

// Images after the evaluation transform, each [C, S, S] of its own dtype, as one batch that extract takes: bytes, or
// float32 that is normalised.
at::Tensor as_batch(const Model& model, const std::vector<at::Tensor>& prepared) {
  const auto is_byte = [](const at::Tensor& image) { return image.scalar_type() == at::kByte; };
  if (std::all_of(prepared.begin(), prepared.end(), is_byte)) return at::stack(prepared);
  std::vector<at::Tensor> floats;
  for (const at::Tensor& image : prepared) floats.push_back(is_byte(image) ? image.to(at::kFloat).div_(255) : image);
  const udi_model_config& config = model.config;
  const std::vector<int64_t> channels = {config.channels, 1, 1};
  return at::stack(floats).sub_(copy_of(config.mean, channels, UDI_F32)).div_(copy_of(config.std, channels, UDI_F32));
}

}  // namespace

udi_status udi_model_create(udi_context* context, const udi_model_config* config, uint64_t seed, udi_model** out,
                            udi_error* error) {
  return guard(context_of(context), error, [&] {
    require(context, "context");
    require(out, "out");
    Model model(read_model_config(config), context->context->device);
    model.weights.initialize(model.config, seed);
    *out = new udi_model{context->context, std::move(model)};
  });
}

udi_status udi_model_load(udi_context* context, const char* path, udi_role role, udi_model** out, udi_error* error) {
  return guard(context_of(context), error, [&] {
    require(context, "context");
    require(path, "path");
    require(out, "out");
    check_role(role);
    ModelFileOptions options;
    options.role = role;
    options.limits = context->context->formats;
    *out = new udi_model{context->context, open_model(context->context->host, path, options, context->context->device)};
  });
}

udi_status udi_model_share(const udi_model* model, udi_context* context, udi_model** out, udi_error* error) {
  return guard(context_of(model), error, [&] {
    require(model, "model");
    require(context, "context");
    require(out, "out");
    std::optional<Lane> lane;
    if (context->context != model->context) lane.emplace(*context->context);
    check(context->context->device == model->context->device, UDI_E_INVALID, "model is on ",
          model->context->device.str(), ", context on ", context->context->device.str(),
          ": weights are shared on one device");
    *out = new udi_model{context->context, model->model, model->users};
  });
}

udi_status udi_model_save(const udi_model* model, const char* path, udi_error* error) {
  return guard(context_of(model), error, [&] {
    require(model, "model");
    save_model(model->model, require(path, "path"));
  });
}

udi_status udi_model_get_config(const udi_model* model, udi_model_config* out, udi_error* error) {
  return guard(context_of(model), error, [&] {
    require(model, "model");
    check_out_struct(out, "out");
    write_struct(out, model->model.config);
  });
}

udi_status udi_model_get_info(const udi_model* model, udi_model_info* out, udi_error* error) {
  return guard(context_of(model), error, [&] {
    require(model, "model");
    check_out_struct(out, "out");
    const udi_model_config& config = model->model.config;
    udi_model_info info{};
    info.embed_dim = config.embed_dim;
    info.depth = config.depth;
    info.heads = config.heads;
    info.patch_size = config.patch_size;
    info.image_size = config.image_size;
    info.channels = config.channels;
    info.class_tokens = config.class_tokens;
    info.include_patch = config.include_patch;
    info.num_parameters = model->model.weights.count();
    write_struct(out, info);
  });
}

int64_t udi_model_param_count(const udi_model* model) {
  return model ? int64_t(model->model.weights.entries().size()) : 0;
}

const char* udi_model_param_name(const udi_model* model, int64_t index) {
  if (index < 0 || index >= udi_model_param_count(model)) return nullptr;
  return model->model.weights.entries()[size_t(index)].name.c_str();
}

udi_status udi_model_param_get(const udi_model* model, const char* name, udi_tensor** out, udi_error* error) {
  return guard(context_of(model), error, [&] {
    require(model, "model");
    require(out, "out");
    const at::Tensor& weight = model->model.weights.at(require(name, "name"));
    *out = new_tensor(model->context, weight.to(at::kCPU, at::kFloat, false, true));
  });
}

udi_status udi_model_param_set(udi_model* model, const char* name, const udi_array* value, udi_error* error) {
  return guard(context_of(model), error, [&] {
    require(model, "model");
    Parameters& weights = model->model.weights;
    const at::Tensor& weight = weights.at(require(name, "name"));
    const at::Tensor given = borrow(*model->context, value, "value");
    check_shape(given, "value", weight.sizes(), name);
    check_dtype(given, "value", {UDI_F32});
    check(
        model->users.one(), UDI_E_STATE,
        "the weights are shared (udi_model_share) and may be in use elsewhere: free every model of them but one first");
    weight.copy_(given);
    weights.refresh();
  });
}

udi_status udi_model_prepare(const udi_model* model, const udi_image* images, int64_t count, udi_tensor** out,
                             udi_error* error) {
  return guard(context_of(model), error, [&] {
    require(model, "model");
    require(out, "out");
    const ImageList list(images, count, model->context->decode);
    const udi_model_config& config = model->model.config;
    std::vector<at::Tensor> prepared(static_cast<size_t>(count));
    std::vector<Resizer> resizers(size_t(model->context->workers().workers()));
    for_each_image(*model->context, count, [&](int64_t i, int worker) {
      const Image image = list.read(i, config.channels, config.exif_turn != 0);
      const at::ScalarType dtype = image.dtype == UDI_U8 ? at::kByte : at::kFloat;
      at::Tensor& done = prepared[size_t(i)];
      done = at::empty({config.channels, config.image_size, config.image_size}, at::TensorOptions().dtype(dtype));
      evaluation_transform(resizers[size_t(worker)], image, config.resize_size,
                           {done.data_ptr(), config.channels, config.image_size, config.image_size, image.dtype});
    });
    *out = new_tensor(model->context, as_batch(model->model, prepared));
  });
}

udi_status udi_model_extract(const udi_model* model, const udi_array* images, udi_layout layout,
                             const udi_extract_config* config, udi_tensor** out, udi_error* error) {
  return guard(context_of(model), error, [&] {
    require(model, "model");
    require(out, "out");
    const udi_extract_config options = read_config_or_default(config, "config", udi_extract_config_init);
    const at::Tensor batch = borrow_images(*model, images, layout);
    Extractor& extractor = const_cast<udi_model*>(model)->extractor;  // the context lets one call in at a time
    *out = new_tensor(model->context, extractor.extract(model->model, batch, layout, options, &model->context->host));
  });
}

udi_status udi_model_attention(const udi_model* model, const udi_array* images, udi_layout layout,
                               const udi_attention_config* config, udi_tensor** out, udi_error* error) {
  return guard(context_of(model), error, [&] {
    require(model, "model");
    require(out, "out");
    const udi_attention_config options = read_config_or_default(config, "config", udi_attention_config_init);
    const at::Tensor batch = borrow_images(*model, images, layout);
    *out = new_tensor(model->context, model->model.attention(batch, layout, options, &model->context->host));
  });
}

void udi_model_free(udi_model* model) { release(model); }
