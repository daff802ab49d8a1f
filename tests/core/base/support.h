// What tests of every room need: a folder that goes away, and the check that a call fails as it should.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "base/error.h"

namespace udi_test {

class TempFolder {
 public:
  TempFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "udi-test-XXXXXX").string();
    if (!::mkdtemp(name.data())) udi::fail_errno(name, ": cannot be created");
    path_ = name;
  }
  ~TempFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;

  std::string operator/(const std::string& name) const { return (path_ / name).string(); }
  std::vector<std::string> names() const {
    std::vector<std::string> found;
    for (const auto& entry : std::filesystem::directory_iterator(path_))
      found.push_back(entry.path().filename().string());
    return found;
  }

 private:
  std::filesystem::path path_;
};

// Expects call() to throw a udi::Error of this status whose message contains `words`.
template <class Call>
void expect_error(udi_status status, const std::string& words, Call&& call) {
  try {
    call();
    ADD_FAILURE() << "no error, wanted: " << words;
  } catch (const udi::Error& error) {
    EXPECT_EQ(error.status, status) << error.message;
    EXPECT_NE(error.message.find(words), std::string::npos) << "got: " << error.message << "\nwanted: " << words;
  }
}

}  // namespace udi_test
