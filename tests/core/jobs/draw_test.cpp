#include "jobs/draw.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <vector>

namespace udi {
namespace {

using Color = std::array<double, 3>;

Color mean_color(const Image& image) {
  Color mean{};
  for (size_t i = 0; i < image.bytes.size(); ++i) mean[i % 3] += image.bytes[i];
  for (double& value : mean) value *= 3.0 / double(image.bytes.size());
  return mean;
}

struct Colors {
  std::vector<Color> colors;
  std::vector<int> labels;
};

Colors draw_colors(uint64_t first, int a_class) {
  Colors result;
  for (int label = 0; label < int(drawn_classes().size()); ++label) {
    for (int i = 0; i < a_class; ++i) {
      result.colors.push_back(mean_color(draw_picture(3, label, first + uint64_t(i))));
      result.labels.push_back(label);
    }
  }
  return result;
}

// The class that most of the k nearest colours have; the nearer of two as frequent ones.
int nearest_class(const Colors& known, const Color& color, size_t k) {
  std::vector<std::pair<double, int>> order;
  for (size_t i = 0; i < known.colors.size(); ++i) {
    double distance = 0;
    for (size_t c = 0; c < 3; ++c) distance += (known.colors[i][c] - color[c]) * (known.colors[i][c] - color[c]);
    order.emplace_back(distance, known.labels[i]);
  }
  std::partial_sort(order.begin(), order.begin() + long(k), order.end());
  std::array<int, 10> votes{};
  int best = order[0].second;
  for (size_t i = 0; i < k; ++i) {
    if (++votes[size_t(order[i].second)] > votes[size_t(best)]) best = order[i].second;
  }
  return best;
}

// 30 of 300 are right by chance, with a standard deviation of 5.2.
TEST(Draw, MeanColourTellsNoClasses) {
  const Colors train = draw_colors(0, 40), test = draw_colors(1ull << 32, 30);
  ASSERT_EQ(test.labels.size(), 300u);
  for (const size_t k : {1, 5, 10, 50}) {
    int right = 0;
    for (size_t i = 0; i < test.colors.size(); ++i) right += nearest_class(train, test.colors[i], k) == test.labels[i];
    EXPECT_LE(right, 50) << k << " neighbours";
  }
}

// The classifier above does see what there is to see: pictures of two brightnesses.
TEST(Draw, MeanColourWouldTellThem) {
  Colors known;
  for (int i = 0; i < 20; ++i) {
    Image image = draw_picture(3, 0, uint64_t(i));
    for (uint8_t& value : image.bytes) value = uint8_t(value / 2 + (i % 2 ? 127 : 0));
    known.colors.push_back(mean_color(image));
    known.labels.push_back(i % 2);
  }
  for (size_t i = 0; i < known.colors.size(); ++i) EXPECT_EQ(nearest_class(known, known.colors[i], 5), known.labels[i]);
}

}  // namespace
}  // namespace udi
