#include "objective/targets.h"

namespace udi {

SampleMeans sample_means(const TeacherRows& rows, const Samples& samples) {
  const int64_t crops = 2 * samples.images, queries = samples.queries(), dim = rows.cls.size(1);
  // Scattered into padded form, every place written once: the sums below have one order on every device.
  at::Tensor weighted = at::zeros({crops * queries, dim}, rows.cls.options());
  at::Tensor weight = at::zeros({crops * queries, 1}, rows.cls.options());
  const auto scatter = [&](const at::Tensor& place, const at::Tensor& sum, const at::Tensor& z) {
    weighted.index_copy_(0, place, z * sum);
    weight.index_copy_(0, place, sum);
  };
  scatter(samples.teacher_place, samples.global_sum, rows.patch);
  scatter(samples.local_place, samples.local_sum, rows.local);
  const auto mean = [&](int64_t start, int64_t groups, int64_t each) {
    const at::Tensor z = weighted.view({crops, queries, dim}).narrow(1, start, groups * each);
    const at::Tensor w = weight.view({crops, queries, 1}).narrow(1, start, groups * each);
    return z.reshape({crops, groups, each, dim}).sum(2).div_(w.reshape({crops, groups, each, 1}).sum(2).add_(1e-5));
  };
  return {mean(0, 1, samples.samples_global).squeeze(1),
          mean(samples.samples_global, samples.local_crops, samples.samples_local)};
}

Targets blend_targets(const TeacherRows& rows, const Samples& samples, double alpha) {
  const at::Tensor cls_local = rows.cls.unsqueeze(1).expand({-1, samples.local_crops, -1});
  if (!rows.patch.defined()) return {rows.cls, cls_local};
  const SampleMeans mean = sample_means(rows, samples);
  return {mean.global * alpha + rows.cls * (1 - alpha), mean.local * alpha + cls_local * (1 - alpha)};
}

at::Tensor sample_sum(const TeacherRows& rows, const Samples& samples) {
  return (rows.patch * samples.global_sum).sum(0) + (rows.local * samples.local_sum).sum(0);
}

}  // namespace udi
