/* What a process has, libudi leaves as it was: signals, environment, floating point, locale, folder, files, threads;
 * and it writes to neither stdout nor stderr. */
#include <dirent.h>
#include <fcntl.h>
#include <fenv.h>
#include <locale.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "folder.h"

extern char** environ;

/* A little of everything, failures and a cancel included. */
static void use_everything(void) {
  udi_context* context = new_context();
  udi_model* model = new_model(context);
  udi_views *views = new_views(context, 4), *next = NULL;
  udi_loader* loader = open_image_folder(context, 2);
  udi_trainer* trainer = new_trainer(context);
  const udi_views* batch = views;
  char path[80], config[256];
  char* result = NULL;
  udi_tensor* tokens = extract_tokens(model, 0, 4);
  assert_works(udi_trainer_step(trainer, &batch, 1, NULL, &error));
  assert_works(udi_loader_next(loader, &next, &error));
  snprintf(path, sizeof path, "%s.safetensors", image_folder);
  snprintf(config, sizeof config, "{\"path\": \"%s\"}", path);
  assert_works(udi_trainer_save(trainer, NULL, path, &error));
  assert_works(udi_job_run(context, "inspect", config, NULL, NULL, &result, &error));
  unlink(path);
  assert_fails(udi_job_run(context, "inspect", config, NULL, NULL, &result, &error), UDI_E_NOT_FOUND, path);
  udi_context_cancel(context);
  assert_fails(udi_loader_next(loader, &next, &error), UDI_E_CANCELLED, "cancel");
  udi_string_free(result);
  udi_tensor_free(tokens);
  udi_trainer_free(trainer);
  udi_loader_free(loader);
  udi_views_free(next);
  udi_views_free(views);
  udi_model_free(model);
  udi_context_free(context);
}

struct signals {
  struct sigaction actions[65];
  sigset_t blocked;
};

static void ask_signals(struct signals* signals) {
  memset(signals, 0, sizeof *signals);
  for (int i = 1; i <= 64; ++i) sigaction(i, NULL, &signals->actions[i]); /* fails for those that libc keeps: stays 0 */
  pthread_sigmask(SIG_SETMASK, NULL, &signals->blocked);
}

static void test_signals(void** state) {
  static struct signals before, after;
  (void)state;
  ask_signals(&before);
  use_everything();
  ask_signals(&after);
  for (int i = 1; i <= 64; ++i) {
    assert_true(before.actions[i].sa_handler == after.actions[i].sa_handler);
    assert_int_equal(before.actions[i].sa_flags, after.actions[i].sa_flags);
    for (int j = 1; j <= 64; ++j) {
      assert_int_equal(sigismember(&before.actions[i].sa_mask, j), sigismember(&after.actions[i].sa_mask, j));
    }
    assert_int_equal(sigismember(&before.blocked, i), sigismember(&after.blocked, i));
  }
}

/* As they were before LibTorch was loaded. */
enum { MOST_VARIABLES = 1024 };
static char *variables_at_start[MOST_VARIABLES], folder_at_start[4096];
static struct rlimit limits_at_start[RLIM_NLIMITS];
static uint32_t control_at_start;

static void test_environment_folder_and_limits(void** state) {
  static char folder[4096];
  struct rlimit limits[RLIM_NLIMITS];
  const mode_t mask = umask(027);
  int i = 0;
  (void)state;
  use_everything();
  assert_int_equal(umask(mask), 027);
  memset(limits, 0, sizeof limits);
  for (int which = 0; which < RLIM_NLIMITS; ++which) getrlimit(which, &limits[which]);
  assert_memory_equal(limits, limits_at_start, sizeof limits);
  assert_non_null(getcwd(folder, sizeof folder));
  assert_string_equal(folder, folder_at_start);
  for (; variables_at_start[i]; ++i) assert_string_equal(environ[i], variables_at_start[i]);
  assert_null(environ[i]);
}

#if defined(__x86_64__)
static uint32_t control(void) { /* rounding, exceptions, flush to zero, denormals are zero */
  uint32_t value;
  __asm__ volatile("stmxcsr %0" : "=m"(value));
  return value;
}
static void set_control(uint32_t value) { __asm__ volatile("ldmxcsr %0" : : "m"(value)); }
#else
static uint32_t control(void) { return 0; }
static void set_control(uint32_t value) { (void)value; }
#endif

static void test_floating_point(void** state) {
  const uint32_t plain = control();
  udi_context* context = new_context();
  udi_model* model = new_model(context);
  udi_tensor* wanted = extract_tokens(model, 0, 3);
  const udi_array tokens = view_of(wanted);
  (void)state;
  assert_int_equal(plain & ~0x3Fu, control_at_start);
  assert_int_equal(fesetround(FE_DOWNWARD), 0);
  set_control(control() | 0x8040); /* flush to zero, denormals are zero */
  const uint32_t before = control();
  udi_tensor* found = extract_tokens(model, 0, 3);
  assert_memory_equal(tokens.data, view_of(found).data, (size_t)elements_of(&tokens) * sizeof(float));
  assert_int_equal(control() & ~0x3Fu, before & ~0x3Fu); /* but for the flags that arithmetic of this test raises */
  assert_int_equal(fegetround(), FE_DOWNWARD);
  use_everything();
  assert_int_equal(control() & ~0x3Fu, before & ~0x3Fu);
  assert_int_equal(fegetround(), FE_DOWNWARD);
  assert_int_equal(fesetround(FE_TONEAREST), 0);
  set_control(plain);
  udi_tensor_free(wanted);
  udi_tensor_free(found);
  udi_model_free(model);
  udi_context_free(context);
}

static int entries_of(const char* folder) {
  int count = 0;
  DIR* entries = opendir(folder);
  assert_non_null(entries);
  while (readdir(entries)) ++count;
  closedir(entries);
  return count;
}

/* After the handles are gone so are their files and threads. LibTorch's own threads stay: they are the process's. */
static void test_files_and_threads(void** state) {
  (void)state;
  use_everything();
  const int files = entries_of("/proc/self/fd"), threads = entries_of("/proc/self/task");
  for (int i = 0; i < 3; ++i) use_everything();
  assert_int_equal(entries_of("/proc/self/fd"), files);
  assert_int_equal(entries_of("/proc/self/task"), threads);
}

static void test_nothing_is_printed(void** state) {
  char path[] = "/tmp/udi-output-XXXXXX";
  const int file = mkstemp(path), out = dup(STDOUT_FILENO), err = dup(STDERR_FILENO);
  (void)state;
  assert_true(file >= 0 && out >= 0 && err >= 0);
  unlink(path);
  fflush(NULL);
  dup2(file, STDOUT_FILENO);
  dup2(file, STDERR_FILENO);
  use_everything();
  fflush(NULL);
  dup2(out, STDOUT_FILENO);
  dup2(err, STDERR_FILENO);
  assert_int_equal(lseek(file, 0, SEEK_END), 0);
  close(file);
  close(out);
  close(err);
}

static void test_locale(void** state) {
  char before[256];
  (void)state;
  assert_non_null(setlocale(LC_ALL, "C.UTF-8"));
  snprintf(before, sizeof before, "%s", setlocale(LC_ALL, NULL));
  use_everything();
  assert_string_equal(setlocale(LC_ALL, NULL), before);
  assert_non_null(setlocale(LC_ALL, "C"));
}

static int note_start(void** state) {
  control_at_start = control() & ~0x3Fu;
  for (int i = 0; environ[i] && i < MOST_VARIABLES - 1; ++i) variables_at_start[i] = strdup(environ[i]);
  for (int i = 0; i < RLIM_NLIMITS; ++i) getrlimit(i, &limits_at_start[i]);
  if (!getcwd(folder_at_start, sizeof folder_at_start)) return -1;
  return make_image_folder(state);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_signals), /* first: the libraries are opened in it */
      cmocka_unit_test(test_environment_folder_and_limits),
      cmocka_unit_test(test_floating_point),
      cmocka_unit_test(test_files_and_threads),
      cmocka_unit_test(test_nothing_is_printed),
      cmocka_unit_test(test_locale),
  };
  return cmocka_run_group_tests(tests, note_start, remove_image_folder);
}
