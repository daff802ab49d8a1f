// Hot loops are compiled for several processors and the best is chosen when the library is loaded. Sanitizers cannot run
// the resolvers, so they get the plain loop.
#pragma once

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)
#define UDI_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define UDI_CLONES
#endif

// For the small parts of such a loop: inlined, they are compiled for the same processors.
#define UDI_INLINE __attribute__((always_inline)) inline
#define UDI_LAMBDA __attribute__((always_inline))
