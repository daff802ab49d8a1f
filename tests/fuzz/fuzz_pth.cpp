// The .pth reader: on the bytes as an archive if they start as one does, else on the bytes as the pickle of a good
// archive with one storage, for a fuzzer finds few ways through two formats at once.
#include <cstring>

#include "fuzz/weights.h"
#include "weights/zip_write.h"

namespace {

std::string archive_of(const uint8_t* data, size_t size) {
  std::string file;
  const udi::Append append = [&](const void* bytes, size_t count) {
    file.append(static_cast<const char*>(bytes), count);
  };
  udi::ZipWriter zip(append);
  const std::string storage(480, '\1');
  zip.add("a/data.pkl", data, size);
  zip.add("a/data/0", storage.data(), storage.size());
  zip.finish();
  return file;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  udi::ImportOptions options;
  options.heads = 1;
  options.srs_heads = 1;
  options.pth.visits = 1 << 14;
  options.pth.text_bytes = 1 << 20;
  options.pth.pickle.values = 1 << 14;
  std::vector<uint8_t> file(data, data + size);
  if (size < 2 || std::memcmp(data, "PK", 2) != 0) {
    const std::string archive = archive_of(data, size);
    file.assign(archive.begin(), archive.end());
  }
  try {
    const udi::PthFile pth("fuzz", file.data(), file.size(), options.pth);
    udi_test::touch(pth.tensors());
    (void)pth.scalars().dump();
  } catch (const udi::Error&) {
    return 0;
  }
  udi_test::import(file.data(), file.size(), options);
  return 0;
}
