// The images of a set as a trained model sees them, in order, decoded by worker threads ahead of the model.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "data/pool.h"
#include "data/source.h"
#include "image/decode.h"
#include "image/jpeg_baseline.h"
#include "image/resize.h"
#include "jobs/jobs.h"
#include "model/aten.h"

namespace udi {

// Images that a file could not give: counted, named in the log, and an error once they are too many.
class BadImages {
 public:
  BadImages(const Host& host, int64_t total, double max_percent)
      : host_(host), total_(total), max_percent_(max_percent) {}

  // UDI_E_FORMAT: that was one too many.
  void add(const std::string& name, const std::string& reason);
  int64_t count() const { return count_; }

 private:
  const Host& host_;
  int64_t total_, count_ = 0;
  double max_percent_;
};

// What a file can do wrong; anything else is not the file's fault and ends the job.
bool is_bad_file(const Error& error);

class PreparedImages {
 public:
  struct Batch {
    // [n, C, H, W] each: uint8, or float32 that is normalised, in all of a batch the same. One, [n, C, S, S], unless
    // images are kept whole; then one for every run of images of one size.
    std::vector<at::Tensor> images;
    std::vector<int64_t> index;  // of the source, ascending; unreadable images are left out
  };

  // source, model and host outlive this. The limits are those of `config` (set "limits"). whole_pixels: 0 for the
  // centre crop; else images are kept whole, at most of so many pixels (whole_sides).
  PreparedImages(const JobHost& host, const ImageSource& source, const udi_model_config& model, const JobConfig& config,
                 int64_t batch_size, int64_t whole_pixels = 0);
  ~PreparedImages();

  // The next batch that holds an image; false at the end. UDI_E_FORMAT: too many bad images; UDI_E_CANCELLED. With a
  // group in `host` every rank gets each world-th batch.
  bool next(Batch* batch);
  bool next_or_empty(Batch* batch);       // the next, also one whose images are all bad
  int64_t done() const { return done_; }  // images behind us, good and bad
  int64_t bad() const { return bad_.count(); }

 private:
  class Task;
  struct Scratch {
    std::vector<uint8_t> bytes;
    Image image;
    BaselineJpeg jpeg;
    Resizer resizer;
  };

  void prefetch();
  void take(Task& task, Batch* batch);

  const JobHost& host_;
  const ImageSource& source_;
  const udi_model_config& model_;
  const DecodeLimits limits_;
  const int64_t batch_size_, stride_;  // stride: images from one batch of this rank to its next
  const int64_t whole_pixels_;
  BadImages bad_;
  int64_t begun_ = 0, done_ = 0;
  std::deque<std::shared_ptr<Task>> ahead_;
  std::vector<Scratch> scratch_;      // one a worker
  std::unique_ptr<WorkerPool> pool_;  // the last member: its threads end before anything else goes
};

// A class name of each image: the folder it lies in, or its number. UDI_E_INVALID: an image without a label.
std::vector<std::string> label_names(const ImageSource& source, const std::string& path);

}  // namespace udi
