// Pretraining from images on disk to a checkpoint: the run that can be stopped at any moment and goes on to the same
// bits.
#include <algorithm>
#include <chrono>
#include <cmath>

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
  const Model given = open_model(host.host, path, options, host.device);
  const auto left = copy_weights(given, &model);
  for (const auto& line : left) host.host.log(UDI_LOG_WARN, path, ": ", line);
  check(left.empty() || options.partial, UDI_E_FORMAT, path, ": ", left.size(), " tensors do not fit, the first is ",
        left.empty() ? "" : left[0], "; --partial takes the others");
  return model;
}

// The trainer of the checkpoint that `resume` means, or null: start anew.
std::unique_ptr<Trainer> resumed(const JobHost& host, const JobConfig& config, const RunFolder& folder) {
  const std::string resume = config.string("resume");
  if (resume == "never" || (resume == "auto" && !folder.has_checkpoint())) return nullptr;
  LoadedCheckpoint loaded =
      load_checkpoint(resume == "auto" ? folder.checkpoint() : resume, host.device, resume == "auto");
  if (!loaded.damage.empty()) host.host.log(UDI_LOG_WARN, loaded.damage, "; going on from ", loaded.path);
  check(loaded.extra.is_object() && loaded.extra.contains("config"), UDI_E_FORMAT, loaded.path,
        " was not written by pretrain; --init starts from its weights");
  const auto changed = differences("pretrain", Json(loaded.extra["config"]), config.values());
  std::string list;
  for (const auto& line : changed) list += (list.empty() ? "" : "; ") + line;
  check(changed.empty(), UDI_E_INVALID, loaded.path, " was made by another configuration: ", list,
        ". Give the same options to go on, another --out, or --resume never to start anew");
  return std::move(loaded.trainer);
}

Json line_of(const udi_step_stats& stats, int64_t epoch, double images_per_second) {
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
                                                   {"images_per_second", images_per_second}};
  for (const auto& [name, value] : values) {
    if (std::isfinite(value)) line[name] = value;
  }
  return line;
}

// When a run does what besides steps.
class Diary {
 public:
  Diary(const JobConfig& config, const udi_train_config& train) : config_(config), total_(train.total_steps) {
    save_steps_ = config.given("save_steps") ? config.integer("save_steps") : train.steps_per_epoch;
    knn_steps_ = config.given("knn_every") ? config.integer("knn_every") : train.steps_per_epoch;
  }
  bool log(int64_t step) const { return step % config_.integer("log_steps") == 0 || step + 1 == total_; }
  bool knn(int64_t done) const { return done == 0 || done == total_ || (knn_steps_ > 0 && done % knn_steps_ == 0); }
  bool save(int64_t done) const {
    const double minutes = config_.number("save_minutes");
    return done == total_ || (save_steps_ > 0 && done % save_steps_ == 0) ||
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
      Loader& loader)
      : host_(host),
        plan_(plan),
        config_(config),
        folder_(folder),
        trainer_(trainer),
        loader_(loader),
        watch_(config),
        diary_(config, plan.train),
        monitor_(plan.model, plan.train) {}

  void train() {
    loader_.seek(trainer_.steps() * plan_.accumulate);
    folder_.open_log(trainer_.steps());
    Pace pace(host_, "pretrain", plan_.train.total_steps, trainer_.steps());
    int64_t saved = -1;
    try {
      while (true) {
        const int64_t done = trainer_.steps();
        if (watch_.on() && diary_.knn(done)) {
          evaluate();
          pace.skip();
        }
        if (done == plan_.train.total_steps) break;
        step(pace);
        if (diary_.save(trainer_.steps())) {
          save();
          saved = trainer_.steps();
          pace.skip();
        }
      }
    } catch (const Error& error) {
      // Asked to stop: keep what is done. After any other error the last good checkpoint stays as it is.
      const bool asked = error.status == UDI_E_CANCELLED || error.status == UDI_E_CALLBACK;
      if (asked && trainer_.steps() > 0 && saved != trainer_.steps()) save();
      throw;
    }
  }

  const Json& last() const { return last_; }
  const Json& knn_before() const { return knn_before_; }
  const Json& knn_after() const { return knn_after_; }

 private:
  void step(Pace& pace) {
    std::vector<const Views*> given;
    views_.resize(size_t(plan_.accumulate));
    for (Views& views : views_) {
      loader_.next(views);
      given.push_back(&views);
    }
    udi_step_stats stats{};
    trainer_.step(given, host_.host, &stats);
    for (const auto& words : monitor_.see(stats)) host_.host.log(UDI_LOG_WARN, words);
    pace.advance(1, plan_.batch_size * plan_.accumulate, stats.loss);
    if (!diary_.log(stats.step)) return;
    last_ = line_of(stats, stats.step / plan_.train.steps_per_epoch, pace.images_per_second());
    folder_.log(last_);
  }

  void evaluate() {
    knn_after_ = watch_.measure(host_, trainer_.model(UDI_TEACHER));
    if (trainer_.steps() == 0) knn_before_ = knn_after_;
    Json line = {{"step", trainer_.steps()}};
    line.update(knn_after_);
    folder_.log(line);
  }

  void save() {
    folder_.save(trainer_, {{"config", config_.values()}, {"position", trainer_.steps() * plan_.accumulate}},
                 config_.integer("keep"));
    diary_.saved();
  }

  const JobHost& host_;
  const RunPlan& plan_;
  const JobConfig& config_;
  RunFolder& folder_;
  Trainer& trainer_;
  Loader& loader_;
  KnnWatch watch_;
  Diary diary_;
  CollapseMonitor monitor_;
  std::vector<Views> views_;
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
  KnnWatch{config};  // names what is missing before anything starts
  Loader loader(ImageSource::open(config.string("data"), source_settings(config), host.host), plan.views,
                loader_settings(config, host.num_threads), host.host);
  plan.images = loader.source().size();
  plan.train = train_settings(config, loader.steps_per_epoch());
  plan.micro_batch =
      std::min(plan.batch_size, chosen_micro_batch(plan.model, plan.train, host.device, plan.views.global_size));
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
  std::unique_ptr<Trainer> trainer = resumed(host, config, folder);
  if (trainer) {
    host.host.log(UDI_LOG_INFO, "going on after ", trainer->steps(), " of ", plan.train.total_steps, " steps");
  } else {
    trainer = std::make_unique<Trainer>(first_model(host, config, plan), plan.train);
  }
  folder.write_config(config.values());
  Run run(host, config, plan, folder, *trainer, loader);
  run.train();

  result["out"] = config.string("out");
  result["checkpoint"] = folder.checkpoint();
  result["steps_done"] = trainer->steps();
  result["bad_images"] = loader.bad_images();
  for (const char* field : {"loss", "teacher_entropy", "feature_std", "images_per_second"}) {
    if (run.last().contains(field)) result[field] = run.last()[field];
  }
  for (const auto& [name, value] : run.knn_before().items()) result[name + "_before"] = value;
  for (const auto& [name, value] : run.knn_after().items()) result[name] = value;
  if (config.given("report")) {
    const std::string report = config.string("report");
    write_run_report(host, config, folder, trainer->model(UDI_TEACHER), result, report);
    result["report"] = report;
  }
  return result;
}

}  // namespace udi
