#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "data/views.h"

namespace udi {
namespace {

// Where the tokens of a crop stand along an axis: torch.linspace(0, 1, count) in float32. PyTorch counts the first half
// up from 0 and the second half down from 1, there with one rounding for product and difference.
std::vector<float> token_places(int64_t count) {
  std::vector<float> places(size_t(count), 0.0f);
  if (count < 2) return places;
  const float step = 1.0f / float(count - 1);
  for (int64_t i = 0; i < count; ++i) {
    places[size_t(i)] = i < count / 2 ? step * float(i) : std::fma(-step, float(count - 1 - i), 1.0f);
  }
  return places;
}

// Along one axis: between which two grid lines of the target a point lies, and its distances from the opposite lines.
struct Between {
  int32_t low, high;
  float low_weight, high_weight;
};

Between between_lines(float point, float target_begin, float target_end, int64_t grid) {
  const float place = (point - target_begin) * float(grid - 1) / (target_end - target_begin);
  const float floor = std::max(0.0f, std::floor(place));  // -0.1 by rounding may not become index -1
  // On or (by rounding) beyond the last line both indices are the last and the weights cancel: the official zero row.
  const float ceil = std::min(floor + 1, float(grid - 1));
  return {int32_t(floor), int32_t(ceil), ceil - place, place - floor};
}

bool strictly_inside(float point, float begin, float end) {
  return point > std::min(begin, end) && point < std::max(begin, end);
}

// The samples of one crop that another crop shows: writes rows of `source`, `index` [4], `weight` [4], returns how
// many.
int32_t project(const float* coords, const float* target, const std::vector<int32_t>& tokens,
                const std::vector<float>& places, int64_t target_grid, int32_t* source, int32_t* index, float* weight) {
  const auto grid = int32_t(places.size());
  int32_t count = 0;
  for (const int32_t token : tokens) {
    const float y = coords[0] + places[size_t(token / grid)] * (coords[2] - coords[0]);
    const float x = coords[1] + places[size_t(token % grid)] * (coords[3] - coords[1]);
    if (!strictly_inside(y, target[0], target[2]) || !strictly_inside(x, target[1], target[3])) continue;
    const Between i = between_lines(y, target[0], target[2], target_grid);
    const Between j = between_lines(x, target[1], target[3], target_grid);
    const auto width = int32_t(target_grid);
    const int32_t taps[4] = {i.low * width + j.low, i.low * width + j.high, i.high * width + j.low,
                             i.high * width + j.high};
    const float weights[4] = {i.low_weight * j.low_weight, i.low_weight * j.high_weight, i.high_weight * j.low_weight,
                              i.high_weight * j.high_weight};
    source[count] = token;
    std::copy_n(taps, 4, index + 4 * count);
    std::copy_n(weights, 4, weight + 4 * count);
    ++count;
  }
  return count;
}

int64_t count_samples(const uint8_t* mask, int64_t tokens) {
  return std::count_if(mask, mask + tokens, [](uint8_t value) { return value != 0; });
}

// The number of samples that every row of a mask [batch, tokens] has.
int64_t common_samples(const char* name, const uint8_t* mask, int64_t batch, int64_t tokens) {
  const int64_t samples = batch > 0 ? count_samples(mask, tokens) : 0;
  for (int64_t b = 1; b < batch; ++b) {
    const int64_t other = count_samples(mask + b * tokens, tokens);
    check(other == samples, UDI_E_SHAPE, name, ": row 0 has ", samples, " samples and row ", b, " has ", other,
          "; every row needs the same number");
  }
  return samples;
}

void list_tokens(const uint8_t* mask, int64_t tokens, std::vector<int32_t>& list) {
  list.clear();
  for (int64_t t = 0; t < tokens; ++t) {
    if (mask[t]) list.push_back(int32_t(t));
  }
}

// Beyond this a difference of two coordinates could overflow; no crop of an image comes near.
void check_coords(const float* coords, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    check(std::abs(coords[i]) <= 1e6f, UDI_E_INVALID, "coords: value ", i, " is ", coords[i],
          "; coordinates are shares of the image, 0 to 1");
  }
}

}  // namespace

SampleMaps make_sample_maps(int64_t batch, int64_t local_crops, int64_t grid_global, int64_t grid_local,
                            const float* coords, const uint8_t* sample_global, const uint8_t* sample_local) {
  check_coords(coords, (2 + local_crops) * batch * 4);
  SampleMaps maps;
  maps.batch = batch;
  maps.local_crops = local_crops;
  maps.tokens_global = grid_global * grid_global;
  maps.tokens_local = grid_local * grid_local;
  const int64_t s = common_samples("sample_global", sample_global, batch, maps.tokens_global);
  const int64_t n = common_samples("sample_local", sample_local, batch, maps.tokens_local);
  maps.samples_global = s;
  maps.samples_local = n;
  maps.global_count.resize(size_t(2 * batch));
  maps.global_source.resize(size_t(2 * batch * s));
  maps.global_index.resize(size_t(2 * batch * s * 4));
  maps.global_weight.resize(size_t(2 * batch * s * 4));
  maps.local_count.resize(size_t(local_crops * 2 * batch));
  maps.local_source.resize(size_t(local_crops * 2 * batch * n));
  maps.local_index.resize(size_t(local_crops * 2 * batch * n * 4));
  maps.local_weight.resize(size_t(local_crops * 2 * batch * n * 4));

  const std::vector<float> places_global = token_places(grid_global), places_local = token_places(grid_local);
  const auto crop = [&](int64_t view, int64_t b) { return coords + (view * batch + b) * 4; };
  std::vector<int32_t> tokens;
  for (int64_t b = 0; b < batch; ++b) {
    list_tokens(sample_global + b * maps.tokens_global, maps.tokens_global, tokens);
    for (int64_t d = 0; d < 2; ++d) {
      const int64_t row = d * batch + b;
      maps.global_count[size_t(row)] =
          project(crop(d, b), crop(1 - d, b), tokens, places_global, grid_global, maps.global_source.data() + row * s,
                  maps.global_index.data() + row * s * 4, maps.global_weight.data() + row * s * 4);
    }
    list_tokens(sample_local + b * maps.tokens_local, maps.tokens_local, tokens);
    for (int64_t view = 0; view < 2 * local_crops; ++view) {
      const int64_t row = view * batch + b;  // view = local crop * 2 + v; v = 0 looks at crop 1, v = 1 at crop 0
      maps.local_count[size_t(row)] =
          project(crop(2 + view / 2, b), crop(1 - view % 2, b), tokens, places_local, grid_global,
                  maps.local_source.data() + row * n, maps.local_index.data() + row * n * 4,
                  maps.local_weight.data() + row * n * 4);
    }
  }
  return maps;
}

}  // namespace udi
