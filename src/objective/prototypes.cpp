#include "objective/prototypes.h"

#include <ATen/Parallel.h>

#include <algorithm>

#include "../../cuda/prototypes.h"
#include "base/error.h"
#include "model/kernels.h"
#include "objective/softmax.h"

namespace udi {

// Student rows [first, last), the target rows they use (each once) and their mixtures in numbers of this block.
struct PrototypeLoss::Block {
  int64_t first = 0, last = 0;
  std::vector<int64_t> used;    // rows of TargetRows
  std::vector<int32_t> target;  // parallel to StudentRows::target from begin[first]: place in `used`
};

// 16 MB of logits on the CPU (small enough to be cheap, large enough for a matrix product), 256 MB elsewhere.
int64_t PrototypeLoss::rows_at_once(int64_t prototypes, at::Device device) {
  const int64_t elements = device.is_cpu() ? int64_t(1) << 22 : int64_t(1) << 26;
  return std::clamp<int64_t>(elements / prototypes, 16, 4096);
}

namespace {

at::Tensor index_tensor(const std::vector<int64_t>& index, at::Device device) {
  return at::tensor(index, at::kLong).to(device);
}

// The bytes of plain structs, at least one of them, on the device.
template <class T>
at::Tensor bytes_tensor(std::vector<T> items, at::Device device) {
  if (items.empty()) items.emplace_back();
  return at::from_blob(items.data(), {int64_t(items.size() * sizeof(T))}, at::kByte).to(device, at::kByte, false, true);
}

template <class T>
T* items_of(const at::Tensor& bytes) {
  return static_cast<T*>(bytes.mutable_data_ptr());
}

}  // namespace

PrototypeLoss::Block PrototypeLoss::next_block(const StudentRows& student, int64_t first, int64_t limit) const {
  Block block;
  block.first = block.last = first;
  std::vector<std::pair<int32_t, int32_t>> places;  // (target row, place), sorted by target row
  while (block.last < student.rows() && block.last - first < limit) {
    const int32_t begin = student.begin[block.last], end = student.begin[block.last + 1];
    // A row may bring more targets than are left; the first row always goes in, however many it has.
    if (block.last > first && int64_t(block.used.size()) + (end - begin) > limit) break;
    for (int32_t i = begin; i < end; ++i) {
      const auto at = std::lower_bound(places.begin(), places.end(), std::pair(student.target[i], int32_t(0)));
      if (at != places.end() && at->first == student.target[i]) {
        block.target.push_back(at->second);
        continue;
      }
      block.target.push_back(int32_t(block.used.size()));
      places.insert(at, {student.target[i], int32_t(block.used.size())});
      block.used.push_back(student.target[i]);
    }
    ++block.last;
  }
  return block;
}

CrossEntropy PrototypeLoss::run(const StudentRows& student, const TargetRows& targets, const Prototypes& prototypes,
                                const at::Tensor& d_prototypes) {
  CrossEntropy out;
  out.row.assign(size_t(student.rows()), 0.0);
  out.target_entropy.assign(targets.level.size(), 0.0);
  out.d_z = at::empty_like(student.z);
  const bool own_loops = student.z.is_cpu() && student.z.scalar_type() == at::kFloat;
  const int64_t limit = rows_at_once(prototypes.student.size(0), student.z.device());
  for (int64_t first = 0; first < student.rows();) {
    const Block block = next_block(student, first, limit);
    const at::Tensor z = student.z.slice(0, block.first, block.last);
    const at::Tensor target_z = targets.z.index_select(0, index_tensor(block.used, targets.z.device()));
    const at::Tensor of_student = logits(student_logits_, z, prototypes.student);
    const at::Tensor of_target = logits(target_logits_, target_z, prototypes.teacher);
    if (kernels::take(student.z)) {
      by_kernels(student, targets, prototypes, block, of_student, of_target, out);
    } else if (own_loops) {
      loops(student, targets, prototypes, block, of_student, of_target, out);
    } else {
      aten(student, targets, prototypes, block, of_student, of_target, out);
    }
    // of_student holds the gradient of the logits now.
    at::Tensor d_z = out.d_z.slice(0, block.first, block.last), d_w = d_prototypes;
    at::mm_out(d_z, of_student, prototypes.student);
    at::addmm_out(d_w, d_w, of_student.t(), z);
    first = block.last;
  }
  return out;
}

// [rows, K] = z prototypes^T, in the memory that an earlier block left.
at::Tensor PrototypeLoss::logits(Buffer& memory, const at::Tensor& z, const at::Tensor& prototypes) {
  at::Tensor out = memory.make({z.size(0), prototypes.size(0)}, z.options());
  return at::mm_out(out, z, prototypes.t());
}

void PrototypeLoss::loops(const StudentRows& student, const TargetRows& targets, const Prototypes& prototypes,
                          const Block& block, const at::Tensor& student_logits, const at::Tensor& target_logits,
                          CrossEntropy& out) {
  const int64_t size = prototypes.student.size(0), used = int64_t(block.used.size());
  float* const target_rows = target_logits.data_ptr<float>();
  float* const student_rows = student_logits.data_ptr<float>();
  const float* const centers = prototypes.centers.const_data_ptr<float>();
  std::vector<double> sum(block.used.size());
  at::parallel_for(0, used, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const float* center = centers + targets.level[block.used[i]] * size;
      const SoftmaxRow done = softmax_row(target_rows + i * size, center, size, float(1 / prototypes.teacher_temp));
      sum[i] = done.sum;
      out.target_entropy[block.used[i]] = done.entropy;
    }
  });
  at::parallel_for(block.first, block.last, 1, [&](int64_t begin, int64_t end) {
    std::vector<const float*> rows;
    std::vector<float> shares;
    for (int64_t r = begin; r < end; ++r) {
      rows.clear();
      shares.clear();
      double total = 0;
      for (int32_t i = student.begin[r]; i < student.begin[r + 1]; ++i) {
        const int32_t place = block.target[i - student.begin[block.first]];
        rows.push_back(target_rows + place * size);
        shares.push_back(float(student.share[i] / sum[place]));
        total += student.share[i];
      }
      const TargetMix mix{rows.data(), shares.data(), int64_t(rows.size()), total};
      out.row[r] = cross_entropy_row(student_rows + (r - block.first) * size, size, float(1 / prototypes.student_temp),
                                     mix, student.weight[r]);
    }
  });
}

// One copy of each list to the device and one back a block; the logits stay where the products left them.
void PrototypeLoss::by_kernels(const StudentRows& student, const TargetRows& targets, const Prototypes& prototypes,
                               const Block& block, const at::Tensor& student_logits, const at::Tensor& target_logits,
                               CrossEntropy& out) {
  const int64_t rows = block.last - block.first, used = int64_t(block.used.size());
  const int32_t size = int32_t(prototypes.student.size(0)), first_target = student.begin[block.first];
  std::vector<int32_t> levels, begin = {0};
  std::vector<cuda::TargetShare> shares;
  std::vector<float> weights;
  for (const int64_t row : block.used) levels.push_back(targets.level[row]);
  for (int64_t r = block.first; r < block.last; ++r) {
    for (int32_t i = student.begin[r]; i < student.begin[r + 1]; ++i)
      shares.push_back({block.target[i - first_target], float(student.share[i])});
    begin.push_back(int32_t(shares.size()));
    weights.push_back(float(student.weight[r]));
  }
  const at::Device device = student.z.device();
  const at::Tensor level = bytes_tensor(levels, device), from = bytes_tensor(begin, device);
  const at::Tensor parts = bytes_tensor(shares, device), weight = bytes_tensor(weights, device);
  const at::Tensor temp = bytes_tensor(std::vector<float>{float(prototypes.teacher_temp)}, device);
  const at::Tensor target = bytes_tensor(std::vector<cuda::Target>(block.used.size()), device);
  const at::Tensor entropy = at::empty({std::max<int64_t>(1, used)}, student.z.options());
  const at::Tensor loss = at::empty({rows}, student.z.options());
  const cuda::Stream stream = kernels::stream_of(student.z);
  const cuda::Type type = kernels::type_of(student_logits);
  kernels::check_queued(kernels::table().targets(
      {used, size, type, target_logits.const_data_ptr(), prototypes.centers.const_data_ptr<float>(),
       items_of<int32_t>(level), items_of<float>(temp), items_of<cuda::Target>(target),
       entropy.mutable_data_ptr<float>()},
      stream));
  kernels::check_queued(kernels::table().cross_entropy(
      {rows, size, type, student_logits.mutable_data_ptr(), items_of<int32_t>(from), items_of<cuda::TargetShare>(parts),
       items_of<cuda::Target>(target), target_logits.const_data_ptr(), prototypes.centers.const_data_ptr<float>(),
       items_of<float>(temp), float(prototypes.student_temp), items_of<float>(weight), loss.mutable_data_ptr<float>(),
       nullptr},
      stream));
  const at::Tensor losses = loss.cpu(), entropies = entropy.cpu();
  for (int64_t r = 0; r < rows; ++r) out.row[block.first + r] = losses.const_data_ptr<float>()[r];
  for (int64_t i = 0; i < used; ++i) out.target_entropy[block.used[i]] = entropies.const_data_ptr<float>()[i];
}

void PrototypeLoss::aten(const StudentRows& student, const TargetRows& targets, const Prototypes& prototypes,
                         const Block& block, const at::Tensor& student_logits, const at::Tensor& target_logits,
                         CrossEntropy& out) {
  const at::Device device = student.z.device();
  std::vector<int64_t> levels;
  for (const int64_t row : block.used) levels.push_back(targets.level[row]);
  at::Tensor scaled = target_logits;
  scaled.sub_(prototypes.centers.index_select(0, index_tensor(levels, device))).div_(prototypes.teacher_temp);
  const at::Tensor log_p = at::log_softmax(scaled, 1), p = log_p.exp();
  const at::Tensor entropy = (p * log_p).sum(1).neg().to(at::kDouble).cpu();

  const int64_t rows = block.last - block.first;
  at::Tensor share = at::zeros({rows, int64_t(block.used.size())}, at::kDouble);
  at::Tensor weight = at::empty({rows, 1}, at::kDouble);
  auto share_at = share.accessor<double, 2>();
  auto weight_at = weight.accessor<double, 2>();
  for (int64_t r = 0; r < rows; ++r) {
    weight_at[r][0] = student.weight[block.first + r] / prototypes.student_temp;
    for (int32_t i = student.begin[block.first + r]; i < student.begin[block.first + r + 1]; ++i)
      share_at[r][block.target[i - student.begin[block.first]]] += student.share[i];
  }
  const at::Tensor mix = at::mm(share.to(p.options()), p);
  at::Tensor gradient = student_logits;
  const at::Tensor log_q = at::log_softmax(gradient.div_(prototypes.student_temp), 1);
  const at::Tensor row = (mix * log_q).sum(1).neg().to(at::kDouble).cpu();
  at::exp_out(gradient, log_q);
  gradient.mul_(share.sum(1, true).to(p.options())).sub_(mix).mul_(weight.to(p.options()));

  for (int64_t r = 0; r < rows; ++r) out.row[block.first + r] = row.const_data_ptr<double>()[r];
  for (size_t i = 0; i < block.used.size(); ++i)
    out.target_entropy[block.used[i]] = entropy.const_data_ptr<double>()[i];
}

}  // namespace udi
