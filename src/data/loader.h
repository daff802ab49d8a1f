// An image set on disk becomes batches of views, made ahead by worker threads. A batch depends on (seed, position,
// rank, world) and the files alone: not on the number of workers, nor on what was loaded before.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/host.h"
#include "data/pool.h"
#include "data/source.h"
#include "data/views.h"
#include "image/image.h"
#include "udi.h"

namespace udi {

class BaselineJpeg;

class Loader {
 public:
  // Takes the source over; host outlives the loader. UDI_E_INVALID: a setting, or a set smaller than a batch of all
  // ranks.
  // planned: next() gives views whose crops are yet to be made (Views::planned): workers decode and draw plans, no more.
  Loader(ImageSource source, const udi_view_config& views, const udi_loader_config& config, const Host& host,
         bool planned = false);
  ~Loader();

  const ImageSource& source() const { return source_; }
  int64_t steps_per_epoch() const { return steps_per_epoch_; }  // of this rank; what is left of an epoch is dropped
  // Before the first batch: an epoch ends with a whole number of so many batches, where it has as many.
  void end_epochs_on(int64_t batches);

  // The next batch, swapped into `out`, whose memory is used for a later one. An unreadable image is replaced by
  // another of the set, drawn from (seed, epoch, its number); Views::sample says which is shown. UDI_E_FORMAT: more
  // than max_bad_percent of the set is unreadable; UDI_E_UNSUPPORTED: crops of floats, and they are to be planned;
  // UDI_E_CANCELLED. After an error the position is as it was.
  void next(Views& out);

  // Batches given out since the start of training; epochs follow each other.
  int64_t position() const { return position_; }
  void seek(int64_t position);  // costs the same wherever it leads

  int64_t bad_images() const { return int64_t(counted_bad_.size()); }  // unreadable ones met so far
  const std::set<int64_t>& bad() const { return counted_bad_; }         // their numbers

 private:
  class Batch;
  struct Scratch;
  friend class Batch;

  void choose_dtype();
  void prefetch();
  const std::vector<uint32_t>& order_of(int64_t epoch);
  void fill_row(Batch& batch, int64_t row, int worker);
  bool try_image(int64_t image, Batch& batch, int64_t row, Scratch& scratch);
  void read_image(int64_t number, std::vector<uint8_t>& bytes, Image& image, BaselineJpeg* jpeg) const;
  bool too_many_bad(int64_t count) const;
  void count_bad(const Batch& batch);

  const ImageSource source_;
  const udi_view_config views_;
  const udi_loader_config config_;
  const Host& host_;
  const bool planned_;
  int64_t steps_per_epoch_ = 0;
  int64_t position_ = 0;
  udi_dtype dtype_ = 0;  // of the crops; 0 until the first batch is wanted

  int64_t order_epoch_ = -1;
  std::vector<uint32_t> order_;

  std::mutex bad_mutex_;                                  // guards bad_reasons_ and every Batch::bad
  std::unordered_map<int64_t, std::string> bad_reasons_;  // met by workers, ahead of the batches given out
  std::set<int64_t> counted_bad_;                         // in batches given out: does not depend on timing

  std::vector<Scratch> scratch_;              // one a worker
  std::deque<std::shared_ptr<Batch>> ahead_;  // batches from position_ on
  Views spare_;                               // memory of a batch that was given back
  std::unique_ptr<WorkerPool> pool_;          // the last member: its threads end before anything else goes
};

}  // namespace udi
