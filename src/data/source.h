// Where images come from: a folder, a list file, tar shards. Every image has a number; numbers follow the bytewise
// order of names, whatever the source.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/host.h"
#include "base/limits.h"
#include "data/skips.h"

namespace udi {

class Bytes;
class CacheFile;

class ImageSource {
 public:
  struct Options {
    uint64_t max_file_bytes = 1ull << 30;   // of one image
    uint64_t max_cache_bytes = 1ull << 30;  // of all tar.gz shards unpacked into memory; the rest goes to cache_dir
    FormatLimits formats;                   // of shards
    std::string cache_dir;                  // must exist; empty: $TMPDIR, or else /tmp
  };

  // path: a folder of .jpg, .jpeg, .png and .npy files (any case) at any depth, where names that begin with a dot are
  // passed over; a folder of tar shards, where it has no such files; a .tar, .tar.gz or .tgz; a list file (.txt, .lst:
  // one path a line, relative to the list's folder, then optionally a tab and a whole number, the label); or one image
  // file. What is left out is counted and logged. UDI_E_NOT_FOUND: nothing there, or no image in it; UDI_E_FORMAT: a
  // damaged shard or list.
  static ImageSource open(const std::string& path, const Options& options, const Host& host);

  int64_t size() const { return int64_t(entries_.size()); }
  // Below the folder, in the archive, or as in the list; a file of several shards has its shard's name in front.
  const std::string& name(int64_t i) const { return entries_[size_t(i)].name; }
  // -1: none. In folders and archives the place in classes() of the first folder below the root (for archives: below
  // what all names have in common); for WebDataset shards the number in the sample's .cls; else the list's.
  int64_t label(int64_t i) const { return entries_[size_t(i)].label; }
  // Class names in bytewise order; empty where labels are numbers or absent.
  const std::vector<std::string>& classes() const { return classes_; }
  const Skips& skips() const { return skips_; }

  // The bytes of image i; `out` lends its memory. Safe from several threads. UDI_E_NOT_FOUND: it has vanished;
  // UDI_E_MEMORY: over max_file_bytes, or no file descriptor left; UDI_E_FORMAT, UDI_E_IO.
  void read(int64_t i, std::vector<uint8_t>& out) const;

 private:
  struct Entry {
    std::string name;
    int64_t label = -1;
    int32_t shard = -1;             // -1: a file of its own
    uint32_t inner = 0;             // where in `name` the name inside the shard begins
    uint64_t offset = 0, size = 0;  // in the shard
  };
  struct Shard {
    std::string path;
    uint64_t size = 0;            // when it was indexed
    std::vector<uint8_t> memory;  // if it was unpacked into memory
    int64_t cached_at = -1;       // in the cache file, if it was unpacked there
  };

  void add_folder(const Host& host);
  void add_list();
  void add_shard(const std::string& path, const std::string& prefix, const Host& host);
  void add_shard_entries(const Bytes& bytes, const std::string& path, const std::string& prefix, const Host& host);
  void label_by_folder();
  void finish(const Host& host);

  std::string path_, folder_;  // folder_: what names of files are relative to; ends with '/', or empty
  Options options_;
  std::vector<Entry> entries_;
  std::vector<Shard> shards_;
  std::vector<std::string> classes_;
  bool numbered_labels_ = false;
  uint64_t memory_left_ = 0;
  std::shared_ptr<CacheFile> cache_;  // made when the first shard needs it
  Skips skips_;
};

}  // namespace udi
