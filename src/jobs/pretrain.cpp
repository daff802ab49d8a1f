// Pretraining from images on disk to a checkpoint: the run that can be stopped at any moment and goes on to the same
// bits.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>

#include "data/loader.h"
#include "jobs/features.h"
#include "jobs/plan.h"
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
  LoadedCheckpoint loaded =
      load_checkpoint(resume == "auto" ? folder.checkpoint() : resume, host.device, resume == "auto",
                      format_settings(config));
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
  Run(const JobHost& host, const JobConfig& config, const RunPlan& plan, RunFolder& folder, Trainer& trainer,
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
    loader_.seek(trainer_.steps() * plan_.accumulate);
    folder_.open_log(trainer_.steps());
    read_first_knn();
    try {
      evaluate_if_due();
      while (trainer_.steps() < diary_.total()) {
        step();
        if (diary_.save(trainer_.steps()) || trainer_.steps() == diary_.total()) save();
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
    (*result)["bad_images"] = loader_.bad_images();
    (*result)["seconds"] = pace_.total_seconds();
    for (const char* field : {"loss", "teacher_entropy", "feature_std", "images_per_second"}) {
      if (last_.contains(field)) (*result)[field] = last_[field];
    }
    for (const auto& [name, value] : knn_before_.items()) (*result)[name + "_before"] = value;
    for (const auto& [name, value] : knn_after_.items()) (*result)[name] = value;
  }

 private:
  void step() {
    std::vector<const Views*> given;
    views_.resize(size_t(plan_.accumulate));
    for (Views& views : views_) {
      loader_.next(views);
      given.push_back(&views);
    }
    udi_step_stats stats{};
    try {
      trainer_.step(given, host_.host, &stats);
    } catch (const Error& error) {
      if (error.status == UDI_E_NONFINITE) name_inputs(host_.host, loader_.source(), views_, error);
      throw;
    }
    for (const auto& words : monitor_.see(stats)) {
      host_.host.log(UDI_LOG_WARN, words);
      folder_.log({{"step", stats.step}, {"warning", words}});
    }
    if (diary_.log(stats.step)) {
      last_ = line_of(stats, stats.step / plan_.train.steps_per_epoch, pace_);
      folder_.log(last_);
    }
    pace_.advance(1, plan_.batch_size * plan_.accumulate, stats.loss);
  }

  void evaluate_if_due() {
    if (!watch_.on() || !diary_.knn(trainer_.steps())) return;
    knn_after_ = watch_.measure(host_, trainer_.model(UDI_TEACHER));
    if (trainer_.steps() == 0) knn_before_ = knn_after_;
    Json line = {{"step", trainer_.steps()}};
    line.update(knn_after_);
    folder_.log(line);
    pace_.skip();
  }

  // Of the untrained model, in a run that goes on.
  void read_first_knn() {
    for (const Json& line : folder_.read_log()) {
      if (line["step"] != 0) return;
      for (const auto& [name, value] : line.items()) {
        if (name.rfind("knn_", 0) == 0) knn_before_[name] = value;
      }
    }
  }

  void save() {
    if (saved_ == trainer_.steps()) return;
    folder_.save(trainer_, {{"config", nlohmann::json(config_.values())}, {"images", plan_.images}},
                 config_.integer("keep"));
    saved_ = trainer_.steps();
    diary_.saved();
    pace_.skip();
  }

  const JobHost& host_;
  const RunPlan& plan_;
  const JobConfig& config_;
  RunFolder& folder_;
  Trainer& trainer_;
  Loader& loader_;
  const KnnWatch& watch_;
  Diary diary_;
  CollapseMonitor monitor_;
  std::vector<Views> views_;
  int64_t saved_;  // steps in the newest checkpoint; -1: there is none
  Pace pace_;
  Json last_ = Json::object(), knn_before_ = Json::object(), knn_after_ = Json::object();
};

}  // namespace

Json run_pretrain(const JobHost& host, JobConfig& config) {
  RunPlan plan;
  plan.model = model_settings(config);
  plan.views = view_settings(config);
  plan.batch_size = config.integer("batch_size");
  plan.accumulate = config.integer("accumulate");
  check(plan.views.global_size == plan.model.image_size, UDI_E_INVALID, "global_size: ", plan.views.global_size,
        " must be image_size, ", plan.model.image_size);
  const KnnWatch watch(config, host.host);  // names what is missing before anything starts
  // The run's own name of its data: it does not change with the folder that the command is given in.
  config.set("data", std::filesystem::absolute(config.string("data")).lexically_normal().string());
  Loader loader(ImageSource::open(config.string("data"), source_settings(config), host.host), plan.views,
                loader_settings(config, host.num_threads), host.host);
  plan.images = loader.source().size();
  plan.train = train_settings(config, loader.steps_per_epoch());
  plan.steps = config.integer("steps");
  for (const ParameterInfo& info : parameter_layout(plan.model)) {
    plan.parameters += info.elements;
    if (info.name.rfind("backbone.backbone.", 0) == 0) plan.backbone_parameters += info.elements;
  }
  Json result = announce(host, plan, config.string("data"));
  if (config.flag("dry_run")) {
    result["dry_run"] = true;
    return result;
  }

  RunFolder folder(config.string("out"));
  std::unique_ptr<Trainer> trainer = resumed(host, config, plan, folder);
  const bool goes_on = trainer != nullptr;
  if (!goes_on) trainer = std::make_unique<Trainer>(first_model(host, config, plan), plan.train);
  folder.write_config(config.values());
  Run run(host, config, plan, folder, *trainer, loader, watch, goes_on && config.string("resume") == "auto");
  run.train();

  result["out"] = config.string("out");
  result["checkpoint"] = folder.checkpoint();
  run.write_result(&result);
  if (config.given("report")) {
    const std::string report = config.string("report");
    const ImageSource& images = watch.on() ? watch.test_images() : loader.source();
    write_run_report(host, config, folder, trainer->model(UDI_TEACHER), images, result, report);
    result["report"] = report;
  }
  return result;
}

}  // namespace udi
