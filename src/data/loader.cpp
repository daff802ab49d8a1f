#include "data/loader.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "base/error.h"
#include "base/random.h"
#include "data/augment.h"
#include "data/config.h"
#include "data/order.h"
#include "image/decode.h"
#include "image/jpeg_baseline.h"

namespace udi {

struct Loader::Scratch {
  std::vector<uint8_t> bytes;
  Image image;
  BaselineJpeg jpeg;
  ViewMaker maker;
};

class Loader::Batch : public WorkerPool::Task {
 public:
  explicit Batch(Loader& loader) : loader_(loader) {}
  int64_t items() const override { return views.batch; }
  void run(int64_t item, int worker) override { loader_.fill_row(*this, item, worker); }
  void finish() override {
    if (!gave_up) finish_views(loader_.views_, views);
  }

  Views views;
  std::set<int64_t> bad;             // unreadable images that its rows met
  std::atomic<bool> gave_up{false};  // these alone are too many: rows are missing

 private:
  Loader& loader_;
};

namespace {

// What a file can do wrong. Anything else (no memory, a defect) is not the file's fault and ends the run.
bool is_bad_file(const Error& error) {
  return error.status == UDI_E_FORMAT || error.status == UDI_E_NOT_FOUND || error.status == UDI_E_IO ||
         error.status == UDI_E_SHAPE || error.status == UDI_E_UNSUPPORTED ||
         (error.status == UDI_E_MEMORY && error.native_code == 0);  // over a limit
}

}  // namespace

Loader::Loader(ImageSource source, const udi_view_config& views, const udi_loader_config& config, const Host& host,
               bool planned)
    : source_(std::move(source)), views_(views), config_(config), host_(host), planned_(planned) {
  check_view_config(views_);
  check_loader_config(config_);
  const int64_t images_a_step = int64_t(config_.batch_size) * config_.world;
  check(source_.size() >= images_a_step, UDI_E_INVALID, "the set has ", source_.size(),
        " images, fewer than one batch of ", images_a_step, " (batch_size ", config_.batch_size, " on ", config_.world,
        config_.world == 1 ? " process" : " processes", "); give a smaller batch_size or more images");
  steps_per_epoch_ = source_.size() / images_a_step;
}

Loader::~Loader() = default;

void Loader::end_epochs_on(int64_t batches) {
  if (steps_per_epoch_ > batches) steps_per_epoch_ -= steps_per_epoch_ % batches;
}

void Loader::next(Views& out) {
  host_.check_cancel();
  if (!pool_) {
    choose_dtype();
    check(!planned_ || dtype_ == UDI_U8, UDI_E_UNSUPPORTED, kFloatsNotPlanned);
    pool_ = std::make_unique<WorkerPool>(config_.workers);
    scratch_.resize(size_t(pool_->workers()));
  }
  prefetch();
  Batch& batch = *ahead_.front();
  pool_->wait(batch, &host_);
  count_bad(batch);
  std::swap(out, batch.views);
  spare_ = std::move(batch.views);
  ahead_.pop_front();
  ++position_;
  prefetch();
}

void Loader::seek(int64_t position) {
  constexpr int64_t kEpochs = int64_t(1) << 24;  // that random draws tell apart
  const int64_t last = steps_per_epoch_ * kEpochs - 1;
  check(position >= 0 && position <= last, UDI_E_INVALID, "position is ", position, ", must be 0 to ", last);
  if (pool_) pool_->drop_all();
  ahead_.clear();  // items that run now keep their batch alive until they end
  position_ = position;
}

// Keeps enough batches begun that every worker has an item while one batch is finished and handed over.
void Loader::prefetch() {
  const int64_t depth = std::max<int64_t>(2, (2 * pool_->workers() + config_.batch_size - 1) / config_.batch_size);
  while (int64_t(ahead_.size()) < depth) {
    const int64_t position = position_ + int64_t(ahead_.size());
    const int64_t epoch = position / steps_per_epoch_, step = position % steps_per_epoch_;
    const auto batch = std::make_shared<Batch>(*this);
    batch->views = std::exchange(spare_, Views());
    shape_views(views_, config_.batch_size, config_.channels, dtype_, epoch, batch->views, planned_);
    const auto first = order_of(epoch).begin() + (step * config_.world + config_.rank) * config_.batch_size;
    std::copy_n(first, config_.batch_size, batch->views.sample.begin());
    pool_->push(batch);
    ahead_.push_back(batch);
  }
}

const std::vector<uint32_t>& Loader::order_of(int64_t epoch) {
  if (epoch != order_epoch_) {
    order_ = epoch_order(config_.seed, epoch, source_.size());
    order_epoch_ = epoch;
  }
  return order_;
}

void Loader::fill_row(Batch& batch, int64_t row, int worker) {
  int64_t image = batch.views.sample[size_t(row)];
  Random replacement(config_.seed, Random::kReplace, uint64_t(batch.views.epoch), uint64_t(image));
  while (!batch.gave_up && !try_image(image, batch, row, scratch_[size_t(worker)])) {
    {
      const std::lock_guard lock(bad_mutex_);
      batch.bad.insert(image);
      const int64_t count = int64_t(batch.bad.size());
      if (count == source_.size() || too_many_bad(count)) batch.gave_up = true;
    }
    image = int64_t(replacement.below(uint64_t(source_.size())));
  }
}

// Reads and decodes an image, makes its crops or plans them; false when its file is bad, now or before.
bool Loader::try_image(int64_t image, Batch& batch, int64_t row, Scratch& scratch) {
  {
    const std::lock_guard lock(bad_mutex_);
    if (bad_reasons_.count(image)) return false;
  }
  try {
    read_image(image, scratch.bytes, scratch.image, &scratch.jpeg);
    if (planned_) {
      plan_row(scratch.image, config_.seed, image, row, batch.views);
    } else {
      scratch.maker.fill_row(scratch.image, views_, config_.seed, image, row, batch.views);
    }
    return true;
  } catch (const Error& error) {
    if (!is_bad_file(error)) throw;
    const std::lock_guard lock(bad_mutex_);
    bad_reasons_.emplace(image, error.message);
    return false;
  }
}

void Loader::read_image(int64_t number, std::vector<uint8_t>& bytes, Image& image, BaselineJpeg* jpeg) const {
  source_.read(number, bytes);
  DecodeLimits limits;
  limits.max_pixels = config_.max_pixels;
  limits.max_file_bytes = config_.max_file_bytes;
  decode_image(bytes.data(), bytes.size(), limits, config_.channels, views_.exif_turn != 0, image, jpeg);
}

// JPEG and PNG give bytes. Whether a set of arrays holds floats is told by the first one that can be read.
void Loader::choose_dtype() {
  dtype_ = UDI_U8;
  std::vector<uint8_t> bytes;
  Image image;
  int tries = 0;
  for (int64_t i = 0; i < source_.size() && tries < 100; ++i) {
    const std::string& name = source_.name(i);
    if (name.size() < 4 || name.compare(name.size() - 4, 4, ".npy") != 0) continue;
    ++tries;
    try {
      read_image(i, bytes, image, nullptr);
      dtype_ = image.dtype;
      return;
    } catch (const Error& error) {
      if (!is_bad_file(error)) throw;  // it is counted when a batch wants it
    }
  }
}

bool Loader::too_many_bad(int64_t count) const {
  return double(count) > config_.max_bad_percent / 100 * double(source_.size());
}

void Loader::count_bad(const Batch& batch) {
  const std::lock_guard lock(bad_mutex_);
  for (const int64_t image : batch.bad) {
    if (!counted_bad_.insert(image).second) continue;
    host_.log(UDI_LOG_WARN, "unreadable image ", source_.name(image), ": ", bad_reasons_[image]);
  }
  const int64_t count = int64_t(counted_bad_.size());
  if (!batch.gave_up && !too_many_bad(count)) return;
  std::string first;
  int named = 0;
  for (const int64_t image : counted_bad_) {
    if (++named > 3) break;
    first += text(named == 1 ? "" : "; ", source_.name(image), ": ", bad_reasons_[image]);
  }
  fail(UDI_E_FORMAT, count, " of ", source_.size(), " images are unreadable, more than max_bad_percent ",
       config_.max_bad_percent, " allows; among them ", first);
}

}  // namespace udi
