// As much of Gloo as c10d's ProcessGroupGloo.hpp names: LibTorch has Gloo inside, and PyPI's wheel lacks its headers. Every
// object of it is made and used inside LibTorch; here they are handed on by pointer.
#pragma once

#include <chrono>

namespace gloo {
class Context {
 public:
  void setTimeout(std::chrono::milliseconds timeout);
};
}  // namespace gloo
