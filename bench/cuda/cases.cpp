#include "cases.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "attention.h"
#include "augment.h"
#include "gelu.h"
#include "inputs.h"
#include "norm.h"
#include "patches.h"
#include "prototypes.h"
#include "srs.h"
#include "update.h"
#include "weight_norm.h"

namespace udi::cuda::bench {

void stop(const char* what, const char* why) {
  std::fprintf(stderr, "bench_cuda: %s: %s\n", what, why);
  std::exit(1);
}

void check(cudaError_t error, const char* what) {
  if (error != cudaSuccess) stop(what, cudaGetErrorString(error));
}

namespace {

// ---- What is timed ----------------------------------------------------------------------------------------

constexpr int64_t kDim = 384, kHidden = 1536, kPrototypes = 65536, kLocals = 10, kWeights = 44'700'000;

const Kernels& kernels() { return *udi_cuda_kernels(); }

void add_norm(std::vector<Timed>& all, int64_t rows) {
  const auto forward = [&](bool branch) {
    NormForwardArgs args{};
    args.rows = rows;
    args.dim = kDim;
    args.rows_per_image = 198;
    args.branch_type = args.out_type = Type::kBFloat16;
    args.epsilon = 1e-6f;
    args.x = floats(rows * kDim);
    args.branch = branch ? numbers(rows * kDim, Type::kBFloat16) : nullptr;
    args.bias = numbers(kDim, Type::kBFloat16);
    args.scale = floats(rows / 198 + 1);
    args.x_out = floats(rows * kDim);
    args.weight = floats(kDim);
    args.shift = floats(kDim);
    args.out = numbers(rows * kDim, Type::kBFloat16);
    args.statistics = floats(rows * 2);
    all.push_back({branch ? "branch + norm" : "norm", shape_text({rows, kDim}), norm_forward(rows, kDim, 2, branch),
                   [args](cudaStream_t s) { return kernels().norm_forward(args, s); }});
  };
  forward(true);
  forward(false);
  NormBackwardArgs args{};
  args.rows = rows;
  args.dim = kDim;
  args.rows_per_image = 198;
  args.d_type = args.rows_type = Type::kBFloat16;
  args.d_out = numbers(rows * kDim, Type::kBFloat16, 1e-3);
  args.x = floats(rows * kDim);
  args.statistics = floats(rows * 2);
  args.weight = floats(kDim);
  args.d_x = floats(rows * kDim, 1e-3);
  args.d_weight = floats(kDim);
  args.d_shift = floats(kDim);
  args.scale = floats(rows / 198 + 1);
  args.d_rows = numbers(rows * kDim, Type::kBFloat16);
  args.d_bias = floats(kDim);
  args.workspace = floats(norm_workspace(rows, kDim));
  all.push_back({"norm + branch backward", shape_text({rows, kDim}), norm_backward(rows, kDim, 2, true),
                 [args](cudaStream_t s) { return kernels().norm_backward(args, s); }});
}

void add_gelu(std::vector<Timed>& all, int64_t rows) {
  const GeluForwardArgs forward{rows,
                                int32_t(kHidden),
                                Type::kBFloat16,
                                numbers(rows * kHidden, Type::kBFloat16),
                                true,
                                numbers(kHidden, Type::kBFloat16, 1e-3),
                                numbers(rows * kHidden, Type::kBFloat16)};
  all.push_back({"bias + GELU", shape_text({rows, kHidden}), gelu_forward(rows, kHidden, 2, true),
                 [forward](cudaStream_t s) { return kernels().gelu_forward(forward, s); }});
  const GeluBackwardArgs backward{rows,
                                  int32_t(kHidden),
                                  Type::kBFloat16,
                                  forward.in,
                                  numbers(rows * kHidden, Type::kBFloat16),
                                  floats(kHidden),
                                  floats(gelu_workspace(rows, kHidden))};
  all.push_back({"GELU backward", shape_text({rows, kHidden}), gelu_backward(rows, kHidden, 2),
                 [backward](cudaStream_t s) { return kernels().gelu_backward(backward, s); }});
}

void add_patches(std::vector<Timed>& all, int64_t images, int32_t side) {
  PatchesArgs args{};
  args.images = images;
  args.channels = 3;
  args.height = args.width = side;
  args.patch = 16;
  args.in_type = Type::kByte;
  args.out_type = Type::kBFloat16;
  args.in = numbers(images * 3 * side * side, Type::kByte);
  args.out = numbers(images * 3 * side * side, Type::kBFloat16);
  for (int c = 0; c < 3; ++c) {
    args.mean[c] = 0.45f;
    args.std[c] = 0.22f;
  }
  all.push_back({"patches", shape_text({images, 3, side, side}), patches(images * 3 * side * side, 1, 2),
                 [args](cudaStream_t s) { return kernels().patches(args, s); }});
}

// Out of images of 500 x 375, one of 12 boxes after the other: half of the crops are blurred, 0.8 jittered, 0.2 gray.
void add_augment(std::vector<Timed>& all, int64_t images, int64_t each, int32_t size, int32_t box) {
  constexpr int32_t kWidth = 500, kHeight = 375;
  std::mt19937 engine(5);
  std::vector<AugmentCrop> crops;
  int64_t taps = 0;
  for (int64_t i = 0; i < images * each; ++i) {
    AugmentCrop crop{};
    crop.image = i % images * kWidth * kHeight * 3;
    crop.image_width = kWidth;
    crop.height = crop.width = box;
    crop.top = int32_t(engine() % unsigned(kHeight - box + 1));
    crop.left = int32_t(engine() % unsigned(kWidth - box + 1));
    crop.mirrored = int32_t(engine() % 2);
    if (engine() % 5 != 0) {
      const float amounts[] = {1.2f, 0.9f, 1.1f, 20};
      crop.ops = 4;
      for (int op = 0; op < 4; ++op) {
        crop.op[op] = ColourOp(op);
        crop.amount[op] = amounts[op];
      }
      std::swap(crop.op[1], crop.op[i % 4]);  // contrast at each place
      std::swap(crop.amount[1], crop.amount[i % 4]);
    }
    if (engine() % 5 == 0) crop.op[crop.ops++] = ColourOp::kGrayscale;
    crop.blur_whole = engine() % 2 == 0 ? 1 : -1;
    crop.blur_inner = 5 << 20;
    crop.blur_outer = 1 << 19;
    for (int64_t& side : crop.taps) {
      side = taps;
      taps += augment_workspace(box, size);
    }
    crops.push_back(crop);
  }
  const int64_t count = int64_t(crops.size());
  const AugmentArgs args{count,
                         3,
                         size,
                         static_cast<const uint8_t*>(numbers(images * kWidth * kHeight * 3, Type::kByte)),
                         items(crops),
                         reinterpret_cast<int32_t*>(bytes(taps * 4)),
                         reinterpret_cast<uint8_t*>(bytes(count * 3 * size * size))};
  all.push_back({"augment", shape_text({images, each, 3, size, size}), augment(count, 3, size, box, box, 0.8, 0.5),
                 [args](cudaStream_t s) { return kernels().augment(args, s); }});
}

// Student rows as in a step: cls, cls_plus and 16 samples of each global crop with a target of their own, cls and
// cls_plus of each local crop with one of each global crop.
void add_prototypes(std::vector<Timed>& all, int64_t batch) {
  const int64_t own = batch * (2 + 2 + 32), locals = batch * 2 * kLocals, rows = own + locals, target_rows = rows;
  std::vector<int32_t> begin = {0}, level;
  std::vector<TargetShare> shares;
  for (int64_t row = 0; row < rows; ++row) {
    level.push_back(int32_t(row % 3));
    shares.push_back({int32_t(row), row < own ? 1.f : 0.5f});
    if (row >= own) shares.push_back({int32_t(row - own), 0.5f});
    begin.push_back(int32_t(shares.size()));
  }
  const float* const centers = floats(3 * kPrototypes, 0.05);
  const float* const temp = items(std::vector<float>{0.05f});
  const void* const logits = numbers(target_rows * kPrototypes, Type::kHalf, 0.1);
  Target* const target = items(std::vector<Target>(static_cast<size_t>(target_rows)));
  const TargetsArgs teacher{target_rows, int32_t(kPrototypes), Type::kHalf, logits, centers, items(level), temp,
                            target,      floats(target_rows)};
  all.push_back({"targets", shape_text({target_rows, kPrototypes}), targets(target_rows, kPrototypes, 2),
                 [teacher](cudaStream_t s) { return kernels().targets(teacher, s); }});
  const CrossEntropyArgs student{rows,         int32_t(kPrototypes),
                                 Type::kHalf,  numbers(rows * kPrototypes, Type::kHalf, 0.1),
                                 items(begin), items(shares),
                                 target,       logits,
                                 centers,      temp,
                                 0.1f,         floats(rows),
                                 floats(rows), nullptr};
  const int64_t shares_twice = 2 * int64_t(shares.size()) / rows;
  all.push_back({"cross-entropy", shape_text({rows, kPrototypes}),
                 cross_entropy(rows, target_rows, kPrototypes, 2, shares_twice),
                 [student](cudaStream_t s) { return kernels().cross_entropy(student, s); }});
}

void add_update(std::vector<Timed>& all) {
  std::vector<Slice> slices;
  for (int64_t at = 0; at < kWeights; at += kSliceElements)
    slices.push_back({at, int32_t(std::min<int64_t>(kSliceElements, kWeights - at)), 0});
  UpdateArgs args{};
  args.slices = int64_t(slices.size());
  args.tensors = 1;
  args.copy_type = Type::kBFloat16;
  args.slice = items(slices);
  args.first_slice = items(std::vector<int32_t>{0, int32_t(slices.size())});
  args.info = items(std::vector<TensorInfo>{{1, 0, 1}});
  args.schedule = items(std::vector<Schedule>{{1e-4, 0.04, 0.996, 0.05, 0}});
  args.clip_grad = 3;
  args.gradient_scale = 1;
  args.beta1 = 0.9;
  args.beta2 = 0.999;
  args.epsilon = 1e-8f;
  args.gradient = floats(kWeights, 1e-3);
  args.weight = floats(kWeights, 0.02);
  args.first = floats(kWeights, 1e-3);
  args.second = floats(kWeights, 0);
  args.teacher = floats(kWeights, 0.02);
  args.weight16 = numbers(kWeights, Type::kBFloat16);
  args.teacher16 = numbers(kWeights, Type::kBFloat16);
  args.updates = items(std::vector<int64_t>{0});
  args.norms = items(std::vector<double>{0, 0});
  args.not_finite = items(std::vector<int32_t>{0});
  args.workspace = items(std::vector<double>(slices.size()));
  args.step = items(std::vector<TensorStep>(1));
  all.push_back({"clip + AdamW + teacher", shape_text({kWeights}), update(kWeights),
                 [args](cudaStream_t s) { return kernels().update(args, s); }});
}

void add_weight_norm(std::vector<Timed>& all) {
  const WeightNormArgs forward{kPrototypes,         256,
                               Type::kHalf,         floats(kPrototypes * 256),
                               floats(kPrototypes), numbers(kPrototypes * 256, Type::kHalf)};
  all.push_back({"weight norm", shape_text({kPrototypes, 256}), weight_norm(kPrototypes, 256, 2),
                 [forward](cudaStream_t s) { return kernels().weight_norm(forward, s); }});
  const WeightNormBackwardArgs backward{kPrototypes,        256, forward.v, forward.g, floats(kPrototypes * 256),
                                        floats(kPrototypes)};
  all.push_back({"weight norm backward", shape_text({kPrototypes, 256}), weight_norm_backward(kPrototypes, 256),
                 [backward](cudaStream_t s) { return kernels().weight_norm_backward(backward, s); }});
}

void add_srs(std::vector<Timed>& all, int64_t images) {
  const int64_t tokens = 196;
  const auto index = [&](int64_t count) {
    std::mt19937 engine(3);
    std::vector<int64_t> out;
    for (int64_t i = 0; i < count; ++i) out.push_back(engine() % tokens);
    return items(out);
  };
  const int64_t queries = 16 + 9 * kLocals;  // the teacher's: bilinear
  const SrsGatherArgs gather{images,
                             int32_t(tokens),
                             int32_t(queries),
                             4,
                             int32_t(kDim),
                             Type::kBFloat16,
                             numbers(images * tokens * kDim, Type::kBFloat16),
                             index(images * queries * 4),
                             floats(images * queries * 4),
                             numbers(images * queries * kDim, Type::kBFloat16),
                             floats(images * queries)};
  all.push_back({"SRS gather", shape_text({images, queries, 4, kDim}), srs_gather(images, tokens, queries, 4, kDim, 2),
                 [gather](cudaStream_t s) { return kernels().srs_gather(gather, s); }});
  const SrsScatterArgs scatter{images,
                               int32_t(tokens),
                               16,
                               1,
                               int32_t(kDim),
                               Type::kBFloat16,
                               numbers(images * 16 * kDim, Type::kBFloat16),
                               index(images * 16),
                               floats(images * 16),
                               numbers(images * tokens * kDim, Type::kBFloat16)};
  all.push_back({"SRS scatter", shape_text({images, 16, 1, kDim}), srs_scatter(images, tokens, 16, 1, kDim, 2),
                 [scatter](cudaStream_t s) { return kernels().srs_scatter(scatter, s); }});
}

// Crops of several lengths in one call; asking: queries of each crop, 0: all its rows, with one matrix for all three.
void add_attention(std::vector<Timed>& all, const std::vector<int32_t>& lengths, int32_t asking) {
  std::vector<int32_t> query_begin = {0}, key_begin = {0};
  int64_t pairs = 0;
  for (const int32_t length : lengths) {
    const int32_t queries = asking ? asking : length;
    query_begin.push_back(query_begin.back() + queries);
    key_begin.push_back(key_begin.back() + length);
    pairs += int64_t(queries) * length;
  }
  const int64_t queries = query_begin.back(), keys = key_begin.back(), heads = kDim / 64, parts = asking ? 2 : 3;
  const auto matrix = [&](int64_t rows, int64_t columns) {
    return static_cast<char*>(numbers(rows * columns, Type::kBFloat16));
  };
  char *const key = matrix(keys, parts * kDim), *const d_key = matrix(keys, parts * kDim);
  const int64_t part = kDim * 2, first = asking ? 0 : part;  // bytes of a part's row; where keys begin
  AttentionArgs args{};
  args.queries = queries;
  args.keys = keys;
  args.crops = int32_t(lengths.size());
  args.heads = int32_t(heads);
  args.dim = 64;
  args.type = Type::kBFloat16;
  args.query_begin = items(query_begin);
  args.key_begin = items(key_begin);
  args.query = asking ? matrix(queries, kDim) : key;
  args.key = key + first;
  args.value = key + first + part;
  args.query_stride = asking ? kDim : parts * kDim;
  args.key_stride = parts * kDim;
  args.out = matrix(queries, kDim);
  args.log_sum = floats(heads * queries);
  all.push_back({"attention", shape_text({queries, keys, heads, 64}), attention(queries, keys, pairs, heads, 64, 2),
                 [args](cudaStream_t s) { return kernels().attention(args, s); }});
  const AttentionBackwardArgs backward{
      args,          matrix(queries, kDim), asking ? matrix(queries, kDim) : d_key,
      d_key + first, d_key + first + part,  floats(attention_workspace(heads, queries))};
  all.push_back({"attention backward", shape_text({queries, keys, heads, 64}),
                 attention_backward(queries, keys, pairs, heads, 64, 2),
                 [backward](cudaStream_t s) { return kernels().attention_backward(backward, s); }});
}

void add_copy(std::vector<Timed>& all) {
  const int64_t size = int64_t(1) << 30;
  char *const from = bytes(size), *const to = bytes(size);
  check(cudaMemset(from, 0x5a, size_t(size)), "cudaMemset");
  all.push_back(
      {"copy", shape_text({size}), {2 * size, 0}, [=](cudaStream_t s) {
         const cudaError_t error = cudaMemcpyAsync(to, from, size_t(size), cudaMemcpyDeviceToDevice, s);
         return error == cudaSuccess ? udi_cuda_status{0, "done"} : udi_cuda_status{2, cudaGetErrorString(error)};
       }});
}

}  // namespace

std::vector<Timed> all_cases(int64_t batch) {
  std::vector<Timed> all;
  add_copy(all);
  add_norm(all, batch * 2 * 198);
  add_norm(all, batch * kLocals * 38);
  add_gelu(all, batch * 2 * 198);
  add_gelu(all, batch * kLocals * 38);
  add_patches(all, batch * 2, 224);
  add_patches(all, batch * kLocals, 96);
  add_augment(all, batch, 2, 224, 333);
  add_augment(all, batch, kLocals, 96, 168);
  add_prototypes(all, batch);
  add_update(all);
  add_weight_norm(all);
  add_srs(all, batch * 2);
  const size_t globals = size_t(batch * 2), locals = size_t(batch * kLocals);
  std::vector<int32_t> crops(globals, 198);
  add_attention(all, crops, 0);
  add_attention(all, std::vector<int32_t>(locals, 38), 0);
  add_attention(all, std::vector<int32_t>(locals, 38), 2);
  crops.insert(crops.end(), locals, 38);
  add_attention(all, crops, 0);
  return all;
}

}  // namespace udi::cuda::bench
