/* Stands for a LibTorch during whose loading the process forks: the child has libudi's lock and not the thread that
 * holds it. UDI_TEST_LIBRARY names the libudi.so that is loading us. */
#define _DEFAULT_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "udi.h"

typedef udi_status (*create_fn)(const udi_context_config*, udi_context**, udi_error*);

uint64_t aoti_torch_abi_version(void);
__attribute__((visibility("default"))) uint64_t aoti_torch_abi_version(void) { return UINT64_C(0x020C000000000000); }

__attribute__((visibility("default"))) int child_status;

__attribute__((constructor)) static void fork_and_use(void) {
  create_fn create = NULL;
  udi_context* context = NULL;
  void* library = dlopen(getenv("UDI_TEST_LIBRARY"), RTLD_LAZY | RTLD_NOLOAD);
  *(void**)&create = dlsym(library, "udi_context_create");
  const pid_t child = fork();
  if (child == 0) {
    alarm(20); /* instead of hanging */
    _exit(create(NULL, &context, NULL));
  }
  waitpid(child, &child_status, 0);
}
