/* libudi_core.so and the LibTorch under it, opened when first needed. */
#ifndef UDI_FRONT_CORE_H
#define UDI_FRONT_CORE_H

#include "udi.h"

struct udi_core_calls;

/* Opens LibTorch and the core unless that is done. Any thread; a failure is tried anew by the next call.
 * UDI_E_NOT_FOUND: with the places that were looked at; UDI_E_VERSION: with both versions and the path; UDI_E_STATE: this
 * is the child of a process that did so. */
udi_status front_open_core(const struct udi_core_calls** core, udi_error* error);

/* The same, and UDI_E_VERSION if the process has got another LibTorch since: for udi_context_create. */
udi_status front_open_core_for_context(const struct udi_core_calls** core, udi_error* error);

/* The core if it is open, else NULL. Async-signal-safe. */
const struct udi_core_calls* front_core(void);

/* Real path of the folder that libudi.so lies in, without a trailing slash; "" if it cannot be told. */
const char* front_folder(void);

#endif
