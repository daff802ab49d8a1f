// Images, arrays and tensors.
#include <cmath>
#include <fstream>
#include <iterator>
#include <numeric>
#if __cplusplus >= 202002L
#include <span>
#endif

#include "expect.hpp"
#include "recipe.hpp"

namespace {

template <class T>
std::vector<T> values_of(const udi::Tensor& tensor) {
  const udi::span<const T> values = tensor.data<T>();
  return {values.begin(), values.end()};
}

std::vector<int64_t> shape_of(const udi::Tensor& tensor) {
  const udi::span<const int64_t> shape = tensor.shape();
  return {shape.begin(), shape.end()};
}

void check_spans() {
  std::vector<int> vector = {1, 2, 3};
  const int plain[] = {4, 5};
  const std::array<int, 3> fixed = {6, 7, 8};
  expect(udi::span<const int>(vector).size() == 3 && udi::span<const int>(plain)[1] == 5, "of vectors and arrays");
  expect(udi::span<const int>(fixed).end()[-1] == 8 && udi::span<int>(vector).data() == vector.data(),
         "the same memory");
  expect(udi::span<const int>().empty(), "empty");
  static_assert(!std::is_convertible_v<const std::vector<int>&, udi::span<int>>, "const stays");
  static_assert(!std::is_convertible_v<std::vector<int>&, udi::span<const long>>, "elements stay");
#if __cplusplus >= 202002L
  const std::span<const int> standard(udi::span<const int>{vector});
  expect(udi::span<const int>(standard).data() == vector.data(), "to std::span and back");
#endif
}

void check_images(const udi::Model& model, const std::string& pictures) {
  std::ifstream file(pictures + "/jpeg_420.jpg", std::ios::binary);
  const std::string jpeg{std::istreambuf_iterator<char>(file), {}};
  const recipe::Images images;
  const std::vector<float> as_float(images.pixels.begin(), images.pixels.begin() + recipe::kSize);
  std::vector<float> shares = as_float;
  for (float& value : shares) value /= 255;
  const std::vector<udi_image> forms = {udi::encoded(jpeg), images.all[0]};
  const udi::Tensor batch = model.prepare(forms);
  expect(shape_of(batch) == std::vector<int64_t>{2, 3, 32, 32} && batch.view().dtype == UDI_U8, "prepared bytes");
  const udi_image image = udi::pixels(shares, recipe::kSide, recipe::kSide);
  const std::vector<float> prepared = values_of<float>(model.prepare(udi::span<const udi_image>(&image, 1)));
  const std::vector<uint8_t> bytes = values_of<uint8_t>(batch);
  double mean = 0, expected = 0;
  const udi_model_config config = model.config();  // of floats the result is normalised
  for (std::size_t i = 0; i < 1024; ++i) {
    mean += double(prepared[i] * config.std[0] + config.mean[0]) / 1024;
    expected += double(bytes[3 * 1024 + i]) / 255 / 1024;
  }
  expect(std::abs(mean - expected) < 0.01,
         "pixels of float mean the same: " + std::to_string(mean) + ", " + std::to_string(expected));
  fails([&] { model.prepare({}); }, UDI_E_INVALID, "");
  const std::vector<udi_image> wrong = {udi::pixels(shares, recipe::kSide, recipe::kSide + 1)};
  fails([&] { model.prepare(wrong); }, UDI_E_SHAPE, "size is 27648");
}

void check_arrays(const udi::Context& context, const udi::Model& model) {
  const recipe::Images images;
  std::vector<float> planes(2 * 3 * 32 * 32);
  std::iota(planes.begin(), planes.end(), 0.f);
  for (float& value : planes) value = std::sin(value);
  std::vector<float> interleaved(planes.size());
  for (std::size_t n = 0; n < 2; ++n) {
    for (std::size_t i = 0; i < 1024; ++i) {
      for (std::size_t c = 0; c < 3; ++c) interleaved[(n * 1024 + i) * 3 + c] = planes[(n * 3 + c) * 1024 + i];
    }
  }
  const udi::Array nchw(planes, {2, 3, 32, 32});
  const std::vector<float> tokens = values_of<float>(model.extract(nchw));
  expect(tokens.size() == 48 && tokens[0] != tokens[24], "tokens of two images");
  expect(tokens == values_of<float>(model.extract(udi::Array(interleaved, {2, 32, 32, 3}), UDI_NHWC)),
         "in both layouts");
  const std::vector<int64_t> shape = {2, 3, 32, 32}, strides = {3072, 1, 96, 3};
  const udi::Array contiguous(interleaved, shape);
  udi_array strided = contiguous.get();
  strided.strides = strides.data();
  expect(tokens == values_of<float>(model.extract(strided)), "and by strides");
  const udi::Array copy = nchw;
  expect(copy.get().shape != nchw.get().shape && copy.get().shape[3] == 32, "a copy has a shape of its own");
  fails([&] { udi::Array(planes, {2, 3, 32, 33}); }, UDI_E_SHAPE, "[2, 3, 32, 33] is given 6144 elements");
  fails([&] { udi::Array(planes, {-2, -3, 32, 32}); }, UDI_E_SHAPE, "[-2, ");
  fails([&] { udi::Array(planes, {INT64_MAX, INT64_MAX}); }, UDI_E_SHAPE, "is given");
  fails([&] { model.extract(udi::Array(planes, {2, 32, 32, 3})); }, UDI_E_SHAPE, "images");

  udi::ExtractConfig patches;
  patches.token = UDI_TOKEN_PATCHES;
  expect(shape_of(model.extract(nchw, UDI_NCHW, patches)) == std::vector<int64_t>{2, 16, 24}, "[B, N, D]");
  udi::AttentionConfig srs;
  srs.source = UDI_ATTENTION_SRS;
  const udi::Tensor maps = model.attention(nchw, UDI_NCHW, srs);
  expect(shape_of(maps) == std::vector<int64_t>{2, 3, 4, 4} && maps.data<float>()[5] > 0, "attention maps");
  fails([&] { maps.data<uint8_t>(); }, UDI_E_SHAPE, "udi_dtype 7");

  // The caller's memory as a tensor, and on through DLPack: no copy, and one release, at the end.
  int released = 0;
  {
    std::optional<udi::Tensor> wrapped = udi::Tensor::wrap(context, nchw, [&] { ++released; });
    expect(wrapped->data<float>().data() == planes.data(), "no copy");
    expect(tokens == values_of<float>(model.extract(*wrapped)), "tokens of a wrapped array");
    const udi::Tensor other = udi::Tensor::from_dlpack(context, wrapped->to_dlpack());
    wrapped.reset();
    expect(released == 0 && other.data<float>().data() == planes.data(), "the memory is still used");
  }
  expect(released == 1, "released once");
  fails([&] { udi::Tensor::wrap(context, udi_array{}, [&] { ++released; }); }, UDI_E_INVALID, "struct_size");
  expect(released == 1, "not after a failure");
  udi::Tensor::wrap(context, nchw);
  fails([&] { udi::Tensor::wrap(context, strided).data<float>(); }, UDI_E_SHAPE, "side by side");
  fails([&] { udi::Tensor::from_dlpack(context, nullptr); }, UDI_E_INVALID, "managed is NULL");
}

void check_weights(const udi::Context& context, udi::Model& model) {
  int64_t weights = 0;
  for (int64_t i = 0; i < model.param_count(); ++i) {
    weights += int64_t(model.param(model.param_name(i)).data<float>().size());
  }
  expect(weights == model.info().num_parameters, "all weights have names");
  expect(model.param_name(model.param_count()) == nullptr, "and no more");
  const std::string name = model.param_name(0);
  std::vector<float> value = values_of<float>(model.param(name));
  for (float& one : value) one += 1;
  model.set_param(name, udi::Array(value, model.param(name).shape()));
  expect(values_of<float>(model.param(name)) == value, "a weight that was set");
  fails([&] { model.param("none"); }, UDI_E_NOT_FOUND, "none");
  udi::Model shared = model.share(udi::Context());
  expect(values_of<float>(shared.param(name)) == value, "the same weights");
  fails([&] { shared.set_param(name, shared.param(name)); }, UDI_E_STATE, "share");
  expect(shared.get() != model.get() && shared.lane() != context.lane(), "in a context of its own");
}

}  // namespace

void check_memory(const std::string& pictures) {
  const udi::Context context;
  udi::Model model = recipe::model(context);
  check_spans();
  check_images(model, pictures);
  check_arrays(context, model);
  check_weights(context, model);
}
