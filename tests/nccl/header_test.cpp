// src/dist/nccl_api.h against nccl.h: values, layouts, and what each function takes.
#include <nccl.h>

#include <cstddef>
#include <type_traits>

#include "dist/nccl_api.h"

namespace udi::nccl {
namespace {

static_assert(NCCL_MAJOR == 2 && NCCL_VERSION_CODE >= 21800);

static_assert(int(Result::kSuccess) == ncclSuccess && int(Result::kUnhandledCudaError) == ncclUnhandledCudaError);
static_assert(int(Result::kSystemError) == ncclSystemError && int(Result::kInternalError) == ncclInternalError);
static_assert(int(Result::kInvalidArgument) == ncclInvalidArgument && int(Result::kInvalidUsage) == ncclInvalidUsage);
static_assert(int(Result::kRemoteError) == ncclRemoteError && int(Result::kInProgress) == ncclInProgress);
static_assert(int(Type::kInt64) == ncclInt64 && int(Type::kFloat16) == ncclFloat16);
static_assert(int(Type::kFloat32) == ncclFloat32 && int(Type::kFloat64) == ncclFloat64);
static_assert(int(Type::kBfloat16) == ncclBfloat16);
static_assert(int(RedOp::kSum) == ncclSum);
static_assert(sizeof(UniqueId) == sizeof(ncclUniqueId) && alignof(UniqueId) == alignof(ncclUniqueId));

// The first fields of NCCL's own, whose later versions are longer.
static_assert(offsetof(Config, size) == offsetof(ncclConfig_t, size));
static_assert(offsetof(Config, magic) == offsetof(ncclConfig_t, magic));
static_assert(offsetof(Config, version) == offsetof(ncclConfig_t, version));
static_assert(offsetof(Config, blocking) == offsetof(ncclConfig_t, blocking));
static_assert(offsetof(Config, cga_cluster_size) == offsetof(ncclConfig_t, cgaClusterSize));
static_assert(offsetof(Config, min_ctas) == offsetof(ncclConfig_t, minCTAs));
static_assert(offsetof(Config, max_ctas) == offsetof(ncclConfig_t, maxCTAs));
static_assert(offsetof(Config, net_name) == offsetof(ncclConfig_t, netName));
static_assert(offsetof(Config, split_share) == offsetof(ncclConfig_t, splitShare));
static_assert(sizeof(Config) <= sizeof(ncclConfig_t) && NCCL_CONFIG_UNDEF_INT == INT_MIN);
constexpr ncclConfig_t kTheirs = NCCL_CONFIG_INITIALIZER;
static_assert(kTheirs.magic == Config().magic && kTheirs.size == sizeof(ncclConfig_t));

// A parameter is passed alike: a pointer for a pointer, a number or an enumeration of the same size, a struct of the same.
template <class Ours, class Theirs>
constexpr bool passed_alike = sizeof(Ours) == sizeof(Theirs) && std::is_pointer_v<Ours> == std::is_pointer_v<Theirs> &&
                              std::is_class_v<Ours> == std::is_class_v<Theirs>;

template <class Ours, class Theirs>
struct called_alike : std::false_type {};
template <class R, class... Ours, class S, class... Theirs>
struct called_alike<R (*)(Ours...), S(Theirs...)>
    : std::bool_constant<passed_alike<R, S> && (passed_alike<Ours, Theirs> && ...)> {};

#define CALLED_ALIKE(name) static_assert(called_alike<decltype(Api::name), decltype(nccl##name)>::value)
CALLED_ALIKE(GetVersion);
CALLED_ALIKE(GetUniqueId);
CALLED_ALIKE(CommInitRankConfig);
CALLED_ALIKE(AllReduce);
CALLED_ALIKE(CommGetAsyncError);
CALLED_ALIKE(CommFinalize);
CALLED_ALIKE(CommDestroy);
CALLED_ALIKE(CommAbort);
CALLED_ALIKE(GetErrorString);
CALLED_ALIKE(GetLastError);

}  // namespace
}  // namespace udi::nccl
