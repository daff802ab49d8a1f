// Replays the image operations of a golden file.
#pragma once

#include <string>

namespace udi {

// base.json lists operations (README.md), base.safetensors holds their inputs; what libudi makes of them goes to `out`
// under the keys that the operations name.
void replay_augment(const std::string& base, const std::string& out);

}  // namespace udi
