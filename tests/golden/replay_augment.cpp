#include "replay_augment.h"

#include <cstdio>
#include <deque>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"
#include "base/safetensors.h"
#include "image/blur.h"
#include "image/colour.h"
#include "image/decode.h"
#include "image/resize.h"
#include "image/transform.h"

namespace udi {
namespace {

using Json = nlohmann::json;

Image image_of(const TensorView& tensor) {
  check(tensor.shape.size() == 3 && tensor.dtype == UDI_U8, UDI_E_SHAPE, tensor.name, " is no [H, W, C] of uint8");
  Image image;
  image.height = int(tensor.shape[0]);
  image.width = int(tensor.shape[1]);
  image.channels = int(tensor.shape[2]);
  const uint8_t* bytes = static_cast<const uint8_t*>(tensor.data);
  image.bytes.assign(bytes, bytes + tensor.bytes);
  return image;
}

// A colour operation or blur: works in place on planes.
void change(const Json& op, const Planes& planes) {
  const std::string name = op.at("op");
  if (name == "brightness") {
    adjust_brightness(planes, op.at("factor").get<float>());
  } else if (name == "contrast") {
    adjust_contrast(planes, op.at("factor").get<float>());
  } else if (name == "saturation") {
    adjust_saturation(planes, op.at("factor").get<float>());
  } else if (name == "hue") {
    adjust_hue(planes, op.at("factor").get<double>());
  } else if (name == "grayscale") {
    to_grayscale(planes);
  } else if (name == "gaussian_blur") {
    gaussian_blur(planes, op.at("radius").get<float>());
  } else if (name == "solarize") {
    solarize(planes, op.at("threshold").get<int>());
  } else {
    fail(UDI_E_UNSUPPORTED, "the operation '", name, "' of the golden file is not known");
  }
}

Image evaluated(const Image& image, int resize_size, int crop_size) {
  Planes out{nullptr, image.channels, crop_size, crop_size, image.dtype};
  std::vector<uint8_t> memory(out.bytes());
  out.data = memory.data();
  Resizer resizer;
  evaluation_transform(resizer, image, resize_size, out);
  return to_image(out);
}

Image replay(const Json& op, const TensorView& source) {
  const std::string name = op.at("op");
  if (name == "jpeg_decode") {
    return decode_image(static_cast<const uint8_t*>(source.data), size_t(source.bytes), DecodeLimits(), 3);
  }
  Image image = image_of(source);
  if (name == "crop_flip_resize_bicubic") {
    const Box box{op.at("top"), op.at("left"), op.at("height"), op.at("width")};
    return resize_bicubic(image, box, op.at("flip"), op.at("size"), op.at("size"));
  }
  int resize_size = 0, crop_size = 0;
  if (std::sscanf(name.c_str(), "eval_resize%d_bicubic_centercrop%d", &resize_size, &crop_size) == 2) {
    return evaluated(image, resize_size, crop_size);
  }
  Planes planes{nullptr, image.channels, image.height, image.width, image.dtype};
  std::vector<uint8_t> memory(planes.bytes());
  planes.data = memory.data();
  to_planes(image, planes);
  change(op, planes);
  return to_image(planes);
}

}  // namespace

void replay_augment(const std::string& base, const std::string& out) {
  const Json recipe = Json::parse(read_text(base + ".json"));
  const SafetensorsFile arrays(base + ".safetensors");
  std::deque<Image> results;  // the views below point into it
  std::vector<TensorView> tensors;
  for (const Json& op : recipe.at("ops")) {
    const Image& image = results.emplace_back(replay(op, arrays.at(op.at("src"))));
    TensorView tensor;
    tensor.name = op.at("key");
    tensor.dtype = image.dtype;
    tensor.shape = {image.height, image.width, image.channels};
    tensor.data = image.bytes.data();
    tensor.bytes = image.bytes.size();
    tensors.push_back(tensor);
  }
  write_safetensors(out, tensors, {});
}

}  // namespace udi
