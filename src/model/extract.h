// Extraction of batch after batch. On an accelerator several go on at once: a batch goes up while the one before it is
// computed and the rows of an earlier one come back.
#pragma once

#include <deque>
#include <memory>
#include <vector>

#include "base/host.h"
#include "model/model.h"
#include "model/replay.h"
#include "model/stream.h"

namespace udi {

class Extraction {
 public:
  // kHere: what is pushed is computed at once, on the CPU image by image on its threads. kStaged: through the stages;
  // batches of one size are padded to capacity(), so that the device sees one shape, whose work is replayed where graphs
  // are on (model/replay.h). kChosen: kStaged on accelerators, unless the host asks for determinism. Tests stage on the
  // CPU.
  enum class Way { kChosen, kHere, kStaged };

  // `model` and `host` outlive this. Checks options (UDI_E_INVALID). patches: of an image of the size that is usual.
  Extraction(const Model& model, const udi_extract_config& options, const Host* host, int64_t patches,
             Way way = Way::kChosen);
  ~Extraction();  // waits for the device

  // So many images fit in a push that is staged.
  int64_t capacity() const { return capacity_; }
  bool staged() const { return staged_; }
  // Whether a push must wait for a pop.
  bool full() const { return queue_.size() >= (staged_ ? slots_.size() : 1); }
  bool empty() const { return queue_.empty(); }

  // Images [B, C, H, W] of one type, uint8 or normalised float32, on the CPU or the model's device; several such
  // batches are of several sizes and go through in one pass (not for UDI_TOKEN_PATCHES). Asks the host for a cancel.
  void push(const std::vector<at::Tensor>& batches);
  // The rows of the oldest push, in the order of its images: float32 on the CPU.
  at::Tensor pop();

 private:
  // What one push needs on its way.
  struct Slot {
    Buffer staging, images, back;  // one behind the other: on the host, pinned; on the device; rows on the host, pinned
    at::Tensor rows;               // on the device
    Mark uploaded, computed, returned;
  };
  struct Queued {
    Slot* slot;  // null: rows are here
    at::Tensor rows;
    int64_t images;
  };

  at::Tensor compute_here(const std::vector<at::Tensor>& batches);
  std::vector<at::Tensor> upload(const std::vector<at::Tensor>& batches, Slot& slot);
  at::Tensor compute(Vit& vit, const std::vector<at::Tensor>& batches) const;
  at::Tensor compute_staged(const std::vector<at::Tensor>& batches);

  const Model& model_;
  const udi_extract_config options_;
  const Parameters weights_;  // that it computes with
  const Host* const host_;
  bool packed_ = false, alone_ = false, staged_ = false;
  int64_t capacity_ = 0;
  c10::Stream computing_, up_, down_;
  Vit vit_;
  Buffer input_, rows_;                      // of what is replayed
  std::vector<std::vector<int64_t>> shapes_;  // of what was pushed last
  Replay replay_;                            // after what it reads and writes: it goes first
  std::vector<Slot> slots_;
  size_t next_ = 0;  // slot
  std::deque<Queued> queue_;
};

// So many images go through at once: batch_size, or as many as fill a device of the model's kind.
int64_t images_at_once(const Model& model, const udi_extract_config& options, int64_t patches);

// [B, C, H, W], checked for the model (UDI_E_SHAPE, UDI_E_INVALID).
at::Tensor channels_first(const Model& model, const at::Tensor& images, udi_layout layout);

}  // namespace udi
