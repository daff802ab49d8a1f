/* Which LibTorch this build is for, and where it looks for one that the process does not have yet. */
#ifndef UDI_FRONT_TORCH_H
#define UDI_FRONT_TORCH_H

#include <torch/headeronly/version.h> /* macros alone: TORCH_VERSION, TORCH_ABI_VERSION */

#define FRONT_TORCH_FOLDERS 2

/* In the order of search: beside libudi, then the folder named at configure time, if any. Returns how many. */
int front_torch_folders(const char* folders[FRONT_TORCH_FOLDERS]);

#endif
