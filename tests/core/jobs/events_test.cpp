#include "jobs/events.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>

#include "base/error.h"
#include "base/files.h"
#include "jobs/temporary.h"

namespace udi {
namespace {

template <class T>
T raw(const std::string& bytes, size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

// The payloads of a file of TFRecords, whose checksums must hold.
std::vector<std::string> payloads(const std::string& bytes) {
  std::vector<std::string> result;
  for (size_t at = 0; at < bytes.size();) {
    const auto length = size_t(raw<uint64_t>(bytes, at));
    EXPECT_EQ(raw<uint32_t>(bytes, at + 8), masked_crc32c(bytes.data() + at, 8));
    result.push_back(bytes.substr(at + 12, length));
    EXPECT_EQ(raw<uint32_t>(bytes, at + 12 + length), masked_crc32c(bytes.data() + at + 12, length));
    at += 16 + length;
  }
  return result;
}

std::string only_file(const std::string& folder) {
  std::string found;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    EXPECT_TRUE(found.empty());
    found = entry.path().string();
  }
  return found;
}

TEST(Events, Crc32cHasThePublishedValues) {  // RFC 3720, B.4
  EXPECT_EQ(crc32c("123456789", 9), 0xE3069283u);
  EXPECT_EQ(crc32c(std::string(32, '\0').data(), 32), 0x8A9136AAu);
  EXPECT_EQ(crc32c(std::string(32, '\xff').data(), 32), 0x62A8AB43u);
  EXPECT_EQ(crc32c("", 0), 0u);
  EXPECT_EQ(masked_crc32c("", 0), 0xA282EAD8u);
}

// Bytes that protobuf's own encoder gives for Event(wall_time=1.5, step=300, summary=[("loss", 2.0)]).
TEST(Events, AScalarIsTheBytesOfProtobuf) {
  const std::string expected(
      "\x09\x00\x00\x00\x00\x00\x00\xf8\x3f"  // wall_time
      "\x10\xac\x02"                          // step
      "\x2a\x0d\x0a\x0b\x0a\x04loss\x15\x00\x00\x00\x40",
      27);
  EXPECT_EQ(payloads(event_record(1.5, 300, {{"loss", 2.0}})), std::vector<std::string>{expected});
}

TEST(Events, AFileStartsWithItsVersionAndLeavesOutWhatIsNotFinite) {
  TemporaryFolder folder;
  {
    EventWriter writer(folder.path(), 0);
    writer.add(5, {{"loss", 1.0}, {"none", std::nan("")}});
    writer.add(6, {{"none", std::nan("")}});
  }
  EXPECT_NE(only_file(folder.path()).find("/events.out.tfevents."), std::string::npos);
  const auto events = payloads(read_text(only_file(folder.path())));
  ASSERT_EQ(events.size(), 3u);
  EXPECT_NE(events[0].find("brain.Event:2"), std::string::npos);
  EXPECT_NE(events[2].find("loss"), std::string::npos);
  EXPECT_EQ(events[2].find("none"), std::string::npos);
}

TEST(Events, ARunThatGoesOnTakesBackLaterSteps) {
  TemporaryFolder folder;
  { EventWriter writer(folder.path(), 7); }
  const auto events = payloads(read_text(only_file(folder.path())));
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[1].substr(9), std::string("\x10\x07\x3a\x02\x08\x01", 6));  // step 7, session_log: START
}

TEST(Events, AFolderThatIsNotThereIsAnError) { EXPECT_THROW(EventWriter("/nowhere/at/all", 0), Error); }

}  // namespace
}  // namespace udi
