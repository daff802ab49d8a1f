/* Which LibTorch this build is for, where it looks for one, and whether the process has another. */
#ifndef UDI_FRONT_TORCH_H
#define UDI_FRONT_TORCH_H

#include <torch/headeronly/version.h> /* macros alone: TORCH_VERSION, TORCH_ABI_VERSION */

#include "udi.h"

#define FRONT_TORCH_FOLDERS 2

/* In the order of search: beside libudi, then the folder named at configure time, if any. Returns how many. */
int front_torch_folders(const char* folders[FRONT_TORCH_FOLDERS]);

/* Looks at every LibTorch that the process has loaded, by whatever path; *count, if not NULL, is how many there are.
 * UDI_E_VERSION: one of them is of another minor version, with both versions and its path. Calls nothing of it but the
 * question for its version. */
udi_status front_check_torches(int* count, udi_error* error);

/* The process's LibTorch if it has one, else the first that loads from front_torch_folders, kept for good.
 * UDI_E_NOT_FOUND: with the places that were looked at; UDI_E_VERSION. */
udi_status front_open_torch(udi_error* error);

#endif
