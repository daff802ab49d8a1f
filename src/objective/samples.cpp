#include "objective/samples.h"

#include <algorithm>
#include <numeric>

namespace udi {
namespace {

float row_sum(const float* weight) { return weight[0] + weight[1] + weight[2] + weight[3]; }

// Writes the valid rows of one crop's map behind `index` and `weight`; rows beyond them stay zero.
void put_queries(const int32_t* from_index, const float* from_weight, int64_t count, int64_t* index, float* weight) {
  std::copy(from_index, from_index + 4 * count, index);
  std::copy(from_weight, from_weight + 4 * count, weight);
}

}  // namespace

Samples samples_of(const SampleMaps& maps, int64_t first, int64_t last, at::ScalarType dtype, bool padded) {
  Samples out;
  out.images = last - first;
  out.samples_global = maps.samples_global;
  out.samples_local = maps.samples_local;
  out.local_crops = maps.local_crops;
  out.padded = padded;
  const int64_t rows = 2 * out.images, queries = out.queries(), s = maps.samples_global, n = maps.samples_local;
  at::Tensor index = at::zeros({rows, queries, 4}, at::kLong), weight = at::zeros({rows, queries, 4}, at::kFloat);
  at::Tensor source = at::zeros({rows, s, 1}, at::kLong), present = at::zeros({rows, s, 1}, at::kFloat);
  int64_t* const index_at = index.data_ptr<int64_t>();
  float* const weight_at = weight.data_ptr<float>();
  Places& places = out.places;
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t facing = row / out.images, image = first + row % out.images;
    const int64_t map = facing * maps.batch + image, count = maps.global_count[map];
    put_queries(maps.global_index.data() + map * s * 4, maps.global_weight.data() + map * s * 4, count,
                index_at + row * queries * 4, weight_at + row * queries * 4);
    for (int64_t k = 0; k < (padded ? s : count); ++k) {
      const bool inside = k < count;
      if (inside) {
        source.data_ptr<int64_t>()[row * s + k] = maps.global_source[map * s + k];
        present.data_ptr<float>()[row * s + k] = 1;
      }
      places.student.push_back(row * s + k);
      places.teacher.push_back(row * queries + k);
      places.inside.push_back(inside);
      places.global_sum.push_back(inside ? row_sum(maps.global_weight.data() + (map * s + k) * 4) : 0);
    }
    for (int64_t l = 0; l < maps.local_crops; ++l) {
      const int64_t local = (l * 2 + facing) * maps.batch + image, place = row * queries + s + l * n;
      const int64_t local_count = maps.local_count[local];
      put_queries(maps.local_index.data() + local * n * 4, maps.local_weight.data() + local * n * 4, local_count,
                  index_at + place * 4, weight_at + place * 4);
      for (int64_t k = 0; k < (padded ? n : local_count); ++k) {
        places.local.push_back(place + k);
        places.local_sum.push_back(k < local_count ? row_sum(maps.local_weight.data() + (local * n + k) * 4) : 0);
      }
    }
  }
  out.teacher = {index, weight.to(dtype)};
  out.student = {source, present.to(dtype)};
  out.student_place = at::tensor(places.student, at::kLong);
  out.teacher_place = at::tensor(places.teacher, at::kLong);
  out.local_place = at::tensor(places.local, at::kLong);
  out.global_sum = at::tensor(places.global_sum, at::kFloat).to(dtype).unsqueeze(1);
  out.local_sum = at::tensor(places.local_sum, at::kFloat).to(dtype).unsqueeze(1);
  return out;
}

void Samples::tables(std::vector<at::Tensor*>& all) {
  all.insert(all.end(), {&teacher.index, &teacher.weight, &student.index, &student.weight, &student_place,
                         &teacher_place, &local_place, &global_sum, &local_sum});
}

void BatchTotals::add(const SampleMaps& maps) {
  samples += maps.batch * 2 * (maps.samples_global + maps.local_crops * maps.samples_local);
  const int64_t inside = std::accumulate(maps.global_count.begin(), maps.global_count.end(), int64_t(0));
  global_valid += inside;
  valid += std::accumulate(maps.local_count.begin(), maps.local_count.end(), inside);
}

}  // namespace udi
