// NCCL's C interface as far as it is used, opened when ranks train on GPUs: to build, neither NCCL nor CUDA is needed.
// Names (without their prefix), values and layouts are nccl.h's of 2.18, which later versions of NCCL 2 take;
// tests/nccl/header_test.cpp compares where nccl.h is found.
#pragma once

#include <c10/core/Device.h>

#include <climits>
#include <cstddef>
#include <string>

namespace udi::nccl {

enum class Result : int {
  kSuccess,
  kUnhandledCudaError,
  kSystemError,
  kInternalError,
  kInvalidArgument,
  kInvalidUsage,
  kRemoteError,
  kInProgress
};
enum class Type : int { kInt64 = 4, kFloat16 = 6, kFloat32 = 7, kFloat64 = 8, kBfloat16 = 9 };
enum class RedOp : int { kSum = 0 };

struct UniqueId {
  char internal[128];
};

// Its fields beyond `blocking` stay undefined, which is NCCL's own choice.
struct Config {
  size_t size = sizeof(Config);
  unsigned magic = 0xcafebeef, version = 21800;
  int blocking = INT_MIN, cga_cluster_size = INT_MIN, min_ctas = INT_MIN, max_ctas = INT_MIN;
  const char* net_name = nullptr;
  int split_share = INT_MIN;
};

struct Communicator;

struct Api {
  Result (*GetVersion)(int* version);
  Result (*GetUniqueId)(UniqueId* id);
  Result (*CommInitRankConfig)(Communicator** out, int world, UniqueId id, int rank, Config* config);
  Result (*AllReduce)(const void* in, void* out, size_t count, Type type, RedOp op, Communicator* of, void* stream);
  Result (*CommGetAsyncError)(Communicator* of, Result* result);
  Result (*CommFinalize)(Communicator* of);
  Result (*CommDestroy)(Communicator* of);
  Result (*CommAbort)(Communicator* of);
  const char* (*GetErrorString)(Result result);
  const char* (*GetLastError)(Communicator* of);
};

// What lies on this kind of device is summed by NCCL: GPUs. In tests the CPU, with a library that plays NCCL's part.
void use(c10::DeviceType device, const std::string& library);
bool takes(c10::Device device);

// The library: libnccl.so.2, which LibTorch's CUDA part has loaded. version: 2.28.9 is 22809. UDI_E_DEVICE: it is not
// there, lacks a function, or is older than 2.18 or newer than 2.
const Api& api();
int version();

}  // namespace udi::nccl
