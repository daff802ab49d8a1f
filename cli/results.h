// A job's result for people: names and values in columns, lists of objects as tables.
#pragma once

#include <string>

#include "schema.h"

namespace cli {

std::string result_text(const Json& result);

}  // namespace cli
