#include "check.h"

#include <cstdio>
#include <cstring>

#include "memory.h"

namespace udi::cuda::test {

namespace {
int failures = 0;
}

std::vector<Case>& cases() {
  static std::vector<Case> all;
  return all;
}

void failure(const char* file, int line, const std::string& text) {
  if (++failures <= 10) std::fprintf(stderr, "%s:%d: %s\n", file, line, text.c_str());
}

bool failed() { return failures > 0; }

}  // namespace udi::cuda::test

// test_cuda [NAME...]: runs the tests whose names begin so, all without arguments. Without a GPU every test is named as
// skipped, and that is no failure: the same tests run emulated elsewhere.
int main(int count, char** names) {
  using namespace udi::cuda::test;
  const std::string missing = missing_device();
  int bad = 0, ran = 0, skipped = 0;
  for (const Case& test : cases()) {
    bool wanted = count == 1;
    for (int i = 1; i < count; ++i) wanted |= std::strncmp(test.name, names[i], std::strlen(names[i])) == 0;
    if (!wanted) continue;
    const char* const reason = !missing.empty() ? missing.c_str() : test.gpu_only && kEmulated ? "too large" : nullptr;
    if (reason) {
      std::printf("skipped %s: %s\n", test.name, reason);
      ++skipped;
      continue;
    }
    failures = 0;
    test.run();
    std::printf("%s %s\n", failures ? "FAILED" : "passed", test.name);
    std::fflush(stdout);
    bad += failures > 0;
    ++ran;
  }
  std::printf("%d passed, %d failed, %d skipped\n", ran - bad, bad, skipped);
  return bad > 0 || ran + skipped == 0;
}
