#include "check.h"
#include "memory.h"
#include "patches.h"
#include "twins.h"

namespace udi::cuda::test {

namespace {

void check_patches(int64_t images, int32_t channels, int32_t height, int32_t width, int32_t patch, Type in_type,
                   Type out_type, bool normalized = false, bool shifted = false) {
  Draw draw(uint64_t(images * height + width));
  Numbers in;
  for (int64_t i = 0; i < images * channels * height * width; ++i)
    in.push_back(in_type == Type::kByte ? double(draw.below(256)) : double(float(draw.uniform())));
  const Array pixels(in_type, in, shifted), out(out_type, Numbers(in.size()), shifted);
  PatchesArgs args{};
  args.images = images;
  args.channels = channels;
  args.height = height;
  args.width = width;
  args.patch = patch;
  args.in_type = in_type;
  args.out_type = out_type;
  args.normalized = normalized;
  args.in = pixels.at();
  args.out = out.at();
  float zero[16] = {}, one[16];
  for (int c = 0; c < 16; ++c) {
    args.mean[c] = 0.4f + 0.01f * float(c);
    args.std[c] = 0.2f + 0.01f * float(c);
    one[c] = 1;
  }
  EXPECT_DONE(kernels().patches(args, nullptr));
  const Numbers want = twins::patches(images, channels, height, width, patch, in_type == Type::kByte, in,
                                      normalized ? zero : args.mean, normalized ? one : args.std);
  EXPECT_CLOSE(out.get(), rounded(want, out_type), 0, 0);  // to the bit
}

}  // namespace

CUDA_TEST(patches_of_all_types) {
  for (const Type in : {Type::kByte, Type::kFloat})
    for (const Type out : {Type::kFloat, Type::kHalf, Type::kBFloat16}) {
      check_patches(2, 3, 32, 48, 16, in, out);
      check_patches(3, 1, 14, 21, 7, in, out);
    }
}

CUDA_TEST(patches_of_odd_shapes) {
  check_patches(1, 16, 8, 8, 8, Type::kByte, Type::kHalf);
  check_patches(1, 2, 3, 5, 1, Type::kByte, Type::kHalf);
  check_patches(2, 3, 16, 16, 16, Type::kByte, Type::kBFloat16, true);
  check_patches(2, 3, 16, 16, 16, Type::kFloat, Type::kFloat, true);
  check_patches(2, 3, 32, 32, 16, Type::kByte, Type::kHalf, false, true);
  check_patches(2, 3, 32, 32, 16, Type::kFloat, Type::kHalf, false, true);
}

CUDA_TEST(patches_says_what_is_wrong) {
  PatchesArgs args{};
  EXPECT(kernels().patches(args, nullptr).code == 1);
  args.channels = 3;
  args.patch = 16;
  args.height = args.width = 32;
  args.in_type = Type::kByte;
  EXPECT_DONE(kernels().patches(args, nullptr));  // no images
  args.width = 33;
  EXPECT(kernels().patches(args, nullptr).code == 1);
  args.width = 32;
  args.in_type = Type::kHalf;
  EXPECT(kernels().patches(args, nullptr).code == 1);
}

}  // namespace udi::cuda::test
