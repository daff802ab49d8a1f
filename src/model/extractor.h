// Extraction in one call after another, as users of the C API ask for it: what a device needs for it is made once.
#pragma once

#include <memory>
#include <optional>

#include "model/extract.h"

namespace udi {

// Of udi_model_extract. What goes through stages on a device (two batches' memory there and pinned here, streams, weights in
// fewer bits, work that was recorded) stays for the next call that asks for the same of the same weights. A call that fails
// leaves nothing. One thread at a time; the model outlives this.
class Extractor {
 public:
  // images [B, C, H, W] (or [B, H, W, C] by layout), uint8 or normalised float32, on any device. Returns float32 on the CPU,
  // shapes at udi_token. host, if any, is asked for a cancel before every batch.
  at::Tensor extract(const Model& model, const at::Tensor& images, udi_layout layout, const udi_extract_config& options,
                     const Host* host = nullptr, Extraction::Way way = Extraction::Way::kChosen);

  int64_t made() const { return made_; }  // extractions so far

 private:
  // What a kept extraction must agree in with the next call.
  struct Asked {
    const Model* model;
    uint64_t version;  // of its weights
    udi_extract_config options;
    const Host* host;
    Extraction::Way way;
    c10::Stream stream;
    bool graphs;
    bool operator==(const Asked& other) const;
  };
  std::unique_ptr<Extraction> take(const Asked& asked, int64_t count, int64_t patches);

  std::optional<Asked> asked_;        // of what is kept
  std::unique_ptr<Extraction> kept_;  // none: nothing was staged, or a call is under way
  int64_t made_ = 0;
};

}  // namespace udi
