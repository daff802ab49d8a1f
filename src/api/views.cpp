#include "api/views.h"

#include <numeric>

#include "api/arrays.h"
#include "api/guard.h"
#include "api/images.h"
#include "api/structs.h"
#include "data/augment.h"
#include "data/config.h"

using namespace udi;

namespace {

udi_view_config read_view_config(const udi_view_config* given) {
  const udi_view_config config = read_config(given, "config", udi_view_config_init);
  check_view_config(config);
  return config;
}

// The bytes of a borrowed array, row-major.
template <class Value>
void copy_into(const at::Tensor& from, std::vector<Value>& to) {
  const at::Tensor rows = from.cpu().contiguous();
  to.resize(rows.nbytes() / sizeof(Value));
  std::memcpy(to.data(), rows.data_ptr(), rows.nbytes());
}

void check_values(const at::Tensor& tensor, const char* name, double low, double high) {
  const auto [least, most] = at::aminmax(tensor);
  const double smallest = least.item<double>(), largest = most.item<double>();
  check(smallest >= low && largest <= high, UDI_E_INVALID, name, " has values from ", smallest, " to ", largest,
        ", must be ", low, " to ", high);  // also where one is NaN
}

// A mask over the tokens of each image, 0 and 1.
void read_mask(const Context& context, const udi_array* array, const char* name, int64_t batch, int64_t tokens,
               std::vector<uint8_t>& out) {
  const at::Tensor mask = borrow(context, array, name);
  check_shape(mask, name, {batch, tokens}, "[images, tokens of a crop]");
  check_dtype(mask, name, {UDI_U8});
  check_values(mask, name, 0, 1);
  copy_into(mask, out);
}

struct CallersCrops {
  const udi_array *global, *local, *coords, *sample_global, *sample_local;
};

// What is there with local crops and only then.
void check_local(const udi_array* array, const char* name, int32_t local_crops) {
  check((array != nullptr) == (local_crops > 0), UDI_E_INVALID, name, array ? " is given" : " is NULL",
        ", and config.local_crops is ", local_crops);
}

Views views_of(const Context& context, const udi_view_config& config, const CallersCrops& given) {
  const int64_t size = config.global_size, locals = config.local_crops;
  const at::Tensor global = borrow(context, given.global, "global");
  check_shape(global, "global", {2, -1, -1, size, size}, "[2, images, channels, global_size, global_size]");
  check_dtype(global, "global", {UDI_U8, UDI_F32});
  const int64_t batch = global.size(1), channels = global.size(2);
  in_range("global.shape[2]", channels, 1, 16);
  check(config.channels == 0 || channels == config.channels, UDI_E_SHAPE, "global.shape[2] is ", channels,
        ", must be config.channels, ", config.channels);
  if (global.scalar_type() == at::kFloat) check_values(global, "global", 0, 1);

  Views views;
  const udi_dtype dtype = global.scalar_type() == at::kByte ? UDI_U8 : UDI_F32;
  shape_views(config, batch, channels, dtype, 0, views);
  copy_into(global, views.global);
  check_local(given.local, "local", config.local_crops);
  check_local(given.sample_local, "sample_local", config.local_crops);
  if (locals > 0) {
    const at::Tensor local = borrow(context, given.local, "local");
    check_shape(local, "local", {locals, batch, channels, config.local_size, config.local_size},
                "[local_crops, images, channels, local_size, local_size]");
    check_dtype(local, "local", {dtype});
    if (dtype == UDI_F32) check_values(local, "local", 0, 1);
    copy_into(local, views.local);
    read_mask(context, given.sample_local, "sample_local", batch, grid_local(config) * grid_local(config),
              views.sample_local);
  }
  const at::Tensor coords = borrow(context, given.coords, "coords");
  check_shape(coords, "coords", {2 + locals, batch, 4}, "[2 + local_crops, images, 4]");
  check_dtype(coords, "coords", {UDI_F32});
  check_values(coords, "coords", 0, 1);
  copy_into(coords, views.coords);
  read_mask(context, given.sample_global, "sample_global", batch, grid_global(config) * grid_global(config),
            views.sample_global);
  std::iota(views.sample.begin(), views.sample.end(), int64_t(0));
  finish_views(config, views);
  return views;
}

}  // namespace

udi_status udi_views_create(udi_context* context, const udi_view_config* config, const udi_image* images, int64_t count,
                            uint64_t seed, int64_t epoch, int64_t first_sample, udi_views** out, udi_error* error) {
  return guard(context_of(context), error, [&] {
    require(context, "context");
    require(out, "out");
    const udi_view_config settings = read_view_config(config);
    const ImageList list(images, count, context->context->decode);
    in_range("epoch", epoch, 0, (int64_t(1) << 24) - 1);
    in_range("first_sample", first_sample, 0, INT64_MAX - count);
    const int given = list.channels() ? list.channels() : 3;
    const int channels = settings.channels ? settings.channels : given;
    std::vector<Image> decoded(static_cast<size_t>(count));
    for_each_image(*context->context, count,
                   [&](int64_t i, int) { decoded[size_t(i)] = list.read(i, channels, settings.exif_turn != 0); });
    std::vector<int64_t> samples(static_cast<size_t>(count));
    std::iota(samples.begin(), samples.end(), first_sample);
    auto made = std::make_unique<udi_views>(udi_views{context->context, {}});
    make_views(decoded, settings, seed, epoch, samples, made->views, &context->context->workers());
    *out = made.release();
  });
}

udi_status udi_views_from_arrays(udi_context* context, const udi_view_config* config, const udi_array* global,
                                 const udi_array* local, const udi_array* coords, const udi_array* sample_global,
                                 const udi_array* sample_local, udi_views** out, udi_error* error) {
  return guard(context_of(context), error, [&] {
    require(context, "context");
    require(out, "out");
    const CallersCrops given = {global, local, coords, sample_global, sample_local};
    *out = new udi_views{context->context, views_of(*context->context, read_view_config(config), given)};
  });
}

int64_t udi_views_count(const udi_views* views) { return views ? views->views.batch : 0; }

udi_status udi_views_crops(const udi_views* views, int32_t global, udi_tensor** out, udi_error* error) {
  return guard(context_of(views), error, [&] {
    require(views, "views");
    require(out, "out");
    in_range("global", global, 0, 1);
    const Views& v = views->views;
    const int64_t size = global ? v.global_size : v.local_size;
    *out = new_tensor(views->context, copy_of((global ? v.global : v.local).data(),
                                              {global ? 2 : v.local_crops, v.batch, v.channels, size, size}, v.dtype));
  });
}

udi_status udi_views_coords(const udi_views* views, udi_tensor** out, udi_error* error) {
  return guard(context_of(views), error, [&] {
    require(views, "views");
    require(out, "out");
    const Views& v = views->views;
    *out = new_tensor(views->context, copy_of(v.coords.data(), {2 + v.local_crops, v.batch, 4}, UDI_F32));
  });
}

void udi_views_free(udi_views* views) { release(views); }
