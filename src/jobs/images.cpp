#include "jobs/images.h"

#include <algorithm>
#include <cstring>

#include "image/transform.h"
#include "jobs/settings.h"

namespace udi {

bool is_bad_file(const Error& error) {
  return error.status == UDI_E_FORMAT || error.status == UDI_E_NOT_FOUND || error.status == UDI_E_IO ||
         error.status == UDI_E_SHAPE || error.status == UDI_E_UNSUPPORTED ||
         (error.status == UDI_E_MEMORY && error.native_code == 0);  // over a limit
}

void BadImages::add(const std::string& name, const std::string& reason) {
  ++count_;
  host_.log(UDI_LOG_WARN, "cannot read ", name, ": ", reason);
  check(double(count_) * 100 <= max_percent_ * double(total_), UDI_E_FORMAT, count_, " of ", total_,
        " images cannot be read, more than max_bad = ", max_percent_, " percent; the last one: ", name, ": ", reason);
}

// One batch on its way: decoded images in their own rows.
class PreparedImages::Task : public WorkerPool::Task {
 public:
  Task(PreparedImages& parent, int64_t first, int64_t count)
      : first(first), pixels(static_cast<size_t>(count)), errors(static_cast<size_t>(count)), parent_(parent) {}

  int64_t items() const override { return int64_t(pixels.size()); }

  void run(int64_t item, int worker) override {
    Scratch& scratch = parent_.scratch_[size_t(worker)];
    try {
      parent_.source_.read(first + item, scratch.bytes);
      const Image& image = scratch.image;
      decode_image(scratch.bytes.data(), scratch.bytes.size(), parent_.limits_, parent_.model_.channels,
                   parent_.model_.exif_turn != 0, scratch.image, &scratch.jpeg);
      check(image.channels == parent_.model_.channels, UDI_E_SHAPE, image.channels, " channels, the model has ",
            parent_.model_.channels);
      const udi_model_config& model = parent_.model_;
      const bool whole = parent_.whole_pixels_ > 0;
      const Sides sides = whole ? whole_sides(image, model.resize_size, int(model.patch_size), parent_.whole_pixels_)
                                : Sides{int(model.image_size), int(model.image_size)};
      at::Tensor& out = pixels[size_t(item)];
      out = at::empty({image.channels, sides.height, sides.width}, image.dtype == UDI_U8 ? at::kByte : at::kFloat);
      const Planes planes = {out.mutable_data_ptr(), image.channels, sides.height, sides.width, image.dtype};
      if (whole) {
        whole_transform(scratch.resizer, image, planes);
      } else {
        evaluation_transform(scratch.resizer, image, model.resize_size, planes);
      }
    } catch (const Error& error) {
      if (!is_bad_file(error)) throw;
      pixels[size_t(item)] = at::Tensor();
      errors[size_t(item)] = error.message;
    }
  }

  const int64_t first;
  std::vector<at::Tensor> pixels;  // undefined where there is an error
  std::vector<std::string> errors;

 private:
  PreparedImages& parent_;
};

PreparedImages::PreparedImages(const JobHost& host, const ImageSource& source, const udi_model_config& model,
                               const JobConfig& config, int64_t batch_size, int64_t whole_pixels)
    : host_(host),
      source_(source),
      model_(model),
      limits_(decode_settings(config)),
      batch_size_(batch_size),
      stride_(batch_size * (host.group ? host.group->world() : 1)),
      whole_pixels_(whole_pixels),
      bad_(host.host, source.size(), config.number("max_bad")),
      pool_(
          std::make_unique<WorkerPool>(config.integer("workers") ? int(config.integer("workers")) : host.num_threads)) {
  scratch_.resize(size_t(pool_->workers()));
  if (host.group) begun_ = batch_size * host.group->rank();
}

PreparedImages::~PreparedImages() = default;

void PreparedImages::prefetch() {
  const size_t depth = size_t(std::max<int64_t>(2, (2 * pool_->workers() + batch_size_ - 1) / batch_size_));
  while (ahead_.size() < depth && begun_ < source_.size()) {
    const int64_t count = std::min(batch_size_, source_.size() - begun_);
    ahead_.push_back(std::make_shared<Task>(*this, begun_, count));
    pool_->push(ahead_.back());
    begun_ += stride_;
  }
}

bool PreparedImages::next(Batch* batch) {
  while (next_or_empty(batch)) {
    if (!batch->index.empty()) return true;
  }
  return false;
}

bool PreparedImages::next_or_empty(Batch* batch) {
  host_.host.check_cancel();
  batch->index.clear();
  prefetch();
  if (ahead_.empty()) return false;
  const auto task = ahead_.front();
  pool_->wait(*task, &host_.host);
  ahead_.pop_front();
  prefetch();
  take(*task, batch);
  return true;
}

void PreparedImages::take(Task& task, Batch* batch) {
  batch->index.clear();
  std::vector<at::Tensor> rows;
  bool floats = false;
  for (int64_t i = 0; i < task.items(); ++i) {
    ++done_;
    if (!task.pixels[size_t(i)].defined()) {
      bad_.add(source_.name(task.first + i), task.errors[size_t(i)]);
      continue;
    }
    rows.push_back(task.pixels[size_t(i)]);
    floats = floats || rows.back().scalar_type() == at::kFloat;
    batch->index.push_back(task.first + i);
  }
  if (rows.empty()) return;
  if (floats) {  // a float image is 0..1 still; the model wants such batches normalised
    const auto channel = [&](const float* values) {
      return at::from_blob(const_cast<float*>(values), {model_.channels, 1, 1}, at::kFloat).clone();
    };
    const at::Tensor mean = channel(model_.mean), std = channel(model_.std);
    for (auto& row : rows) {
      row = row.scalar_type() == at::kByte ? row.to(at::kFloat).div_(255) : row;
      row = (row - mean) / std;
    }
  }
  batch->images.clear();
  for (size_t first = 0, end; first < rows.size(); first = end) {
    for (end = first + 1; end < rows.size() && rows[end].sizes() == rows[first].sizes();) ++end;
    batch->images.push_back(at::stack(at::TensorList(rows).slice(first, end - first)));
  }
}

std::vector<std::string> label_names(const ImageSource& source, const std::string& path) {
  std::vector<std::string> names;
  for (int64_t i = 0; i < source.size(); ++i) {
    const int64_t label = source.label(i);
    check(label >= 0, UDI_E_INVALID, path, ": ", source.name(i),
          " has no label; labelled images lie in a folder a class (or a tar of such), or in a list with a tab and a "
          "number");
    names.push_back(source.classes().empty() ? std::to_string(label) : source.classes()[size_t(label)]);
  }
  return names;
}

}  // namespace udi
