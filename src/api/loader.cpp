#include "api/loader.h"

#include "api/guard.h"
#include "api/structs.h"
#include "api/views.h"
#include "data/config.h"

using namespace udi;

udi_status udi_loader_open(udi_context* context, const char* path, const udi_view_config* views,
                           const udi_loader_config* config, udi_loader** out, udi_error* error) {
  return guard(context_of(context), error, [&] {
    require(context, "context");
    require(path, "path");
    require(out, "out");
    const udi_view_config view_config = read_config(views, "views", udi_view_config_init);
    check_view_config(view_config);
    udi_loader_config settings = read_config(config, "config", udi_loader_config_init);
    check_loader_config(settings);
    check(view_config.channels == 0 || view_config.channels == settings.channels, UDI_E_INVALID, "views.channels is ",
          view_config.channels, ", must be 0 or config.channels, ", settings.channels);
    const Host& host = context->context->host;
    if (settings.workers == 0) settings.workers = context->context->num_threads;
    ImageSource::Options options;
    options.max_file_bytes = settings.max_file_bytes;
    options.max_cache_bytes = settings.max_cache_bytes;
    options.formats = context->context->formats;
    if (settings.cache_dir) options.cache_dir = settings.cache_dir;
    settings.cache_dir = nullptr;  // the caller's
    *out =
        new udi_loader{context->context, Loader(ImageSource::open(path, options, host), view_config, settings, host)};
  });
}

int64_t udi_loader_images(const udi_loader* loader) { return loader ? loader->loader.source().size() : 0; }

int64_t udi_loader_steps_per_epoch(const udi_loader* loader) { return loader ? loader->loader.steps_per_epoch() : 0; }

udi_status udi_loader_next(udi_loader* loader, udi_views** out, udi_error* error) {
  return guard(context_of(loader), error, [&] {
    require(loader, "loader");
    require(out, "out");
    auto next = std::make_unique<udi_views>(udi_views{loader->context, {}});
    loader->loader.next(next->views);
    loader->note_position();
    *out = next.release();
  });
}

int64_t udi_loader_position(const udi_loader* loader) { return loader ? loader->position.load() : 0; }

udi_status udi_loader_seek(udi_loader* loader, int64_t position, udi_error* error) {
  return guard(context_of(loader), error, [&] {
    require(loader, "loader");
    loader->loader.seek(position);
    loader->note_position();
  });
}

void udi_loader_free(udi_loader* loader) { release(loader); }
