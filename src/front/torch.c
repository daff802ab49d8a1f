#include "front/torch.h"

#include <limits.h>
#include <pthread.h>
#include <stdio.h>

#include "front/core.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static char beside[PATH_MAX + 8];

static void name_beside(void) { snprintf(beside, sizeof beside, "%s/udi", front_folder()); }

int front_torch_folders(const char* folders[FRONT_TORCH_FOLDERS]) {
  pthread_once(&once, name_beside);
  folders[0] = beside;
  folders[1] = UDI_TORCH_LIB;
  return UDI_TORCH_LIB[0] ? 2 : 1;
}
