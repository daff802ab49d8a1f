/* udi.h - the whole public interface of libudi. Plain C99, no header of its own besides stddef and stdint.
 *
 * libudi pretrains vision transformers with UDI ("Unsqueeze [CLS] Bottleneck to Learn Rich Representations", Su & Ji,
 * ECCV 2024), extracts their tokens, evaluates, saves and loads them. "official" below is the authors' code.
 *
 * Errors      Every call that can fail returns a udi_status and fills the udi_error that is its last argument (NULL:
 *             not wanted): which argument or field, its value, the limit. After a failure out-parameters are as they were
 *             and there is nothing to release. Any of these calls may give UDI_E_INVALID (an argument is NULL, or out of
 *             range), UDI_E_VERSION (a struct of a newer header), UDI_E_STATE, UDI_E_CANCELLED, UDI_E_MEMORY, UDI_E_DEVICE
 *             and UDI_E_INTERNAL. A function's comment says what else it gives, and when. No pointer may be NULL unless
 *             its comment says so.
 * Ownership   A `T **out` gives one reference; give it back with the type's _free, once no call uses the handle. Handles
 *             may be freed in any order: a child keeps its parents alive. Input pointers are borrowed for the call alone.
 *             A `const char *` result is static.
 * Threads     A context and all handles made from it are one lane: any thread, one at a time; a second thread inside gets
 *             UDI_E_STATE. Contexts are independent of each other. Functions without a udi_error are outside the lane: any
 *             thread, also while a call runs; udi_context_cancel in a signal handler, too. A callback may call nothing of
 *             its context but udi_context_cancel.
 * Files       docs/formats.md describes them. Reading gives UDI_E_NOT_FOUND (no such file), UDI_E_IO (it cannot be read) or
 *             UDI_E_FORMAT (it is damaged, or no such file at all). Writing gives UDI_E_IO; the file appears as a whole,
 *             and after a failure or a crash the one that was there is as it was.
 * Structs     Fill a configuration with its _init function, which sets struct_size; in other structs set it to sizeof by
 *             hand. Fields are only ever appended: a smaller struct of an older header stands for the defaults of what it
 *             lacks, a larger one of a newer header is accepted while its unknown tail is zero (else UDI_E_VERSION).
 * Host        Nothing is printed, no signal handler is installed, no process-wide setting is changed. LibTorch is opened
 *             at the first context; a missing or foreign one is UDI_E_VERSION or UDI_E_NOT_FOUND with the reason.
 * Fork        After a process made its first context, its forked children get UDI_E_STATE from everything.
 */
#ifndef UDI_H
#define UDI_H

#include <stddef.h>
#include <stdint.h>

#define UDI_VERSION_MAJOR 0
#define UDI_VERSION_MINOR 1
#define UDI_VERSION_PATCH 0
#define UDI_VERSION_NUMBER (UDI_VERSION_MAJOR * 1000000 + UDI_VERSION_MINOR * 1000 + UDI_VERSION_PATCH)
/* The number in the soname. It changes only when programs that are built already would break, and with a minor release
 * while the major one is 0, never with a patch (docs/abi.md). */
#define UDI_ABI_VERSION 0

#if defined(__GNUC__)
#define UDI_API __attribute__((visibility("default")))
#define UDI_CHECK __attribute__((warn_unused_result))
#else
#define UDI_API
#define UDI_CHECK
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Types ------------------------------------------------------------------------------------------------------- */

typedef struct udi_context udi_context; /* a device, a seed, callbacks: where everything else lives */
typedef struct udi_model udi_model;     /* a backbone with SRS module and projection head */
typedef struct udi_tensor udi_tensor;   /* an array that libudi owns: results */
typedef struct udi_views udi_views;     /* the crops of a batch of images and their sample maps */
typedef struct udi_loader udi_loader;   /* an image set on disk, turned into views by worker threads */
typedef struct udi_trainer udi_trainer; /* student, teacher, centers, optimizer, schedules */
typedef struct udi_group udi_group;     /* the processes of a distributed run, this one among them */
struct DLManagedTensorVersioned;        /* of DLPack's dlpack.h, which nothing here needs */

typedef int32_t udi_status;
enum {
  UDI_OK = 0,
  UDI_E_INVALID = 1,     /* an argument is NULL, out of range or contradicts another */
  UDI_E_SHAPE = 2,       /* an array has another shape or dtype than the call needs */
  UDI_E_NOT_FOUND = 3,   /* a file, a tensor, a library or a name is not there */
  UDI_E_IO = 4,          /* reading or writing failed, native_code is errno; or a rank of a group is gone, or late */
  UDI_E_FORMAT = 5,      /* bytes are not what they claim to be */
  UDI_E_VERSION = 6,     /* another version of a struct, a file format or LibTorch */
  UDI_E_MEMORY = 7,      /* memory ran out, or a limit on it was met */
  UDI_E_DEVICE = 8,      /* the device is not there or failed */
  UDI_E_UNSUPPORTED = 9, /* understood, and not offered */
  UDI_E_STATE = 10,      /* not now: the context is busy in another thread, or an order of calls was not kept */
  UDI_E_NONFINITE = 11,  /* a loss is not finite; no weight moved */
  UDI_E_CANCELLED = 12,  /* udi_context_cancel was called */
  UDI_E_CALLBACK = 13,   /* the caller's own callback asked to stop */
  UDI_E_INTERNAL = 14    /* a defect of libudi: please report it */
};

/* The detail of a failure, written by the call that failed. 512 bytes, frozen. */
typedef struct udi_error {
  udi_status status;
  int32_t native_code; /* errno or a CUDA error, else 0 */
  char message[504];   /* UTF-8, always terminated: what, which value, which limit, what to do */
} udi_error;

typedef int32_t udi_dtype;
enum { UDI_U8 = 1, UDI_U16 = 2, UDI_I32 = 3, UDI_I64 = 4, UDI_F16 = 5, UDI_BF16 = 6, UDI_F32 = 7, UDI_F64 = 8 };

typedef int32_t udi_device_type;
enum { UDI_CPU = 1, UDI_CUDA = 2 }; /* DLPack's numbers */

typedef int32_t udi_log_level;
enum { UDI_LOG_ERROR = 1, UDI_LOG_WARN = 2, UDI_LOG_INFO = 3, UDI_LOG_DEBUG = 4 };

typedef int32_t udi_layout;
enum { UDI_NCHW = 1, UDI_NHWC = 2 };

typedef int32_t udi_role;
enum { UDI_STUDENT = 1, UDI_TEACHER = 2 };

typedef int32_t udi_token;
enum {
  UDI_TOKEN_CLS = 1,        /* [B, D]: the first class token (B images, D = embed_dim) */
  UDI_TOKEN_CLS_PLUS = 2,   /* [B, D]: the second class token */
  UDI_TOKEN_BOTH = 3,       /* [B, 2 D]: cls, then cls_plus */
  UDI_TOKEN_PATCH_MEAN = 4, /* [B, D]: mean of the patch tokens */
  UDI_TOKEN_PATCHES = 5     /* [B, N, D]: every patch token, row by row of the image (N patches) */
};

typedef int32_t udi_attention;
enum {
  UDI_ATTENTION_CLS = 1,      /* last block, query cls */
  UDI_ATTENTION_CLS_PLUS = 2, /* last block, query cls_plus */
  UDI_ATTENTION_SRS = 3       /* SRS module, query a chosen patch */
};

typedef int32_t udi_precision; /* of the products of weights with tokens, which take most of the time */
enum {
  UDI_PRECISION_F32 = 0,
  UDI_PRECISION_BF16 = 1, /* both in bfloat16, sums in float32; on GPUs, and processors with instructions (AVX-512 BF16) */
  UDI_PRECISION_INT8 = 2  /* both in 8 bits, a scale for each output and for each token, exact sums; on any CPU */
};

typedef int32_t udi_optimizer;
enum { UDI_ADAMW = 1, UDI_SGD = 2, UDI_LARS = 3 };

/* One call a line, whole line, no trailing newline. May run on a worker thread, one call at a time. */
typedef void (*udi_log_fn)(void *user, udi_log_level level, const char *message);

/* Runs once, when nothing uses the caller's memory any more, on whatever thread that is. */
typedef void (*udi_release_fn)(void *user);

typedef struct udi_progress {
  uint32_t struct_size;
  int32_t reserved;    /* 0 */
  int64_t done, total; /* in the stage's unit: steps, images */
  double images_per_second; /* of late */
  double eta_seconds;       /* to the end of the stage at that speed */
  double loss;       /* of the last step, in nats; NaN where a stage has none */
  const char *stage; /* "pretrain", "extract", ...; valid during the callback */
} udi_progress;
/* Return 0 to go on, anything else to stop with UDI_E_CALLBACK. Runs on the calling thread. */
typedef int32_t (*udi_progress_fn)(void *user, const udi_progress *progress);

/* A borrowed, strided buffer. */
typedef struct udi_array {
  uint32_t struct_size;
  udi_dtype dtype;
  udi_device_type device_type;
  int32_t device_index;   /* 0 for UDI_CPU */
  int32_t ndim;           /* 0 to 8 */
  uint32_t flags;         /* 0 */
  const int64_t *shape;   /* ndim sizes, each at least 1 */
  const int64_t *strides; /* in elements, at least 0; NULL: row-major and contiguous */
  void *data;             /* on the CPU or on the context's GPU, aligned to its elements */
} udi_array;

/* One image of any size: a JPEG, PNG or .npy file's bytes, or pixels [height, width, channels], contiguous. */
typedef struct udi_image {
  uint32_t struct_size;
  udi_dtype dtype; /* of pixels: UDI_U8, UDI_U16 or UDI_F32 (0..1, finite); 0: data is an encoded file */
  int32_t height, width, channels; /* of pixels: 1 to 2^20, 1 to 2^20, 1 to 16; not read for an encoded file */
  int32_t reserved;                /* 0 */
  const void *data;
  uint64_t size; /* bytes of data; of pixels exactly as many as they need */
} udi_image;

/* ---- Configurations: fill with _init, then change fields. Ranges include their ends ------------------------------- */

typedef struct udi_context_config {
  uint32_t struct_size;
  udi_device_type device_type; /* UDI_CPU; UDI_CUDA asked for and not there is an error */
  int32_t device_index;    /* 0 for UDI_CPU; of UDI_CUDA -1 is the launcher's local rank (udi_group_create), else 0 */
  int32_t num_threads;     /* to 4096: of udi_views_create, and of loaders with workers 0; 0: one a core */
  int32_t deterministic;   /* 1: a picture's tokens are the same to the bit in any batch and on any number of threads, on
                            * one machine; slower for small batches. 0: they are the same up to rounding */
  udi_log_level log_level; /* most detailed level that is passed on */
  udi_log_fn log;          /* NULL: silence */
  void *log_user;
  /* Limits on files, in bytes or pixels; 0 is the default, else 1 to 2^40. What is over one is UDI_E_FORMAT, an image
   * UDI_E_MEMORY, and the message names the field. Jobs have options of these names instead; loaders have their own
   * max_pixels and max_file_bytes. */
  uint64_t max_header_bytes; /* of safetensors (100 MiB), of the pickle in a .pth (32 MiB), of a tar's pax header (1 MiB) */
  uint64_t max_name_bytes;   /* of a tensor (1024), of a file in a tar (4096) */
  uint64_t max_pixels;       /* of an encoded udi_image (178956970) */
  uint64_t max_file_bytes;   /* of an encoded udi_image (256 MiB) */
} udi_context_config;

typedef struct udi_model_config {
  uint32_t struct_size;
  int32_t image_size;          /* pixels a side of the position embedding; a multiple of patch_size, at most 8192 */
  int32_t patch_size;          /* pixels a side, 1 to 512 */
  int32_t channels;            /* 1 to 16 */
  int32_t embed_dim;           /* a multiple of heads, 1 to 16384 */
  int32_t depth;               /* blocks, 1 to 256 */
  int32_t heads;               /* of a block, 1 to embed_dim */
  int32_t class_tokens;        /* 2: cls and cls_plus (UDI); 1: cls alone */
  int32_t include_patch;       /* 1: SRS module and the patch level of the loss; 0: without (DINO) */
  int32_t srs_heads;           /* of the SRS module, dividing embed_dim; official: 6 at every width */
  int32_t srs_residual;        /* 1: interpolated skip and LayerNorm after it (official); 0: neither (the paper's figure) */
  int32_t out_dim;             /* prototypes, 2 to 4194304; official: 65536 */
  int32_t head_hidden_dim;     /* 1 to 65536; official: 2048 */
  int32_t head_bottleneck_dim; /* 1 to 16384; official: 256 */
  int32_t norm_last_layer;     /* 1: the prototypes' magnitudes stay 1; 0: they are trained (published recipe) */
  int32_t resize_size;         /* evaluation: pixels of the shorter side before the centre crop of image_size; official:
                                * 256 at 224; image_size to 16384 */
  float drop_path_rate;        /* of the last block, growing from 0; student only; 0 to below 1 */
  float mlp_ratio;             /* hidden width of a block's MLP / embed_dim, above 0 to 64 */
  float mean[16];              /* a channel, of values 0..1; finite */
  float std[16];               /* above 0 */
  int32_t exif_turn;           /* evaluation: 1: photographs are turned as their EXIF orientation says; official 0 */
} udi_model_config;

/* The official augmentation (udi_augmentation.py); probabilities are 0..1, scales are shares of the image's area. */
typedef struct udi_view_config {
  uint32_t struct_size;
  int32_t global_size, local_size;     /* pixels a side; multiples of patch_size, at most 16384 */
  int32_t patch_size;                  /* pixels a side, 1 to 1024: the model's */
  int32_t local_crops;                 /* 0 to 64; recipe: 10, official default: 6 */
  int32_t global_window, local_window; /* one sample is drawn from each window x window tokens; 1 to 16384 */
  int32_t crop_overlap;                /* 0: official (its width term takes the row of the box); 1: mended */
  int32_t local_reference; /* 0: official (union of both global crops, flips not undone); 1: their intersection */
  int32_t crop_pairing;    /* 0: two crops with forced overlap (official); 1: the second lies in the first (paper, fig. 1) */
  int32_t exif_turn;       /* 1: turn photographs as their EXIF orientation says */
  float global_scale_min, global_scale_max; /* 1e-6 to 1 */
  float local_scale_min, local_scale_max;   /* 1e-6 to 1 */
  float flip_probability;
  float jitter_probability;
  float brightness, contrast, saturation, hue; /* factors from 1 +- x, 0 to 10; hue shift from +- x turns, 0 to 0.5 */
  float grayscale_probability;
  float blur_probability_a; /* branch A, taken half the time: blur alone; official 0.75 */
  float blur_probability_b; /* branch B: blur, then solarize; official 0.1 */
  float solarize_probability_b;
  float blur_radius_min, blur_radius_max; /* pixels, 0 to 100 */
  int32_t channels; /* of the crops, 0 to 16: encoded images are brought to it; pixels, arrays and a loader must have it.
                     * 0: what those have, or 3 where every image is encoded */
} udi_view_config;

typedef struct udi_loader_config {
  uint32_t struct_size;
  int32_t batch_size;      /* images, 1 to 2^20, and no more than the set has */
  int32_t workers;         /* threads, 0 to 1024; 0: one a core. The views do not depend on it */
  int32_t channels;        /* of the crops, 1 to 16: 3 or 1 of JPEG and PNG, those of .npy arrays */
  int32_t rank, world;     /* this process's share, default 0 of 1; rank 0 to world - 1, world 1 to 2^20. The batches of
                            * all ranks together are those of one process with world times batch_size, no image twice */
  uint64_t seed;           /* of order and augmentation */
  uint64_t max_pixels;     /* of one image, 1 to 2^40; larger ones count as bad */
  uint64_t max_file_bytes; /* of one image file, 1 to 2^40 */
  uint64_t max_cache_bytes; /* tar.gz shards are unpacked into memory up to this size together, the rest into cache_dir */
  double max_bad_percent;  /* of the set, 0 to 100: more unreadable images than this end the run with UDI_E_FORMAT */
  const char *cache_dir;   /* an existing folder; the disk has its room back when the loader is freed, and after a crash.
                            * NULL: $TMPDIR, or else /tmp. Borrowed for the call that opens the loader */
} udi_loader_config;

/* Counts of steps and epochs are at most 2^40. */
typedef struct udi_train_config {
  uint32_t struct_size;
  udi_dtype precision;     /* UDI_F32, or UDI_BF16 for activations over float32 weights */
  udi_optimizer optimizer;
  int32_t target_blend;    /* 0: logits (official); 1: probabilities (paper) */
  int32_t loss_reduction;  /* 0: mean of the levels (official); 1: their sum (paper) */
  int32_t micro_batch;     /* images worked on at once, to 2^20; 0: chosen for the device. Changes rounding only */
  int32_t rank, world;     /* rank 0 to world - 1, world 1 to 2^20; default 0 of 1. With a larger world a step needs
                            * udi_trainer_join, whose group must be so */
  int64_t total_steps;     /* where the schedules end, at least 1; steps beyond have their last values */
  int64_t steps_per_epoch; /* at least 1; the teacher temperature moves once an epoch */
  int64_t warmup_steps;    /* linear, of lr; 0: none */
  int64_t freeze_last_layer_steps;    /* in which the prototypes stay as they are; 0: none */
  int64_t teacher_temp_warmup_epochs; /* from warmup_teacher_temp to teacher_temp; 0: none */
  uint64_t seed;                      /* of stochastic depth */
  double lr, min_lr;                  /* the peak itself, not scaled by the batch, and the end; 0 to 1e6 */
  double weight_decay, weight_decay_end;                  /* at the start and at the end, 0 to 1e6 */
  double clip_grad;                                       /* norm of each tensor's gradient, to 1e12; 0: no clipping */
  double momentum_teacher, momentum_teacher_end;          /* at the start and at the end, 0 to 1 */
  double student_temp, teacher_temp, warmup_teacher_temp; /* 1e-4 to 1e4 */
  double alpha;                 /* share of the patches' mean in the target of cls_plus, 0 to 1 */
  double center_momentum;       /* 0 to 1 */
  double beta1, beta2, epsilon; /* AdamW: 0 to 0.999999, 0 to 0.99999999, 1e-30 to 1 */
  double sgd_momentum;          /* SGD and LARS: 0 to 0.999999 */
  int32_t rank_reduction;       /* of the patches' loss and of the centers over ranks: 0: by sums and counts of all ranks,
                                 * as one rank with all their images; 1: the mean of the ranks' means (official) */
  int32_t reserved;             /* 0 */
} udi_train_config;

/* Where the ranks of a distributed run meet. */
typedef struct udi_group_config {
  uint32_t struct_size;
  int32_t rank, world;  /* rank 0 to world - 1, world 1 to 2^20; -1 and 0: as the launcher's environment says */
  int32_t port;         /* of rank 0's machine, 0 to 65535; 0: a free one, which rank 0 names in its log; -1: MASTER_PORT,
                         * else one that follows from the launcher's job, else 29500 */
  double timeout;       /* seconds that a rank waits for the others, 0.1 to 86400: in udi_group_create, and at any later
                         * point where they meet */
  int64_t bucket_bytes; /* gradients summed over ranks at a time, to 2^40; 0: 16 MiB. Changes speed, and rounding */
  const char *address;  /* of rank 0's machine: a host's name or an IP address. NULL: MASTER_ADDR, else the launcher's, else
                         * 127.0.0.1. Borrowed for the call */
} udi_group_config;

typedef struct udi_extract_config {
  uint32_t struct_size;
  udi_token token;
  int32_t block;      /* counted from the end: 0 the last, 1 the one before, ... to depth - 1 */
  int32_t num_blocks; /* so many blocks, ending with `block`, side by side in the last dimension (earliest first); 1 to
                       * depth - block */
  int32_t normalize;  /* 1: L2-normalise each row */
  int32_t batch_size; /* images at once; 0: chosen. Changes speed and memory only */
  udi_precision precision; /* cosines to UDI_PRECISION_F32: docs/performance.md */
} udi_extract_config;

typedef struct udi_attention_config {
  uint32_t struct_size;
  udi_attention source;
  int32_t patch_row, patch_col; /* UDI_ATTENTION_SRS: the patch that asks, 0 to H / patch_size - 1, W / patch_size - 1 */
} udi_attention_config;

/* ---- Results: set struct_size, the call fills the rest ------------------------------------------------------------ */

typedef struct udi_step_stats {
  uint32_t struct_size;
  int32_t reserved;
  int64_t step; /* of this step, from 0 */
  double loss; /* this and its parts in nats; with a group everything here is of all ranks */
  double global_cls, global_cls_plus, global_patch, local_cls, local_cls_plus; /* NaN where the model has none */
  double lr, weight_decay, momentum_teacher, teacher_temp; /* of this step */
  double grad_norm_max, grad_norm_sum; /* of the tensors' gradients, L2, before clipping */
  double center_norm[3];               /* L2, of cls, cls_plus, patch, after the step; NaN where the model has none */
  double teacher_entropy;              /* mean over the targets of cls, in nats */
  double kl;                           /* mean KL from target to student over the same rows, in nats */
  double valid_share;                  /* of the SRS samples, those that fall into the other crop, 0 to 1 */
  double feature_std;                  /* mean standard deviation, over the batch, of the teacher's L2-normalised cls */
} udi_step_stats;

typedef struct udi_model_info {
  uint32_t struct_size;
  int32_t embed_dim, depth, heads, patch_size, image_size, channels, class_tokens, include_patch;
  int32_t reserved;
  int64_t num_parameters; /* of backbone, SRS module and head */
} udi_model_info;

/* ---- Library: any thread, any time; never fails ----------------------------------------------------------------- */

UDI_API uint32_t udi_version(void);           /* UDI_VERSION_NUMBER of the library */
UDI_API const char *udi_version_string(void); /* "0.1.0" */
UDI_API uint32_t udi_abi_version(void);       /* UDI_ABI_VERSION of the library */
/* Names what this header declares: 64 hex digits, the same for headers that differ in comments or versions alone. Bindings
 * compare it when they load. */
UDI_API const char *udi_api_fingerprint(void);
UDI_API const char *udi_build_info(void); /* JSON: version, abi, the LibTorch it was built for and where it looks for it */
UDI_API const char *udi_status_name(udi_status status); /* "UDI_E_SHAPE"; never NULL */

/* ---- Context ----------------------------------------------------------------------------------------------------- */

/* Fills in the defaults: CPU, silent. struct_size: sizeof(udi_context_config). Ignores NULL. */
UDI_API void udi_context_config_init(udi_context_config *config, size_t struct_size);

/* Opens LibTorch if no context did before, and the device. config NULL: the defaults.
 * UDI_E_NOT_FOUND: no LibTorch; UDI_E_VERSION: another one is loaded; UDI_E_DEVICE: no such device. */
UDI_API UDI_CHECK udi_status udi_context_create(const udi_context_config *config, udi_context **out, udi_error *error);

/* Makes the running call, and every later one, end with UDI_E_CANCELLED within one micro-batch. Safe in signal handlers.
 * Ignores NULL. */
UDI_API void udi_context_cancel(udi_context *context);

/* Takes a cancel back, so that the context can be used again. Ignores NULL. */
UDI_API void udi_context_clear_cancel(udi_context *context);

/* From now on the context's work on its GPU goes to this cudaStream_t, and the arrays it is given are read in that stream's
 * order; NULL: the default stream. The stream must outlive the context's last handle. Results are complete when a call
 * returns, on any stream. UDI_E_UNSUPPORTED: the context is on the CPU. */
UDI_API UDI_CHECK udi_status udi_context_set_stream(udi_context *context, void *stream, udi_error *error);

/* Handles made from it go on working. Ignores NULL. */
UDI_API void udi_context_free(udi_context *context);

/* ---- Model ------------------------------------------------------------------------------------------------------- */

/* Fills in arch's sizes and the official head. struct_size: sizeof(udi_model_config). arch: "vit_tiny", "vit_small",
 * "vit_base", "vit_large". UDI_E_NOT_FOUND: another name. */
UDI_API UDI_CHECK udi_status udi_model_config_init(udi_model_config *config, size_t struct_size, const char *arch,
                                                   udi_error *error);

/* A model with the official initialisation, drawn from seed. UDI_E_INVALID: the field of config that is out of range. */
UDI_API UDI_CHECK udi_status udi_model_create(udi_context *context, const udi_model_config *config, uint64_t seed,
                                              udi_model **out, udi_error *error);

/* Reads a checkpoint or weights: safetensors of libudi or with official names; the official .pth, DINO's, iBOT's, DeiT's
 * and timm's through a reader that runs nothing. role: which of student and teacher, where the file holds both.
 * UDI_E_FORMAT: damaged, or tensors are missing, extra or misshapen (the log lists them all), or over the context's limits;
 * UDI_E_UNSUPPORTED: a network or archive that libudi has not; UDI_E_INVALID: also a number of heads that nothing tells. */
UDI_API UDI_CHECK udi_status udi_model_load(udi_context *context, const char *path, udi_role role, udi_model **out,
                                            udi_error *error);

/* The same weights as a model of another context on the same device, without a copy: a context for each thread, and one
 * set of weights. While they are shared udi_model_param_set gives UDI_E_STATE. UDI_E_INVALID: another device. */
UDI_API UDI_CHECK udi_status udi_model_share(const udi_model *model, udi_context *context, udi_model **out,
                                             udi_error *error);

/* Writes weights, configuration and preprocessing as one safetensors file. */
UDI_API UDI_CHECK udi_status udi_model_save(const udi_model *model, const char *path, udi_error *error);

/* What the model was made with. Set out->struct_size first. */
UDI_API UDI_CHECK udi_status udi_model_get_config(const udi_model *model, udi_model_config *out, udi_error *error);
/* Its sizes, and the number of all its weights. Set out->struct_size first. */
UDI_API UDI_CHECK udi_status udi_model_get_info(const udi_model *model, udi_model_info *out, udi_error *error);

/* The number of weight tensors; 0 for NULL. */
UDI_API int64_t udi_model_param_count(const udi_model *model);
/* The official name of tensor `index`; lives as long as the model; NULL out of range. */
UDI_API const char *udi_model_param_name(const udi_model *model, int64_t index);
/* A copy of a weight tensor: UDI_F32 on the CPU, in the official shape. UDI_E_NOT_FOUND: no weight is called name. */
UDI_API UDI_CHECK udi_status udi_model_param_get(const udi_model *model, const char *name, udi_tensor **out,
                                                 udi_error *error);
/* Overwrites a weight tensor; value: UDI_F32 of the same shape (else UDI_E_SHAPE), any values. UDI_E_NOT_FOUND: no weight
 * is called name; UDI_E_STATE: also a model that shares its weights. */
UDI_API UDI_CHECK udi_status udi_model_param_set(udi_model *model, const char *name, const udi_array *value,
                                                 udi_error *error);

/* The evaluation transform that belongs to the weights: encoded images turned upright if exif_turn is 1, bicubic resize of
 * the shorter side to resize_size, centre crop of image_size. images: count of them, 1 to 2^32. out: [count, channels,
 * image_size, image_size] as udi_model_extract takes it, UDI_U8 if all images are of 8 bits, else UDI_F32. UDI_E_FORMAT: an
 * image cannot be decoded (its index is in the message); UDI_E_SHAPE: pixels of other channels than the model's. */
UDI_API UDI_CHECK udi_status udi_model_prepare(const udi_model *model, const udi_image *images, int64_t count,
                                               udi_tensor **out, udi_error *error);

/* cls of the last block, not normalised. Ignores NULL. */
UDI_API void udi_extract_config_init(udi_extract_config *config, size_t struct_size);

/* cls. Ignores NULL. */
UDI_API void udi_attention_config_init(udi_attention_config *config, size_t struct_size);

/* Tokens after the final norm. images: [B, C, H, W] or [B, H, W, C]; UDI_U8, or UDI_F32 that is normalised already;
 * H and W multiples of patch_size, other than image_size through the official interpolation of the position embedding.
 * config NULL: cls of the last block. out: UDI_F32 on the CPU, shapes at udi_token, last dimension times num_blocks.
 * On a CPU the first call of a precision, and the first after the weights changed, lays out the backbone's weights anew and
 * keeps that beside them, shared as they are: as much memory again in float32 (85 MB for vit_small), half of it in bfloat16,
 * a quarter in 8 bits (half without VNNI). On a GPU the handle keeps what the last call needed there (memory of two batches,
 * streams, weights in bfloat16) for the next one with the same config; batches are filled up with black images, at most to
 * twice their number, so that they have one shape. UDI_E_SHAPE: the images are not so; UDI_E_INVALID: also a token or a
 * block that the model has not; UDI_E_UNSUPPORTED: a precision that the processor or the device has not. */
UDI_API UDI_CHECK udi_status udi_model_extract(const udi_model *model, const udi_array *images, udi_layout layout,
                                               const udi_extract_config *config, udi_tensor **out, udi_error *error);

/* Softmaxed attention over the patches. images as for udi_model_extract; config NULL: cls. out: UDI_F32 on the CPU,
 * [B, heads (of SRS: srs_heads), H / patch_size, W / patch_size]. Class tokens as keys are left out, so the map of a class
 * token sums to less than 1. UDI_E_SHAPE: the images are not so; UDI_E_INVALID: also a source that the model has not. */
UDI_API UDI_CHECK udi_status udi_model_attention(const udi_model *model, const udi_array *images, udi_layout layout,
                                                 const udi_attention_config *config, udi_tensor **out,
                                                 udi_error *error);

UDI_API void udi_model_free(udi_model *model); /* ignores NULL */

/* ---- Tensor: an array with an owner. Calls take one as the udi_array that udi_tensor_view gives ------------------- */

/* The tensor's own memory: out is valid as long as the tensor. Set out->struct_size first. */
UDI_API UDI_CHECK udi_status udi_tensor_view(const udi_tensor *tensor, udi_array *out, udi_error *error);

/* A tensor over the caller's memory, without a copy. release(user), not called if this fails, says when the memory is free
 * again: at udi_tensor_free, or when the last one who has it by udi_tensor_to_dlpack lets go. release may be NULL. Nothing
 * of libudi writes to the memory. */
UDI_API UDI_CHECK udi_status udi_tensor_wrap(udi_context *context, const udi_array *array, udi_release_fn release,
                                             void *user, udi_tensor **out, udi_error *error);

/* The tensor's memory for another library, without a copy: DLPack 1. It outlives the tensor; whoever has it last calls
 * out's deleter, once, on any thread. */
UDI_API UDI_CHECK udi_status udi_tensor_to_dlpack(const udi_tensor *tensor, struct DLManagedTensorVersioned **out,
                                                  udi_error *error);

/* Another library's memory as a tensor, without a copy: on the CPU or on the context's GPU, every size at least 1, strides
 * at least 0. On success managed belongs to the tensor, and its deleter runs when nothing uses the memory any more, on that
 * thread; after a failure it is still the caller's. Nothing of libudi writes to the memory. UDI_E_VERSION: not DLPack 1;
 * UDI_E_UNSUPPORTED: a dtype without a udi_dtype; UDI_E_DEVICE: memory of another device. */
UDI_API UDI_CHECK udi_status udi_tensor_from_dlpack(udi_context *context, struct DLManagedTensorVersioned *managed,
                                                    udi_tensor **out, udi_error *error);

UDI_API void udi_tensor_free(udi_tensor *tensor); /* ends its views; ignores NULL */

/* ---- Views ------------------------------------------------------------------------------------------------------- */

/* The official augmentation. Ignores NULL. */
UDI_API void udi_view_config_init(udi_view_config *config, size_t struct_size);

/* Crops and sample maps of images in memory: count of them, 1 to 2^32. The draw of image i depends on (seed, epoch,
 * first_sample + i) alone; epoch: 0 to 2^24 - 1, first_sample: at least 0. UDI_E_FORMAT: an image cannot be decoded (its
 * index is in the message); UDI_E_MEMORY: also one over the context's limits; UDI_E_SHAPE: pixels of other channels. */
UDI_API UDI_CHECK udi_status udi_views_create(udi_context *context, const udi_view_config *config,
                                              const udi_image *images, int64_t count, uint64_t seed, int64_t epoch,
                                              int64_t first_sample, udi_views **out, udi_error *error);

/* The crops of a caller's own augmentation. global: [2, B, C, G, G]; local: [L, B, C, l, l], or NULL for none; UDI_U8, or
 * UDI_F32 (0..1). coords: UDI_F32 [2 + L, B, 4], (i0, j0, i1, j1) of each crop in its image, 0..1, the two j swapped when
 * the crop is mirrored. sample_global, sample_local: UDI_U8 masks [B, N] and [B, n] over tokens, 0 and 1, the same count
 * in every row. local and sample_local are NULL where config has no local crops, and only there. Of config, sizes and
 * local_crops are read. UDI_E_SHAPE: an array is not so; UDI_E_INVALID: also values out of range. */
UDI_API UDI_CHECK udi_status udi_views_from_arrays(udi_context *context, const udi_view_config *config,
                                                   const udi_array *global, const udi_array *local,
                                                   const udi_array *coords, const udi_array *sample_global,
                                                   const udi_array *sample_local, udi_views **out, udi_error *error);

/* The number of images; 0 for NULL. */
UDI_API int64_t udi_views_count(const udi_views *views);
/* A copy of the crops: global 1: [2, B, C, G, G], 0: [L, B, C, l, l]; on the CPU, UDI_U8, or UDI_F32 (0..1) where an image
 * was not of 8 bits. */
UDI_API UDI_CHECK udi_status udi_views_crops(const udi_views *views, int32_t global, udi_tensor **out,
                                             udi_error *error);
/* A copy of the crops' coordinates, UDI_F32 [2 + L, B, 4] on the CPU, as udi_views_from_arrays takes them. */
UDI_API UDI_CHECK udi_status udi_views_coords(const udi_views *views, udi_tensor **out, udi_error *error);
UDI_API void udi_views_free(udi_views *views); /* ignores NULL */

/* ---- Loader ------------------------------------------------------------------------------------------------------ */

/* Batch 128, limits on. Ignores NULL. */
UDI_API void udi_loader_config_init(udi_loader_config *config, size_t struct_size);

/* path: a folder (nested or flat), a list file (one path a line), a .tar or .tar.gz, or a folder of those. Images are
 * JPEG, PNG and .npy. Batches are of full size; what is left of an epoch is dropped. UDI_E_NOT_FOUND: no image there;
 * UDI_E_FORMAT: a damaged archive or list; UDI_E_INVALID: also fewer images than a batch of all ranks. */
UDI_API UDI_CHECK udi_status udi_loader_open(udi_context *context, const char *path, const udi_view_config *views,
                                             const udi_loader_config *config, udi_loader **out, udi_error *error);
UDI_API int64_t udi_loader_images(const udi_loader *loader);          /* found; 0 for NULL */
UDI_API int64_t udi_loader_steps_per_epoch(const udi_loader *loader); /* batches an epoch; 0 for NULL */
/* The next batch; epochs follow each other without end. An unreadable image is named in the log, and another of the set
 * takes its place. UDI_E_FORMAT: more than max_bad_percent of the set are. After a failure the position is as it was. */
UDI_API UDI_CHECK udi_status udi_loader_next(udi_loader *loader, udi_views **out, udi_error *error);
/* The position: batches given out since the start of training; 0 for NULL. */
UDI_API int64_t udi_loader_position(const udi_loader *loader);
/* Continue as if `position` batches had been given out: at least 0, below 2^24 epochs. */
UDI_API UDI_CHECK udi_status udi_loader_seek(udi_loader *loader, int64_t position, udi_error *error);
UDI_API void udi_loader_free(udi_loader *loader); /* waits for its threads; ignores NULL */

/* ---- Group: the processes of a distributed run --------------------------------------------------------------------- */

/* Everything as the launcher's environment says; a timeout of 600 s. Ignores NULL. */
UDI_API void udi_group_config_init(udi_group_config *config, size_t struct_size);

/* Meets the other ranks: every process calls it, and it returns when all have come. config NULL: the defaults. The
 * environment is torchrun's (RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, MASTER_PORT), Open MPI's (OMPI_COMM_WORLD_RANK, ...)
 * or srun's (SLURM_PROCID, ...), in this order; what config says comes before it, and without any the group is this process
 * alone, which opens no connection. Until it is freed, a group of more keeps threads of its own and one connection a rank;
 * rank 0 listens on the port. They are not encrypted: use a network that is trusted. UDI_E_INVALID: also variables or ranks
 * that contradict each other; UDI_E_IO: the port is taken, or a rank has not come within the timeout (the message names
 * it). */
UDI_API UDI_CHECK udi_status udi_group_create(udi_context *context, const udi_group_config *config, udi_group **out,
                                              udi_error *error);
UDI_API int32_t udi_group_rank(const udi_group *group);  /* 0 to world - 1; 0 for NULL */
UDI_API int32_t udi_group_world(const udi_group *group); /* the number of ranks; 0 for NULL */
UDI_API void udi_group_free(udi_group *group); /* ends its threads once no trainer uses it; ignores NULL */

/* ---- Trainer ----------------------------------------------------------------------------------------------------- */

/* The README recipe: 300 epochs, warm-up 10, last layer frozen for 1, each epoch of one step, lr for 256 images a step.
 * For n steps an epoch set steps_per_epoch, total_steps, warmup_steps and freeze_last_layer_steps. Ignores NULL. */
UDI_API void udi_train_config_init(udi_train_config *config, size_t struct_size);

/* Student and teacher start as copies of model, which is of the same context and stays as it is. UDI_E_INVALID: the field
 * of config that is out of range. */
UDI_API UDI_CHECK udi_status udi_trainer_create(udi_context *context, const udi_model *model,
                                                const udi_train_config *config, udi_trainer **out, udi_error *error);

/* Steps from now on are over the ranks of group, which is of the same context. Every rank calls it, each with a trainer of
 * the same configuration; all become what rank 0's is, weights, optimizer, centers and steps. So a run goes on from a
 * checkpoint on any number of ranks: rank 0 loads it, the others create. Ranks on GPUs, one on each, sum gradients by NCCL
 * 2.18 or later, which is set up here. UDI_E_INVALID: the ranks' configurations differ (the message says in what), rank and
 * world in the trainer's are another group's, or some ranks are on CPUs and some on GPUs; UDI_E_DEVICE: NCCL is missing, of
 * another version, or fails, as it does with two ranks on one GPU; UDI_E_IO: a rank is gone. */
UDI_API UDI_CHECK udi_status udi_trainer_join(udi_trainer *trainer, udi_group *group, udi_error *error);

/* One optimisation step over all images of views[0..count): teacher, targets, student, loss, gradients, per-tensor
 * clipping, update, teacher average, centers. Several views, 1 to 2^20, equal one batch of all their images; they are of
 * the trainer's context and agree in local_crops. stats may be NULL. UDI_E_SHAPE: views that do not fit the model or each
 * other; UDI_E_NONFINITE: the loss or a gradient is not finite. After a failure nothing has moved.
 * Where libudi's own kernels do the step on a GPU, a call without stats does not wait for it: UDI_E_NONFINITE may then come
 * from one of the 15 calls after it, or from udi_trainer_save. Nothing has moved since the step that its message names,
 * and udi_trainer_steps is that step again.
 * In a group every rank calls it, with equally many views; the step is over the images of all, and leaves the same trainer
 * on every rank. If it fails on one rank it fails on all, with that rank's status and a message that names it, also where
 * that rank refuses an argument other than the trainer; UDI_E_IO: a rank is gone, or has not come within the timeout;
 * UDI_E_DEVICE: NCCL or CUDA fails on this rank. */
UDI_API UDI_CHECK udi_status udi_trainer_step(udi_trainer *trainer, const udi_views *const *views, int64_t count,
                                              udi_step_stats *stats, udi_error *error);

/* Steps done; 0 for NULL. */
UDI_API int64_t udi_trainer_steps(const udi_trainer *trainer);

/* A copy of the student's or the teacher's weights as they are now. */
UDI_API UDI_CHECK udi_status udi_trainer_model(const udi_trainer *trainer, udi_role role, udi_model **out,
                                               udi_error *error);

/* Everything that is needed to go on, in one safetensors file. loader: its position goes along; may be NULL. A file that
 * was there becomes path + ".prev", and the one of that name goes. In a group one rank is enough: all would write the same.
 * UDI_E_NONFINITE: see udi_trainer_step; nothing was written. */
UDI_API UDI_CHECK udi_status udi_trainer_save(const udi_trainer *trainer, const udi_loader *loader, const char *path,
                                              udi_error *error);

/* The trainer as it was saved, to the bit on the same device, and in no group; loader, if not NULL, is set to its saved
 * position.
 * UDI_E_FORMAT: damaged; the message names the tensor. UDI_E_VERSION: of a newer libudi. UDI_E_NOT_FOUND: also a file
 * without the position that a loader wants. Where path is gone or damaged and path + ".prev" is there, the message says
 * so: load that one to go on from the checkpoint before. */
UDI_API UDI_CHECK udi_status udi_trainer_load(udi_context *context, const char *path, udi_loader *loader,
                                              udi_trainer **out, udi_error *error);
UDI_API void udi_trainer_free(udi_trainer *trainer); /* ignores NULL */

/* ---- Jobs: whole tasks from one JSON configuration ---------------------------------------------------------------- */

/* JSON that lists every job and its options (name, type, default, range, help). Static. */
UDI_API const char *udi_job_schema(void);

/* Runs the job `name` ("pretrain", "extract", "knn", ...). config_json: an object of options; unknown or misfit ones are
 * UDI_E_INVALID with their name. progress may be NULL; user goes to it. out_result, if not NULL, gets a JSON object: free
 * it with udi_string_free. UDI_E_CALLBACK: progress asked to stop; else what the files and calls behind the job give.
 * pretrain, extract and knn are done by all processes of a launcher together (udi_group_create; option world 1: by this one
 * alone): rank 0 logs, calls progress, writes the files and has the result, which is an empty object elsewhere. */
UDI_API UDI_CHECK udi_status udi_job_run(udi_context *context, const char *name, const char *config_json,
                                         udi_progress_fn progress, void *user, char **out_result, udi_error *error);

UDI_API void udi_string_free(char *string); /* ignores NULL */

#ifdef __cplusplus
}
#endif
#endif /* UDI_H */
