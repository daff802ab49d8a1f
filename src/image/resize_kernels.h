// The two passes over bytes, one implementation a kind of processor, all with the same bits.
//
// Pixels that are summed lie in groups of 1, 2 or 4 neighbours along the summed axis, because the processors' products
// of bytes add up neighbours: pixel (x, y) of a plane [x / group][y][group] has its byte at
// x / group * pitch + y * group + x % group.
#pragma once

#include <cstddef>
#include <cstdint>

namespace udi {

// As ResizeTaps, but every output is summed from as many groups: weights of pixels that are not its own are 0. Plain
// pointers, so that a kernel's file, compiled for its processor, holds no function that other files might use.
struct GroupTaps {
  int outputs, groups;
  const int32_t* first;  // group, of each output; as of the next multiple of kOutputsAtOnce outputs, which are not used
  const int32_t* weights;  // [outputs, groups, ints_a_group], in the form that the kernel wants; as many more outputs
};

struct ResizeKernels {
  int group;         // pixels
  int ints_a_group;  // of packed weights

  // One output's weights [groups * group] times 2^22 become [groups, ints_a_group].
  void (*pack)(const int32_t* weights, int groups, int32_t* packed);
  // in: a plane in groups along x. out: [y / group][output][group], y < height; has room for kRowsAtOnce - 1 more rows
  // and kOutputsAtOnce - 1 more outputs; kRowsAtOnce - 1 rows below in's last one are read.
  void (*first_pass)(const uint8_t* in, size_t in_pitch, const GroupTaps& taps, int height, uint8_t* out,
                     size_t out_pitch);
  // in: first_pass's out. out: [output][x], x < width, without gaps.
  void (*second_pass)(const uint8_t* in, size_t in_pitch, const GroupTaps& taps, int width, uint8_t* out);
};

constexpr int kRowsAtOnce = 32;  // of every kernel, or a divisor of it
constexpr int kOutputsAtOnce = 16;

const ResizeKernels& resize_kernels();  // for processor()

extern const ResizeKernels kResizeAny, kResizeAvx2, kResizeVnni;

}  // namespace udi
