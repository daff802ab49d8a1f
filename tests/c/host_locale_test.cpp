// A host whose numbers have decimal commas and dots between thousands, in C and in C++: what libudi reads and writes is
// the same. LOCPATH names the folder that has de_DE.UTF-8.
#include <gtest/gtest.h>

#include <clocale>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <locale>
#include <map>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "udi.h"

namespace {

namespace fs = std::filesystem;

std::string read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

// Numbers become N: times differ from run to run, and "0,5" is two of them.
std::string without_numbers(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    const size_t end = text.find_first_not_of("0123456789.", i);
    const size_t digits = (end == std::string::npos ? text.size() : end) - i;
    out += digits && text[i] != '.' ? std::string("N") : text.substr(i, digits ? digits : 1);
    i += digits ? digits : 1;
  }
  // 1e-05 and 0.0001 are numbers both.
  for (size_t at; (at = out.find("Ne-N")) != std::string::npos;) out.replace(at, 4, "N");
  return out;
}

struct Outcome {
  std::map<std::string, std::string> files;  // by path below the folder
  std::map<std::string, std::string> results;
  std::vector<std::string> errors, log;
};

// Every job, with numbers of all kinds in its configuration.
void run_jobs(const fs::path& folder, Outcome& out) {
  udi_error error{};
  udi_context_config config;
  udi_context_config_init(&config, sizeof config);
  config.log_user = &out.log;
  config.log = [](void* user, udi_log_level, const char* line) {
    static_cast<std::vector<std::string>*>(user)->push_back(line);
  };
  udi_context* context = nullptr;
  ASSERT_EQ(udi_context_create(&config, &context, &error), UDI_OK) << error.message;
  const auto run = [&](const std::string& name, const char* job, std::string options) {
    for (size_t at; (at = options.find('@')) != std::string::npos;) options.replace(at, 1, folder.string());
    for (char& c : options) c = c == '\'' ? '"' : c;
    char* result = nullptr;
    const udi_status status = udi_job_run(context, job, options.c_str(), nullptr, nullptr, &result, &error);
    if (status != UDI_OK) out.errors.push_back(error.message);
    if (result) out.results[name] = result;
    udi_string_free(result);
  };
  run("draw", "demo-data", "{'out': '@/set', 'train': 20, 'test': 10}");
  run("train", "pretrain",
      "{'data': '@/set/train', 'out': '@/run', 'image_size': 32, 'patch_size': 8, 'embed_dim': 24, 'depth': 2, "
      "'heads': 2, "
      "'srs_heads': 2, 'out_dim': 2048, 'head_hidden_dim': 32, 'head_bottleneck_dim': 16, 'local_size': 16, "
      "'local_crops': 2, "
      "'batch_size': 4, 'workers': 2, 'log_steps': 1, 'steps': 6, 'lr': 0.0125, 'weight_decay': 1.5e-3, 'alpha': "
      "0.25}");
  run("extract", "extract", "{'model': '@/run/checkpoint.safetensors', 'data': '@/set/test', 'out': '@/features.npy'}");
  run("knn", "knn",
      "{'model': '@/run/checkpoint.safetensors', 'train': '@/set/train', 'test': '@/set/test', 'temperature': 0.07}");
  run("convert", "convert", "{'input': '@/run/checkpoint.safetensors', 'output': '@/official.pth'}");
  run("back", "convert", "{'input': '@/official.pth', 'output': '@/back.safetensors', 'srs_heads': 2, 'heads': 2}");
  run("inspect", "inspect", "{'path': '@/run/checkpoint.safetensors', 'tensors': true}");
  run("inspect_images", "inspect", "{'path': '@/set/test'}");
  run("attention", "attention",
      "{'model': '@/run/checkpoint.safetensors', 'data': '@/set/test', 'out': '@/maps', 'opacity': 0.5}");
  run("wrong", "pretrain", "{'data': '@/set/train', 'out': '@/none', 'batch_size': 12345678, 'lr': 0.5}");
  run("wrong_number", "knn", "{'model': 'a', 'train': 'b', 'test': 'c', 'temperature': -1.5}");
  udi_context_free(context);
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    const std::string path = fs::relative(entry.path(), folder).string();
    const bool events = path.find("events.out.tfevents") != std::string::npos;  // a name and bytes full of time
    if (entry.is_regular_file() && !events) out.files[path] = read(entry.path());
  }
  fs::remove_all(folder);
}

// A safetensors file's description and its tensors.
std::pair<std::string, std::string> parted(const std::string& bytes) {
  uint64_t size = 0;
  std::memcpy(&size, bytes.data(), sizeof size);
  return {bytes.substr(8, size), bytes.substr(8 + size)};
}

TEST(HostLocale, ChangesNothing) {
  char folder[] = "/tmp/udi-locale-XXXXXX";
  ASSERT_NE(mkdtemp(folder), nullptr);
  Outcome plain, comma;
  run_jobs(folder, plain);
  ASSERT_NE(std::setlocale(LC_ALL, "de_DE.UTF-8"), nullptr) << "LOCPATH must name the folder that has de_DE.UTF-8";
  std::locale::global(std::locale("de_DE.UTF-8"));
  ASSERT_STREQ(std::localeconv()->decimal_point, ",");
  ASSERT_EQ((std::ostringstream() << 1234.5).str(), "1.234,5");
  run_jobs(folder, comma);
  EXPECT_STREQ(std::setlocale(LC_ALL, nullptr), "de_DE.UTF-8");
  EXPECT_EQ(std::locale().name(), "de_DE.UTF-8");
  std::locale::global(std::locale::classic());
  std::setlocale(LC_ALL, "C");

  EXPECT_EQ(plain.errors.size(), 2u);
  EXPECT_EQ(plain.errors, comma.errors);
  EXPECT_EQ(plain.results.size(), 9u);
  for (const auto& [job, result] : plain.results) {
    EXPECT_EQ(without_numbers(result), without_numbers(comma.results[job])) << job;
  }
  ASSERT_EQ(plain.log.size(), comma.log.size());
  for (size_t i = 0; i < plain.log.size(); ++i) {
    EXPECT_EQ(without_numbers(plain.log[i]), without_numbers(comma.log[i]));
  }

  // Files are the same to the bit, but for those with times in them.
  EXPECT_GT(plain.files.size(), 40u);
  EXPECT_EQ(plain.files.size(), comma.files.size());
  for (const auto& [path, bytes] : plain.files) {
    ASSERT_EQ(comma.files.count(path), 1u) << path;
    const std::string& other = comma.files[path];
    const std::string kind = fs::path(path).extension().string();
    if (kind == ".safetensors") {
      EXPECT_EQ(without_numbers(parted(bytes).first), without_numbers(parted(other).first)) << path;
      EXPECT_TRUE(parted(bytes).second == parted(other).second) << path;
    } else if (kind == ".jsonl" || kind == ".json" || kind == ".html") {
      EXPECT_EQ(without_numbers(bytes), without_numbers(other)) << path;
    } else {
      EXPECT_TRUE(bytes == other) << path;
    }
  }
}

}  // namespace
