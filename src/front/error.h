/* Filling in the caller's udi_error: in libudi.so for what it finds itself, in the core for what guard.h catches. */
#ifndef UDI_FRONT_ERROR_H
#define UDI_FRONT_ERROR_H

#include "udi.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Copies as much of text as fits, whole characters only; bytes that are not UTF-8 (of file names) become '?'.
 * error may be NULL. Returns status. */
udi_status front_write_error(udi_error* error, udi_status status, int32_t native_code, const char* text);

#ifdef __GNUC__
__attribute__((format(printf, 3, 4)))
#endif
udi_status
front_fail(udi_error* error, udi_status status, const char* format, ...);

#ifdef __cplusplus
}
#endif
#endif
