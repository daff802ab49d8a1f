/* Training in memory, step by step. */
#include "folder.h"

static udi_step_stats step(udi_trainer* trainer, udi_views* const* views, int64_t count) {
  udi_step_stats stats = {0};
  stats.struct_size = sizeof stats;
  assert_works(udi_trainer_step(trainer, (const udi_views* const*)views, count, &stats, &error));
  return stats;
}

static void test_losses_are_finite_and_fall(void** state) {
  udi_context* context = new_context();
  udi_trainer* trainer = new_trainer(context);
  udi_views* views = new_views(context, 8);
  double first = 0, last = 0;
  (void)state;
  for (int64_t i = 0; i < 12; ++i) {
    assert_int_equal(udi_trainer_steps(trainer), i);
    const udi_step_stats stats = step(trainer, &views, 1);
    assert_int_equal(stats.step, i);
    assert_int_equal(stats.struct_size, sizeof stats);
    assert_true(isfinite(stats.loss) && isfinite(stats.grad_norm_max) && stats.teacher_entropy > 0);
    if (i == 0) first = stats.loss;
    last = stats.loss;
  }
  assert_true(first > 0.5 * log(64) && first < 1.5 * log(64)); /* 64 prototypes */
  assert_true(last < first);
  udi_views_free(views);
  udi_trainer_free(trainer);
  udi_context_free(context);
}

static void test_stats_may_be_left_out(void** state) {
  udi_context* context = new_context();
  udi_trainer *silent = new_trainer(context), *asked = new_trainer(context);
  udi_views* views = new_views(context, 4);
  (void)state;
  const udi_views* batch = views;
  assert_works(udi_trainer_step(silent, &batch, 1, NULL, &error));
  step(asked, &views, 1);
  assert_true(step(silent, &views, 1).loss == step(asked, &views, 1).loss);
  udi_views_free(views);
  udi_trainer_free(silent);
  udi_trainer_free(asked);
  udi_context_free(context);
}

static udi_tensor* weight_of(const udi_trainer* trainer, udi_role role, const char* name) {
  udi_model* model = NULL;
  udi_tensor* weight = NULL;
  assert_works(udi_trainer_model(trainer, role, &model, &error));
  assert_works(udi_model_param_get(model, name, &weight, &error));
  udi_model_free(model);
  return weight;
}

static void assert_equal_models(const udi_trainer* a, const udi_trainer* b, udi_role role) {
  static const char* const names[] = {"backbone.backbone.blocks.1.attn.qkv.weight", "backbone.attn.proj.weight"};
  for (int i = 0; i < 2; ++i) {
    udi_tensor *one = weight_of(a, role, names[i]), *other = weight_of(b, role, names[i]);
    const udi_array x = view_of(one), y = view_of(other);
    assert_memory_equal(x.data, y.data, (size_t)elements_of(&x) * sizeof(float));
    udi_tensor_free(one);
    udi_tensor_free(other);
  }
}

/* Saved with its loader, loaded, and gone on with: the same bits as without the break. */
static void test_saved_trainer_goes_on_to_the_same_bits(void** state) {
  udi_context* context = new_context();
  udi_trainer *trainer = new_trainer(context), *loaded = NULL;
  udi_loader *loader = open_image_folder(context, 2), *other = open_image_folder(context, 1);
  udi_views* views = NULL;
  char path[64];
  (void)state;
  snprintf(path, sizeof path, "%s/checkpoint", image_folder);
  for (int i = 0; i < 7; ++i) {
    if (i == 4) assert_works(udi_trainer_save(trainer, loader, path, &error));
    assert_works(udi_loader_next(loader, &views, &error));
    step(trainer, &views, 1);
    udi_views_free(views);
  }
  assert_works(udi_trainer_load(context, path, other, &loaded, &error));
  assert_int_equal(udi_trainer_steps(loaded), 4);
  assert_int_equal(udi_loader_position(other), 4);
  for (int i = 4; i < 7; ++i) {
    assert_works(udi_loader_next(other, &views, &error));
    step(loaded, &views, 1);
    udi_views_free(views);
  }
  assert_equal_models(trainer, loaded, UDI_STUDENT);
  assert_equal_models(trainer, loaded, UDI_TEACHER);

  udi_trainer* none = UNTOUCHED;
  assert_works(udi_trainer_save(trainer, NULL, path, &error));
  assert_fails(udi_trainer_load(context, path, other, &none, &error), UDI_E_NOT_FOUND, "no loader position");
  assert_ptr_equal(none, UNTOUCHED);
  assert_fails(udi_trainer_load(context, image_folder, NULL, &none, &error), UDI_E_IO, image_folder);
  assert_fails(udi_trainer_load(context, "/no/such/file", NULL, &none, &error), UDI_E_NOT_FOUND, "/no/such/file");
  unlink(path);
  strcat(path, ".prev");
  unlink(path);
  udi_loader_free(loader);
  udi_loader_free(other);
  udi_trainer_free(trainer);
  udi_trainer_free(loaded);
  udi_context_free(context);
}

/* A damaged checkpoint names its tensor and the checkpoint before it, which is there and goes on. */
static void test_damaged_checkpoint_and_the_one_before(void** state) {
  udi_context* context = new_context();
  udi_trainer *trainer = new_trainer(context), *loaded = UNTOUCHED;
  udi_views* views = new_views(context, 4);
  char path[64], previous[80], hint[128];
  (void)state;
  snprintf(path, sizeof path, "%s/checkpoint", image_folder);
  snprintf(previous, sizeof previous, "%s.prev", path);
  snprintf(hint, sizeof hint, "the checkpoint before it is %s", previous);
  for (int i = 0; i < 2; ++i) {
    step(trainer, &views, 1);
    assert_works(udi_trainer_save(trainer, NULL, path, &error));
  }
  FILE* file = fopen(path, "r+b"); /* its last bytes are the centers */
  assert_non_null(file);
  assert_int_equal(fseek(file, -1, SEEK_END), 0);
  const int last = fgetc(file);
  assert_int_equal(fseek(file, -1, SEEK_END), 0);
  fputc(last ^ 0x40, file);
  assert_int_equal(fclose(file), 0);
  assert_fails(udi_trainer_load(context, path, NULL, &loaded, &error), UDI_E_FORMAT, "the checksum of 'center'");
  assert_fails(udi_trainer_load(context, path, NULL, &loaded, &error), UDI_E_FORMAT, hint);
  unlink(path);
  assert_fails(udi_trainer_load(context, path, NULL, &loaded, &error), UDI_E_NOT_FOUND, hint);
  assert_ptr_equal(loaded, UNTOUCHED);
  assert_works(udi_trainer_load(context, previous, NULL, &loaded, &error));
  assert_int_equal(udi_trainer_steps(loaded), 1);
  udi_trainer_free(loaded);
  unlink(previous);
  udi_error error = {0};
  assert_int_equal(udi_trainer_load(context, path, NULL, &loaded, &error), UDI_E_NOT_FOUND);
  assert_null(strstr(error.message, ".prev"));
  udi_views_free(views);
  udi_trainer_free(trainer);
  udi_context_free(context);
}

/* What a file with both weights holds, by role. */
static void test_roles(void** state) {
  udi_context* context = new_context();
  udi_trainer* trainer = new_trainer(context);
  udi_views* views = new_views(context, 4);
  const char* name = "backbone.backbone.blocks.1.attn.qkv.weight";
  char path[64];
  (void)state;
  snprintf(path, sizeof path, "%s/checkpoint", image_folder);
  step(trainer, &views, 1);
  assert_works(udi_trainer_save(trainer, NULL, path, &error));
  udi_tensor *student = weight_of(trainer, UDI_STUDENT, name), *teacher = weight_of(trainer, UDI_TEACHER, name);
  const udi_array s = view_of(student), t = view_of(teacher);
  const size_t bytes = (size_t)elements_of(&s) * sizeof(float);
  assert_memory_not_equal(s.data, t.data, bytes);
  for (udi_role role = UDI_STUDENT; role <= UDI_TEACHER; ++role) {
    udi_model* model = NULL;
    udi_tensor* weight = NULL;
    assert_works(udi_model_load(context, path, role, &model, &error));
    assert_works(udi_model_param_get(model, name, &weight, &error));
    assert_memory_equal(view_of(weight).data, role == UDI_STUDENT ? s.data : t.data, bytes);
    udi_tensor_free(weight);
    udi_model_free(model);
  }
  unlink(path);
  udi_tensor_free(student);
  udi_tensor_free(teacher);
  udi_views_free(views);
  udi_trainer_free(trainer);
  udi_context_free(context);
}

/* After a loss that is not finite nothing has moved, and the trainer goes on. */
static void test_nonfinite_loss(void** state) {
  udi_context* context = new_context();
  udi_model* model = new_model(context);
  udi_trainer* trainer = NULL;
  udi_views* views = new_views(context, 4);
  const udi_views* batch = views;
  const udi_train_config config = small_train_config();
  const int64_t shape[] = {24};
  float bias[24] = {0};
  const udi_array value = array_of(bias, UDI_F32, 1, shape);
  udi_step_stats stats;
  (void)state;
  bias[0] = NAN;
  assert_works(udi_model_param_set(model, "backbone.backbone.norm.bias", &value, &error));
  assert_works(udi_trainer_create(context, model, &config, &trainer, &error));
  memset(&stats, 0, sizeof stats);
  stats.struct_size = sizeof stats;
  assert_fails(udi_trainer_step(trainer, &batch, 1, &stats, &error), UDI_E_NONFINITE, "step 0");
  assert_int_equal(udi_trainer_steps(trainer), 0);
  assert_true(stats.loss == 0);
  udi_views_free(views);
  udi_trainer_free(trainer);
  udi_model_free(model);
  udi_context_free(context);
}

static void test_views_that_do_not_fit(void** state) {
  udi_context* context = new_context();
  udi_trainer* trainer = new_trainer(context);
  static struct drawing drawing;
  udi_view_config config = small_view_config();
  udi_views* views = NULL;
  (void)state;
  draw_all(&drawing);
  config.patch_size = 16;
  config.global_size = 48;
  assert_works(udi_views_create(context, &config, drawing.images, 2, 0, 0, 0, &views, &error));
  const udi_views* batch = views;
  assert_fails(udi_trainer_step(trainer, &batch, 1, NULL, &error), UDI_E_SHAPE, "patch");
  assert_int_equal(udi_trainer_steps(trainer), 0);
  udi_views_free(views);
  udi_trainer_free(trainer);
  udi_context_free(context);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_losses_are_finite_and_fall),
      cmocka_unit_test(test_stats_may_be_left_out),
      cmocka_unit_test(test_saved_trainer_goes_on_to_the_same_bits),
      cmocka_unit_test(test_damaged_checkpoint_and_the_one_before),
      cmocka_unit_test(test_roles),
      cmocka_unit_test(test_nonfinite_loss),
      cmocka_unit_test(test_views_that_do_not_fit),
  };
  return cmocka_run_group_tests(tests, make_image_folder, remove_image_folder);
}
