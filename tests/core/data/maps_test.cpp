#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/safetensors.h"
#include "data/support.h"
#include "data/views.h"

namespace udi {
namespace {

using udi_test::expect_error;

const float* floats(const SafetensorsFile& file, const std::string& name) {
  return static_cast<const float*>(file.at(name).data);
}
const uint8_t* bytes(const SafetensorsFile& file, const std::string& name) {
  return static_cast<const uint8_t*>(file.at(name).data);
}

// One image's rows of a dense official map.
struct Dense {
  const float* rows;
  int64_t samples, tokens;
};
Dense dense(const SafetensorsFile& file, const std::string& name, int64_t view, int64_t b) {
  const TensorView& tensor = file.at(name);
  const int64_t batch = tensor.shape[1], samples = tensor.shape[2], tokens = tensor.shape[3];
  return {static_cast<const float*>(tensor.data) + (view * batch + b) * samples * tokens, samples, tokens};
}

void expect_equal(const Dense& source, const Dense& target, int32_t count, const int32_t* tokens, const int32_t* index,
                  const float* weight) {
  for (int64_t row = 0; row < source.samples; ++row) {
    std::vector<float> want_source(source.rows + row * source.tokens, source.rows + (row + 1) * source.tokens);
    std::vector<float> want_target(target.rows + row * target.tokens, target.rows + (row + 1) * target.tokens);
    std::vector<float> got_source(want_source.size(), 0), got_target(want_target.size(), 0);
    if (row < count) {
      got_source.at(size_t(tokens[row])) = 1;
      for (int tap = 0; tap < 4; ++tap) got_target.at(size_t(index[row * 4 + tap])) += weight[row * 4 + tap];
    }
    EXPECT_EQ(got_source, want_source) << "row " << row;
    EXPECT_EQ(got_target, want_target) << "row " << row;  // to the bit
  }
}

class GoldenMaps : public testing::TestWithParam<const char*> {};

TEST_P(GoldenMaps, EqualTheOfficialOnesToTheBit) {
  const SafetensorsFile file(std::string(UDI_TEST_DIR "/golden/") + GetParam() + "/batches.safetensors");
  const auto& shape = file.at("b0.coords").shape;
  const int64_t local_crops = shape[0] - 2, batch = shape[1];
  const auto side = [&](const char* name) { return int64_t(std::lround(std::sqrt(double(file.at(name).shape[1])))); };
  const SampleMaps maps =
      make_sample_maps(batch, local_crops, side("b0.sample_global"), side("b0.sample_local"), floats(file, "b0.coords"),
                       bytes(file, "b0.sample_global"), bytes(file, "b0.sample_local"));
  ASSERT_EQ(maps.samples_global, file.at("b0.src_maps_global").shape[2]);
  ASSERT_EQ(maps.samples_local, file.at("b0.src_maps_local").shape[2]);
  const int64_t s = maps.samples_global, n = maps.samples_local;
  for (int64_t b = 0; b < batch; ++b) {
    for (int64_t d = 0; d < 2; ++d) {
      const size_t row = size_t(d * batch + b);
      SCOPED_TRACE(text("image ", b, " direction ", d));
      expect_equal(dense(file, "b0.src_maps_global", d, b), dense(file, "b0.tgt_maps_global", d, b),
                   maps.global_count[row], &maps.global_source[row * s], &maps.global_index[row * s * 4],
                   &maps.global_weight[row * s * 4]);
    }
    for (int64_t crop = 0; crop < local_crops; ++crop) {
      for (int64_t v = 0; v < 2; ++v) {  // official sources are grouped by v, targets by crop
        const size_t row = size_t((crop * 2 + v) * batch + b);
        SCOPED_TRACE(text("image ", b, " local crop ", crop, " view ", v));
        expect_equal(dense(file, "b0.src_maps_local", v * local_crops + crop, b),
                     dense(file, "b0.tgt_maps_local", crop * 2 + v, b), maps.local_count[row],
                     &maps.local_source[row * n], &maps.local_index[row * n * 4], &maps.local_weight[row * n * 4]);
      }
    }
  }
}
INSTANTIATE_TEST_SUITE_P(Folders, GoldenMaps, testing::Values("udi_tiny", "udi_recipe", "udi_one_token", "dino_tiny"));

// Maps of one image whose two global crops have these coordinates, every token sampled, no local crop.
SampleMaps maps_of(const std::vector<float>& first, const std::vector<float>& second, int64_t grid) {
  std::vector<float> coords = first;
  coords.insert(coords.end(), second.begin(), second.end());
  const std::vector<uint8_t> all(size_t(grid * grid), 1);
  return make_sample_maps(1, 0, grid, 0, coords.data(), all.data(), nullptr);
}

// Row and column of the teacher's grid that a sample looks at.
std::pair<double, double> place(const SampleMaps& maps, int64_t row, int64_t grid) {
  double y = 0, x = 0;
  for (int64_t tap = 0; tap < 4; ++tap) {
    const int32_t index = maps.global_index[size_t(row * 4 + tap)];
    y += double(index / grid) * maps.global_weight[size_t(row * 4 + tap)];
    x += double(index % grid) * maps.global_weight[size_t(row * 4 + tap)];
  }
  return {y, x};
}

TEST(SampleMaps, OfEqualCropsAreTheIdentityInside) {
  const int64_t grid = 14;
  const SampleMaps maps = maps_of({0.1f, 0.2f, 0.8f, 0.7f}, {0.1f, 0.2f, 0.8f, 0.7f}, grid);
  ASSERT_EQ(maps.global_count[0], 12 * 12);  // border tokens lie on the crop's edge, not strictly inside
  for (int64_t row = 0; row < 144; ++row) {
    const int32_t token = maps.global_source[size_t(row)];
    const auto [y, x] = place(maps, row, grid);
    EXPECT_NEAR(y, token / grid, 1e-5);
    EXPECT_NEAR(x, token % grid, 1e-5);
  }
}

TEST(SampleMaps, OfAMirroredCropMirrorTheColumns) {
  const int64_t grid = 14;
  const SampleMaps maps = maps_of({0.1f, 0.2f, 0.8f, 0.7f}, {0.1f, 0.7f, 0.8f, 0.2f}, grid);
  ASSERT_EQ(maps.global_count[0], 12 * 12);
  for (int64_t row = 0; row < 144; ++row) {
    const int32_t token = maps.global_source[size_t(row)];
    const auto [y, x] = place(maps, row, grid);
    EXPECT_NEAR(y, token / grid, 1e-5);
    EXPECT_NEAR(x, grid - 1 - token % grid, 1e-5);
  }
}

TEST(SampleMaps, RowsSumToOneAndLieInTheGrid) {
  Random random(1, Random::kTest);
  for (int trial = 0; trial < 300; ++trial) {
    std::vector<float> crops[2];
    for (auto& crop : crops) {
      for (int i = 0; i < 4; ++i) crop.push_back(float(random.uniform()));
    }
    const SampleMaps maps = maps_of(crops[0], crops[1], 7);
    for (int64_t row = 0; row < maps.global_count[0]; ++row) {
      float sum = 0;
      for (int64_t tap = 0; tap < 4; ++tap) {
        ASSERT_GE(maps.global_index[size_t(row * 4 + tap)], 0);
        ASSERT_LT(maps.global_index[size_t(row * 4 + tap)], 49);
        sum += maps.global_weight[size_t(row * 4 + tap)];
      }
      EXPECT_NEAR(sum, 1, 1e-5);
    }
  }
}

// A point that rounds onto the last grid line gives an all-zero teacher row and still counts: a row of golden
// dino_tiny's batch 1 is one.
TEST(SampleMaps, KeepTheOfficialZeroRow) {
  const SafetensorsFile file(UDI_TEST_DIR "/golden/dino_tiny/batches.safetensors");
  const SampleMaps maps = make_sample_maps(2, 2, 14, 6, floats(file, "b1.coords"), bytes(file, "b1.sample_global"),
                                           bytes(file, "b1.sample_local"));
  int zero_rows = 0;
  const auto count_zero = [&](const std::vector<int32_t>& count, const std::vector<float>& weight, int64_t samples) {
    for (size_t row = 0; row < count.size(); ++row) {
      for (int32_t k = 0; k < count[row]; ++k) {
        const float* taps = &weight[(row * size_t(samples) + size_t(k)) * 4];
        if (taps[0] == 0 && taps[1] == 0 && taps[2] == 0 && taps[3] == 0) ++zero_rows;
      }
    }
  };
  count_zero(maps.global_count, maps.global_weight, maps.samples_global);
  count_zero(maps.local_count, maps.local_weight, maps.samples_local);
  EXPECT_EQ(zero_rows, 1);
}

TEST(SampleMaps, OfCropsThatDoNotMeetAreEmpty) {
  EXPECT_EQ(maps_of({0, 0, 0.4f, 0.4f}, {0.5f, 0.5f, 1, 1}, 14).global_count, (std::vector<int32_t>{0, 0}));
  EXPECT_EQ(maps_of({0, 0, 1, 1}, {0.5f, 0.5f, 0.5f, 0.5f}, 14).global_count[0], 0);  // nothing is inside a point
}

TEST(SampleMaps, RefuseWhatMakesNoSense) {
  const std::vector<float> coords = {0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1};
  std::vector<uint8_t> mask = {1, 0, 0, 0, 1, 1, 0, 0};
  expect_error(UDI_E_SHAPE, "sample_global: row 0 has 1 samples and row 1 has 2",
               [&] { make_sample_maps(2, 0, 2, 0, coords.data(), mask.data(), nullptr); });
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(), 1e30f}) {
    std::vector<float> broken = coords;
    broken[5] = bad;
    mask[4] = 0;
    expect_error(UDI_E_INVALID, "coords: value 5",
                 [&] { make_sample_maps(2, 0, 2, 0, broken.data(), mask.data(), nullptr); });
  }
}

TEST(SampleMaps, OfEmptyMasksAreEmpty) {
  const std::vector<float> coords = {0, 0, 1, 1, 0, 0, 1, 1};
  const std::vector<uint8_t> none(4, 0);
  const SampleMaps maps = make_sample_maps(1, 0, 2, 0, coords.data(), none.data(), nullptr);
  EXPECT_EQ(maps.samples_global, 0);
  EXPECT_EQ(maps.global_count, (std::vector<int32_t>{0, 0}));
}

}  // namespace
}  // namespace udi
