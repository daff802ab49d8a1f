#include "jobs/rows.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"
#include "base/safetensors.h"

namespace udi {
namespace {

constexpr size_t kHeaderRoom = 512;  // a shape of 8 numbers and a name of 64 bytes need less; a multiple of 64
constexpr char kNpyMagic[] = "\x93NUMPY";

bool ends_with(const std::string& text, const std::string& end) {
  return text.size() > end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

}  // namespace

void check_row_path(const std::string& path) {
  check(ends_with(path, ".npy") || ends_with(path, ".safetensors"), UDI_E_INVALID, path,
        ": features are written to a file that ends in .npy or .safetensors");
}

std::string paths_file(const std::string& feature_file) {
  return std::filesystem::path(feature_file).replace_extension(".paths.txt").string();
}

RowWriter::RowWriter(const std::string& path, std::vector<int64_t> shape, const std::string& name)
    : path_(path), temporary_(text(path, ".tmp", ::getpid())), name_(name), shape_(std::move(shape)) {
  check_row_path(path);
  npy_ = ends_with(path, ".npy");
  for (const int64_t size : shape_) row_elements_ *= size;
  fd_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd_ < 0) fail_errno(temporary_, ": cannot be created");
  if (::lseek(fd_, kHeaderRoom, SEEK_SET) < 0) {
    const int code = errno;
    ::close(fd_);
    ::unlink(temporary_.c_str());
    errno = code;
    fail_errno(temporary_, ": cannot be written");
  }
}

RowWriter::~RowWriter() {
  if (fd_ < 0) return;
  ::close(fd_);
  ::unlink(temporary_.c_str());
}

void RowWriter::write(const void* data, size_t size) {
  const char* at = static_cast<const char*>(data);
  while (size > 0) {
    const ssize_t written = ::write(fd_, at, size);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail_errno(path_, ": cannot be written");
    at += written;
    size -= size_t(written);
  }
}

void RowWriter::append(const float* rows, int64_t count) {
  write(rows, size_t(count * row_elements_) * sizeof(float));
  rows_ += count;
}

std::string RowWriter::header() const {
  std::vector<int64_t> shape = shape_;
  shape.insert(shape.begin(), rows_);
  std::string head;
  if (npy_) {
    std::string tuple;
    for (const int64_t size : shape) tuple += text(size, ", ");
    const uint16_t length = kHeaderRoom - 10;
    head.assign(kNpyMagic, 6);
    head += {'\1', '\0', char(length & 0xFF), char(length >> 8)};
    head += "{'descr': '<f4', 'fortran_order': False, 'shape': (" + tuple + "), }";
    head.resize(kHeaderRoom - 1, ' ');
    return head + '\n';
  }
  const uint64_t length = kHeaderRoom - 8, bytes = uint64_t(rows_) * row_elements_ * sizeof(float);
  nlohmann::json object = {{name_, {{"dtype", "F32"}, {"shape", shape}, {"data_offsets", {0, bytes}}}}};
  head.assign(reinterpret_cast<const char*>(&length), 8);
  head += object.dump();
  head.resize(kHeaderRoom, ' ');
  return head;
}

void RowWriter::finish() {
  const std::string head = header();
  if (::lseek(fd_, 0, SEEK_SET) < 0) fail_errno(path_, ": cannot be written");
  write(head.data(), head.size());
  if (::fsync(fd_) != 0) fail_errno(path_, ": cannot be synced");
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail_errno(path_, ": cannot be replaced");
  ::close(fd_);
  fd_ = -1;
}

NpyHeader parse_npy_header(const std::string& name, const uint8_t* data, size_t size) {
  try {
    const NpyHeader header = read_npy_header(data, size);
    check(header.shape.size() <= 8, UDI_E_FORMAT, "the .npy file has ", header.shape.size(),
          " dimensions, at most 8 can be");
    uint64_t bytes = header.dtype == UDI_U8 ? 1 : header.dtype == UDI_U16 ? 2 : 4;
    for (const int64_t extent : header.shape) {
      check(extent == 0 || bytes <= size / uint64_t(extent), UDI_E_FORMAT, "the .npy file is smaller than its shape");
      bytes *= uint64_t(extent);
    }
    check(bytes == size - header.offset, UDI_E_FORMAT, "the .npy file says that it holds ", bytes,
          " bytes of values, but has ", size - header.offset);
    return header;
  } catch (const Error& error) {
    fail(error.status, name, ": ", error.message);
  }
}

namespace {

Rows as_rows(const std::string& path, const std::vector<int64_t>& shape, const void* data) {
  check(shape.size() == 2, UDI_E_FORMAT, path, ": features have two dimensions, these have ", shape.size());
  Rows rows;
  rows.count = shape[0];
  rows.width = shape[1];
  rows.values.resize(size_t(rows.count * rows.width));
  if (!rows.values.empty()) std::memcpy(rows.values.data(), data, rows.values.size() * sizeof(float));
  return rows;
}

}  // namespace

Rows read_rows(const std::string& path, const FormatLimits& limits) {
  check_row_path(path);
  if (ends_with(path, ".npy")) {
    const MappedFile file(path);
    const NpyHeader header = parse_npy_header(path, file.data(), file.size());
    check(header.dtype == UDI_F32, UDI_E_FORMAT, path, ": features are float32, these values are ",
          dtype_name(header.dtype));
    return as_rows(path, header.shape, file.data() + header.offset);
  }
  const SafetensorsFile file(path, SafetensorsFile::limits_of(limits));
  check(file.tensors().size() == 1, UDI_E_FORMAT, path, ": feature files hold one tensor, this one ",
        file.tensors().size());
  const TensorView& tensor = file.tensors()[0];
  check(tensor.dtype == UDI_F32, UDI_E_FORMAT, path, ": ", tensor.name, " is not F32");
  return as_rows(path, tensor.shape, tensor.data);
}

}  // namespace udi
