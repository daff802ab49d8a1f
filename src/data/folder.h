// What lies in a folder.
#pragma once

#include <string>
#include <vector>

#include "data/skips.h"

namespace udi {

bool has_image_ending(const std::string& name);  // .jpg .jpeg .png .npy in any case
bool has_tar_ending(const std::string& name);    // .tar .tar.gz .tgz in any case

struct FolderContent {
  std::vector<std::string> images, tars;  // paths below the folder, in bytewise order
};

// All image and tar files below `folder`, links followed; each folder is entered once, so that circles of links end.
// Names that begin with a dot are passed over; what cannot be read goes to `skips`. UDI_E_NOT_FOUND, UDI_E_IO: the
// folder itself.
FolderContent scan_folder(const std::string& folder, Skips& skips, const Host& host);

}  // namespace udi
