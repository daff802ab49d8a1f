// Pretraining from images on disk to a checkpoint: the run that can be stopped at any moment and goes on to the same
// bits.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <optional>
#include <set>

#include "data/loader.h"
#include "jobs/features.h"
#include "jobs/plan.h"
#include "jobs/ranks.h"
#include "jobs/run_folder.h"
#include "jobs/run_report.h"
#include "jobs/settings.h"
#include "jobs/watch.h"
#include "model/config.h"
#include "train/monitors.h"

namespace udi {
namespace {

// ---- Where a run starts --------------------------------------------------------------------------------------------

// A model with new weights, or those of --init.
Model first_model(const JobHost& host, const JobConfig& config, const RunPlan& plan) {
  Model model(plan.model, host.device);
  model.weights.initialize(plan.model, plan.train.seed);
  if (!config.given("init")) return model;
  const std::string path = config.string("init");
  ModelFileOptions options;
  options.heads = plan.model.heads;
  options.srs_heads = plan.model.srs_heads;
  options.partial = config.flag("partial");
  options.limits = format_settings(config);
  const ModelFile file = open_model_file(path, options, host.device);
  for (const auto& note : file.notes) host.host.log(UDI_LOG_INFO, path, ": ", note);
  const auto misfits = copy_weights(file, &model);
  if (!misfits.empty() && !options.partial) {
    fail_listing(UDI_E_FORMAT, path, text(kDoNotFit, " (--partial takes those that do)"), misfits);
  }
  for (const auto& line : misfits) host.host.log(UDI_LOG_WARN, path, ": ", line);
  return model;
}

// The trainer of the checkpoint that `resume` means, or null: start anew.
std::unique_ptr<Trainer> resumed(const JobHost& host, const JobConfig& config, const RunPlan& plan,
                                 const RunFolder& folder) {
  const std::string resume = config.string("resume");
  if (resume == "never" || (resume == "auto" && !folder.has_checkpoint())) return nullptr;
  LoadedCheckpoint loaded = load_checkpoint(resume == "auto" ? folder.checkpoint() : resume, host.device,
                                            resume == "auto", format_settings(config));
  if (!loaded.damage.empty()) host.host.log(UDI_LOG_WARN, loaded.damage, "; going on from ", loaded.path);
  const auto& extra = loaded.extra;
  check(extra.is_object() && extra.contains("config") && extra.contains("images"), UDI_E_FORMAT, loaded.path,
        " was not written by pretrain; --init starts from its weights");
  std::vector<std::string> changed = differences("pretrain", Json(extra["config"]), config.values());
  if (extra["images"] != plan.images)
    changed.push_back(text("images: ", extra["images"], " before, ", plan.images, " now"));
  std::string list;
  for (const auto& line : changed) list += (list.empty() ? "" : "; ") + line;
  check(changed.empty(), UDI_E_STATE, loaded.path, " was made by another configuration: ", list,
        ". Give the same options to go on, another --out, or --resume never to start anew");
  host.host.log(UDI_LOG_INFO, "going on after step ", loaded.trainer->steps(), " of ", config.integer("steps"));
  return std::move(loaded.trainer);
}

// ---- What is written about a step ----------------------------------------------------------------------------------

Json line_of(const udi_step_stats& stats, int64_t epoch, const Pace& pace) {
  Json line = {{"step", stats.step}, {"epoch", epoch}};
  const std::pair<const char*, double> values[] = {{"loss", stats.loss},
                                                   {"global_cls", stats.global_cls},
                                                   {"global_cls_plus", stats.global_cls_plus},
                                                   {"global_patch", stats.global_patch},
                                                   {"local_cls", stats.local_cls},
                                                   {"local_cls_plus", stats.local_cls_plus},
                                                   {"lr", stats.lr},
                                                   {"weight_decay", stats.weight_decay},
                                                   {"momentum_teacher", stats.momentum_teacher},
                                                   {"teacher_temp", stats.teacher_temp},
                                                   {"grad_norm_max", stats.grad_norm_max},
                                                   {"grad_norm_sum", stats.grad_norm_sum},
                                                   {"center_norm_cls", stats.center_norm[0]},
                                                   {"center_norm_cls_plus", stats.center_norm[1]},
                                                   {"center_norm_patch", stats.center_norm[2]},
                                                   {"teacher_entropy", stats.teacher_entropy},
                                                   {"kl", stats.kl},
                                                   {"valid_share", stats.valid_share},
                                                   {"feature_std", stats.feature_std},
                                                   {"images_per_second", pace.images_per_second()},
                                                   {"eta_seconds", pace.eta_seconds()}};
  for (const auto& [name, value] : values) {
    if (std::isfinite(value)) line[name] = value;
  }
  return line;
}

// A loss that is not finite: the images it came from are where to look.
[[noreturn]] void name_inputs(const Host& host, const ImageSource& source, const std::vector<Views>& batch,
                              const Error& error) {
  std::string list;
  int64_t count = 0;
  for (const Views& views : batch) {
    for (const int64_t sample : views.sample) {
      host.log(UDI_LOG_ERROR, "in the step that is not finite: ", source.name(sample));
      if (count++ < 4) list += (list.empty() ? "" : ", ") + source.name(sample);
    }
  }
  fail(UDI_E_NONFINITE, error.message, ". The last checkpoint is untouched; if going on from it ends the same way, ",
       "--resume takes an older one: checkpoint.safetensors.prev, or those that --keep N leaves. Its images, all of ",
       "them in the log: ", list, count > 4 ? ", ..." : "");
}

// ---- The run -------------------------------------------------------------------------------------------------------

// When a run does what besides steps.
class Diary {
 public:
  Diary(const JobConfig& config, const udi_train_config& train) : config_(config), total_(config.integer("steps")) {
    save_steps_ = config.given("save_steps") ? config.integer("save_steps") : train.steps_per_epoch;
    knn_steps_ = config.given("knn_every") ? config.integer("knn_every") : train.steps_per_epoch;
  }
  int64_t total() const { return total_; }
  bool log(int64_t step) const { return step % config_.integer("log_steps") == 0 || step + 1 == total_; }
  bool knn(int64_t done) const { return done == 0 || done == total_ || (knn_steps_ > 0 && done % knn_steps_ == 0); }
  bool save(int64_t done) const {
    const double minutes = config_.number("save_minutes");
    return (save_steps_ > 0 && done % save_steps_ == 0) ||
           (minutes > 0 && std::chrono::duration<double>(Clock::now() - saved_).count() >= 60 * minutes);
  }
  void saved() { saved_ = Clock::now(); }

 private:
  using Clock = std::chrono::steady_clock;
  const JobConfig& config_;
  int64_t total_, save_steps_, knn_steps_;
  Clock::time_point saved_ = Clock::now();
};

class Run {
 public:
  // folder: rank 0's, else null. What only one rank does or finds out is done within agree_on: it may end all of them.
  Run(const JobHost& host, const JobConfig& config, const RunPlan& plan, RunFolder* folder, Trainer& trainer,
      Loader& loader, const KnnWatch& watch, bool is_saved)
      : host_(host),
        plan_(plan),
        config_(config),
        folder_(folder),
        trainer_(trainer),
        loader_(loader),
        watch_(watch),
        diary_(config, plan.train),
        monitor_(plan.model, plan.train),
        saved_(is_saved ? trainer.steps() : -1),
        pace_(host, "pretrain", diary_.total(), trainer.steps()) {}

  void train() {
    agree_on(group(), [&] {
      loader_.seek(trainer_.steps() * plan_.accumulate);
      if (!folder_) return;
      folder_->open_log(trainer_.steps());
      read_first_knn();
    });
    try {
      evaluate_if_due();
      while (trainer_.steps() < diary_.total()) {
        if (step()) save();
        evaluate_if_due();
      }
      save();
    } catch (const Error& error) {
      // Asked to stop: keep what is done. After any other error the last good checkpoint stays as it is.
      if (error.status != UDI_E_CANCELLED && error.status != UDI_E_CALLBACK) throw;
      save();
      host_.host.log(UDI_LOG_INFO, "stopped after step ", trainer_.steps(), " of ", diary_.total(),
                     "; the same command goes on from there");
      throw;
    }
  }

  // What there is to say of the run at its end.
  void write_result(Json* result) const {
    (*result)["steps_done"] = trainer_.steps();
    (*result)["bad_images"] = bad_images();
    (*result)["seconds"] = pace_.total_seconds();
    for (const char* field : {"loss", "teacher_entropy", "feature_std", "images_per_second"}) {
      if (last_.contains(field)) (*result)[field] = last_[field];
    }
    for (const auto& [name, value] : knn_before_.items()) (*result)[name + "_before"] = value;
    for (const auto& [name, value] : knn_after_.items()) (*result)[name] = value;
  }

 private:
  Group* group() const { return host_.group.get(); }

  // True when a checkpoint is due.
  bool step() {
    std::vector<const Views*> given;
    views_.resize(size_t(plan_.accumulate));
    const auto load = [&](Group::Words& words) {
      for (Views& views : views_) {
        loader_.next(views);
        given.push_back(&views);
      }
      words[0] = loader_.bad_images();
    };
    if (group()) {
      check_bad_images(group()->agree(load));
    } else {
      Group::Words words{};
      load(words);
    }
    udi_step_stats stats{};
    try {
      trainer_.step(given, host_.host, &stats);
    } catch (const Error& error) {
      const bool here = !group() || error.rank < 0 || error.rank == group()->rank();
      if (error.status == UDI_E_NONFINITE && here) name_inputs(host_.host, loader_.source(), views_, error);
      throw;
    }
    const auto decided = agree_with_first(group(), [&](Group::Words& words) {
      if (folder_) note(stats);
      pace_.advance(1, plan_.batch_size * plan_.accumulate, stats.loss);
      words[0] = diary_.save(trainer_.steps()) || trainer_.steps() == diary_.total();
    });
    return decided[0] != 0;
  }

  void note(const udi_step_stats& stats) {
    for (const auto& words : monitor_.see(stats)) {
      host_.host.log(UDI_LOG_WARN, words);
      folder_->log({{"step", stats.step}, {"warning", words}});
    }
    if (!diary_.log(stats.step)) return;
    last_ = line_of(stats, stats.step / plan_.train.steps_per_epoch, pace_);
    folder_->log(last_);
  }

  void evaluate_if_due() {
    if (!watch_.on() || !diary_.knn(trainer_.steps())) return;
    knn_after_ = watch_.measure(host_, trainer_.model(UDI_TEACHER));
    if (trainer_.steps() == 0) knn_before_ = knn_after_;
    Json line = {{"step", trainer_.steps()}};
    line.update(knn_after_);
    agree_on(group(), [&] {
      if (folder_) folder_->log(line);
    });
    pace_.skip();
  }

  // Each rank's loader has its own in view; all together may be too many.
  void check_bad_images(const std::vector<Group::Words>& ranks) {
    int64_t met = 0;
    for (const Group::Words& words : ranks) met += words[0];
    if (met == bad_met_) return;
    bad_met_ = met;
    const int64_t bad = bad_images();
    const double max_bad = config_.number("max_bad");
    check(double(bad) * 100 <= max_bad * double(plan_.images), UDI_E_FORMAT, bad, " of ", plan_.images,
          " images are unreadable, more than max_bad = ", max_bad, " percent; the log names them");
  }

  // Of all ranks, each image once.
  int64_t bad_images() const {
    if (!group()) return loader_.bad_images();
    std::set<int64_t> all;
    for (const std::string& rank : group()->gather_text(Json(loader_.bad()).dump())) {
      for (const Json& image : Json::parse(rank)) all.insert(image.get<int64_t>());
    }
    return int64_t(all.size());
  }

  // Of the untrained model, in a run that goes on.
  void read_first_knn() {
    for (const Json& line : folder_->read_log()) {
      if (line["step"] != 0) return;
      for (const auto& [name, value] : line.items()) {
        if (name.rfind("knn_", 0) == 0) knn_before_[name] = value;
      }
    }
  }

  void save() {
    if (saved_ == trainer_.steps()) return;
    agree_on(group(), [&] {
      if (!folder_) return;
      folder_->save(trainer_, {{"config", nlohmann::json(config_.values())}, {"images", plan_.images}},
                    config_.integer("keep"));
    });
    saved_ = trainer_.steps();
    diary_.saved();
    pace_.skip();
  }

  const JobHost& host_;
  const RunPlan& plan_;
  const JobConfig& config_;
  RunFolder* folder_;
  Trainer& trainer_;
  Loader& loader_;
  const KnnWatch& watch_;
  Diary diary_;
  CollapseMonitor monitor_;
  std::vector<Views> views_;
  int64_t saved_;        // steps in the newest checkpoint; -1: there is none
  int64_t bad_met_ = 0;  // by the ranks so far: an image that two have met counts twice
  Pace pace_;
  Json last_ = Json::object(), knn_before_ = Json::object(), knn_after_ = Json::object();
};

// Rank 0 reads checkpoints and weights, and the others get its trainer. goes_on: from a checkpoint.
std::unique_ptr<Trainer> make_trainer(const JobHost& host, const JobConfig& config, const RunPlan& plan,
                                      const RunFolder* folder, bool* goes_on) {
  std::unique_ptr<Trainer> trainer;
  const auto decided = agree_with_first(host.group.get(), [&](Group::Words& words) {
    if (!folder) return;
    trainer = resumed(host, config, plan, *folder);
    words[0] = trainer != nullptr;
    if (!trainer) trainer = std::make_unique<Trainer>(first_model(host, config, plan), plan.train);
  });
  *goes_on = decided[0] != 0;
  if (!host.group) return trainer;
  const std::string settings = host.group->broadcast_text(trainer ? config_to_json(trainer->config()).dump() : "");
  if (!trainer) {
    const udi_train_config train = train_config_from_json(nlohmann::json::parse(settings));
    trainer = std::make_unique<Trainer>(Model(plan.model, host.device), train);
  }
  trainer->join(host.group);
  return trainer;
}

Json pretrain(const JobHost& host, JobConfig& config) {
  RunPlan plan;
  plan.model = model_settings(config);
  plan.views = view_settings(config);
  plan.batch_size = config.integer("batch_size");
  plan.accumulate = config.integer("accumulate");
  plan.ranks = host.group ? host.group->world() : 1;
  const int64_t rank = host.group ? host.group->rank() : 0;
  check(plan.views.global_size == plan.model.image_size, UDI_E_INVALID, "global_size: ", plan.views.global_size,
        " must be image_size, ", plan.model.image_size);
  const bool on_device = augments_on_device(config, host.device);
  const KnnWatch watch(config, host.host);  // names what is missing before anything starts
  // The run's own name of its data: it does not change with the folder that the command is given in.
  config.set("data", std::filesystem::absolute(config.string("data")).lexically_normal().string());
  Loader loader(ImageSource::open(config.string("data"), source_settings(config), host.host), plan.views,
                loader_settings(config, host.num_threads, rank, plan.ranks), host.host, on_device);
  loader.end_epochs_on(plan.accumulate);
  plan.images = loader.source().size();
  check_same_images(host, loader.source(), config.string("data"));
  plan.train = train_settings(config, loader.steps_per_epoch());
  plan.steps = config.integer("steps");
  for (const ParameterInfo& info : parameter_layout(plan.model)) {
    plan.parameters += info.elements;
    if (info.name.rfind("backbone.backbone.", 0) == 0) plan.backbone_parameters += info.elements;
  }
  if (watch.on()) {
    plan.knn_train = watch.train_images().size();
    plan.knn_test = watch.test_images().size();
  }
  Json result = announce(host, plan, config.string("data"));
  if (config.flag("dry_run")) {
    result["dry_run"] = true;
    return result;
  }

  std::optional<RunFolder> folder;  // rank 0's
  agree_on(host.group.get(), [&] {
    if (host.first()) folder.emplace(config.string("out"));
  });
  RunFolder* const own_folder = folder ? &*folder : nullptr;
  bool goes_on = false;
  const std::unique_ptr<Trainer> trainer = make_trainer(host, config, plan, own_folder, &goes_on);
  agree_on(host.group.get(), [&] {
    if (folder) folder->write_config(config.values());
  });
  Run run(host, config, plan, own_folder, *trainer, loader, watch, goes_on && config.string("resume") == "auto");
  run.train();

  result["out"] = config.string("out");
  if (folder) result["checkpoint"] = folder->checkpoint();
  run.write_result(&result);
  if (!folder) return result;
  if (config.given("report")) {
    const std::string report = config.string("report");
    const ImageSource& images = watch.on() ? watch.test_images() : loader.source();
    const JobHost alone{host.host, host.device, host.num_threads, host.progress};
    write_run_report(alone, config, *folder, trainer->model(UDI_TEACHER), images, result, report);
    result["report"] = report;
  }
  return result;
}

}  // namespace

Json run_pretrain(const JobHost& host, JobConfig& config) {
  return run_on_ranks(host, config, [&](const JobHost& own) { return pretrain(own, config); });
}

}  // namespace udi
