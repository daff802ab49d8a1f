// c10d's store, for the two files that use c10d.
#pragma once

#include <torch/csrc/distributed/c10d/Store.hpp>

#include "dist/board.h"

namespace udi {

struct Board::Connection {
  c10::intrusive_ptr<c10d::Store> store;
};

}  // namespace udi
