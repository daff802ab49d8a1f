#include "attention.h"
#include "augment.h"
#include "gelu.h"
#include "norm.h"
#include "patches.h"
#include "prototypes.h"
#include "srs.h"
#include "update.h"
#include "weight_norm.h"

extern "C" __attribute__((visibility("default"))) const udi::cuda::Kernels* udi_cuda_kernels(void) {
  using namespace udi::cuda;
  static const Kernels kernels = {
      kVersion,
      launch_norm_forward,
      launch_norm_backward,
      launch_gelu_forward,
      launch_gelu_backward,
      launch_patches,
      launch_targets,
      launch_cross_entropy,
      launch_update,
      launch_weight_norm,
      launch_weight_norm_backward,
      launch_srs_gather,
      launch_srs_scatter,
      launch_attention,
      launch_attention_backward,
      launch_augment,
  };
  return &kernels;
}
