/* What libudi.so says about itself without LibTorch. */
#include <limits.h>
#include <pthread.h>
#include <stdio.h>

#include "calls.h"
#include "front/core.h"
#include "front/torch.h"
#include "udi.h"

#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)
#define VERSION TEXT(UDI_VERSION_MAJOR) "." TEXT(UDI_VERSION_MINOR) "." TEXT(UDI_VERSION_PATCH)

extern const char udi_job_schema_text[]; /* generated from src/jobs/schema.json */

uint32_t udi_version(void) { return UDI_VERSION_NUMBER; }
const char* udi_version_string(void) { return VERSION; }
uint32_t udi_abi_version(void) { return UDI_ABI_VERSION; }
const char* udi_api_fingerprint(void) { return UDI_API_FINGERPRINT; }
const char* udi_job_schema(void) { return udi_job_schema_text; }

const char* udi_status_name(udi_status status) {
  static const char* const names[] = {"UDI_OK",          "UDI_E_INVALID",     "UDI_E_SHAPE",   "UDI_E_NOT_FOUND",
                                      "UDI_E_IO",        "UDI_E_FORMAT",      "UDI_E_VERSION", "UDI_E_MEMORY",
                                      "UDI_E_DEVICE",    "UDI_E_UNSUPPORTED", "UDI_E_STATE",   "UDI_E_NONFINITE",
                                      "UDI_E_CANCELLED", "UDI_E_CALLBACK",    "UDI_E_INTERNAL"};
  const udi_status count = sizeof names / sizeof *names;
  return status >= 0 && status < count ? names[status] : "unknown status";
}

static pthread_once_t build_info_once = PTHREAD_ONCE_INIT;
static char build_info[16 * PATH_MAX]; /* a byte of a path takes six at most */

static size_t append_quoted(size_t used, const char* path) {
  build_info[used++] = '"';
  for (; *path; ++path) {
    const unsigned char c = (unsigned char)*path;
    used += (size_t)sprintf(build_info + used, c == '"' || c == '\\' ? "\\%c" : c < 0x20 ? "\\u%04x" : "%c", c);
  }
  build_info[used++] = '"';
  return used;
}

static void write_build_info(void) {
  const char* folders[FRONT_TORCH_FOLDERS];
  const int count = front_torch_folders(folders);
  size_t used = (size_t)sprintf(
      build_info, "{\"version\": \"" VERSION "\", \"abi\": %d, \"torch\": \"" TORCH_VERSION "\", \"torch_folders\": [",
      UDI_ABI_VERSION);
  for (int i = 0; i < count; ++i) {
    if (i) used += (size_t)sprintf(build_info + used, ", ");
    used = append_quoted(used, folders[i]);
  }
  sprintf(build_info + used, "]}");
}

const char* udi_build_info(void) {
  pthread_once(&build_info_once, write_build_info);
  return build_info;
}
