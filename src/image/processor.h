// Which vector instructions the image room may use. Loops that GCC's vectors express well are left to UDI_CLONES
// (base/simd.h); a kernel that needs a particular instruction has one file a processor, and is chosen by this.
#pragma once

namespace udi {

enum class Processor {
  kAny,   // whatever the compiler makes of plain vectors
  kAvx2,  // x86-64-v3
  kVnni,  // x86-64-v4 with dot products of bytes and look-ups of bytes: Ice Lake and Zen 4 on
};

Processor processor();  // the best this machine has, at most the limit

// For tests, which run every kernel that the machine can. Not while other threads work on images.
void limit_processor(Processor limit);

}  // namespace udi

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define UDI_X86_KERNELS 1
#else
#define UDI_X86_KERNELS 0
#endif
