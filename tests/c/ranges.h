/* The fields of every configuration, each with values just outside its range (ranges_test.c). Fields that take any
 * value are here too, so that none is forgotten. */
#ifndef RANGES_H
#define RANGES_H

#include "support.h"

enum kind { ANY, I32, I64, U64, F32, F64 }; /* ANY: whatever value, or no number */

struct field {
  const char* name;
  enum kind kind;
  size_t offset, size;
  double below, above;      /* values that are not allowed */
  const char *least, *most; /* what the message says of them; NULL: there is no such value */
};

#define FIELD(name, kind, below, least, above, most) \
  { #name, kind, offsetof(STRUCT, name), sizeof(((STRUCT*)0)->name), below, above, least, most }
#define FLAG(name) FIELD(name, I32, -1, "0", 2, "1")
#define SHARE(name, kind) FIELD(name, kind, -0.5, "0", 1.5, "1")
#define FREE(name) FIELD(name, ANY, 0, NULL, 0, NULL)

#define TWO20 1048576.0
#define TWO40 1099511627776.0
#define TWO40_TEXT "1099511627776"

#define STRUCT udi_context_config
static const struct field context_fields[] = {
    FIELD(device_type, I32, 0, "UDI_CPU (1)", 3, "UDI_CUDA (2)"),
    FIELD(device_index, I32, -1, "0", 1, "0"),
    FIELD(num_threads, I32, -1, "0", 4097, "4096"),
    FLAG(deterministic),
    FIELD(log_level, I32, 0, "1", 5, "4"),
    FREE(log),
    FREE(log_user),
    FIELD(max_header_bytes, U64, 0, NULL, TWO40 + 1, TWO40_TEXT),
    FIELD(max_name_bytes, U64, 0, NULL, TWO40 + 1, TWO40_TEXT),
    FIELD(max_pixels, U64, 0, NULL, TWO40 + 1, TWO40_TEXT),
    FIELD(max_file_bytes, U64, 0, NULL, TWO40 + 1, TWO40_TEXT),
};
#undef STRUCT
#define STRUCT udi_model_config
static const struct field model_fields[] = {
    FIELD(image_size, I32, 7, "8", 8193, "8192"),
    FIELD(patch_size, I32, 0, "1", 513, "512"),
    FIELD(channels, I32, 0, "1", 17, "16"),
    FIELD(embed_dim, I32, 0, "1", 16385, "16384"),
    FIELD(depth, I32, 0, "1", 257, "256"),
    FIELD(heads, I32, 0, "1", 25, "24"),
    FIELD(class_tokens, I32, 0, "1", 3, "2"),
    FLAG(include_patch),
    FIELD(srs_heads, I32, 0, "1", 25, "24"),
    FLAG(srs_residual),
    FIELD(out_dim, I32, 1, "2", 4194305, "4194304"),
    FIELD(head_hidden_dim, I32, 0, "1", 65537, "65536"),
    FIELD(head_bottleneck_dim, I32, 0, "1", 16385, "16384"),
    FLAG(norm_last_layer),
    FIELD(resize_size, I32, 31, "32", 16385, "16384"),
    FIELD(drop_path_rate, F32, -0.5, "at least 0", 1, "less than 1"),
    FIELD(mlp_ratio, F32, 0, "more than 0", 64.5, "64"),
    FIELD(mean, F32, -INFINITY, "finite", INFINITY, "finite"),
    FIELD(std, F32, 0, "more than 0", INFINITY, "finite"),
    FLAG(exif_turn),
};
#undef STRUCT
#define STRUCT udi_view_config
static const struct field view_fields[] = {
    FIELD(global_size, I32, 0, "1", 16385, "16384"),
    FIELD(local_size, I32, 0, "1", 16385, "16384"),
    FIELD(patch_size, I32, 0, "1", 1025, "1024"),
    FIELD(local_crops, I32, -1, "0", 65, "64"),
    FIELD(global_window, I32, 0, "1", 16385, "16384"),
    FIELD(local_window, I32, 0, "1", 16385, "16384"),
    FLAG(crop_overlap),
    FLAG(local_reference),
    FLAG(crop_pairing),
    FLAG(exif_turn),
    FIELD(global_scale_min, F32, 0, "e-07", 1.5, "1"),
    FIELD(global_scale_max, F32, 0, "e-07", 1.5, "1"),
    FIELD(local_scale_min, F32, 0, "e-07", 1.5, "1"),
    FIELD(local_scale_max, F32, 0, "e-07", 1.5, "1"),
    SHARE(flip_probability, F32),
    SHARE(jitter_probability, F32),
    FIELD(brightness, F32, -0.5, "0", 10.5, "10"),
    FIELD(contrast, F32, -0.5, "0", 10.5, "10"),
    FIELD(saturation, F32, -0.5, "0", 10.5, "10"),
    FIELD(hue, F32, -0.25, "0", 0.75, "0.5"),
    SHARE(grayscale_probability, F32),
    SHARE(blur_probability_a, F32),
    SHARE(blur_probability_b, F32),
    SHARE(solarize_probability_b, F32),
    FIELD(blur_radius_min, F32, -0.5, "0", 100.5, "100"),
    FIELD(blur_radius_max, F32, -0.5, "0", 100.5, "100"),
    FIELD(channels, I32, -1, "0", 17, "16"),
};
#undef STRUCT
#define STRUCT udi_loader_config
static const struct field loader_fields[] = {
    FIELD(batch_size, I32, 0, "1", TWO20 + 1, "1048576"),
    FIELD(workers, I32, -1, "0", 1025, "1024"),
    FIELD(channels, I32, 0, "1", 17, "16"),
    FIELD(rank, I32, -1, "0", 1, "0"),
    FIELD(world, I32, 0, "1", TWO20 + 1, "1048576"),
    FREE(seed),
    FIELD(max_pixels, U64, 0, "1", TWO40 + 1, TWO40_TEXT),
    FIELD(max_file_bytes, U64, 0, "1", TWO40 + 1, TWO40_TEXT),
    FREE(max_cache_bytes),
    FIELD(max_bad_percent, F64, -0.5, "0", 100.5, "100"),
    FREE(cache_dir),
};
#undef STRUCT
#define STRUCT udi_train_config
static const struct field train_fields[] = {
    FIELD(precision, I32, UDI_F16, "UDI_F32", UDI_F64, "UDI_BF16"),
    FIELD(optimizer, I32, 0, "UDI_ADAMW", 4, "UDI_LARS"),
    FLAG(target_blend),
    FLAG(loss_reduction),
    FIELD(micro_batch, I32, -1, "0", TWO20 + 1, "1048576"),
    FIELD(rank, I32, -1, "0", 1, "0"),
    FIELD(world, I32, 0, "1", TWO20 + 1, "1048576"),
    FIELD(total_steps, I64, 0, "1", TWO40 + 1, TWO40_TEXT),
    FIELD(steps_per_epoch, I64, 0, "1", TWO40 + 1, TWO40_TEXT),
    FIELD(warmup_steps, I64, -1, "0", TWO40 + 1, TWO40_TEXT),
    FIELD(freeze_last_layer_steps, I64, -1, "0", TWO40 + 1, TWO40_TEXT),
    FIELD(teacher_temp_warmup_epochs, I64, -1, "0", TWO40 + 1, TWO40_TEXT),
    FREE(seed),
    FIELD(lr, F64, -0.5, "0", 1e6 + 1, "1000000"),
    FIELD(min_lr, F64, -0.5, "0", 1e6 + 1, "1000000"),
    FIELD(weight_decay, F64, -0.5, "0", 1e6 + 1, "1000000"),
    FIELD(weight_decay_end, F64, -0.5, "0", 1e6 + 1, "1000000"),
    FIELD(clip_grad, F64, -0.5, "0", 2e12, "1e+12"),
    SHARE(momentum_teacher, F64),
    SHARE(momentum_teacher_end, F64),
    FIELD(student_temp, F64, 0, "0.0001", 10001, "10000"),
    FIELD(teacher_temp, F64, 0, "0.0001", 10001, "10000"),
    FIELD(warmup_teacher_temp, F64, 0, "0.0001", 10001, "10000"),
    SHARE(alpha, F64),
    SHARE(center_momentum, F64),
    FIELD(beta1, F64, -0.5, "0", 1, "0.999999"),
    FIELD(beta2, F64, -0.5, "0", 1, "0.99999999"),
    FIELD(epsilon, F64, 0, "1e-30", 1.5, "1"),
    FIELD(sgd_momentum, F64, -0.5, "0", 1, "0.999999"),
    FLAG(rank_reduction),
    FIELD(reserved, I32, -1, "0", 1, "0"),
};
#undef STRUCT
#define STRUCT udi_group_config
static const struct field group_fields[] = {
    FIELD(rank, I32, -2, "-1", 1, "0"),
    FIELD(world, I32, -1, "0", TWO20 + 1, "1048576"),
    FIELD(port, I32, -2, "-1", 65536, "65535"),
    FIELD(timeout, F64, 0, "0.1", 86401, "86400"),
    FIELD(bucket_bytes, I64, -1, "0", TWO40 + 1, TWO40_TEXT),
    FREE(address),
};
#undef STRUCT
#define STRUCT udi_extract_config
static const struct field extract_fields[] = {
    FIELD(token, I32, 0, "1", 6, "5"),        FIELD(block, I32, -1, "0", 2, "1"),
    FIELD(num_blocks, I32, 0, "1", 3, "2"),   FIELD(normalize, I32, -1, "0", 2, "1"),
    FIELD(batch_size, I32, -1, "0", 0, NULL), FIELD(precision, I32, -1, "0", 3, "2"),
};
#undef STRUCT
#define STRUCT udi_attention_config
static const struct field attention_fields[] = {
    FIELD(source, I32, 0, "1", 4, "3"),
    FIELD(patch_row, I32, -1, "0", 4, "3"),
    FIELD(patch_col, I32, -1, "0", 4, "3"),
};
#undef STRUCT

#endif
