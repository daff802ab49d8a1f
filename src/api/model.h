// The model's handle, which trainers read and make, too.
#pragma once

#include <atomic>

#include "api/context.h"
#include "model/extractor.h"
#include "model/model.h"

namespace udi {

// How many handles, of whatever contexts, have the same weights.
class Users {
 public:
  Users() = default;
  Users(const Users& other) : count_(other.count_) { count_->fetch_add(1, std::memory_order_relaxed); }
  Users& operator=(const Users&) = delete;
  ~Users() { count_->fetch_sub(1, std::memory_order_release); }
  // Whether nobody else is left; what the others did with the weights has happened before.
  bool one() const { return count_->load(std::memory_order_acquire) == 1; }

 private:
  std::shared_ptr<std::atomic<int64_t>> count_ = std::make_shared<std::atomic<int64_t>>(1);
};

}  // namespace udi

struct udi_model {
  std::shared_ptr<udi::Context> context;
  udi::Model model;
  udi::Users users{};
  udi::Extractor extractor{};  // after the model: it goes first
};
