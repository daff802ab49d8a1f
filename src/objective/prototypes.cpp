#include "objective/prototypes.h"

#include <ATen/Parallel.h>

#include <cmath>

#include "../../cuda/prototypes.h"
#include "base/error.h"
#include "model/dense.h"
#include "model/kernels.h"
#include "objective/softmax.h"

namespace udi {

double gradient_scale(double weights, double student_temp) {
  return std::exp2(std::floor(std::log2(32768 * student_temp / weights)));
}

CrossEntropy PrototypeLoss::run(const at::Tensor& z, const at::Tensor& target_z, const RowTable& table,
                                const Prototypes& prototypes, const at::Tensor& d_prototypes) {
  const RowPass pass = row_pass(z);
  const at::ScalarType type = prototypes.student.scalar_type();
  check(type == z.scalar_type() || (pass == RowPass::kKernels && type == at::kHalf), UDI_E_INTERNAL,
        "prototypes of type ", c10::toString(type), " beside rows of type ", c10::toString(z.scalar_type()));
  const at::TensorOptions sums = z.options().dtype(pass == RowPass::kLoops ? at::kDouble : z.scalar_type());
  CrossEntropy out{at::zeros({table.rows()}, sums), at::zeros({table.targets()}, sums), at::empty_like(z)};
  const at::Tensor student_z = z.to(type), teacher_z = target_z.to(type);
  for (const RowBlock& block : table.blocks) {
    const at::Tensor rows = student_z.slice(0, block.first, block.last);
    const at::Tensor of_student = logits(student_logits_, rows, prototypes.student);
    const at::Tensor of_target = logits(target_logits_, teacher_z.index_select(0, block.used), prototypes.teacher);
    if (pass == RowPass::kKernels) {
      by_kernels(block, prototypes, of_student, of_target, out);
    } else if (pass == RowPass::kLoops) {
      loops(block, prototypes, of_student, of_target, out);
    } else {
      aten(block, prototypes, of_student, of_target, out);
    }
    // of_student holds the gradient of the logits now.
    const at::Tensor d_z = out.d_z.slice(0, block.first, block.last), d_w = d_prototypes;
    if (type == z.scalar_type()) {
      matrix_product(of_student, prototypes.student, d_z);
      matrix_product(of_student.t(), rows, d_w, true);
    } else {
      d_z.copy_(at::mm(of_student, prototypes.student)).mul_(1 / prototypes.scale);
      d_w.add_(at::mm(of_student.t(), rows), 1 / prototypes.scale);
    }
  }
  return out;
}

// [rows, K] = z prototypes^T, in the memory that an earlier block left.
at::Tensor PrototypeLoss::logits(Buffer& memory, const at::Tensor& z, const at::Tensor& prototypes) {
  const at::Tensor& out = memory.make({z.size(0), prototypes.size(0)}, z.options());
  matrix_product(z, prototypes.t(), out);
  return out;
}

void PrototypeLoss::loops(const RowBlock& block, const Prototypes& prototypes, const at::Tensor& student_logits,
                          const at::Tensor& target_logits, CrossEntropy& out) {
  const int64_t size = prototypes.student.size(0), used = block.used.numel();
  float* const target_rows = target_logits.data_ptr<float>();
  float* const student_rows = student_logits.data_ptr<float>();
  const float* const centers = prototypes.centers.const_data_ptr<float>();
  const int64_t* const target_row = block.used.const_data_ptr<int64_t>();
  const int32_t* const level = block.level.const_data_ptr<int32_t>();
  const int32_t* const from = block.begin.const_data_ptr<int32_t>();
  const int32_t* const target = block.target.const_data_ptr<int32_t>();
  const double* const share = block.share.const_data_ptr<double>();
  const double* const weight = block.weight.const_data_ptr<double>();
  double* const entropy = out.target_entropy.data_ptr<double>();
  double* const loss = out.row.data_ptr<double>() + block.first;
  std::vector<double> sum(size_t(used), 0.0);
  at::parallel_for(0, used, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const SoftmaxRow done =
          softmax_row(target_rows + i * size, centers + level[i] * size, size, float(1 / prototypes.teacher_temp));
      sum[size_t(i)] = done.sum;
      entropy[target_row[i]] = done.entropy;
    }
  });
  at::parallel_for(0, block.last - block.first, 1, [&](int64_t begin, int64_t end) {
    std::vector<const float*> rows;
    std::vector<float> shares;
    for (int64_t r = begin; r < end; ++r) {
      rows.clear();
      shares.clear();
      double total = 0;
      for (int32_t i = from[r]; i < from[r + 1]; ++i) {
        rows.push_back(target_rows + target[i] * size);
        shares.push_back(float(share[i] / sum[size_t(target[i])]));
        total += share[i];
      }
      const TargetMix mix{rows.data(), shares.data(), int64_t(rows.size()), total};
      loss[r] = cross_entropy_row(student_rows + r * size, size, float(1 / prototypes.student_temp), mix, weight[r]);
    }
  });
}

void PrototypeLoss::by_kernels(const RowBlock& block, const Prototypes& prototypes, const at::Tensor& student_logits,
                               const at::Tensor& target_logits, CrossEntropy& out) {
  const int64_t rows = block.last - block.first, used = block.used.numel();
  const int32_t size = int32_t(prototypes.student.size(0));
  const at::TensorOptions floats = out.row.options();
  const at::Tensor temp = prototypes.temp.defined() ? prototypes.temp : at::full({1}, prototypes.teacher_temp, floats);
  const at::Tensor weight = prototypes.scale == 1 ? block.weight : block.weight * prototypes.scale;
  const at::Tensor target =
      at::empty({std::max<int64_t>(1, used) * int64_t(sizeof(cuda::Target))}, floats.dtype(at::kByte));
  const at::Tensor entropy = at::empty({used}, floats);
  const auto targets = static_cast<cuda::Target*>(target.mutable_data_ptr());
  const float* const centers = prototypes.centers.const_data_ptr<float>();
  const float* const temp_at = temp.const_data_ptr<float>();
  const kernels::DeviceStream stream = kernels::stream_of(student_logits);
  const cuda::Type type = kernels::type_of(student_logits);
  kernels::check_queued(kernels::table().targets(
      {used, size, type, target_logits.const_data_ptr(), centers, block.level.const_data_ptr<int32_t>(), temp_at,
       targets, entropy.mutable_data_ptr<float>()},
      stream));
  kernels::check_queued(kernels::table().cross_entropy(
      {rows, size, type, student_logits.mutable_data_ptr(), block.begin.const_data_ptr<int32_t>(),
       static_cast<const cuda::TargetShare*>(block.share.const_data_ptr()), targets, target_logits.const_data_ptr(),
       centers, temp_at, float(prototypes.student_temp), weight.const_data_ptr<float>(),
       out.row.mutable_data_ptr<float>() + block.first,
       prototypes.not_finite.defined() ? prototypes.not_finite.mutable_data_ptr<int32_t>() : nullptr},
      stream));
  out.target_entropy.index_copy_(0, block.used, entropy);
}

void PrototypeLoss::aten(const RowBlock& block, const Prototypes& prototypes, const at::Tensor& student_logits,
                         const at::Tensor& target_logits, CrossEntropy& out) {
  at::Tensor scaled = target_logits;
  scaled.sub_(prototypes.centers.index_select(0, block.level)).div_(prototypes.teacher_temp);
  const at::Tensor log_p = at::log_softmax(scaled, 1), p = log_p.exp();
  out.target_entropy.index_copy_(0, block.used, (p * log_p).sum(1).neg());

  const at::Tensor mix = at::mm(block.share, p);
  at::Tensor gradient = student_logits;
  const at::Tensor log_q = at::log_softmax(gradient.div_(prototypes.student_temp), 1);
  out.row.slice(0, block.first, block.last).copy_((mix * log_q).sum(1).neg());
  at::exp_out(gradient, log_q);
  gradient.mul_(block.share.sum(1, true)).sub_(mix).mul_(block.weight / prototypes.student_temp);
}

}  // namespace udi
