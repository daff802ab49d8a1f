/* libudi.so alone in a folder of its own, opened from there. */
#ifndef COPY_LIBRARY_H
#define COPY_LIBRARY_H

#include <dlfcn.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support.h"

typedef udi_status (*create_fn)(const udi_context_config*, udi_context**, udi_error*);

static char lonely_folder[] = "/tmp/udi-XXXXXX";

static inline void copy_file(const char* from, const char* to) {
  char bytes[4096];
  size_t count;
  FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
  assert_true(in && out);
  while ((count = fread(bytes, 1, sizeof bytes, in)) > 0) assert_int_equal(fwrite(bytes, 1, count, out), count);
  fclose(in);
  assert_int_equal(fclose(out), 0);
}

/* udi_context_create of the copy. */
static inline create_fn open_lonely(const char* library) {
  char path[128];
  create_fn create = NULL;
  assert_non_null(mkdtemp(lonely_folder));
  snprintf(path, sizeof path, "%s/libudi.so.0", lonely_folder);
  copy_file(library, path);
  void* handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  assert_non_null(handle);
  *(void**)&create = dlsym(handle, "udi_context_create");
  assert_non_null(create);
  return create;
}

static inline void remove_lonely(void) {
  char path[128];
  snprintf(path, sizeof path, "%s/libudi.so.0", lonely_folder);
  unlink(path);
  assert_int_equal(rmdir(lonely_folder), 0);
}

#endif
