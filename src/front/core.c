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

static const char* path_of(void* library) {
  struct link_map* map = NULL;
  return dlinfo(library, RTLD_DI_LINKMAP, &map) == 0 && map->l_name[0] ? map->l_name : "an unknown path";
}

static udi_status check_torch(void* torch, const char* how, udi_error* error) {
  uint64_t (*torch_version)(void) = NULL;
  *(void**)&torch_version = dlsym(torch, "aoti_torch_abi_version");
  const uint64_t version = torch_version ? torch_version() : 0; /* bytes from the top: major, minor, patch */
  if (version >> 48 == TORCH_ABI_VERSION >> 48) return UDI_OK;
  char found[32] = "older than 2.0";
  if (version) {
    snprintf(found, sizeof found, "%u.%u.%u", (unsigned)(version >> 56), (unsigned)(version >> 48 & 255),
             (unsigned)(version >> 40 & 255));
  }
  return front_fail(
      error, UDI_E_VERSION,
      "%s LibTorch is %s (%s), libudi is built for %s: two versions cannot live in one process; use %d.%d "
      "there, or build libudi with -DUDI_TORCH_DIR of the other",
      how, found, path_of(torch), TORCH_VERSION, TORCH_VERSION_MAJOR, TORCH_VERSION_MINOR);
}

static udi_status open_torch(udi_error* error) {
  void* torch = dlopen("libtorch_cpu.so", RTLD_LAZY | RTLD_LOCAL | RTLD_NOLOAD);
  if (torch) return check_torch(torch, "the process's own", error);
  char looked[1536] = "";
  size_t used = 0;
  const char* folders[FRONT_TORCH_FOLDERS];
  const int count = front_torch_folders(folders);
  for (int i = 0; i < count && used < sizeof looked; ++i) {
    char path[PATH_MAX + 32];
    snprintf(path, sizeof path, "%s/libtorch_cpu.so", folders[i]);
    torch = dlopen(path, RTLD_LAZY | RTLD_LOCAL);
    if (torch) return check_torch(torch, "the installed", error);
    /* dlerror names the path; where the file is there, it names what else is missing. */
    used += (size_t)snprintf(looked + used, sizeof looked - used, "%s%s", i ? "; " : "", dlerror());
  }
  return front_fail(error, UDI_E_NOT_FOUND, "no LibTorch %s: %s", TORCH_VERSION, looked);
}

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
  if (*core) return UDI_OK;
  pthread_mutex_lock(&opening);
  udi_status status = UDI_OK;
  *core = front_core();
  if (!*core) {
    status = open_torch(error);
    if (status == UDI_OK) status = open_calls(core, error);
    if (status == UDI_OK) atomic_store_explicit(&open_core, *core, memory_order_release);
  }
  pthread_mutex_unlock(&opening);
  return status;
}
