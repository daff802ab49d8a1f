#define _GNU_SOURCE
#include "front/torch.h"

#include <dlfcn.h>
#include <limits.h>
#include <link.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "front/core.h"
#include "front/error.h"

#define SONAME "libtorch_cpu.so" /* of every version: LibTorch has no number in it */
#define MOST_COPIES 4

static pthread_once_t once = PTHREAD_ONCE_INIT;
static char beside[PATH_MAX + 8];

static void name_beside(void) { snprintf(beside, sizeof beside, "%s/udi", front_folder()); }

int front_torch_folders(const char* folders[FRONT_TORCH_FOLDERS]) {
  pthread_once(&once, name_beside);
  folders[0] = beside;
  folders[1] = UDI_TORCH_LIB;
  return UDI_TORCH_LIB[0] ? 2 : 1;
}

/* The soname of a loaded object, "" if it has none. */
static const char* soname_of(const struct dl_phdr_info* object) {
  for (int i = 0; i < object->dlpi_phnum; ++i) {
    if (object->dlpi_phdr[i].p_type != PT_DYNAMIC) continue;
    const ElfW(Dyn)* entry = (const ElfW(Dyn)*)(object->dlpi_addr + object->dlpi_phdr[i].p_vaddr);
    ElfW(Addr) strings = 0, name = 0;
    for (; entry->d_tag != DT_NULL; ++entry) {
      if (entry->d_tag == DT_STRTAB) strings = entry->d_un.d_ptr;
      if (entry->d_tag == DT_SONAME) name = entry->d_un.d_val;
    }
    if (!strings || !name) return "";
    if (strings < object->dlpi_addr)
      strings += object->dlpi_addr; /* where the loader does not write into it: the vdso */
    return (const char*)strings + name;
  }
  return "";
}

struct copies {
  int count;
  char paths[MOST_COPIES][PATH_MAX];
};

static int note_copy(struct dl_phdr_info* object, size_t size, void* data) {
  struct copies* copies = data;
  (void)size;
  if (copies->count == MOST_COPIES || strcmp(soname_of(object), SONAME) != 0) return 0;
  snprintf(copies->paths[copies->count++], PATH_MAX, "%s", object->dlpi_name);
  return 0;
}

/* What the files beside a LibTorch say of its version: version.py in PyTorch's package, build-version in the archive.
 */
static int read_version(const char* path, const char* file, const char* before, char version[32]) {
  char name[PATH_MAX + 32], line[256];
  const char* slash = strrchr(path, '/');
  int found = 0;
  snprintf(name, sizeof name, "%.*s/../%s", slash ? (int)(slash - path) : 1, slash ? path : ".", file);
  FILE* in = fopen(name, "re");
  if (!in) return 0;
  while (!found && fgets(line, sizeof line, in)) {
    if (strncmp(line, before, strlen(before)) != 0) continue;
    char* text = line + strlen(before);
    text[strcspn(text, "'\r\n")] = '\0';
    found = text[0] != '\0';
    if (found) snprintf(version, 32, "%.31s", text);
  }
  fclose(in);
  return found;
}

static udi_status check_version(void* torch, const char* path, udi_error* error) {
  uint64_t (*torch_version)(void) = NULL;
  *(void**)&torch_version = dlsym(torch, "aoti_torch_abi_version");
  const uint64_t version = torch_version ? torch_version() : 0; /* bytes from the top: major, minor, patch */
  if (version >> 48 == TORCH_ABI_VERSION >> 48) return UDI_OK;
  char found[32] = "of an older version";
  if (version) {
    snprintf(found, sizeof found, "%u.%u.%u", (unsigned)(version >> 56), (unsigned)(version >> 48 & 255),
             (unsigned)(version >> 40 & 255));
  } else if (!read_version(path, "version.py", "__version__ = '", found)) {
    read_version(path, "build-version", "", found);
  }
  return front_fail(error, UDI_E_VERSION,
                    "the process has LibTorch %s, libudi is built for %s, and two versions cannot live in one process: "
                    "use %d.%d instead of %s, or build libudi with -DUDI_TORCH_DIR of that one",
                    found, TORCH_VERSION, TORCH_VERSION_MAJOR, TORCH_VERSION_MINOR, path);
}

udi_status front_check_torches(int* count, udi_error* error) {
  struct copies copies = {.count = 0};
  dl_iterate_phdr(note_copy, &copies);
  if (count) *count = copies.count;
  udi_status status = UDI_OK;
  for (int i = 0; i < copies.count && status == UDI_OK; ++i) {
    void* torch = dlopen(copies.paths[i], RTLD_LAZY | RTLD_LOCAL | RTLD_NOLOAD);
    if (!torch) continue; /* gone since */
    status = check_version(torch, copies.paths[i], error);
    dlclose(torch);
  }
  return status;
}

udi_status front_open_torch(udi_error* error) {
  int count = 0;
  const udi_status status = front_check_torches(&count, error);
  if (status != UDI_OK) return status;
  if (count && dlopen(SONAME, RTLD_LAZY | RTLD_LOCAL | RTLD_NOLOAD)) return UDI_OK; /* the host cannot unload it now */
  char looked[1536] = "";
  size_t used = 0;
  const char* folders[FRONT_TORCH_FOLDERS];
  const int places = front_torch_folders(folders);
  for (int i = 0; i < places && used < sizeof looked; ++i) {
    char path[PATH_MAX + 32];
    snprintf(path, sizeof path, "%s/" SONAME, folders[i]);
    void* torch = dlopen(path, RTLD_LAZY | RTLD_LOCAL);
    if (torch) return check_version(torch, path, error);
    /* dlerror names the path; where the file is there, it names what else is missing. */
    used += (size_t)snprintf(looked + used, sizeof looked - used, "%s%s", i ? "; " : "", dlerror());
  }
  return front_fail(error, UDI_E_NOT_FOUND, "no LibTorch %s: %s", TORCH_VERSION, looked);
}
