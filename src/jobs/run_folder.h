// The folder of a training run: checkpoint.safetensors (and .prev), config.json, log.jsonl, TensorBoard's event file.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "jobs/events.h"
#include "jobs/jobs.h"
#include "train/checkpoint.h"

namespace udi {

class RunFolder {
 public:
  // Makes the folder. UDI_E_IO; UDI_E_STATE: another run writes there now.
  explicit RunFolder(const std::string& path);
  ~RunFolder();
  RunFolder(const RunFolder&) = delete;
  RunFolder& operator=(const RunFolder&) = delete;

  std::string checkpoint() const { return path_ + "/checkpoint.safetensors"; }
  bool has_checkpoint() const;  // or its previous one

  // Opens log and event file at `step` steps done: what the log says of later ones, which will be done again, goes.
  void open_log(int64_t step);
  void write_config(const Json& config);
  // A line of log.jsonl; numbers that TensorBoard shows go to the event file, too. line: has "step".
  void log(const Json& line);
  std::vector<Json> read_log() const;

  // keep: so many numbered copies beside, the oldest of which are removed.
  void save(Trainer& trainer, const nlohmann::json& extra, int64_t keep);

 private:
  std::string log_path() const { return path_ + "/log.jsonl"; }
  void remove_leftovers();
  void remove_old(int64_t keep);

  std::string path_;
  int lock_ = -1;
  std::FILE* log_ = nullptr;
  std::unique_ptr<EventWriter> events_;
};

}  // namespace udi
