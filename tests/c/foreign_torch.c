/* Stands for another version of LibTorch that the host program has loaded: 2.12.0. */
#include <stdint.h>

uint64_t aoti_torch_abi_version(void);
__attribute__((visibility("default"))) uint64_t aoti_torch_abi_version(void) { return UINT64_C(0x020C000000000000); }
