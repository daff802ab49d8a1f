#define _GNU_SOURCE
#include "front/core.h"

#include <dlfcn.h>
#include <limits.h>
#include <link.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "calls.h"
#include "front/error.h"
#include "front/torch.h"

static _Atomic(const struct udi_core_calls*) open_core;
static _Atomic pid_t opener; /* the process that opened it, or tried to */
static pthread_mutex_t opening = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t folder_once = PTHREAD_ONCE_INIT;
static char folder[PATH_MAX];

/* The loader's own note of where it found us, since a relative name means another file once the host has changed its
 * folder. Then the real path: the libraries lie beside the file, not beside a link to it. */
static void find_folder(void) {
  Dl_info info;
  char path[2 * PATH_MAX], origin[PATH_MAX];
  if (!dladdr((const void*)&find_folder, &info)) return;
  void* self = dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
  if (!self || dlinfo(self, RTLD_DI_ORIGIN, origin) != 0) return;
  const char* slash = strrchr(info.dli_fname, '/');
  snprintf(path, sizeof path, "%s/%s", origin, slash ? slash + 1 : info.dli_fname);
  if (realpath(path, folder)) {
    *strrchr(folder, '/') = '\0';
  } else { /* the file is gone since */
    strcpy(folder, origin);
  }
}

const char* front_folder(void) {
  pthread_once(&folder_once, find_folder);
  return folder;
}

const struct udi_core_calls* front_core(void) { return atomic_load_explicit(&open_core, memory_order_acquire); }

static udi_status open_calls(const struct udi_core_calls** calls, udi_error* error) {
  char path[PATH_MAX + 32];
  const struct udi_core_calls* (*entry)(const char*) = NULL;
  snprintf(path, sizeof path, "%s/udi/libudi_core.so", front_folder());
  void* core = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!core) return front_fail(error, UDI_E_NOT_FOUND, "libudi's core does not load: %s", dlerror());
  *(void**)&entry = dlsym(core, "udi_core_entry");
  *calls = entry ? entry(UDI_CALLS_FINGERPRINT) : NULL;
  if (*calls) return UDI_OK;
  return front_fail(error, UDI_E_VERSION, "%s belongs to another build than %s/libudi.so: install both anew", path,
                    front_folder());
}

udi_status front_open_core(const struct udi_core_calls** core, udi_error* error) {
  *core = front_core();
  if (*core) return UDI_OK; /* a child that was forked since is the core's to refuse */
  pid_t first = 0;
  if (!atomic_compare_exchange_strong(&opener, &first, getpid()) && first != getpid()) {
    /* The lock may have been held at the fork, by a thread that the child does not have. */
    return front_fail(error, UDI_E_STATE,
                      "process %ld opened LibTorch, or tried to, and then forked: use libudi there, or "
                      "fork before its first context",
                      (long)first);
  }
  pthread_mutex_lock(&opening);
  udi_status status = UDI_OK;
  *core = front_core();
  if (!*core) {
    status = front_open_torch(error);
    if (status == UDI_OK) status = open_calls(core, error);
    if (status == UDI_OK) atomic_store_explicit(&open_core, *core, memory_order_release);
  }
  pthread_mutex_unlock(&opening);
  return status;
}

udi_status front_open_core_for_context(const struct udi_core_calls** core, udi_error* error) {
  const int was_open = front_core() != NULL;
  const udi_status status = front_open_core(core, error);
  return status == UDI_OK && was_open ? front_check_torches(NULL, error) : status;
}
