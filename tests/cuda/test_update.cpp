#include "check.h"
#include "memory.h"
#include "twins.h"
#include "update.h"

namespace udi::cuda::test {

namespace {

constexpr double kBeta1 = 0.9, kBeta2 = 0.999;
constexpr float kEpsilon = 1e-8f, kClip = 3;

// Tensors of a slice's end, of several slices, of one number; one that is not trainable, one of the last layer.
struct State {
  std::vector<int64_t> sizes = {40, 2 * kSliceElements + 5, 1, 17, 64};
  std::vector<TensorInfo> info = {{1, 0, 1}, {1, 0, 1}, {0, 0, 1}, {1, 1, 0}, {1, 1, 1}};
  std::vector<int64_t> begin, updates = {0, 3, 7, 0, 2};
  std::vector<Slice> slices;
  std::vector<int32_t> first_slice = {0};
  Numbers gradient, weight, first, second, teacher;
  Schedule now = {0.002, 0.04, 0.996, 0.05, 0};
  float scale = 1;  // of the gradients

  explicit State(float scale_ = 1) : scale(scale_) {
    Draw draw(3);
    int64_t end = 0;
    for (size_t tensor = 0; tensor < sizes.size(); ++tensor) {
      begin.push_back(end);
      for (int64_t at = 0; at < sizes[tensor]; at += kSliceElements)
        slices.push_back({end + at, int32_t(std::min<int64_t>(kSliceElements, sizes[tensor] - at)), int32_t(tensor)});
      first_slice.push_back(int32_t(slices.size()));
      end += (sizes[tensor] + 15) / 16 * 16;
    }
    const auto fill = [&](Numbers& all, double size) {
      all = Numbers(size_t(end));
      for (size_t tensor = 0; tensor < sizes.size(); ++tensor) {
        const Numbers drawn = draw.normal(sizes[tensor], size);
        for (size_t i = 0; i < drawn.size(); ++i) all[size_t(begin[tensor]) + i] = float(drawn[i]);
      }
    };
    fill(gradient, 0.05 * scale);  // the second tensor's norm is some 9: clipped
    fill(weight, 0.1);
    fill(first, 0.01);
    fill(second, 0.01);
    for (double& square : second) square = float(square * square);
    fill(teacher, 0.1);
  }
};

struct OnDevice {
  Array gradient, weight, first, second, teacher, weight16, teacher16;
  Items<int64_t> updates;
  Items<double> norms;
  Items<int32_t> flag;
  State state;
  Type type;

  OnDevice(const State& s, Type type_, int32_t flag_before = 0)
      : gradient(Type::kFloat, s.gradient),
        weight(Type::kFloat, s.weight),
        first(Type::kFloat, s.first),
        second(Type::kFloat, s.second),
        teacher(Type::kFloat, s.teacher),
        weight16(type_, s.weight),
        teacher16(type_, s.teacher),
        updates(s.updates),
        norms(std::vector<double>{-1, -1}),
        flag(std::vector<int32_t>{flag_before}),
        state(s),
        type(type_) {}

  void run() {
    const Items<Slice> slices(state.slices);
    const Items<int32_t> first_slice(state.first_slice);
    const Items<TensorInfo> info(state.info);
    const Items<Schedule> now(std::vector<Schedule>{state.now});
    const Items<double> workspace(std::vector<double>(state.slices.size()));
    const Items<TensorStep> step(std::vector<TensorStep>(state.sizes.size()));
    UpdateArgs args{};
    args.slices = int64_t(state.slices.size());
    args.tensors = int32_t(state.sizes.size());
    args.copy_type = type;
    args.slice = slices.at();
    args.first_slice = first_slice.at();
    args.info = info.at();
    args.schedule = now.at();
    args.clip_grad = kClip;
    args.gradient_scale = state.scale;
    args.beta1 = kBeta1;
    args.beta2 = kBeta2;
    args.epsilon = kEpsilon;
    args.gradient = gradient.at<float>();
    args.weight = weight.at<float>();
    args.first = first.at<float>();
    args.second = second.at<float>();
    args.teacher = teacher.at<float>();
    args.weight16 = weight16.at();
    args.teacher16 = teacher16.at();
    args.updates = updates.at();
    args.norms = norms.at();
    args.not_finite = flag.at();
    args.workspace = workspace.at();
    args.step = step.at();
    EXPECT_DONE(kernels().update(args, nullptr));
    flag.get();  // before what the kernels read goes out of scope
  }
};

// The same step in float64.
State after(State s, double& largest, double& total) {
  largest = total = 0;
  for (size_t tensor = 0; tensor < s.sizes.size(); ++tensor) {
    const size_t first = size_t(s.begin[tensor]), last = first + size_t(s.sizes[tensor]);
    double square = 0;
    for (size_t i = first; i < last; ++i) square += s.gradient[i] * s.gradient[i] / s.scale / s.scale;
    const double norm = std::sqrt(square), clip = std::min(1.0, kClip / (norm + 1e-6));
    if (s.info[tensor].trainable) {
      largest = std::max(largest, norm);
      total += norm;
    }
    const bool moves = s.info[tensor].trainable && !(s.info[tensor].last_layer && s.now.freeze_last_layer);
    if (moves) ++s.updates[tensor];
    for (size_t i = first; i < last; ++i) {
      twins::Adam at{s.weight[i], s.first[i], s.second[i], s.teacher[i]};
      if (moves)
        twins::adamw(at, s.gradient[i] / s.scale * clip, s.now.lr, s.info[tensor].decayed ? s.now.weight_decay : 0,
                     kBeta1, kBeta2, kEpsilon, s.updates[tensor]);
      s.weight[i] = at.weight;
      s.first[i] = at.first;
      s.second[i] = at.second;
      s.teacher[i] = s.now.momentum_teacher * at.teacher + (1 - s.now.momentum_teacher) * at.weight;
    }
  }
  return s;
}

void check_step(State before, Type type) {
  OnDevice got(before, type);
  got.run();
  double largest = 0, total = 0;
  const State want = after(before, largest, total);
  EXPECT_CLOSE(got.weight.get(), want.weight, 1e-6, 1e-8);
  EXPECT_CLOSE(got.first.get(), want.first, 1e-5, 1e-9);
  EXPECT_CLOSE(got.second.get(), want.second, 1e-5, 1e-12);
  EXPECT_CLOSE(got.teacher.get(), want.teacher, 1e-6, 1e-8);
  EXPECT_CLOSE(got.weight16.get(), rounded(got.weight.get(), type), 0, 0);
  EXPECT_CLOSE(got.teacher16.get(), rounded(got.teacher.get(), type), 0, 0);
  EXPECT(got.updates.get() == want.updates);
  EXPECT_CLOSE(got.norms.get(), (Numbers{largest, total}), 1e-12, 0);
  EXPECT(got.flag.get()[0] == 0);
}

// Nothing but the flag and the norms may change.
void check_stopped(const State& before, int32_t flag_before) {
  OnDevice got(before, Type::kHalf, flag_before);
  got.run();
  EXPECT(got.flag.get()[0] == 1);
  EXPECT_CLOSE(got.weight.get(), before.weight, 0, 0);
  EXPECT_CLOSE(got.first.get(), before.first, 0, 0);
  EXPECT_CLOSE(got.second.get(), before.second, 0, 0);
  EXPECT_CLOSE(got.teacher.get(), before.teacher, 0, 0);
  EXPECT_CLOSE(got.weight16.get(), rounded(before.weight, Type::kHalf), 0, 0);
  EXPECT(got.updates.get() == before.updates);
}

}  // namespace

CUDA_TEST(update_of_all_tensors) {
  check_step(State(), Type::kHalf);
  check_step(State(), Type::kBFloat16);
}

CUDA_TEST(update_with_a_frozen_last_layer_and_scaled_gradients) {
  State state(1024);
  state.now.freeze_last_layer = 1;
  check_step(state, Type::kHalf);
}

CUDA_TEST(update_stops_at_what_is_not_finite) {
  for (const double wrong : {double(NAN), double(INFINITY)}) {
    State state;
    state.gradient[size_t(state.begin[1]) + 7] = wrong;
    check_stopped(state, 0);
  }
  check_stopped(State(), 1);  // an earlier kernel has set it
}

CUDA_TEST(update_takes_huge_gradients) {
  State state;
  for (int64_t i = 0; i < state.sizes[1]; ++i) state.gradient[size_t(state.begin[1] + i)] = float(1e30);
  check_step(state, Type::kHalf);  // squares beyond float32; clipped to norm 3
}

CUDA_TEST(update_says_what_is_wrong) {
  UpdateArgs args{};
  EXPECT(kernels().update(args, nullptr).code == 1);
  args.tensors = 1;
  args.gradient_scale = 1;
  EXPECT_DONE(kernels().update(args, nullptr));
  args.slices = 1;
  EXPECT(kernels().update(args, nullptr).code == 1);
  args.slices = 0;
  args.beta2 = 1;
  EXPECT(kernels().update(args, nullptr).code == 1);
}

}  // namespace udi::cuda::test
