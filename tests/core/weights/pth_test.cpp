#include "weights/pth.h"

#include <random>
#include <set>

#include "weights/names.h"
#include "weights/pth_write.h"
#include "weights/support.h"

namespace udi {
namespace {

using namespace udi_test;

const std::string kGolden = std::string(UDI_TEST_DIR) + "/golden/udi_tiny/";

void expect_same(const TensorView& got, const TensorView& want) {
  EXPECT_EQ(got.dtype, want.dtype) << want.name;
  EXPECT_EQ(got.shape, want.shape) << want.name;
  ASSERT_EQ(got.bytes, want.bytes) << want.name;
  EXPECT_EQ(std::memcmp(got.data, want.data, want.bytes), 0) << want.name;
}

// ---- The official checkpoint ---------------------------------------------------------------------------------------

TEST(Pth, OfficialCheckpointHoldsTheFinalWeights) {
  const PthFile pth(kGolden + "official_checkpoint.pth");
  const SafetensorsFile final_weights(kGolden + "final.safetensors");
  int compared = 0;
  for (const TensorView& want : final_weights.tensors()) {
    std::string name = want.name;
    if (name.rfind("student.", 0) == 0) name.insert(8, "module.");
    if (name == "center") name = "udi_loss.centering.center";
    const TensorView* got = pth.find(name);
    ASSERT_TRUE(got) << name;
    expect_same(*got, want);
    ++compared;
  }
  EXPECT_GT(compared, 80);
  const auto& scalars = pth.scalars();
  EXPECT_EQ(scalars["epoch"], 2);
  EXPECT_EQ(scalars["args"]["dim"], 48);
  EXPECT_EQ(scalars["args"]["temp1"], 0.07);
  EXPECT_EQ(scalars["args"]["pth"], true);
  EXPECT_EQ(scalars["optimizer"]["param_groups"].size(), 2u);
  EXPECT_FALSE(scalars.contains("teacher"));
}

TEST(Pth, OfficialCheckpointTruncatedAnywhereIsAnError) {
  const auto file = read_file(kGolden + "official_checkpoint.pth", UINT64_MAX);
  const std::string whole(file.begin(), file.end());
  for (size_t size = 0; size < whole.size(); size += 97) {
    try {
      const PthFile pth("test", file.data(), size, {});
      ADD_FAILURE() << size;
    } catch (const Error& error) {
      EXPECT_EQ(error.status, UDI_E_FORMAT) << size << ": " << error.message;
    }
  }
}

TEST(Pth, OfficialCheckpointDamagedIsSeen) {
  auto file = read_file(kGolden + "official_checkpoint.pth", UINT64_MAX);
  int refused = 0, rounds = 0;
  for (size_t at = 1000; at < file.size(); at += 9973, ++rounds) {
    file[at] ^= 0x10;
    try {
      const PthFile pth("test", file.data(), file.size(), {});
    } catch (const Error&) {
      ++refused;
    }
    file[at] ^= 0x10;
  }
  EXPECT_GT(refused, rounds * 9 / 10);  // the rest hit the padding between tensors
}

// Its own pickle with bytes changed, under no checksum.
TEST(Pth, OfficialPickleChangedIsAnErrorOrAValue) {
  const auto file = read_file(kGolden + "official_checkpoint.pth", UINT64_MAX);
  const ZipFile official("test", file.data(), file.size(), {});
  Zip zip;
  for (const ZipEntry& entry : official.entries()) {
    zip.lines.emplace_back();
    zip.lines.back().name = entry.name;
    zip.lines.back().data.assign(reinterpret_cast<const char*>(entry.data), entry.size);
  }
  ASSERT_EQ(zip.lines[0].name, "official_checkpoint/data.pkl");
  std::string bytes = zip.bytes();
  const size_t start = 30 + zip.lines[0].name.size(), size = zip.lines[0].data.size();
  std::mt19937 random(2);
  int refused = 0;
  for (int round = 0; round < 2000; ++round) {
    std::string changed = bytes.substr(start, size);
    const int changes = 1 + int(random() % 3);
    for (int i = 0; i < changes; ++i) changed[random() % size] = char(random());
    std::swap_ranges(changed.begin(), changed.end(), bytes.begin() + ptrdiff_t(start));
    try {
      const PthFile pth("test", bytes_of(bytes), bytes.size(), {});
    } catch (const Error&) {
      ++refused;
    }
    std::swap_ranges(changed.begin(), changed.end(), bytes.begin() + ptrdiff_t(start));
  }
  EXPECT_GT(refused, 500);
  EXPECT_LT(refused, 2000);
}

// ---- What a .pth may hold ------------------------------------------------------------------------------------------

TEST(Pth, Tensors) {
  TensorText plain, transposed, slice, shared;
  transposed.sizes = {3, 2};
  transposed.strides = {1, 3};
  slice.offset = 1;
  slice.sizes = {2, 2};
  const std::string file =
      torch_zip(dict({{"plain", plain.text()},
                      {"deep", dict({{"transposed", transposed.text()}, {"lr", num(3)}})},
                      {"list", "](" + slice.text() + shared.text() + "e"},
                      {"parameter", global("torch._utils", "_rebuild_parameter") + "(" + plain.text() + "\x88}tR"}}))
          .bytes();
  const PthFile pth("test", bytes_of(file), file.size(), {});
  const auto values = [&](const std::string& name) {
    const TensorView* tensor = pth.find(name);
    if (!tensor) return std::vector<float>();
    std::vector<float> copied(tensor->bytes / 4);
    std::memcpy(copied.data(), tensor->data, tensor->bytes);
    return copied;
  };
  EXPECT_EQ(values("plain"), (std::vector<float>{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(values("deep.transposed"), (std::vector<float>{0, 3, 1, 4, 2, 5}));
  EXPECT_EQ(values("list.0"), (std::vector<float>{1, 2, 4, 5}));
  EXPECT_EQ(values("parameter"), values("plain"));
  EXPECT_EQ(pth.find("list.1")->data, pth.find("plain")->data);
  EXPECT_EQ(pth.tensors().size(), 5u);
  EXPECT_EQ(pth.scalars().dump(), "{\"deep\":{\"lr\":3}}");
}

TEST(Pth, EmptyAndScalarTensors) {
  TensorText scalar, empty;
  scalar.sizes = scalar.strides = {};
  scalar.offset = 5;
  empty.sizes = {2, 0, 3};
  empty.strides = {0, 3, 1};
  empty.offset = 6;
  const std::string file = torch_zip(dict({{"scalar", scalar.text()}, {"empty", empty.text()}})).bytes();
  const PthFile pth("test", bytes_of(file), file.size(), {});
  EXPECT_EQ(pth.find("scalar")->elements(), 1);
  float value = 0;
  std::memcpy(&value, pth.find("scalar")->data, 4);
  EXPECT_EQ(value, 5.0f);
  EXPECT_EQ(pth.find("empty")->bytes, 0u);
}

TEST(Pth, ObjectsAreTheirAttributes) {
  const std::string space = global("argparse", "Namespace") + ")\x81" + dict({{"arch", str("vit_small")}}) + "b";
  const std::string system = global("posix", "system") + "(" + str("false") + "tR";
  const std::string complex = [] {
    TensorText text;
    text.type = "ComplexFloatStorage";
    return text.text();
  }();
  const std::string file =
      torch_zip(dict({{"args", space}, {"system", system}, {"complex", complex}, {"nothing", "N"}})).bytes();
  const PthFile pth("test", bytes_of(file), file.size(), {});
  EXPECT_EQ(pth.scalars()["args"]["arch"], "vit_small");
  EXPECT_EQ(pth.scalars()["system"], "<posix.system>");
  EXPECT_EQ(pth.scalars()["complex"], "<torch._utils._rebuild_tensor_v2>");
  EXPECT_TRUE(pth.scalars()["nothing"].is_null());
  EXPECT_TRUE(pth.tensors().empty());
}

// ---- Hostile files -------------------------------------------------------------------------------------------------

// Changes a tensor of six floats and expects the file to be refused.
template <class Change>
void expect_bad_tensor(const std::string& words, Change&& change) {
  TensorText tensor;
  change(tensor);
  expect_bad_pth(words, dict({{"t", tensor.text()}}));
}

TEST(Pth, TensorsOutsideOfTheirStorage) {
  const int64_t huge = int64_t(1) << 62;
  expect_bad_tensor("reach to", [](TensorText& t) { t.sizes = {2, 4}; });
  expect_bad_tensor("reach to", [](TensorText& t) { t.strides = {4, 1}; });
  expect_bad_tensor("reach to", [](TensorText& t) { t.offset = 1; });
  expect_bad_tensor("offset", [](TensorText& t) { t.offset = 7; });
  expect_bad_tensor("offset", [](TensorText& t) { t.offset = -1; });
  expect_bad_tensor("offset", [&](TensorText& t) { t.offset = INT64_MAX; });
  expect_bad_tensor("overflow", [&](TensorText& t) { t.sizes = {huge, 4}; });
  expect_bad_tensor("overflow", [&](TensorText& t) { t.sizes = {huge, 1}; });  // times four bytes
  expect_bad_tensor("overflow", [&](TensorText& t) { t.sizes = {huge, 0, 4}, t.strides = {1, 1, 1}; });
  expect_bad_tensor("overflow", [&](TensorText& t) { t.strides = {huge, huge}; });
  expect_bad_tensor("reach to", [&](TensorText& t) { t.strides = {huge, 1}; });
  expect_bad_tensor("overflow", [&](TensorText& t) { t.strides = {INT64_MAX, INT64_MAX}; });
  expect_bad_tensor("from 0 up", [](TensorText& t) { t.sizes = {-2, -3}; });
  expect_bad_tensor("from 0 up", [](TensorText& t) { t.strides = {-3, 1}; });
  expect_bad_tensor("as many strides", [](TensorText& t) { t.strides = {1}; });
  expect_bad_tensor("expanded", [](TensorText& t) { t.sizes = {1000000, 1000}, t.strides = {0, 0}; });
  expect_bad_tensor("dimensions", [](TensorText& t) { t.sizes = t.strides = std::vector<int64_t>(65, 1); });
}

TEST(Pth, StoragesThatAreNotThere) {
  expect_bad_tensor("not in the file", [](TensorText& t) { t.key = "1"; });
  expect_bad_tensor("not in the file", [](TensorText& t) { t.key = "../data.pkl"; });
  expect_bad_tensor("which are not", [](TensorText& t) { t.elements = 7; });
  expect_bad_tensor("which are not", [](TensorText& t) { t.elements = -6; });
  expect_bad_tensor("which are not", [](TensorText& t) { t.elements = int64_t(1) << 62; });
  expect_bad_tensor("which are not", [](TensorText& t) { t.type = "DoubleStorage"; });
  const std::string rebuild = global("torch._utils", "_rebuild_tensor_v2");
  expect_bad_pth("no storage", dict({{"t", rebuild + ")R"}}));
  expect_bad_pth("no storage", dict({{"t", rebuild + "(NK\x01NNtR"}}));
  const std::string rest = num(0) + nums({1}) + nums({1}) + "tR";
  expect_bad_pth("id of a storage", dict({{"t", rebuild + "(NQ" + rest}}));
  expect_bad_pth("id of a storage", dict({{"t", rebuild + "()Q" + rest}}));
  expect_bad_pth("id of a storage", dict({{"t", rebuild + "((" + str("storage") + "NNNNtQ" + rest}}));
}

TEST(Pth, NamesAndFolders) {
  TensorText tensor;
  expect_bad_pth("two tensors", dict({{"a", dict({{"b", tensor.text()}})}, {"a.b", tensor.text()}}));
  expect_bad_pth("two tensors", dict({{"a", tensor.text()}, {"a", tensor.text()}}));
  expect_bad_pth("longer than the limit", dict({{std::string(2000, 'n'), tensor.text()}}));
  const auto bad_zip = [](const std::string& words, auto&& change, udi_status status = UDI_E_FORMAT) {
    Zip zip = torch_zip("}");
    change(zip);
    expect_error(status, words, [&] { read_pth(zip.bytes()); });
  };
  const auto extra = [](Zip& zip, const std::string& name, const std::string& data) {
    zip.lines.emplace_back();
    zip.lines.back().name = name;
    zip.lines.back().data = data;
  };
  bad_zip("data.pkl", [](Zip& zip) { zip.lines[0].name = "archive/data.pkm"; });
  bad_zip("data.pkl", [](Zip& zip) { zip.lines[0].name = "data.pkl"; });
  bad_zip("empty archive", [](Zip& zip) { zip.lines.clear(); });
  bad_zip("lies outside", [&](Zip& zip) { extra(zip, "other/data.pkl", pickle("}")); });
  bad_zip("two entries", [&](Zip& zip) { extra(zip, "archive/data.pkl", pickle("}")); });
  bad_zip("is named", [&](Zip& zip) { extra(zip, "archive/../../data", "x"); });
  bad_zip("checksum", [](Zip& zip) { zip.lines[0].crc = 1; });
  bad_zip(
      "TorchScript", [&](Zip& zip) { extra(zip, "archive/constants.pkl", "x"); }, UDI_E_UNSUPPORTED);
  bad_zip(
      "big-endian", [&](Zip& zip) { extra(zip, "archive/byteorder", "big"); }, UDI_E_UNSUPPORTED);
  bad_zip(
      "compressed", [](Zip& zip) { zip.lines[0].method = 8; }, UDI_E_UNSUPPORTED);
  bad_zip(
      "encrypted", [](Zip& zip) { zip.lines[1].flags = 1; }, UDI_E_UNSUPPORTED);
}

TEST(Pth, OldFormatsAreNamed) {
  const std::string magic = "\x80\x02\x8a\x0al\xfc\x9c\x46\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.";
  expect_error(UDI_E_UNSUPPORTED, "old format", [&] { read_pth(magic); });
  std::string tar(1024, '\0');
  tar.replace(257, 5, "ustar");
  expect_error(UDI_E_UNSUPPORTED, "old format", [&] { read_pth(tar); });
  expect_error(UDI_E_FORMAT, "too few", [&] { read_pth(""); });
  expect_error(UDI_E_FORMAT, "no end record", [&] { read_pth(std::string(500, 'x')); });
}

TEST(Pth, Bombs) {
  // Each level holds the one before twice: 2^40 values out of 200 bytes.
  std::string doubled = "]q" + std::string(1, '\0');
  for (int level = 1; level <= 40; ++level) {
    const std::string below = std::string("h") + char(level - 1);
    doubled += "](" + below + below + "eq" + char(level);
  }
  expect_bad_pth("values", "(" + doubled + "t");
  expect_bad_pth("containers within each other",
                 "]q\x01h\x01"
                 "a");  // a list that holds itself
  expect_bad_pth("containers within each other", "}q\x01(" + str("x") + "h\x01u");
  expect_bad_pth("containers within each other", std::string(5000, ']') + std::string(4999, 'a'));
  // One long text, listed ten thousand times.
  std::string texts = "](" + str(std::string(1 << 20, 't')) + "q\x01";
  for (int i = 0; i < 10000; ++i) texts += "h\x01";
  expect_bad_pth("bytes of text", texts + "e");
  // Transposed views of one storage, each a copy.
  TensorText transposed;
  transposed.elements = 1 << 20;
  transposed.sizes = {1024, 1024};
  transposed.strides = {1, 1024};
  std::vector<std::pair<std::string, std::string>> views;
  for (int i = 0; i < 6; ++i) views.emplace_back("t" + std::to_string(i), transposed.text());
  Zip zip = torch_zip(dict(views));
  zip.lines[1].data.resize(4u << 20);
  expect_error(UDI_E_FORMAT, "larger than the file", [&] { read_pth(zip.bytes()); });
}

TEST(Pth, LimitsAreTheCallers) {
  PthFile::Limits limits;
  limits.depth = 2;
  const std::string file = torch_zip(dict({{"a", dict({{"b", dict({{"c", "N"}})}})}})).bytes();
  expect_error(UDI_E_FORMAT, "more than 2 containers", [&] { read_pth(file, limits); });
  limits = {};
  limits.visits = 3;
  expect_error(UDI_E_FORMAT, "more than 3 values", [&] { read_pth(file, limits); });
  limits = {};
  limits.pickle.bytes = 10;
  expect_error(UDI_E_FORMAT, "limit of 10", [&] { read_pth(file, limits); });
  limits = {};
  limits.zip.entries = 1;
  expect_error(UDI_E_FORMAT, "limit of 1", [&] { read_pth(file, limits); });
}

// ---- Writing -------------------------------------------------------------------------------------------------------

TEST(PthWriter, EveryKindOfValue) {
  TempFolder folder;
  const std::vector<float> floats = {1, 2, 3, 4, 5, 6};
  const std::vector<uint8_t> bytes(48, 7);
  PthWriter out;
  out.begin_dict();
  const auto key = [&](const char* name) { out.string(name); };
  key("none"), out.none();
  key("yes"), out.boolean(true);
  key("small"), out.integer(-5);
  key("large"), out.integer(INT64_MIN);
  key("real"), out.number(0.1);
  key("list"), out.begin_list(), out.integer(1), out.begin_tuple(), out.end(), out.end();
  key("state"), out.begin_ordered_dict();
  int kinds = 0;
  for (const udi_dtype dtype : {UDI_F32, UDI_F16, UDI_BF16, UDI_F64, UDI_I64, UDI_I32, UDI_U8}) {
    const int64_t count = 48 / int64_t(dtype_size(dtype));
    out.string(std::string("t") + std::to_string(kinds++));
    out.tensor({"", dtype, {2, count / 2}, bytes.data(), 48});
  }
  out.end();
  key("a"), out.tensor({"a", UDI_F32, {2, 3}, floats.data(), 24});
  key("b"), out.tensor({"b", UDI_F32, {6}, floats.data(), 24});
  key("empty"), out.tensor({"empty", UDI_F32, {2, 0}, nullptr, 0});
  key("one"), out.scalar_tensor(2.5f);
  out.end();
  out.save(folder / "all.pth");

  const PthFile pth(folder / "all.pth");
  EXPECT_EQ(pth.scalars().dump(),
            "{\"large\":-9223372036854775808,\"list\":[1,[]],\"none\":null,\"real\":0.1,"
            "\"small\":-5,\"yes\":true}");
  ASSERT_EQ(pth.tensors().size(), size_t(kinds) + 4);
  expect_same(*pth.find("a"), {"a", UDI_F32, {2, 3}, floats.data(), 24});
  EXPECT_EQ(pth.find("a")->data, pth.find("b")->data);  // one storage
  EXPECT_EQ(pth.find("state.t4")->dtype, UDI_I64);
  EXPECT_EQ(pth.find("empty")->bytes, 0u);
  const float half = 2.5f;
  expect_same(*pth.find("one"), {"one", UDI_F32, {}, &half, 4});
  expect_error(UDI_E_UNSUPPORTED, "U16", [&] { out.tensor({"u", UDI_U16, {24}, bytes.data(), 48}); });
}

// The golden checkpoint, taken apart and written again, has every tensor that the official code wrote.
TEST(PthWriter, OfficialCheckpointAgain) {
  TempFolder folder;
  const std::string golden = kGolden + "official_checkpoint.pth";
  const PthFile want(golden);
  ImportOptions options;
  const ImportedWeights teacher = import_weights(golden, options);
  options.role = UDI_STUDENT;
  const ImportedWeights student = import_weights(golden, options);

  OfficialCheckpoint checkpoint;
  checkpoint.student = student.tensors;
  checkpoint.teacher = teacher.tensors;
  checkpoint.center = student.center;
  checkpoint.epoch = want.scalars()["epoch"];
  checkpoint.args = {{"heads", 3}, {"rate", 0.5}, {"deep", {{"none", nullptr}, {"list", {true, -1, "x"}}}}};
  checkpoint.optimizer.emplace();
  const auto& groups = want.scalars()["optimizer"]["param_groups"];
  checkpoint.optimizer->lr = 0.25;  // the official one is a NumPy scalar, which is no plain number
  checkpoint.optimizer->weight_decay = 0.125;
  for (int group = 0; group < 2; ++group) {
    for (const auto& id : groups[size_t(group)]["params"]) {
      OfficialCheckpoint::Moments moments;
      moments.decayed = group == 0;
      const std::string prefix = "optimizer.state." + std::to_string(id.get<int>()) + '.';
      if (const TensorView* step = want.find(prefix + "step")) {
        float value = 0;
        std::memcpy(&value, step->data, 4);
        moments.step = int64_t(value);
        moments.exp_avg = *want.find(prefix + "exp_avg");
        moments.exp_avg_sq = *want.find(prefix + "exp_avg_sq");
      }
      checkpoint.optimizer->moments.push_back(moments);
    }
  }
  write_official_pth(folder / "again.pth", checkpoint);

  const PthFile got(folder / "again.pth");
  std::set<std::string> got_names, want_names;
  for (const TensorView& tensor : got.tensors()) got_names.insert(tensor.name);
  for (const TensorView& tensor : want.tensors()) {
    want_names.insert(tensor.name);
    if (got.find(tensor.name)) expect_same(*got.find(tensor.name), tensor);
  }
  EXPECT_EQ(got_names, want_names);
  EXPECT_EQ(got.scalars()["epoch"], want.scalars()["epoch"]);
  EXPECT_EQ(got.scalars()["args"], checkpoint.args);
  EXPECT_EQ(import_weights(folder / "again.pth", {}).model_config["heads"], 3);
  const auto& written = got.scalars()["optimizer"]["param_groups"];
  ASSERT_EQ(written.size(), 2u);
  EXPECT_EQ(written[0]["lr"], 0.25);
  EXPECT_EQ(written[0]["weight_decay"], 0.125);
  for (size_t group = 0; group < 2; ++group) {
    for (const char* name : {"params", "betas", "eps", "amsgrad", "maximize", "foreach", "capturable", "fused"}) {
      EXPECT_EQ(written[group][name], groups[group][name]) << name;
    }
  }
  EXPECT_EQ(written[1]["weight_decay"], 0.0);
}

}  // namespace
}  // namespace udi
