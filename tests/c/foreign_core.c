/* Stands for the core of another build of libudi: it knows no caller. */
#include <stddef.h>

const void* udi_core_entry(const char* fingerprint);
__attribute__((visibility("default"))) const void* udi_core_entry(const char* fingerprint) {
  (void)fingerprint;
  return NULL;
}
