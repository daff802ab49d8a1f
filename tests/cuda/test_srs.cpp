#include "check.h"
#include "memory.h"
#include "srs.h"
#include "twins.h"

namespace udi::cuda::test {

namespace {

const twins::Maps kMaps[] = {
    {2, 9, 5, 4, 384}, {1, 1, 1, 1, 1}, {3, 4, 40, 4, 8}, {2, 7, 3, 2, 37}, {2, 33, 16, 1, 264}};
const Type kTypes[] = {Type::kFloat, Type::kHalf, Type::kBFloat16};

struct Inputs {
  std::vector<int64_t> index;
  Numbers weight;

  explicit Inputs(const twins::Maps& m) {
    Draw draw(uint64_t(m.dim + m.queries));
    for (int64_t entry = 0; entry < m.images * m.queries * m.taps; ++entry) {
      index.push_back(draw.below(m.tokens));
      weight.push_back(entry % 7 == 3 ? 0 : float(draw.uniform()));
    }
    index.back() = m.tokens;  // outside: counts as none
    if (index.size() > 1) index[index.size() / 2] = -1;
  }
};

void check_gather(const twins::Maps& m, Type type, bool shifted) {
  const Inputs in(m);
  Draw draw(5);
  const Numbers x = rounded(draw.normal(m.images * m.tokens * m.dim), type);
  const Array tokens(type, x, shifted), weight(Type::kFloat, in.weight);
  const Array out(type, Numbers(size_t(m.images * m.queries * m.dim)), shifted);
  const Array sums(Type::kFloat, Numbers(size_t(m.images * m.queries)));
  const Items<int64_t> index(in.index);
  EXPECT_DONE(kernels().srs_gather({m.images, int32_t(m.tokens), int32_t(m.queries), int32_t(m.taps), int32_t(m.dim),
                                    type, tokens.at(), index.at(), weight.at<float>(), out.at(), sums.at<float>()},
                                   nullptr));
  EXPECT_CLOSE(out.get(), twins::srs_gather(m, x, in.index, in.weight), epsilon_of(type) * 1.01 + 1e-6, 1e-6);
  Numbers want(size_t(m.images * m.queries));
  for (size_t entry = 0; entry < in.weight.size(); ++entry) want[entry / size_t(m.taps)] += in.weight[entry];
  EXPECT_CLOSE(sums.get(), want, 1e-6, 1e-7);
}

void check_scatter(const twins::Maps& m, Type type, bool shifted) {
  const Inputs in(m);
  Draw draw(6);
  const Numbers d = rounded(draw.normal(m.images * m.queries * m.dim), type);
  const Numbers before = rounded(draw.normal(m.images * m.tokens * m.dim), type);
  const Array d_out(type, d, shifted), d_x(type, before, shifted), weight(Type::kFloat, in.weight);
  const Items<int64_t> index(in.index);
  EXPECT_DONE(kernels().srs_scatter({m.images, int32_t(m.tokens), int32_t(m.queries), int32_t(m.taps), int32_t(m.dim),
                                     type, d_out.at(), index.at(), weight.at<float>(), d_x.at()},
                                    nullptr));
  Numbers want = before;
  twins::srs_scatter(m, d, in.index, in.weight, want);
  EXPECT_CLOSE(d_x.get(), want, epsilon_of(type) * 1.01 + 1e-5, 1e-5);
}

}  // namespace

CUDA_TEST(srs_gather_of_all_shapes_and_types) {
  for (const twins::Maps& maps : kMaps)
    for (const Type type : kTypes) check_gather(maps, type, false);
  check_gather(kMaps[0], Type::kHalf, true);
}

CUDA_TEST(srs_scatter_of_all_shapes_and_types) {
  for (const twins::Maps& maps : kMaps)
    for (const Type type : kTypes) check_scatter(maps, type, false);
  check_scatter(kMaps[0], Type::kHalf, true);
}

CUDA_TEST(srs_says_what_is_wrong) {
  SrsGatherArgs gather{};
  EXPECT(kernels().srs_gather(gather, nullptr).code == 1);
  gather.tokens = gather.taps = gather.dim = 1;
  EXPECT_DONE(kernels().srs_gather(gather, nullptr));
  gather.images = gather.queries = 1;
  EXPECT(kernels().srs_gather(gather, nullptr).code == 1);
  SrsScatterArgs scatter{};
  EXPECT(kernels().srs_scatter(scatter, nullptr).code == 1);
}

}  // namespace udi::cuda::test
