#include "check.h"
#include "memory.h"
#include "prototypes.h"
#include "twins.h"

namespace udi::cuda::test {

namespace {

// Two levels of centers; rows with one target, with two, with many, with none, with shares that do not sum to 1.
struct Problem {
  int64_t size, targets = 5, rows = 6;
  double teacher_temp = 0.05, student_temp = 0.1;
  Type type;
  Numbers teacher, student, centers, weight = {64, 1, 0.25, 8, 8, 0};
  std::vector<int32_t> level = {0, 1, 0, 1, 1}, begin = {0, 1, 3, 8, 8, 10, 11};
  std::vector<TargetShare> shares = {{0, 1},    {1, 0.5f}, {2, 0.5f}, {0, 0.2f}, {1, 0.2f}, {2, 0.2f},
                                     {3, 0.2f}, {4, 0.2f}, {3, 0.5f}, {4, 0.7f}, {2, 1}};

  Problem(int64_t size_, Type type_, double logit = 0.3) : size(size_), type(type_) {
    Draw draw{uint64_t(size)};
    teacher = rounded(draw.normal(targets * size, logit), type);
    student = rounded(draw.normal(rows * size, logit), type);
    centers = rounded(draw.normal(2 * size, 0.1), Type::kFloat);
  }
};

struct Results {
  Numbers loss, entropy, gradient, target_logits;
  int32_t not_finite;
};

Results on_device(const Problem& p, bool shifted) {
  const Array teacher(p.type, p.teacher, shifted), student(p.type, p.student, shifted);
  const Array centers(Type::kFloat, p.centers), temp(Type::kFloat, {p.teacher_temp}), weight(Type::kFloat, p.weight);
  const Array entropy(Type::kFloat, Numbers(size_t(p.targets))), loss(Type::kFloat, Numbers(size_t(p.rows)));
  const Items<int32_t> level(p.level), begin(p.begin), flag(std::vector<int32_t>{0});
  const Items<TargetShare> shares(p.shares);
  const Items<Target> target(std::vector<Target>(size_t(p.targets)));
  EXPECT_DONE(kernels().targets({p.targets, int32_t(p.size), p.type, teacher.at(), centers.at<float>(), level.at(),
                                 temp.at<float>(), target.at(), entropy.at<float>()},
                                nullptr));
  EXPECT_DONE(kernels().cross_entropy(
      {p.rows, int32_t(p.size), p.type, student.at(), begin.at(), shares.at(), target.at(), teacher.at(),
       centers.at<float>(), temp.at<float>(), float(p.student_temp), weight.at<float>(), loss.at<float>(), flag.at()},
      nullptr));
  return {loss.get(), entropy.get(), student.get(), teacher.get(), flag.get()[0]};
}

void check_problem(const Problem& p, bool shifted = false) {
  const Results got = on_device(p, shifted);
  Numbers want_loss, want_entropy, gradient = p.student;
  std::vector<Numbers> probabilities;
  const double temp = double(float(p.teacher_temp));
  for (int64_t t = 0; t < p.targets; ++t) {
    const size_t at = size_t(p.level[size_t(t)] * p.size);
    probabilities.push_back(twins::softmax(&p.teacher[size_t(t * p.size)], &p.centers[at], p.size, temp));
    want_entropy.push_back(twins::entropy(probabilities.back()));
  }
  for (size_t row = 0; row < size_t(p.rows); ++row) {
    Numbers target(size_t(p.size));
    for (int32_t i = p.begin[row]; i < p.begin[row + 1]; ++i)
      for (size_t k = 0; k < target.size(); ++k)
        target[k] += p.shares[size_t(i)].share * probabilities[size_t(p.shares[size_t(i)].row)][k];
    want_loss.push_back(twins::cross_entropy(&gradient[row * size_t(p.size)], target, p.student_temp, p.weight[row]));
  }
  EXPECT_CLOSE(got.loss, want_loss, 2e-5, 2e-5);
  EXPECT_CLOSE(got.entropy, want_entropy, 2e-5, 1e-4);
  const double smallest = p.type == Type::kHalf ? 0x1p-24 : 0;  // float16 has no finer steps
  for (size_t row = 0; row < size_t(p.rows); ++row) {
    const auto part = [&](const Numbers& all) {
      return Numbers(all.begin() + int64_t(row) * p.size, all.begin() + int64_t(row + 1) * p.size);
    };
    EXPECT_CLOSE(part(got.gradient), part(gradient), epsilon_of(p.type) * 1.01 + 5e-5,
                 p.weight[row] / p.student_temp * 1e-6 + smallest);
  }
  EXPECT_CLOSE(got.target_logits, p.teacher, 0, 0);
  EXPECT(got.not_finite == 0);
}

}  // namespace

CUDA_TEST(prototypes_of_all_sizes_and_types) {
  for (const Type type : {Type::kFloat, Type::kHalf, Type::kBFloat16})
    for (const int64_t size : {1024, 512 + 8, 333, 7, 1}) check_problem(Problem(size, type));
  check_problem(Problem(640, Type::kHalf), true);
}

CUDA_TEST(prototypes_of_256_threads_a_row) { check_problem(Problem(4104, Type::kHalf)); }

CUDA_TEST_ON_GPU(prototypes_of_65536) {
  for (const Type type : {Type::kFloat, Type::kHalf, Type::kBFloat16}) check_problem(Problem(65536, type));
  check_problem(Problem(65537, Type::kHalf));
  check_problem(Problem(262144, Type::kHalf));
}

CUDA_TEST(prototypes_that_are_certain) {
  Problem far(512, Type::kFloat, 1000);  // exponents of some 20,000: only differences count
  far.student_temp = far.teacher_temp = 1;
  for (double& center : far.centers) center = 0;
  const Results got = on_device(far, false);
  EXPECT(got.not_finite == 0);
  for (const double entropy : got.entropy) EXPECT(std::fabs(entropy) < 1e-2);
  for (size_t row = 0; row < 6; ++row) EXPECT(row == 3 ? got.loss[row] == 0 : got.loss[row] > 1);
}

CUDA_TEST(prototypes_notice_what_is_not_finite) {
  for (const double wrong : {double(NAN), double(INFINITY)})
    for (const bool in_teacher : {true, false}) {
      Problem p(520, Type::kHalf);
      (in_teacher ? p.teacher : p.student)[10] = wrong;
      const Results got = on_device(p, false);
      EXPECT(got.not_finite == 1);
      EXPECT(!std::isfinite(got.loss[0]));
      EXPECT(std::isfinite(got.loss[4]));
    }
}

CUDA_TEST(prototypes_say_what_is_wrong) {
  TargetsArgs targets{};
  EXPECT(kernels().targets(targets, nullptr).code == 1);
  targets.prototypes = 8;
  EXPECT_DONE(kernels().targets(targets, nullptr));
  targets.rows = 1;
  EXPECT(kernels().targets(targets, nullptr).code == 1);
  CrossEntropyArgs loss{};
  loss.prototypes = 8;
  EXPECT(kernels().cross_entropy(loss, nullptr).code == 1);  // temperature 0
  loss.student_temp = 1;
  EXPECT_DONE(kernels().cross_entropy(loss, nullptr));
  loss.rows = 1;
  EXPECT(kernels().cross_entropy(loss, nullptr).code == 1);
}

}  // namespace udi::cuda::test
