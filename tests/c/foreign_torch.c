/* Stands for another version of LibTorch that the host program has loaded: 2.12.0, or with UDI_TEST_OLD one that cannot be
 * asked. */
#include <stdint.h>

#ifdef UDI_TEST_OLD
int nothing_that_libudi_knows;
#else
uint64_t aoti_torch_abi_version(void);
__attribute__((visibility("default"))) uint64_t aoti_torch_abi_version(void) { return UINT64_C(0x020C000000000000); }
#endif
