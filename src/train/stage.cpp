#include "train/stage.h"

#include <cstring>

namespace udi {

namespace {

constexpr int64_t kAlign = 256;  // bytes: any type, and whole lines of the device's memory

int64_t room(int64_t bytes) { return (bytes + kAlign - 1) / kAlign * kAlign; }

std::vector<int64_t> layout_of(const std::vector<at::Tensor*>& tables) {
  std::vector<int64_t> layout;
  for (const at::Tensor* table : tables) {
    layout.push_back(table->defined() ? int64_t(table->scalar_type()) : -1);
    if (!table->defined()) continue;
    layout.push_back(table->dim());
    layout.insert(layout.end(), table->sizes().begin(), table->sizes().end());
  }
  return layout;
}

}  // namespace

bool Stage::move(const std::vector<at::Tensor*>& tables, at::Device device) {
  std::vector<int64_t> layout = layout_of(tables);
  const bool same = layout == layout_;
  layout_.clear();  // known again when all lies there: where memory fails, what was made of it must not be used again
  int64_t bytes = 0;
  for (const at::Tensor* table : tables) bytes += table->defined() ? room(int64_t(table->nbytes())) : 0;
  const at::Tensor there = memory_.make({std::max<int64_t>(1, bytes)}, at::TensorOptions(at::kByte).device(device));
  Staging& staging = staging_[next_];
  next_ = 1 - next_;
  staging.copied.wait();
  const at::Tensor here = staging.memory.make(there.sizes(), at::TensorOptions(at::kByte).pinned_memory(!device.is_cpu()));
  std::vector<std::pair<at::Tensor, at::Tensor>> on_device;  // to, from
  int64_t at = 0;
  for (at::Tensor* table : tables) {
    if (!table->defined()) continue;
    const at::Tensor source = table->contiguous();
    const int64_t size = int64_t(source.nbytes());
    const at::Tensor view = there.narrow(0, at, size).view(source.scalar_type()).view(source.sizes());
    if (source.is_cpu()) {
      std::memcpy(here.data_ptr<uint8_t>() + at, source.const_data_ptr(), size_t(size));
    } else {
      on_device.emplace_back(view, source);
    }
    *table = view;
    at += room(size);
  }
  there.copy_(here, true);
  staging.copied.set(current_stream(device));
  for (const auto& [to, from] : on_device) to.copy_(from, true);
  layout_ = std::move(layout);
  return same;
}

void read_back(const std::vector<at::Tensor*>& tensors) {
  std::vector<at::Tensor> flat;
  std::vector<int64_t> sizes;
  for (const at::Tensor* tensor : tensors) {
    if (!tensor->defined() || tensor->is_cpu()) continue;
    flat.push_back(tensor->flatten().to(at::kDouble));
    sizes.push_back(tensor->numel());
  }
  if (flat.empty()) return;
  const std::vector<at::Tensor> pieces = at::cat(flat).cpu().split_with_sizes(sizes);
  size_t next = 0;
  for (at::Tensor* tensor : tensors) {
    if (tensor->defined() && !tensor->is_cpu()) *tensor = pieces[next++].view(tensor->sizes());
  }
}

}  // namespace udi
