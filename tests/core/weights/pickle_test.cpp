#include "weights/pickle.h"

#include <random>

#include "weights/support.h"

namespace udi {
namespace {

using udi_test::bytes_of;
using udi_test::expect_error;
using udi_test::global;
using udi_test::num;
using udi_test::number;
using udi_test::pickle;
using udi_test::str;
using Kind = Value::Kind;

std::unique_ptr<Pickle> read(const std::string& bytes, Pickle::Limits limits = {}) {
  const std::vector<uint8_t> exact(bytes_of(bytes), bytes_of(bytes) + bytes.size());
  return std::make_unique<Pickle>("test", exact.data(), exact.size(), limits);
}

void expect_bad(const std::string& words, const std::string& body, Pickle::Limits limits = {}) {
  expect_error(UDI_E_FORMAT, words, [&] { read(pickle(body), limits); });
}

int64_t integer(const std::string& body) {
  const auto made = read(pickle(body));
  EXPECT_TRUE(made->root().is(Kind::kInt));
  return made->root().integer;
}

TEST(Pickle, Numbers) {
  EXPECT_EQ(integer("J" + number(0xffffffff, 4)), -1);
  EXPECT_EQ(integer("K\xff"), 255);
  EXPECT_EQ(integer("M\xff\xff"), 65535);
  EXPECT_EQ(integer(std::string("\x8a\0", 2)), 0);
  EXPECT_EQ(integer("\x8a\x01\xff"), -1);
  EXPECT_EQ(integer("\x8a\x03\xff\xff\x7f"), 0x7fffff);
  EXPECT_EQ(integer(num(INT64_MIN)), INT64_MIN);
  const auto large = read(pickle("\x8a\x09" + number(1, 8) + "\x02"));
  EXPECT_TRUE(large->root().is(Kind::kBigInt));
  EXPECT_EQ(large->root().text, "020000000000000001");
  const auto real = read(pickle(std::string("G\xbf\xe0\0\0\0\0\0\0", 9)));
  EXPECT_TRUE(real->root().is(Kind::kFloat));
  EXPECT_EQ(real->root().number, -0.5);
}

TEST(Pickle, Texts) {
  EXPECT_EQ(read(pickle(str("\xc3\xa9")))->root().text, "\xc3\xa9");
  EXPECT_TRUE(read(pickle(str("\xc3")))->root().is(Kind::kBytes));
  EXPECT_EQ(read(pickle("\x8c\x02hi"))->root().text, "hi");
  EXPECT_EQ(read(pickle("\x8d" + number(2, 8) + "hi"))->root().text, "hi");
  EXPECT_TRUE(read(pickle("C\x02hi"))->root().is(Kind::kBytes));
  EXPECT_EQ(read(pickle(str("os") + str("system") + "\x93"))->root().text, "os system");
}

TEST(Pickle, ContainersAndMemo) {
  // {"a": [1, 2], "b": the same list}
  const auto made = read(pickle("}(" + str("a") + "](K\x01K\x02" + "eq\x07" + str("b") + "h\x07u"));
  const Value& root = made->root();
  ASSERT_TRUE(root.is(Kind::kDict));
  ASSERT_EQ(root.items.size(), 4u);
  EXPECT_EQ(root.items[1], root.items[3]);
  ASSERT_EQ(root.items[1]->items.size(), 2u);
  EXPECT_EQ(root.items[1]->items[1]->integer, 2);
}

TEST(Pickle, NothingIsCalled) {
  const auto made = read(pickle(global("os", "system") + "(" + str("touch /tmp/pickle-was-run") + "tR}b"));
  const Value& root = made->root();
  ASSERT_TRUE(root.is_call_of("os system"));
  ASSERT_EQ(root.arguments->items.size(), 1u);
  ASSERT_TRUE(root.state);
  EXPECT_NE(::access("/tmp/pickle-was-run", F_OK), 0);
  EXPECT_TRUE(read(pickle(global("collections", "OrderedDict") + ")R"))->root().is(Kind::kDict));
}

TEST(Pickle, RefusesWhatPythonRefuses) {
  expect_bad("nothing on the stack", "0");
  expect_bad("no mark", "t");
  expect_bad("no mark", "u");
  expect_bad("too few values", "R");
  expect_bad("too few values", "(K\x01\x86");  // below the mark there is one more
  expect_bad("memo 3", "h\x03");
  expect_bad("stops with 0", "");
  expect_bad("stops with 2", "NN");
  expect_bad("stops with 1", "N(");
  expect_bad("a key without a value", "}(Nu");
  expect_bad("no list", "}(Ne");
  expect_bad("no dict", "](NNu");
  expect_bad("tuple of arguments", global("a", "b") + "NR");
  expect_bad("no string", "NN\x93");
  expect_bad("state", "NNb");
  expect_bad("line without an end", "cmodule");
  expect_bad("no UTF-8", "cmodule\n\xff\n");
  expect_bad("ends within an operand", "X" + number(UINT32_MAX, 4));
  expect_bad("ends within an operand", "\x8d" + number(UINT64_MAX, 8));
  expect_bad("frame", "\x95" + number(UINT64_MAX, 8) + "N");
  expect_bad("protocol", "\x80\x02N");  // named twice
  expect_error(UDI_E_FORMAT, "protocol 5", [] { read("\x80\x05N."); });
  expect_error(UDI_E_FORMAT, "bytes follow", [] { read(pickle("N") + "N"); });
  expect_error(UDI_E_FORMAT, "ends within", [] { read(""); });
  // What those protocols never write: INST, OBJ, EXT1, PERSID, GET of protocol 0, BYTEARRAY8.
  for (const char* opcode : {"i", "o", "\x82", "P", "g", "\x96", "I", "S", "F", "V", "d", "l", "p"}) {
    expect_bad("is not one that is read", opcode);
  }
}

TEST(Pickle, Limits) {
  expect_bad("open marks", std::string(2000, '('));
  Pickle::Limits limits;
  limits.values = 100;
  expect_bad("more than 100 values", std::string(101, 'N'), limits);
  std::string memo = "N";
  for (int i = 0; i < 101; ++i) memo += "r" + number(uint64_t(i), 4);
  expect_bad("more than 100 values in the memo", memo, limits);
  limits.bytes = 10;
  expect_bad("larger than the limit", std::string(20, 'N'), limits);
  // A long text that names one global after another would multiply.
  std::string bomb = str(std::string(1 << 20, 'm')) + "q" + std::string(1, '\0');
  const std::string again = std::string("h\0", 2);
  for (int i = 0; i < 20000; ++i) bomb += again + again + "\x93" + "0";
  expect_bad("a global", bomb);
}

TEST(Pickle, DeepNestingIsNoRecursion) {
  const int depth = 200000;
  const auto lists = read(pickle(std::string(depth, ']') + std::string(depth - 1, 'a')));
  EXPECT_TRUE(lists->root().is(Kind::kList));
  const auto tuples = read(pickle(")" + std::string(depth, '\x85')));
  EXPECT_TRUE(tuples->root().is(Kind::kTuple));
}

TEST(Pickle, GarbageIsAnErrorOrAValue) {
  const std::string opcodes =
      "\x80\x95(01N\x88\x89JKM\x8aGX\x8c\x8d"
      "BC\x8e)t\x85\x86\x87]ae}su\x8f\x90\x91qr\x94hjc\x93R\x81"
      "bQ.";
  std::mt19937 random(1);
  int values = 0;
  for (int round = 0; round < 100000; ++round) {
    std::string bytes = "\x80\x04";
    const int length = int(random() % 40);
    for (int i = 0; i < length; ++i) {
      bytes += random() % 4 ? opcodes[random() % opcodes.size()] : char(random() % 12);
    }
    bytes += '.';
    try {
      read(bytes);
      ++values;
    } catch (const Error& error) {
      ASSERT_EQ(error.status, UDI_E_FORMAT);
    }
  }
  EXPECT_GT(values, 100);  // the garbage is not all refused at once
}

}  // namespace
}  // namespace udi
