// A training run on disk, to be gone on with to the same bits: one safetensors file.
//
//   student.*, teacher.*       the weights under their official names
//   center                     [levels, K]
//   exp_avg.*, exp_avg_sq.*    AdamW's averages; momentum.* of SGD and LARS
//
// Metadata: the model's configuration (kConfigKey), udi.format, udi.train (training configuration), udi.state (steps
// and updates of each tensor), udi.extra (what the caller gave), udi.checksums (of every tensor and every other entry).
#pragma once

#include <memory>
#include <string>

#include "base/safetensors.h"
#include "nlohmann/json.hpp"
#include "train/trainer.h"

namespace udi {

// Atomic. A file that is there already becomes `path`.prev when the new one is complete; until then it stays as it is.
// extra: the loader's position, a log's length, whatever the caller wants back. UDI_E_IO; UDI_E_NONFINITE: see
// Trainer::settle, nothing was written then.
void save_checkpoint(Trainer& trainer, const nlohmann::json& extra, const std::string& path);

struct LoadedCheckpoint {
  std::unique_ptr<Trainer> trainer;
  nlohmann::json extra;
  std::string path;    // that was read
  std::string damage;  // why the first choice was not; empty if it was
};

// UDI_E_FORMAT names the file and the tensor that is damaged, UDI_E_VERSION a format from a newer libudi. or_previous:
// if `path` is damaged or gone, `path`.prev is read instead, and `damage` says why; if both fail, the error is the
// first's.
LoadedCheckpoint load_checkpoint(const std::string& path, at::Device device, bool or_previous,
                                 const FormatLimits& limits = {});

// Every tensor and every metadata entry against the file's checksums; a file that is no checkpoint needs none.
// UDI_E_FORMAT names what is damaged.
void check_checksums(const SafetensorsFile& file);

// `path`.prev
std::string previous_checkpoint(const std::string& path);

}  // namespace udi
