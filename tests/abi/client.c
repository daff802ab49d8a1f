/* A program built against whichever release's udi.h: client FOLDER. It prints what it computed, which is the same for
 * all. Each of its structs ends where memory ends: a library that goes by its own sizeof instead of struct_size dies.
 * With UDI_TEST_LATER every struct has two fields that the library cannot know: they come back as 0, and are refused
 * when they go in as anything else. */
#define _DEFAULT_SOURCE
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "udi.h"

enum { SIZE = 32, IMAGES = 4 };

static udi_error error;

static void work(udi_status status, const char* call) {
  if (status == UDI_OK) return;
  fprintf(stderr, "%s\n  gave %s '%s'\n", call, udi_status_name(status), error.message);
  exit(1);
}
#define WORKS(call) work(call, #call)

static void hold(int truth, const char* what) {
  if (truth) return;
  fprintf(stderr, "%s does not hold\n", what);
  exit(1);
}
#define HOLDS(truth) hold(truth, #truth)

/* size bytes, full of what a stack is full of, before a page that cannot be touched. */
static void* fenced(size_t size) {
  const size_t page = (size_t)sysconf(_SC_PAGESIZE);
  char* pages = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  HOLDS(pages != MAP_FAILED);
  HOLDS(mprotect(pages + page, page, PROT_NONE) == 0);
  memset(pages, 0xEE, page);
  return pages + page - size;
}

/* A result that the library fills, or an array that we do. */
static void* blank(size_t size) {
  const uint32_t struct_size = (uint32_t)size;
  void* made = fenced(size);
  memset(made, 0, size);
  return memcpy(made, &struct_size, sizeof struct_size);
}

#ifdef UDI_TEST_LATER
#define NO_LATER(given) HOLDS((given)->later_a == 0 && (given)->later_b == 0)
/* `call` with one of the unknown fields of `given` in use. */
#define REFUSES(given, call)              \
  do {                                    \
    (given)->later_b = 1;                 \
    HOLDS((call) == UDI_E_VERSION);       \
    HOLDS(error.status == UDI_E_VERSION); \
    (given)->later_b = 0;                 \
  } while (0)
#else
#define NO_LATER(given) (void)(given)
#define REFUSES(given, call) (void)(given)
#endif

static void print_array(const char* name, const udi_array* array) {
  const float* values = array->data;
  int64_t count = 1;
  double sum = 0;
  printf("%s [", name);
  for (int32_t i = 0; i < array->ndim; ++i) {
    count *= array->shape[i];
    printf(" %lld", (long long)array->shape[i]);
  }
  for (int64_t i = 0; i < count; ++i) sum += values[i] * cos((double)i);
  printf(" ] %a %a\n", values[0], sum);
}

static void print_tensor(const char* name, udi_tensor* tensor) {
  udi_array* view = blank(sizeof *view);
  WORKS(udi_tensor_view(tensor, view, &error));
  NO_LATER(view);
  print_array(name, view);
  udi_tensor_free(tensor);
}

static void on_log(void* user, udi_log_level level, const char* message) { (void)user, (void)level, (void)message; }

static int32_t on_progress(void* user, const udi_progress* progress) {
  HOLDS(progress->struct_size >= 8 + 2 * sizeof(int64_t) && progress->done <= progress->total);
  *(int*)user = 1;
  return 0;
}

static udi_context* make_context(void) {
  udi_context_config* config = fenced(sizeof *config);
  udi_context* context = NULL;
  udi_context_config_init(config, sizeof *config);
  NO_LATER(config);
  config->num_threads = 2;
  config->log = on_log;
  REFUSES(config, udi_context_create(config, &context, &error));
  WORKS(udi_context_create(config, &context, &error));
  return context;
}

static udi_model* make_model(udi_context* context) {
  udi_model_config *config = fenced(sizeof *config), *found = blank(sizeof *found);
  udi_model_info* info = blank(sizeof *info);
  udi_model* model = NULL;
  WORKS(udi_model_config_init(config, sizeof *config, "vit_tiny", &error));
  NO_LATER(config);
  config->image_size = config->resize_size = SIZE;
  config->patch_size = 8;
  config->embed_dim = 24;
  config->depth = 2;
  config->out_dim = 64;
  config->head_hidden_dim = 32;
  config->head_bottleneck_dim = 16;
  REFUSES(config, udi_model_create(context, config, 1, &model, &error));
  WORKS(udi_model_create(context, config, 1, &model, &error));
  WORKS(udi_model_get_config(model, found, &error));
  NO_LATER(found);
  HOLDS(memcmp(found, config, sizeof *config) == 0);
  WORKS(udi_model_get_info(model, info, &error));
  NO_LATER(info);
  printf("model %d %d\n", info->embed_dim, info->class_tokens);
  return model;
}

static void extract(const udi_model* model, const udi_image* images) {
  udi_extract_config* config = fenced(sizeof *config);
  udi_attention_config* asked = fenced(sizeof *asked);
  udi_array* view = blank(sizeof *view);
  udi_tensor *batch = NULL, *tokens = NULL, *map = NULL;
  REFUSES((udi_image*)(uintptr_t)(images + IMAGES - 1), udi_model_prepare(model, images, IMAGES, &batch, &error));
  WORKS(udi_model_prepare(model, images, IMAGES, &batch, &error));
  WORKS(udi_tensor_view(batch, view, &error));
  udi_extract_config_init(config, sizeof *config);
  NO_LATER(config);
  config->token = UDI_TOKEN_BOTH;
  REFUSES(config, udi_model_extract(model, view, UDI_NCHW, config, &tokens, &error));
  REFUSES(view, udi_model_extract(model, view, UDI_NCHW, config, &tokens, &error));
  WORKS(udi_model_extract(model, view, UDI_NCHW, config, &tokens, &error));
  print_tensor("tokens", tokens);
  udi_attention_config_init(asked, sizeof *asked);
  NO_LATER(asked);
  asked->source = UDI_ATTENTION_SRS;
  REFUSES(asked, udi_model_attention(model, view, UDI_NCHW, asked, &map, &error));
  WORKS(udi_model_attention(model, view, UDI_NCHW, asked, &map, &error));
  print_tensor("attention", map);
  udi_tensor_free(batch);
}

static udi_view_config* view_config(void) {
  udi_view_config* config = fenced(sizeof *config);
  udi_view_config_init(config, sizeof *config);
  NO_LATER(config);
  config->global_size = SIZE;
  config->local_size = SIZE / 2;
  config->patch_size = 8;
  config->local_crops = 2;
  return config;
}

static void train(udi_context* context, const udi_model* model, const udi_image* images) {
  udi_view_config* crops = view_config();
  udi_train_config* config = fenced(sizeof *config);
  udi_step_stats* stats = blank(sizeof *stats);
  udi_views* views = NULL;
  udi_tensor* coords = NULL;
  udi_trainer* trainer = NULL;
  REFUSES(crops, udi_views_create(context, crops, images, IMAGES, 7, 0, 0, &views, &error));
  WORKS(udi_views_create(context, crops, images, IMAGES, 7, 0, 0, &views, &error));
  WORKS(udi_views_coords(views, &coords, &error));
  print_tensor("coords", coords);
  udi_train_config_init(config, sizeof *config);
  NO_LATER(config);
  config->total_steps = 20;
  config->warmup_steps = 0;
  REFUSES(config, udi_trainer_create(context, model, config, &trainer, &error));
  WORKS(udi_trainer_create(context, model, config, &trainer, &error));
  for (int i = 0; i < 2; ++i) {
    const udi_views* batch = views;
    WORKS(udi_trainer_step(trainer, &batch, 1, stats, &error));
    NO_LATER(stats);
    printf("step %lld loss %a\n", (long long)stats->step, stats->loss);
  }
  udi_views_free(views);
  udi_trainer_free(trainer);
}

static void load(udi_context* context, const char* folder) {
  char path[512];
  udi_loader_config* config = fenced(sizeof *config);
  udi_view_config* crops = view_config();
  udi_loader* loader = NULL;
  udi_views* views = NULL;
  udi_tensor* coords = NULL;
  snprintf(path, sizeof path, "%s/images", folder);
  udi_loader_config_init(config, sizeof *config);
  NO_LATER(config);
  config->batch_size = 2;
  config->workers = 2;
  REFUSES(config, udi_loader_open(context, path, crops, config, &loader, &error));
  REFUSES(crops, udi_loader_open(context, path, crops, config, &loader, &error));
  WORKS(udi_loader_open(context, path, crops, config, &loader, &error));
  WORKS(udi_loader_next(loader, &views, &error));
  WORKS(udi_views_coords(views, &coords, &error));
  print_tensor("loaded", coords);
  udi_views_free(views);
  udi_loader_free(loader);
}

static void run_job(udi_context* context, const udi_model* model, const char* folder) {
  char path[512], job[2048];
  int called = 0;
  snprintf(path, sizeof path, "%s/model.safetensors", folder);
  WORKS(udi_model_save(model, path, &error));
  snprintf(job, sizeof job, "{\"model\": \"%s\", \"data\": \"%s/images\", \"out\": \"%s/features.npy\"}", path, folder,
           folder);
  WORKS(udi_job_run(context, "extract", job, on_progress, &called, NULL, &error));
  HOLDS(called);
}

int main(int argc, char** argv) {
  udi_context* context = make_context();
  udi_model* model = make_model(context);
  static uint8_t pixels[IMAGES][SIZE * SIZE * 3];
  udi_image* images = fenced(IMAGES * sizeof *images);
  HOLDS(argc == 2);
  memset(images, 0, IMAGES * sizeof *images);
  for (int n = 0; n < IMAGES; ++n) {
    for (int i = 0; i < SIZE * SIZE * 3; ++i) pixels[n][i] = (uint8_t)(i * (n + 3) % 241);
    images[n].struct_size = sizeof *images;
    images[n].dtype = UDI_U8;
    images[n].height = images[n].width = SIZE;
    images[n].channels = 3;
    images[n].data = pixels[n];
    images[n].size = sizeof pixels[n];
  }
  extract(model, images);
  train(context, model, images);
  load(context, argv[1]);
  run_job(context, model, argv[1]);
  udi_model_free(model);
  udi_context_free(context);
  return 0;
}
