// The index of a tar archive: where each file's bytes lie. Reads ustar, GNU long names and sizes, and pax paths and
// sizes; nothing is ever unpacked by name. Every archive is hostile until checked.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/limits.h"
#include "data/bytes.h"
#include "data/skips.h"

namespace udi {

struct TarEntry {
  std::string name;  // without "./"; never absolute, empty, with "..", or with control characters
  uint64_t offset = 0, size = 0;
};

constexpr size_t kTarBlock = 512;

// Whether a block can be the first one of an archive: its checksum is right, or all of it is zero.
bool is_tar_header(const uint8_t block[kTarBlock]);

// The regular files, in the archive's order; of entries of the same name the last one, as unpacking would leave it.
// Links, sparse files, unsafe names and duplicates go to `skips`. name: of the archive, for messages. limits: of a pax
// header (1 MiB if not given) and of an entry's name (4,096 bytes). UDI_E_FORMAT: a damaged header, an entry that
// reaches beyond the end, something over a limit.
std::vector<TarEntry> index_tar(const Bytes& bytes, const std::string& name, Skips& skips, const Host& host,
                                const FormatLimits& limits = {});

}  // namespace udi
