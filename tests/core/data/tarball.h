// Writes tar archives, well formed or as a test wants them.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

namespace udi_test {

class TarBuilder {
 public:
  static std::string header(const std::string& name, uint64_t size, char type) {
    std::string block(512, '\0');
    block.replace(0, name.size(), name.substr(0, 100));
    block.replace(100, 7, "0000644");
    char digits[13];
    std::snprintf(digits, sizeof digits, "%011llo", static_cast<unsigned long long>(size));
    block.replace(124, 11, digits);
    block[156] = type;
    block.replace(257, 8, std::string("ustar\00000", 8));
    return sign(block);
  }
  // Puts the right checksum in.
  static std::string sign(std::string block) {
    block.replace(148, 8, "        ");
    unsigned sum = 0;
    for (const char c : block) sum += uint8_t(c);
    char digits[8];
    std::snprintf(digits, sizeof digits, "%06o", sum & 0777777);
    block.replace(148, 7, std::string(digits, 7));
    return block;
  }

  TarBuilder& append(const std::string& bytes) {
    archive_ += bytes;
    return *this;
  }
  TarBuilder& raw_header(const std::string& name, uint64_t size, char type) { return append(header(name, size, type)); }
  TarBuilder& data(const std::string& content) {
    return append(content).append(std::string((512 - content.size() % 512) % 512, '\0'));
  }
  TarBuilder& file(const std::string& name, const std::string& content) {
    return raw_header(name, content.size(), '0').data(content);
  }
  TarBuilder& file(const std::string& name, const std::vector<uint8_t>& content) {
    return file(name, std::string(content.begin(), content.end()));
  }
  TarBuilder& pax(const std::vector<std::pair<std::string, std::string>>& records) {
    std::string all;
    for (const auto& [key, value] : records) {
      const std::string rest = " " + key + "=" + value + "\n";
      size_t length = rest.size() + 1;
      while (std::to_string(length).size() + rest.size() != length) ++length;
      all += std::to_string(length) + rest;
    }
    return raw_header("pax", all.size(), 'x').data(all);
  }
  std::string finish() const { return archive_ + std::string(1024, '\0'); }

 private:
  std::string archive_;
};

}  // namespace udi_test
