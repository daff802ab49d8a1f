#include "train/device_update.h"

#include <algorithm>
#include <limits>

#include "model/kernels.h"

namespace udi {

namespace {

template <class T>
at::Tensor bytes_of(const std::vector<T>& items, at::Device device) {
  const auto size = int64_t(items.size() * sizeof(T));
  return at::from_blob(const_cast<T*>(items.data()), {size}, at::kByte).clone().to(device);
}

template <class T>
T* as(const at::Tensor& tensor) {
  return static_cast<T*>(tensor.mutable_data_ptr());
}

// What is above 0 stays so in float32.
float positive(double value) { return value > 0 ? std::max(float(value), std::numeric_limits<float>::min()) : 0; }

}  // namespace

DeviceUpdate::DeviceUpdate(const udi_train_config& config, const Parameters& student, const Optimizer& optimizer)
    : config_(config), first_(optimizer.first.flat), second_(optimizer.second.flat) {
  std::vector<cuda::Slice> slices;
  std::vector<int32_t> first_slice = {0};
  std::vector<cuda::TensorInfo> info;
  for (const ParameterInfo& entry : student.entries()) {
    for (int64_t at = 0; at < entry.elements; at += cuda::kSliceElements) {
      const int64_t size = std::min<int64_t>(cuda::kSliceElements, entry.elements - at);
      slices.push_back({entry.offset + at, int32_t(size), int32_t(info.size())});
    }
    first_slice.push_back(int32_t(slices.size()));
    info.push_back({entry.decayed, entry.last_layer, entry.trainable});
  }
  const at::Device device = student.device();
  const auto options = at::TensorOptions(at::kDouble).device(device);
  slices_ = int64_t(slices.size());
  slice_ = bytes_of(slices, device);
  first_slice_ = bytes_of(first_slice, device);
  info_ = bytes_of(info, device);
  workspace_ = at::empty({slices_}, options);
  step_ = at::empty({int64_t(info.size() * sizeof(cuda::TensorStep))}, options.dtype(at::kByte));
  updates = at::tensor(optimizer.updates, at::kLong).to(device);
  norms = at::zeros({2}, options);
  not_finite = at::zeros({1}, options.dtype(at::kInt));
}

void DeviceUpdate::run(const at::Tensor& schedule, const Parameters& grads, const Parameters& student,
                       const Parameters& teacher) {
  const at::Tensor student16 = student.flat16(), teacher16 = teacher.flat16();
  cuda::UpdateArgs args{};
  args.slices = slices_;
  args.tensors = int32_t(updates.numel());
  args.copy_type = student16.defined() ? kernels::type_of(student16) : cuda::Type::kBFloat16;
  args.slice = as<cuda::Slice>(slice_);
  args.first_slice = as<int32_t>(first_slice_);
  args.info = as<cuda::TensorInfo>(info_);
  args.schedule = as<cuda::Schedule>(schedule);
  args.clip_grad = positive(config_.clip_grad);
  args.gradient_scale = 1;
  args.beta1 = config_.beta1;
  args.beta2 = config_.beta2;
  args.epsilon = positive(config_.epsilon);
  args.gradient = grads.flat.const_data_ptr<float>();
  args.weight = as<float>(student.flat);
  args.first = as<float>(first_);
  args.second = as<float>(second_);
  args.teacher = as<float>(teacher.flat);
  if (student16.defined()) args.weight16 = student16.mutable_data_ptr();
  if (teacher16.defined()) args.teacher16 = teacher16.mutable_data_ptr();
  args.updates = as<int64_t>(updates);
  args.norms = as<double>(norms);
  args.not_finite = as<int32_t>(not_finite);
  args.workspace = as<double>(workspace_);
  args.step = as<cuda::TensorStep>(step_);
  kernels::check_queued(kernels::table().update(args, kernels::stream_of(student.flat)));
}

at::Tensor schedule_table(const ScheduleValues& now) {
  cuda::Schedule row{};
  row.lr = now.lr;
  row.weight_decay = now.weight_decay;
  row.momentum_teacher = now.momentum_teacher;
  row.teacher_temp = now.teacher_temp;
  row.freeze_last_layer = now.freeze_last_layer;
  return at::from_blob(&row, {int64_t(sizeof row)}, at::kByte).clone();
}

}  // namespace udi
