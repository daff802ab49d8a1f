#include "model/extract.h"

#include <ATen/Parallel.h>
#include <omp.h>

#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "model/extractor.h"

namespace udi {

namespace {

// Where no batch size is asked for: enough to fill the cores of a CPU, the processors of a GPU.
constexpr int64_t kTokensAtOnce = 8 * 198, kTokensOnDevice = 128 * 198;
constexpr size_t kSlots = 2;

gemm::Bits bits_of(udi_precision precision) {
  return precision == UDI_PRECISION_INT8 ? gemm::Bits::kInt8 : gemm::Bits::kBf16;
}

void check_precision(const Parameters& weights, udi_precision precision) {
  const bool int8 = precision == UDI_PRECISION_INT8;
  const char* const name = int8 ? "int8" : "bfloat16";
  check(weights.precision() == at::kFloat, UDI_E_UNSUPPORTED, "precision is ", name, ", the weights are ",
        c10::toString(weights.precision()), ": extraction in fewer bits starts from float32");
  if (!weights.device().is_cpu()) {
    check(!int8, UDI_E_UNSUPPORTED, "precision is int8, the model is on ", weights.device().str(),
          ": int8 is for the CPU. Take bfloat16");
    return;
  }
  check(gemm::narrow(bits_of(precision)), UDI_E_UNSUPPORTED, "precision is ", name,
        ", and this processor has no instructions for it (AVX-512 BF16): it would be several times slower than "
        "float32. Take float32 or int8");
}

void check_options(const Model& model, const udi_extract_config& o) {
  check(o.token >= UDI_TOKEN_CLS && o.token <= UDI_TOKEN_PATCHES, UDI_E_INVALID, "token is ", o.token,
        ", must be 1 to 5");
  check(model.config.class_tokens == 2 || (o.token != UDI_TOKEN_CLS_PLUS && o.token != UDI_TOKEN_BOTH), UDI_E_INVALID,
        "token is cls_plus or both, and the model has one class token");
  const int64_t depth = model.config.depth;
  check(o.block >= 0 && o.block < depth, UDI_E_INVALID, "block is ", o.block, ", must be 0 (the last) to ", depth - 1);
  check(o.num_blocks >= 1 && o.block + int64_t(o.num_blocks) <= depth, UDI_E_INVALID, "num_blocks is ", o.num_blocks,
        ", must be 1 to ", depth - o.block, " (the model has ", depth, " blocks, and block is ", o.block, ")");
  check(o.normalize == 0 || o.normalize == 1, UDI_E_INVALID, "normalize is ", o.normalize, ", must be 0 or 1");
  check(o.batch_size >= 0, UDI_E_INVALID, "batch_size is ", o.batch_size, ", must be at least 0");
  check(o.precision >= UDI_PRECISION_F32 && o.precision <= UDI_PRECISION_INT8, UDI_E_INVALID, "precision is ",
        o.precision, ", must be 0 (float32), 1 (bfloat16) or 2 (int8)");
  if (o.precision != UDI_PRECISION_F32) check_precision(model.weights, o.precision);
}

// The weights that extraction computes with, options checked: the model's own, or in fewer bits.
Parameters weights_for(const Model& model, const udi_extract_config& o) {
  check_options(model, o);
  const at::Device device = model.weights.device();
  if (o.precision == UDI_PRECISION_F32) return model.weights;
  if (device.is_cpu()) return model.weights.in_bits(bits_of(o.precision));
  return model.weights.to(at::kFloat, at::kBFloat16, device);
}

// The token of normed tokens [B, T, D].
at::Tensor pick(const at::Tensor& tokens, udi_token token, int64_t classes) {
  switch (token) {
    case UDI_TOKEN_CLS:
      return tokens.select(1, 0);
    case UDI_TOKEN_CLS_PLUS:
      return tokens.select(1, 1);
    case UDI_TOKEN_BOTH:
      return tokens.narrow(1, 0, 2).flatten(1);
    case UDI_TOKEN_PATCH_MEAN:
      return tokens.narrow(1, classes, tokens.size(1) - classes).mean(1);
  }
  return tokens.narrow(1, classes, tokens.size(1) - classes);
}

// Products on this thread, also where it is not one of several: how they round depends on the number, too.
struct OneThread {
  OneThread() {
    at::get_num_threads();  // whose first call in a thread sets the number
    omp_set_num_threads(1);
  }
  ~OneThread() { omp_set_num_threads(found); }
  const int found = omp_get_max_threads();
};

at::Tensor normed_rows(const at::Tensor& rows) {
  return rows.div(at::linalg_vector_norm(rows, 2, at::IntArrayRef{-1}, true).clamp_min_(1e-12));
}

int64_t images_in(const std::vector<at::Tensor>& batches) {
  return std::accumulate(batches.begin(), batches.end(), int64_t(0),
                         [](int64_t sum, const at::Tensor& batch) { return sum + batch.size(0); });
}

}  // namespace

int64_t extraction_bytes(const udi_model_config& c, udi_precision precision) {
  const gemm::Narrow* const narrow = precision == UDI_PRECISION_F32 ? nullptr : gemm::narrow(bits_of(precision));
  const auto layer = [&](int64_t in, int64_t out) {
    return narrow ? NarrowLinear::bytes(*narrow, in, out)
                  : int64_t(sizeof(float)) * gemm::packed_size(gemm::kernels(), in, out);
  };
  const int64_t dim = c.embed_dim, hidden = hidden_dim(c);
  const int64_t block = layer(dim, 3 * dim) + layer(dim, dim) + layer(dim, hidden) + layer(hidden, dim);
  return layer(int64_t(c.channels) * c.patch_size * c.patch_size, dim) + c.depth * block;
}

int64_t images_at_once(const Model& model, const udi_extract_config& options, int64_t patches) {
  if (options.batch_size > 0) return options.batch_size;
  const int64_t fitting = model.weights.device().is_cpu() ? kTokensAtOnce : kTokensOnDevice;
  return std::max<int64_t>(1, fitting / (patches + model.config.class_tokens));
}

at::Tensor channels_first(const Model& model, const at::Tensor& images, udi_layout layout) {
  check(images.dim() == 4, UDI_E_SHAPE, "images have ", images.dim(), " dimensions, must have 4");
  check(layout == UDI_NCHW || layout == UDI_NHWC, UDI_E_INVALID, "layout is ", layout,
        ", must be UDI_NCHW (1) or UDI_NHWC (2)");
  check(images.scalar_type() == at::kByte || images.scalar_type() == model.weights.dtype(), UDI_E_SHAPE,
        "images must be uint8 or float32");
  const at::Tensor moved = layout == UDI_NHWC ? images.permute({0, 3, 1, 2}) : images;
  const int64_t patch = model.config.patch_size;
  check(moved.size(0) >= 1, UDI_E_SHAPE, "there are no images");
  check(moved.size(1) == model.config.channels, UDI_E_SHAPE, "images have ", moved.size(1), " channels, the model has ",
        model.config.channels);
  check(moved.size(2) >= patch && moved.size(3) >= patch && moved.size(2) % patch == 0 && moved.size(3) % patch == 0,
        UDI_E_SHAPE, "images are ", moved.size(2), " x ", moved.size(3),
        " pixels; height and width must be multiples of patch_size, ", patch);
  return moved;
}

Extraction::Extraction(const Model& model, const udi_extract_config& options, const Host* host, int64_t patches,
                       Way way)
    : model_(model),
      options_(options),
      weights_(weights_for(model, options)),
      host_(host),
      computing_(current_stream(model.weights.device())),
      up_(pool_stream(model.weights.device())),
      down_(pool_stream(model.weights.device())),
      vit_(model.config, weights_),
      replay_(model.weights.device()) {
  const bool cpu = model.weights.device().is_cpu(), deterministic = host && host->deterministic;
  // By itself a picture goes through products of the same shapes every time. ATen's round as the size of a batch has
  // it. Ours do not (packed.h), and a picture by itself stays in the cache.
  packed_ = options.precision != UDI_PRECISION_F32 || model.weights.pack();
  alone_ = packed_ || deterministic;
  staged_ = way == Way::kStaged || (way == Way::kChosen && !cpu && !deterministic);
  capacity_ = images_at_once(model, options, patches);
  if (staged_) slots_.resize(kSlots);
}

Extraction::~Extraction() {
  try {
    for (const Slot& slot : slots_) {
      slot.computed.wait();
      slot.returned.wait();
    }
  } catch (const std::exception&) {  // of a device that has failed: nothing more runs on it
  }
}

void Extraction::push(const std::vector<at::Tensor>& batches) {
  if (host_) host_->check_cancel();
  check(!full(), UDI_E_INTERNAL, "rows must be taken before more images come");
  check(batches.size() == 1 || options_.token != UDI_TOKEN_PATCHES, UDI_E_INTERNAL,
        "patches of several sizes are not rows of one width");
  const int64_t images = images_in(batches);
  if (!staged_) {
    queue_.push_back({nullptr, compute_here(batches), images});
    return;
  }
  check(images <= capacity_, UDI_E_INTERNAL, images, " images where ", capacity_, " fit");
  Slot& slot = slots_[next_];
  const std::vector<at::Tensor> uploaded = upload(batches, slot);
  slot.uploaded.hold(computing_);
  slot.rows = compute_staged(uploaded);
  slot.computed.set(computing_);
  slot.computed.hold(down_);
  {
    const c10::StreamGuard guard(down_);
    const bool pinned = !slot.rows.is_cpu();
    slot.back.make(slot.rows.sizes(), at::TensorOptions(at::kFloat).pinned_memory(pinned)).copy_(slot.rows, pinned);
  }
  slot.returned.set(down_);
  queue_.push_back({&slot, {}, images});
  next_ = (next_ + 1) % slots_.size();
}

at::Tensor Extraction::pop() {
  check(!queue_.empty(), UDI_E_INTERNAL, "nothing was pushed");
  const Queued oldest = queue_.front();
  queue_.pop_front();
  if (!oldest.slot) return oldest.rows;
  oldest.slot->returned.wait();
  const at::Tensor rows = (*oldest.slot->back).narrow(0, 0, oldest.images).clone();
  return options_.normalize ? normed_rows(rows) : rows;
}

// Into the slot's memory on the device. Of one size: as many as fit, black ones behind those that there are.
std::vector<at::Tensor> Extraction::upload(const std::vector<at::Tensor>& batches, Slot& slot) {
  const at::Device device = model_.weights.device();
  std::vector<std::vector<int64_t>> shapes;
  int64_t elements = 0;
  for (const at::Tensor& batch : batches) {
    check(batch.scalar_type() == batches[0].scalar_type(), UDI_E_INTERNAL, "images of two types in one batch");
    shapes.push_back(batch.sizes().vec());
    if (batches.size() == 1) shapes[0][0] = capacity_;
    elements += c10::multiply_integers(shapes.back());
  }
  const bool there = batches[0].device() == device && !device.is_cpu(), pinned = !device.is_cpu();
  const at::TensorOptions options(batches[0].scalar_type());
  {
    const c10::StreamGuard guard(up_);  // whose memory it is: that of the computing stream may be in use there still
    slot.images.make({elements}, options.device(device));
  }
  at::Tensor images = *slot.images;
  const at::Tensor& staging = there ? images : slot.staging.make({elements}, options.pinned_memory(pinned));
  int64_t first = 0;
  for (size_t i = 0; i < batches.size(); ++i) {  // the slot's last push is complete: its rows were taken
    const int64_t used = batches[i].numel(), padded = c10::multiply_integers(shapes[i]);
    staging.narrow(0, first, used).view(batches[i].sizes()).copy_(batches[i]);
    staging.narrow(0, first + used, padded - used).zero_();
    first += padded;
  }
  if (!there) {
    const c10::StreamGuard guard(up_);
    images.copy_(staging, pinned);
    slot.uploaded.set(up_);
  }
  std::vector<at::Tensor> uploaded;
  first = 0;
  for (const std::vector<int64_t>& shape : shapes) {
    const int64_t size = c10::multiply_integers(shape);
    uploaded.push_back(images.narrow(0, first, size).view(shape));
    first += size;
  }
  return uploaded;
}

at::Tensor Extraction::compute_here(const std::vector<at::Tensor>& batches) {
  const int64_t at_once = alone_ ? 1 : capacity_;
  std::vector<int64_t> first_piece = {0};  // of each batch; views of pieces are made as they come: a batch may be huge
  for (const at::Tensor& batch : batches) {
    first_piece.push_back(first_piece.back() + (batch.size(0) + at_once - 1) / at_once);
  }
  const auto piece = [&](int64_t i) {
    const auto behind = std::upper_bound(first_piece.begin(), first_piece.end(), i);
    const at::Tensor& batch = batches[size_t(behind - first_piece.begin()) - 1];
    const int64_t first = (i - *(behind - 1)) * at_once;
    return batch.narrow(0, first, std::min(at_once, batch.size(0) - first));
  };
  const at::Device device = model_.weights.device();
  const int64_t count = first_piece.back();
  std::vector<at::Tensor> parts(static_cast<size_t>(count));
  const auto run = [&](Vit& vit, int64_t i) {
    if (host_) host_->check_cancel();
    const at::Tensor rows = compute(vit, {piece(i).to(device).contiguous()}).to(at::kCPU, at::kFloat);
    parts[size_t(i)] = options_.normalize ? normed_rows(rows) : rows.clone();
  };
  if (alone_ && device.is_cpu() && (!packed_ || count >= at::get_num_threads())) {
    at::parallel_for(0, count, 1, [&](int64_t begin, int64_t end) {
      const OneThread products;
      Vit vit(model_.config, weights_);
      for (int64_t i = begin; i < end; ++i) run(vit, i);
    });
  } else {
    for (int64_t i = 0; i < count; ++i) run(vit_, i);
  }
  return at::cat(parts).contiguous();
}

// The same in memory of the result's own: the Vit's buffers, and what is replayed, are the next batch's.
at::Tensor Extraction::compute_staged(const std::vector<at::Tensor>& batches) {
  if (!kernels::graphs()) return compute(vit_, batches).to(at::kFloat).clone();
  std::vector<std::vector<int64_t>> shapes;
  int64_t elements = 0;
  for (const at::Tensor& batch : batches) {
    shapes.push_back(batch.sizes().vec());
    elements += batch.numel();
  }
  const Replay::Scope scope(replay_);
  const at::Tensor before = *input_;
  const at::Tensor input = input_.make({elements}, batches[0].options());
  const bool same = shapes == shapes_ && before.defined() && before.scalar_type() == input.scalar_type();
  shapes_ = std::move(shapes);
  std::vector<at::Tensor> in;
  int64_t first = 0;
  for (const at::Tensor& batch : batches) {
    in.push_back(input.narrow(0, first, batch.numel()).view(batch.sizes()).copy_(batch));
    first += batch.numel();
  }
  replay_.run(same, [this, in] {
    const at::Tensor rows = compute(vit_, in);
    rows_.make(rows.sizes(), rows.options().dtype(at::kFloat)).copy_(rows);
  });
  return (*rows_).clone();
}

// Rows of images that are on the device: [n, ...], in their order.
at::Tensor Extraction::compute(Vit& vit, const std::vector<at::Tensor>& batches) const {
  const int64_t classes = model_.config.class_tokens, dim = model_.config.embed_dim, depth = model_.config.depth;
  const NormWeights& norm = model_.weights.vit.norm;
  const bool cls_alone = options_.token <= UDI_TOKEN_BOTH && options_.block == 0 && options_.num_blocks == 1;
  std::vector<std::vector<at::Tensor>> blocks(batches.size());
  std::vector<VitBatch> in;
  for (size_t i = 0; i < batches.size(); ++i) {
    VitOptions options;
    options.pixels = Pixels::kNormalized;
    options.class_tokens_only = cls_alone;
    if (!cls_alone) options.blocks = &blocks[i];
    in.push_back({batches[i], options});
  }
  const std::vector<VitOutput> seen = vit.forward(in);
  std::vector<at::Tensor> rows;
  for (size_t i = 0; i < batches.size(); ++i) {
    if (cls_alone) {
      rows.push_back(pick(seen[i].cls, options_.token, classes));
      continue;
    }
    std::vector<at::Tensor> parts;
    for (int64_t b = depth - options_.block - options_.num_blocks; b < depth - options_.block; ++b) {
      const at::Tensor normed = at::layer_norm(blocks[i][size_t(b)], {dim}, norm.weight, norm.bias, kNormEpsilon);
      parts.push_back(pick(normed, options_.token, classes));
    }
    rows.push_back(at::cat(parts, -1));
  }
  return rows.size() == 1 ? rows[0] : at::cat(rows);
}

at::Tensor Model::extract(const at::Tensor& images, udi_layout layout, const udi_extract_config& options,
                          const Host* host) const {
  return Extractor().extract(*this, images, layout, options, host);
}

}  // namespace udi
