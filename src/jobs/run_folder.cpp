#include "jobs/run_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "base/files.h"

namespace udi {
namespace {

namespace fs = std::filesystem;

// The lines of a log, without a last one that a crash cut off.
std::vector<Json> parse_lines(const std::string& content) {
  std::vector<Json> lines;
  for (size_t begin = 0; begin < content.size();) {
    const size_t end = content.find('\n', begin);
    if (end == std::string::npos) break;
    Json line =
        Json::parse(content.begin() + std::ptrdiff_t(begin), content.begin() + std::ptrdiff_t(end), nullptr, false);
    if (line.is_object() && line.contains("step") && line["step"].is_number_integer()) lines.push_back(std::move(line));
    begin = end + 1;
  }
  return lines;
}

// TensorBoard groups curves by what stands before the slash.
std::string tag_of(const std::string& field) {
  if (field == "loss") return "loss/total";
  for (const char* part : {"global_cls", "global_cls_plus", "global_patch", "local_cls", "local_cls_plus"}) {
    if (field == part) return "loss/" + field;
  }
  for (const char* value : {"lr", "weight_decay", "momentum_teacher", "teacher_temp"}) {
    if (field == value) return "schedule/" + field;
  }
  if (field.rfind("knn_", 0) == 0) return "knn/" + field.substr(4);
  if (field == "images_per_second") return "speed/" + field;
  return "monitor/" + field;
}

// A file that a killed run was still writing.
bool is_leftover(const std::string& name) {
  if (name == "checkpoint.safetensors.next" || name == "checkpoint.safetensors.prev.new") return true;
  for (const char* written : {"checkpoint.safetensors.next.tmp", "config.json.tmp", "log.jsonl.tmp"}) {
    const size_t length = std::strlen(written);
    if (name.compare(0, length, written) == 0) return name.find_first_not_of("0123456789", length) == std::string::npos;
  }
  return false;
}

}  // namespace

RunFolder::RunFolder(const std::string& path) : path_(path) {
  std::error_code code;
  fs::create_directories(path, code);
  if (code) throw Error(UDI_E_IO, text(path, ": cannot be created: ", code.message()), code.value());
  const std::string lock = path + "/.lock";
  lock_ = ::open(lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (lock_ < 0) fail_errno(path, ": cannot be written to");
  if (::flock(lock_, LOCK_EX | LOCK_NB) == 0) {
    remove_leftovers();
    return;
  }
  const bool taken = errno == EWOULDBLOCK;
  ::close(lock_);
  if (taken) fail(UDI_E_STATE, path, ": another run writes there now");
  lock_ = -1;  // a file system without locks: go on without
}

RunFolder::~RunFolder() {
  if (log_) std::fclose(log_);
  if (lock_ >= 0) ::close(lock_);
}

void RunFolder::remove_leftovers() {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(path_, ignored)) {
    if (is_leftover(entry.path().filename().string())) fs::remove(entry.path(), ignored);
  }
}

bool RunFolder::has_checkpoint() const {
  return fs::exists(checkpoint()) || fs::exists(previous_checkpoint(checkpoint()));
}

std::vector<Json> RunFolder::read_log() const {
  if (!fs::exists(log_path())) return {};
  return parse_lines(read_text(log_path(), 4ull << 30));
}

void RunFolder::open_log(int64_t step) {
  std::string kept;
  for (const Json& line : read_log()) {
    if (line["step"].get<int64_t>() < step) kept += line.dump() + '\n';
  }
  write_text(log_path(), kept);
  log_ = std::fopen(log_path().c_str(), "abe");
  if (!log_) fail_errno(log_path(), ": cannot be written");
  events_ = std::make_unique<EventWriter>(path_, step);
}

void RunFolder::write_config(const Json& config) { write_text(path_ + "/config.json", config.dump(2) + '\n'); }

void RunFolder::log(const Json& line) {
  const std::string written = line.dump(-1, ' ', false, Json::error_handler_t::replace) + '\n';
  if (std::fwrite(written.data(), 1, written.size(), log_) != written.size() || std::fflush(log_) != 0) {
    fail_errno(log_path(), ": cannot be written");
  }
  Scalars scalars;
  for (const auto& [field, value] : line.items()) {
    if (field != "step" && value.is_number()) scalars.emplace_back(tag_of(field), value.get<double>());
  }
  events_->add(line.at("step").get<int64_t>(), scalars);
}

void RunFolder::save(Trainer& trainer, const nlohmann::json& extra, int64_t keep) {
  save_checkpoint(trainer, extra, checkpoint());
  if (keep == 0) return;
  char number[32];
  std::snprintf(number, sizeof number, "%09lld", (long long)trainer.steps());
  const std::string copy = path_ + "/checkpoint-" + number + ".safetensors";
  // A second name costs nothing: checkpoints are replaced, never written over.
  std::error_code code;
  fs::remove(copy, code);
  fs::create_hard_link(checkpoint(), copy, code);
  if (code) fs::copy_file(checkpoint(), copy, fs::copy_options::overwrite_existing, code);
  if (code) throw Error(UDI_E_IO, text(copy, ": cannot be written: ", code.message()), code.value());
  remove_old(keep);
}

void RunFolder::remove_old(int64_t keep) {
  std::vector<std::string> copies;
  for (const auto& entry : fs::directory_iterator(path_)) {
    const std::string name = entry.path().filename().string();
    if (name.rfind("checkpoint-", 0) == 0 && entry.path().extension() == ".safetensors") copies.push_back(entry.path());
  }
  std::sort(copies.begin(), copies.end());
  std::error_code ignored;
  for (size_t i = 0; i + size_t(keep) < copies.size(); ++i) fs::remove(copies[i], ignored);
}

}  // namespace udi
