#include "data/folder.h"

#include <dirent.h>
#include <sys/stat.h>

#include <algorithm>
#include <cctype>
#include <memory>
#include <set>
#include <utility>

#include "base/error.h"

namespace udi {
namespace {

bool ends_with(const std::string& name, const std::string& ending) {
  if (name.size() <= ending.size()) return false;
  return std::equal(ending.begin(), ending.end(), name.end() - std::ptrdiff_t(ending.size()),
                    [](char want, char have) { return std::tolower(uint8_t(have)) == want; });
}

struct Closer {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

struct Item {
  std::string name;
  unsigned char type;
};

class Scanner {
 public:
  Scanner(const std::string& root, Skips& skips, const Host& host) : root_(root), skips_(skips), host_(host) {}

  FolderContent run() {
    std::vector<std::string> waiting{
        ""};  // folders, each "" or ending with '/'; a stack, not recursion: depth is hostile
    while (!waiting.empty()) {
      const std::string folder = std::move(waiting.back());
      waiting.pop_back();
      host_.check_cancel();
      // Last first, so that the first name is entered first: which way leads into a folder that is linked twice is
      // fixed.
      const std::vector<std::string> inside = enter(folder);
      waiting.insert(waiting.end(), inside.rbegin(), inside.rend());
    }
    std::sort(content_.images.begin(), content_.images.end());
    std::sort(content_.tars.begin(), content_.tars.end());
    return std::move(content_);
  }

 private:
  // Takes the files of a folder; returns the folders in it.
  std::vector<std::string> enter(const std::string& folder) {
    std::vector<std::string> inside;
    for (const Item& item : list(folder)) {
      const std::string path = folder + item.name;
      unsigned char type = item.type;
      if (type == DT_LNK || type == DT_UNKNOWN) type = type_behind(path);
      if (type == DT_DIR) {
        inside.push_back(path + "/");
      } else if (has_image_ending(item.name) || has_tar_ending(item.name)) {
        take_file(path, type);
      }
    }
    return inside;
  }

  void take_file(const std::string& path, unsigned char type) {
    if (type == DT_UNKNOWN) return skips_.add(path, "a link that leads nowhere");
    if (type != DT_REG) return skips_.add(path, "not a regular file");
    if (std::any_of(path.begin(), path.end(), [](char c) { return c == '\n' || c == '\r'; })) {
      return skips_.add("a file", "a line break in its name");
    }
    (has_image_ending(path) ? content_.images : content_.tars).push_back(path);
  }

  std::vector<Item> list(const std::string& folder) {
    const std::string full = root_ + "/" + folder;
    const std::unique_ptr<DIR, Closer> directory(::opendir(full.c_str()));
    if (!directory) {
      if (folder.empty() && errno == ENOENT) fail(UDI_E_NOT_FOUND, root_, ": no such folder");
      if (folder.empty()) fail_errno(root_, ": cannot be read");
      skips_.add(folder, std::strerror(errno));
      return {};
    }
    struct stat info {};
    if (::fstat(::dirfd(directory.get()), &info) == 0 && !entered_.insert({info.st_dev, info.st_ino}).second) return {};
    std::vector<Item> items;
    while (const dirent* entry = ::readdir(directory.get())) {
      if (entry->d_name[0] != '.') items.push_back({entry->d_name, entry->d_type});
    }
    std::sort(items.begin(), items.end(), [](const Item& a, const Item& b) { return a.name < b.name; });
    return items;
  }

  unsigned char type_behind(const std::string& path) const {
    struct stat info {};
    if (::stat((root_ + "/" + path).c_str(), &info) != 0) return DT_UNKNOWN;
    return S_ISDIR(info.st_mode) ? DT_DIR : S_ISREG(info.st_mode) ? DT_REG : DT_FIFO;
  }

  const std::string& root_;
  Skips& skips_;
  const Host& host_;
  std::set<std::pair<dev_t, ino_t>> entered_;
  FolderContent content_;
};

}  // namespace

bool has_image_ending(const std::string& name) {
  return ends_with(name, ".jpg") || ends_with(name, ".jpeg") || ends_with(name, ".png") || ends_with(name, ".npy");
}

bool has_tar_ending(const std::string& name) {
  return ends_with(name, ".tar") || ends_with(name, ".tar.gz") || ends_with(name, ".tgz");
}

FolderContent scan_folder(const std::string& folder, Skips& skips, const Host& host) {
  return Scanner(folder, skips, host).run();
}

}  // namespace udi
