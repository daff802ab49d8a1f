// Feature files, written row by row: the number of rows is known at the end (an image may turn out unreadable), so the
// header gets a fixed room at the front that is filled last. A crash leaves the old file or the new one.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/limits.h"
#include "image/npy.h"

namespace udi {

class RowWriter {
 public:
  // path ends in .npy or .safetensors (UDI_E_INVALID otherwise). shape: of one row, float32. name: the tensor's in
  // safetensors. UDI_E_IO.
  RowWriter(const std::string& path, std::vector<int64_t> shape, const std::string& name);
  ~RowWriter();  // without finish(): nothing is left behind
  RowWriter(const RowWriter&) = delete;
  RowWriter& operator=(const RowWriter&) = delete;

  void append(const float* rows, int64_t count);
  int64_t rows() const { return rows_; }

  // Writes the header, syncs, and puts the file in its place.
  void finish();

 private:
  std::string header() const;
  void write(const void* data, size_t size);

  std::string path_, temporary_, name_;
  std::vector<int64_t> shape_;
  int64_t row_elements_ = 1, rows_ = 0;
  bool npy_ = false;
  int fd_ = -1;
};

// UDI_E_INVALID unless path ends in .npy or .safetensors.
void check_row_path(const std::string& path);

// NAME.paths.txt beside NAME.npy or NAME.safetensors.
std::string paths_file(const std::string& feature_file);

// A feature file read back: two-dimensional float32 rows. UDI_E_FORMAT names what is wrong with it.
struct Rows {
  int64_t count = 0, width = 0;
  std::vector<float> values;
};
Rows read_rows(const std::string& path, const FormatLimits& limits = {});

// Of a whole .npy file in memory, called `name`: at most 8 dimensions, the values all there and nothing behind them.
// UDI_E_FORMAT.
NpyHeader parse_npy_header(const std::string& name, const uint8_t* data, size_t size);

}  // namespace udi
