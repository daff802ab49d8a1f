// How a test steers the library that plays NCCL's part (fake_nccl.cpp).
#pragma once

#include "dist/nccl_api.h"

extern "C" {
// The next call of this name by this rank (-1: by any) ends with result: at once, or, where it begins something, later.
void fake_nccl_fail(const char* call, int rank, udi::nccl::Result result, bool later, const char* words);
int fake_nccl_aborts();    // communicators aborted so far
int fake_nccl_destroyed();  // in peace
}
