#include "train/trainer.h"

#include <unistd.h>

#include <atomic>

#include "api/group.h"
#include "api/guard.h"
#include "api/loader.h"
#include "api/model.h"
#include "api/structs.h"
#include "api/views.h"
#include "train/checkpoint.h"

using namespace udi;

struct udi_trainer {
  std::shared_ptr<Context> context;
  std::unique_ptr<Trainer> trainer;
  std::atomic<int64_t> steps;  // may be asked while a step is running
};

namespace {

struct NoteSteps {
  udi_trainer& trainer;
  ~NoteSteps() { trainer.steps = trainer.trainer->steps(); }
};

constexpr const char* kPositionKey = "position";  // of the loader, in a checkpoint

udi_trainer* new_trainer(std::shared_ptr<Context> context, std::unique_ptr<Trainer> trainer) {
  const int64_t steps = trainer->steps();
  return new udi_trainer{std::move(context), std::move(trainer), {steps}};
}

// All handles of a call are of one context: its lane guards them all.
template <class Handle>
const Handle& in_context(const Handle* handle, const std::string& name, const std::shared_ptr<Context>& context) {
  require(handle, name.c_str());
  check(handle->context == context, UDI_E_INVALID, name, " belongs to another context");
  return *handle;
}

// A failure says which older checkpoint lies beside; whether to go on from that one is the caller's choice.
LoadedCheckpoint load_or_name_previous(const Context& context, const std::string& path) {
  try {
    return load_checkpoint(path, context.device, false, context.formats);
  } catch (const Error& found) {
    Error error = found;
    const std::string previous = previous_checkpoint(path);
    const bool gone_or_damaged = error.status == UDI_E_FORMAT || error.status == UDI_E_NOT_FOUND;
    if (gone_or_damaged && ::access(previous.c_str(), R_OK) == 0) {
      error.message += text("; the checkpoint before it is ", previous);
    }
    throw error;
  }
}

}  // namespace

udi_status udi_trainer_create(udi_context* context, const udi_model* model, const udi_train_config* config,
                              udi_trainer** out, udi_error* error) {
  return guard(context_of(context), error, [&] {
    require(context, "context");
    require(out, "out");
    const Model& start = in_context(model, "model", context->context).model;
    const udi_train_config settings = read_config(config, "config", udi_train_config_init);
    *out = new_trainer(context->context, std::make_unique<Trainer>(start, settings));
  });
}

udi_status udi_trainer_join(udi_trainer* trainer, udi_group* group, udi_error* error) {
  const auto body = [&] {
    require(trainer, "trainer");
    trainer->trainer->join(in_context(group, "group", trainer->context).group);
    trainer->steps = trainer->trainer->steps();
  };
  return guard(context_of(trainer), error, body, IfCancelled::kEnter);
}

udi_status udi_trainer_step(udi_trainer* trainer, const udi_views* const* views, int64_t count, udi_step_stats* stats,
                            udi_error* error) {
  const auto body = [&] {
    require(trainer, "trainer");
    std::vector<const Views*> batch;
    try {
      require(views, "views");
      in_range("count", count, 1, 1 << 20);
      if (stats) check_out_struct(stats, "stats");
      for (int64_t i = 0; i < count; ++i) {
        batch.push_back(&in_context(views[i], text("views[", i, "]"), trainer->context).views);
      }
    } catch (const Error& why) {  // ranks that have nothing to refuse would wait for this one
      trainer->trainer->refuse_step(why);
    }
    udi_step_stats measured{};
    const NoteSteps note{*trainer};  // an error that comes late takes steps back
    trainer->trainer->step(batch, trainer->context->host, stats ? &measured : nullptr);
    if (stats) write_struct(stats, measured);
  };
  return guard(context_of(trainer), error, body, IfCancelled::kEnter);
}

int64_t udi_trainer_steps(const udi_trainer* trainer) { return trainer ? trainer->steps.load() : 0; }

udi_status udi_trainer_model(const udi_trainer* trainer, udi_role role, udi_model** out, udi_error* error) {
  return guard(context_of(trainer), error, [&] {
    require(trainer, "trainer");
    require(out, "out");
    check_role(role);
    *out = new udi_model{trainer->context, trainer->trainer->model(role)};
  });
}

udi_status udi_trainer_save(const udi_trainer* trainer, const udi_loader* loader, const char* path, udi_error* error) {
  return guard(context_of(trainer), error, [&] {
    require(trainer, "trainer");
    require(path, "path");
    nlohmann::json extra = nlohmann::json::object();
    if (loader) extra[kPositionKey] = in_context(loader, "loader", trainer->context).loader.position();
    save_checkpoint(*trainer->trainer, extra, path);
  });
}

udi_status udi_trainer_load(udi_context* context, const char* path, udi_loader* loader, udi_trainer** out,
                            udi_error* error) {
  return guard(context_of(context), error, [&] {
    require(context, "context");
    require(path, "path");
    require(out, "out");
    if (loader) in_context(loader, "loader", context->context);
    LoadedCheckpoint loaded = load_or_name_previous(*context->context, path);
    if (loader) {
      const auto& extra = loaded.extra;
      const bool there = extra.is_object() && extra.contains(kPositionKey) && extra[kPositionKey].is_number_unsigned();
      check(there, UDI_E_NOT_FOUND, path, " holds no loader position: it was saved without a loader");
      loader->loader.seek(extra[kPositionKey].get<int64_t>());
      loader->note_position();
    }
    *out = new_trainer(context->context, std::move(loaded.trainer));
  });
}

void udi_trainer_free(udi_trainer* trainer) { release(trainer); }
