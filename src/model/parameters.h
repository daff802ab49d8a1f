// The weights of a model: named tensors that are views into one flat tensor, so that the optimizer, the teacher's
// average and the clipping run over flat memory. Gradients, moments and the teacher are Parameters of the same layout.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/safetensors.h"
#include "model/aten.h"
#include "model/packed.h"

namespace udi {

struct ParameterInfo {
  std::string name;  // the official one
  std::vector<int64_t> shape;
  int64_t offset = 0;  // of the first element in the flat tensor, a multiple of 16
  int64_t elements = 0;
  bool decayed = false;     // more than one dimension and no bias: takes weight decay
  bool last_layer = false;  // of the prototypes: frozen at first (udi_train_config.freeze_last_layer_steps)
  bool trainable = true;    // false for weight_g where norm_last_layer is set
};

// The tensors by place, for those who compute. All are views: copying a handle copies no weights.
struct LinearWeights {
  at::Tensor weight, bias;  // [out, in], [out]
  std::shared_ptr<PackedLinear> packed;  // of the whole layer; null where products have no packed form
  int64_t first = 0;                     // the row of the whole layer that row 0 is
};
// Rows [first, first + count) of a layer's outputs.
LinearWeights part(const LinearWeights& weights, int64_t first, int64_t count);
struct NormWeights {
  at::Tensor weight, bias;  // [D]
};
struct BlockWeights {
  NormWeights norm1;
  LinearWeights qkv, proj;
  NormWeights norm2;
  LinearWeights fc1, fc2;
};
struct VitWeights {
  at::Tensor cls_token;       // [1, class_tokens, D]
  at::Tensor pos_embed;       // [1, class_tokens + N, D]
  LinearWeights patch_embed;  // weight as a matrix, [D, channels * patch * patch]
  std::vector<BlockWeights> blocks;
  NormWeights norm;
};
struct SrsWeights {
  NormWeights norm1;  // of the patch tokens, before the module (official: UDIWrapper.norm1)
  LinearWeights qkv, proj;
  NormWeights norm;  // after the skip
};
struct HeadWeights {
  LinearWeights mlp[3];
  at::Tensor weight_g;  // [K, 1]
  at::Tensor weight_v;  // [K, bottleneck]
};

class Parameters {
 public:
  Parameters() = default;
  // Zeros. dtype is what the weights are kept in: at::kFloat (at::kDouble in tests). precision is what the matrix
  // products run in: the same, or at::kBFloat16, for which a 16-bit copy of all weights is kept beside (refresh()).
  Parameters(const udi_model_config& config, at::ScalarType dtype, at::ScalarType precision, at::Device device);
  // Zeros of the same layout, dtype and device, without a 16-bit copy: for gradients and moments.
  Parameters zeros_like() const;
  // A copy of the weights in another dtype or on another device.
  Parameters to(at::ScalarType dtype, at::ScalarType precision, at::Device device) const;

  at::Tensor flat;  // all weights; the few elements between tensors are 0 and stay so
  const std::vector<ParameterInfo>& entries() const { return *entries_; }     // official named_parameters order
  const at::Tensor& operator[](size_t index) const { return views_[index]; }  // shaped as entries()[index]
  int64_t find(const std::string& name) const;                                // index, or -1
  const at::Tensor& at(const std::string& name) const;                        // UDI_E_NOT_FOUND if absent
  int64_t count() const;                                                      // weights in all, without the gaps

  // Linear weights and biases in `precision`, everything else in `dtype`.
  VitWeights vit;
  SrsWeights srs;    // undefined tensors without include_patch
  HeadWeights head;  // weight_g and weight_v are in dtype

  at::ScalarType dtype() const { return flat.scalar_type(); }
  at::ScalarType precision() const { return flat16_.defined() ? flat16_.scalar_type() : flat.scalar_type(); }
  at::Device device() const { return flat.device(); }
  // The copy of all weights that products read, in flat's layout; undefined where they read the weights themselves.
  const at::Tensor& flat16() const { return flat16_; }

  // Brings the 16-bit copy up to date and forgets what is packed; call it whenever `flat` has changed.
  void refresh();

  // Another number after each refresh(), and for weights of another origin: what was made of weights is good while it stays.
  uint64_t version() const;

  // Packs the backbone's linear layers for the products of packed.h, where they are not packed already: for float32 on
  // the CPU, as much memory again as they take. Otherwise returns false. Copies of the handles share it. Any thread.
  bool pack() const;

  // The same handles with the backbone's linear layers in fewer bits, for float32 on the CPU, where the processor has
  // kernels for these (gemm::narrow): a quarter of their memory in 8 bits (half of it without VNNI), half in bfloat16,
  // taken at the first call and shared by copies of the handles. Any thread. Good until the next refresh().
  Parameters in_bits(gemm::Bits bits) const;

  // The official initialisation. A tensor's draws depend on seed and its place alone. Ends with refresh().
  void initialize(const udi_model_config& config, uint64_t seed);

  // Copies tensors in by name (float kinds of any width). UDI_E_FORMAT, Error::lines: every tensor that is missing,
  // extra or misshapen; with partial, only misshapen ones fail, and what was left out is returned in words, one line
  // each. Ends with refresh().
  std::vector<std::string> load(const std::vector<TensorView>& tensors, bool partial = false);

  // Names with `prefix` before them. The views point into `flat`, which must be on the CPU.
  std::vector<TensorView> views(const std::string& prefix = "") const;

 private:
  void make_views();
  static uint64_t next_version();

  udi_model_config config_{};
  std::shared_ptr<const std::vector<ParameterInfo>> entries_;
  std::vector<at::Tensor> views_;
  at::Tensor flat16_;
  struct Packing {
    std::mutex mutex;
    uint64_t version = next_version();
    std::vector<std::shared_ptr<PackedLinear>> narrow[2];  // of each gemm::Bits, the backbone's layers in their order
  };
  std::shared_ptr<Packing> packing_ = std::make_shared<Packing>();
};

// What is said of tensors that do not fit, and a line of one that has another shape.
constexpr const char* kDoNotFit = "its tensors do not fit the model";
std::string misshapen(const std::string& name, const std::vector<int64_t>& is, const std::vector<int64_t>& must);

// The layout that Parameters have for a configuration.
std::vector<ParameterInfo> parameter_layout(const udi_model_config& config);

}  // namespace udi
