#include "data/loader.h"

#include <gtest/gtest.h>

#include <chrono>
#include <numeric>
#include <set>
#include <thread>

#include "data/augment.h"
#include "data/order.h"
#include "data/support.h"
#include "image/decode.h"

namespace udi {
namespace {

using udi_test::expect_error;
using udi_test::LogHost;
using udi_test::small_views;
using udi_test::TempFolder;
using udi_test::write_jpeg;
using udi_test::write_png;

// A folder of `count` images, 1000.jpg and on, every third a PNG.
struct PictureFolder : TempFolder {
  explicit PictureFolder(int count) {
    for (int i = 0; i < count; ++i) {
      const int height = 20 + i % 7, width = 24 + i % 11;
      if (i % 3 == 2) {
        write_png(*this / text(1000 + i, ".png"), uint64_t(i), height, width);
      } else {
        write_jpeg(*this / text(1000 + i, ".jpg"), uint64_t(i), height, width);
      }
    }
  }
};

udi_loader_config small_loader() {
  udi_loader_config config;
  udi_loader_config_init(&config, sizeof config);
  config.batch_size = 4;
  config.workers = 2;
  config.seed = 3;
  return config;
}

std::unique_ptr<Loader> open_loader(const TempFolder& folder, const udi_loader_config& config, const Host& host) {
  return std::make_unique<Loader>(ImageSource::open(folder / "", ImageSource::Options(), host), small_views(), config,
                                  host);
}

std::vector<Views> take(Loader& loader, int count) {
  std::vector<Views> batches(static_cast<size_t>(count));
  for (Views& views : batches) loader.next(views);
  return batches;
}

void expect_same(const Views& a, const Views& b) {
  EXPECT_EQ(a.sample, b.sample);
  EXPECT_EQ(a.epoch, b.epoch);
  EXPECT_EQ(a.global, b.global);
  EXPECT_EQ(a.local, b.local);
  EXPECT_EQ(a.coords, b.coords);
  EXPECT_EQ(a.sample_global, b.sample_global);
  EXPECT_EQ(a.sample_local, b.sample_local);
  EXPECT_EQ(a.maps.global_count, b.maps.global_count);
  EXPECT_EQ(a.maps.global_weight, b.maps.global_weight);
  EXPECT_EQ(a.maps.local_index, b.maps.local_index);
}

TEST(EpochOrder, IsAPermutationOfItsOwn) {
  std::vector<uint32_t> all(1000);
  std::iota(all.begin(), all.end(), 0u);
  std::vector<uint32_t> order = epoch_order(1, 0, 1000);
  EXPECT_NE(order, all);
  EXPECT_NE(order, epoch_order(1, 1, 1000));
  EXPECT_NE(order, epoch_order(2, 0, 1000));
  EXPECT_EQ(order, epoch_order(1, 0, 1000));
  std::sort(order.begin(), order.end());
  EXPECT_EQ(order, all);
}

// Each of four images at each of four places in a quarter of 20,000 epochs, within 5.5 standard errors.
TEST(EpochOrder, IsUniform) {
  int64_t counts[4][4] = {};
  for (int64_t epoch = 0; epoch < 20000; ++epoch) {
    const auto order = epoch_order(5, epoch, 4);
    for (size_t i = 0; i < 4; ++i) ++counts[i][order[i]];
  }
  for (const auto& row : counts) {
    for (const int64_t count : row) udi_test::expect_share(double(count) / 20000, 0.25, 20000);
  }
}

TEST(Loader, GivesTheSameBitsWithAnyNumberOfWorkers) {
  const PictureFolder folder(22);
  const Host host;
  udi_loader_config config = small_loader();
  config.workers = 1;
  const auto one = take(*open_loader(folder, config, host), 12);  // over two epochs
  config.workers = 8;
  const auto eight = take(*open_loader(folder, config, host), 12);
  for (size_t i = 0; i < one.size(); ++i) expect_same(one[i], eight[i]);
}

TEST(Loader, GivesWhatMakeViewsMakes) {
  const PictureFolder folder(9);
  const Host host;
  const auto loader = open_loader(folder, small_loader(), host);
  const auto batches = take(*loader, 4);
  for (const Views& batch : batches) {
    std::vector<Image> images;
    for (const int64_t sample : batch.sample) {
      std::vector<uint8_t> bytes;
      loader->source().read(sample, bytes);
      images.push_back(decode_image(bytes.data(), bytes.size(), DecodeLimits(), 3));
    }
    Views want;
    make_views(images, small_views(), 3, batch.epoch, batch.sample, want);
    expect_same(batch, want);
  }
}

TEST(Loader, VisitsEveryImageOnceAnEpoch) {
  const PictureFolder folder(12);
  const Host host;
  const auto loader = open_loader(folder, small_loader(), host);
  EXPECT_EQ(loader->steps_per_epoch(), 3);
  for (int64_t epoch = 0; epoch < 3; ++epoch) {
    std::set<int64_t> seen;
    for (const Views& batch : take(*loader, 3)) {
      EXPECT_EQ(batch.epoch, epoch);
      seen.insert(batch.sample.begin(), batch.sample.end());
    }
    EXPECT_EQ(seen.size(), 12u);
  }
  EXPECT_EQ(loader->position(), 9);
}

TEST(Loader, EndsEpochsOnWholeSteps) {
  const PictureFolder folder(23);  // five batches
  const Host host;
  const std::pair<int64_t, int64_t> cases[] = {{1, 5}, {2, 4}, {3, 3}, {5, 5}, {6, 5}};
  for (const auto& [of, kept] : cases) {
    const auto loader = open_loader(folder, small_loader(), host);
    loader->end_epochs_on(of);
    EXPECT_EQ(loader->steps_per_epoch(), kept);
    const auto batches = take(*loader, int(kept) + 1);
    EXPECT_EQ(batches[size_t(kept - 1)].epoch, 0);
    EXPECT_EQ(batches[size_t(kept)].epoch, 1);
  }
}

TEST(Loader, GoesOnFromAnyPosition) {
  const PictureFolder folder(14);
  const Host host;
  const auto straight = take(*open_loader(folder, small_loader(), host), 10);
  const auto loader = open_loader(folder, small_loader(), host);
  Views views;
  for (const int64_t position : {7, 2, 9, 0, 5}) {
    loader->seek(position);
    EXPECT_EQ(loader->position(), position);
    loader->next(views);
    expect_same(views, straight[size_t(position)]);
    EXPECT_EQ(loader->position(), position + 1);
  }
  loader->seek(50'000'001);
  loader->next(views);
  EXPECT_EQ(views.epoch, 16'666'667);
  expect_error(UDI_E_INVALID, "position is -1", [&] { loader->seek(-1); });
  expect_error(UDI_E_INVALID, "must be 0 to 50331647", [&] { loader->seek(50'331'648); });
}

TEST(Loader, SharesAnEpochBetweenRanks) {
  const PictureFolder folder(26);
  const Host host;
  udi_loader_config config = small_loader();
  const auto whole = take(*open_loader(folder, config, host), 6);
  config.world = 3;
  std::set<int64_t> seen;
  for (config.rank = 0; config.rank < 3; ++config.rank) {
    const auto loader = open_loader(folder, config, host);
    EXPECT_EQ(loader->steps_per_epoch(), 2);
    const auto mine = take(*loader, 2);
    for (size_t step = 0; step < 2; ++step) {
      expect_same(mine[step], whole[step * 3 + size_t(config.rank)]);
      seen.insert(mine[step].sample.begin(), mine[step].sample.end());
    }
  }
  EXPECT_EQ(seen.size(), 24u);
}

TEST(Loader, NeedsAtLeastOneBatch) {
  const PictureFolder folder(3);
  const Host host;
  expect_error(UDI_E_INVALID, "the set has 3 images, fewer than one batch of 4",
               [&] { open_loader(folder, small_loader(), host); });
  udi_loader_config config = small_loader();
  config.world = 2;
  config.rank = 2;
  expect_error(UDI_E_INVALID, "rank is 2, outside 0 to 1", [&] { open_loader(folder, config, host); });
}

// 40 images of which four are bad in different ways.
struct DamagedFolder : PictureFolder {
  DamagedFolder() : PictureFolder(40) {
    write_text(*this / "1003.jpg", "");
    write_text(*this / "1010.jpg", "no image");
    const std::string whole = read_text(*this / "1019.jpg");
    write_text(*this / "1019.jpg", whole.substr(0, whole.size() / 2));
    std::filesystem::remove(*this / "1023.png");
    std::filesystem::create_symlink("1023.gone", *this / "1023.png");
    write_text(*this / "1023.gone", "x");
  }
};

TEST(Loader, ReplacesBadImagesTheSameWayEveryTime) {
  const DamagedFolder folder;
  udi_loader_config config = small_loader();
  config.max_bad_percent = 10;  // exactly the four
  LogHost one_host, eight_host;
  config.workers = 1;
  const auto one_loader = open_loader(folder, config, one_host);
  const auto one = take(*one_loader, 30);
  config.workers = 8;
  const auto eight = take(*open_loader(folder, config, eight_host), 30);
  for (size_t i = 0; i < one.size(); ++i) expect_same(one[i], eight[i]);
  EXPECT_EQ(one_host.lines, eight_host.lines);
  EXPECT_EQ(one_loader->bad_images(), 4);
  EXPECT_EQ(one_host.lines.size(), 4u);  // three epochs, each named once
  for (const char* name : {"1003.jpg", "1010.jpg", "1019.jpg", "1023.png"}) {
    EXPECT_EQ(one_host.count(std::string("unreadable image ") + name), 1);
  }
  for (const Views& batch : one) {
    for (const int64_t sample : batch.sample) EXPECT_TRUE(sample != 3 && sample != 10 && sample != 19 && sample != 23);
  }
  // What an image met before the seek does not change what comes after it.
  config.workers = 2;
  const LogHost host;
  const auto sought = open_loader(folder, config, host);
  sought->seek(25);
  Views views;
  sought->next(views);
  expect_same(views, one[25]);
}

TEST(Loader, EndsWhenTooManyImagesAreBad) {
  const DamagedFolder folder;
  udi_loader_config config = small_loader();
  config.max_bad_percent = 5;  // two may be bad
  std::set<int64_t> positions;
  for (const int workers : {1, 2, 8}) {
    config.workers = workers;
    const LogHost host;
    const auto loader = open_loader(folder, config, host);
    Views views;
    for (int attempt = 0; attempt < 2; ++attempt) {
      expect_error(UDI_E_FORMAT, "3 of 40 images are unreadable, more than max_bad_percent 5", [&] {
        for (int i = 0; i < 100; ++i) loader->next(views);
      });
    }
    positions.insert(loader->position());
    EXPECT_EQ(host.count("unreadable image"), 3);
  }
  EXPECT_EQ(positions.size(), 1u);  // it ends at the same batch with any number of workers
}

TEST(Loader, EndsWhenNothingCanBeRead) {
  TempFolder folder;
  for (int i = 0; i < 50; ++i) write_text(folder / text(i, ".jpg"), "no image");
  const Host host;
  for (const double percent : {1.0, 100.0}) {
    udi_loader_config config = small_loader();
    config.max_bad_percent = percent;
    const auto loader = open_loader(folder, config, host);
    Views views;
    expect_error(UDI_E_FORMAT, "images are unreadable", [&] { loader->next(views); });
  }
}

TEST(Loader, CountsAFileThatVanishes) {
  const PictureFolder folder(8);
  const LogHost host;
  udi_loader_config config = small_loader();
  config.max_bad_percent = 50;
  const auto loader = open_loader(folder, config, host);
  for (const char* name : {"1001.jpg", "1002.png"}) std::filesystem::remove(folder / name);
  Views views;
  for (int i = 0; i < 4; ++i) loader->next(views);
  EXPECT_EQ(loader->bad_images(), 2);
  EXPECT_EQ(host.count("no such file"), 2);
}

TEST(Loader, CountsImagesOverALimit) {
  const PictureFolder folder(12);
  const LogHost host;
  udi_loader_config config = small_loader();
  config.max_bad_percent = 100;
  config.max_pixels = 24 * 26;
  const auto loader = open_loader(folder, config, host);
  Views views;
  for (int i = 0; i < 3; ++i) loader->next(views);
  EXPECT_GT(loader->bad_images(), 0);
  EXPECT_LT(loader->bad_images(), 12);
}

// .npy version 1.0, C order.
std::string npy(const std::string& descr, int height, int width, int channels, const std::string& data) {
  std::string header =
      text("{'descr': '", descr, "', 'fortran_order': False, 'shape': (", height, ", ", width, ", ", channels, "), }");
  header += std::string((64 - (10 + header.size() + 1) % 64) % 64, ' ') + "\n";
  std::string file("\x93NUMPY\x01\x00", 8);
  file += char(header.size() & 255);
  file += char(header.size() >> 8);
  return file + header + data;
}

TEST(Loader, TakesArraysOfFloats) {
  TempFolder folder;
  for (int i = 0; i < 6; ++i) {
    std::vector<float> values(20 * 24 * 5);
    for (size_t k = 0; k < values.size(); ++k) values[k] = float((k * 37 + size_t(i)) % 101) / 100;
    write_text(folder / text(i, ".npy"),
               npy("<f4", 20, 24, 5, std::string(reinterpret_cast<const char*>(values.data()), values.size() * 4)));
  }
  write_text(folder / "6.npy", npy("|u1", 20, 24, 5, std::string(20 * 24 * 5, '\x80')));  // becomes 128 / 255
  write_text(folder / "7.npy", npy("|u1", 20, 24, 4, std::string(20 * 24 * 4, '\x80')));  // bad: four channels
  const LogHost host;
  udi_loader_config config = small_loader();
  config.channels = 5;
  config.max_bad_percent = 20;
  const auto loader = open_loader(folder, config, host);
  const auto batches = take(*loader, 2);
  EXPECT_EQ(batches[0].dtype, UDI_F32);
  EXPECT_EQ(batches[0].channels, 5);
  EXPECT_EQ(batches[0].global.size(), 2u * 4 * 5 * 32 * 32 * 4);
  EXPECT_EQ(loader->bad_images(), 1);
}

TEST(Loader, StopsOnACancelAndGoesOnAfterIt) {
  const PictureFolder folder(8);
  Host host;
  const auto loader = open_loader(folder, small_loader(), host);
  Views views;
  loader->next(views);
  host.cancelled = true;
  expect_error(UDI_E_CANCELLED, "cancelled", [&] { loader->next(views); });
  EXPECT_EQ(loader->position(), 1);
  host.cancelled = false;
  loader->next(views);
  expect_same(views, take(*open_loader(folder, small_loader(), host), 2)[1]);
}

TEST(Loader, EndsAtAnyMoment) {
  const PictureFolder folder(16);
  const Host host;
  udi_loader_config config = small_loader();
  for (int trial = 0; trial < 30; ++trial) {
    config.workers = 1 + trial % 5;
    const auto loader = open_loader(folder, config, host);
    Views views;
    for (int i = 0; i < trial % 4; ++i) loader->next(views);
    if (trial % 3 == 0) loader->seek(trial);
    if (trial % 2 == 0) std::this_thread::sleep_for(std::chrono::microseconds(trial * 100));
  }
}

}  // namespace
}  // namespace udi
