// Bytes of pixels change their order: channels apart, rows to columns.
#pragma once

#include <cstddef>
#include <cstdint>

namespace udi {

// One row [width, channels] becomes rows [channels][width], `pitch` bytes apart.
void split_channels(const uint8_t* row, int width, int channels, uint8_t* out, size_t pitch);

// out[x][y] = in[y][x] for x < width, y < height, both rounded up to a multiple of 16: both sides have room for that.
// Pitches are the bytes from one row to the next.
void transpose(const uint8_t* in, size_t in_pitch, int width, int height, uint8_t* out, size_t out_pitch);

// The same for groups of 1, 2 or 4 neighbours in a row, which stay together: out[x / group][y][group]. width counts
// bytes.
void transpose_groups(const uint8_t* in, size_t in_pitch, int width, int height, int group, uint8_t* out,
                      size_t out_pitch);

// in [x / group][y][group] becomes out [y / group][x][group], for whole groups: width and height are rounded up to
// them.
void turn_groups(const uint8_t* in, size_t in_pitch, int width, int height, int group, uint8_t* out, size_t out_pitch);

}  // namespace udi
