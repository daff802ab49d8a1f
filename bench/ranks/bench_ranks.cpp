// One rank of bench/ranks/run, which tells all ranks the same on stdin, a line at a time; rank 0 answers each with a line of
// JSON. Ranks are found by the usual variables (docs/distributed.md). Usage: bench_ranks IMAGES
//   join BYTES   from now on in a group whose pieces have so many bytes
//   profile 0    when in a step without a group the gradients are complete
//   sums N       the median time for the step's sums, with nothing beside
//   little N     the median time of a sum of one number a rank, and of one agree()
//   steps N      the median step over ranks, and the median of as many without a group in between, all ranks at once
#include <ATen/Parallel.h>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <sstream>

#include "base/random.h"
#include "dist/group.h"
#include "train/trainer.h"

namespace udi {
namespace {

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// Few enough operations for a processor, many enough weights for a network.
udi_model_config model_config() {
  udi_model_config c = model_config_preset("vit_tiny");
  c.image_size = c.resize_size = 96;
  c.depth = 6;
  c.out_dim = 8192;
  c.head_hidden_dim = 512;
  return c;
}

Views random_views(const udi_model_config& model, int64_t images) {
  Random random(1, Random::kTest);
  Views v;
  v.batch = images;
  v.local_crops = 10;
  v.channels = 3;
  v.global_size = model.image_size;
  v.local_size = 48;
  v.patch_size = model.patch_size;
  v.global.resize(size_t(2 * images * 3 * v.global_size * v.global_size));
  v.local.resize(size_t(v.local_crops * images * 3 * v.local_size * v.local_size));
  for (auto* pixels : {&v.global, &v.local}) {
    for (uint8_t& pixel : *pixels) pixel = uint8_t(random.below(256));
  }
  for (int64_t crop = 0; crop < (2 + v.local_crops) * images; ++crop) {
    const double extent = crop < 2 * images ? 0.7 : 0.3;
    const double i = random.uniform(0, 1 - extent), j = random.uniform(0, 1 - extent);
    for (const double c : {i, j, i + extent, j + extent}) v.coords.push_back(float(c));
  }
  const int64_t grid = v.global_size / v.patch_size, small = v.local_size / v.patch_size;
  const auto first_of_each_window = [&](std::vector<uint8_t>& mask, int64_t side) {
    for (int64_t i = 0; i < images * side * side; ++i) mask.push_back(i % side % 3 == 0 && i / side % side % 3 == 0);
  };
  first_of_each_window(v.sample_global, grid);
  first_of_each_window(v.sample_local, small);
  v.maps = make_sample_maps(images, v.local_crops, grid, small, v.coords.data(), v.sample_global.data(),
                            v.sample_local.data());
  return v;
}

class Rank {
 public:
  explicit Rank(int64_t images) : views_(random_views(model_, images)) {
    udi_train_config_init(&config_, sizeof config_);
    config_.total_steps = 1000;
    config_.steps_per_epoch = 100;
    Model model(model_, at::kCPU);
    model.weights.initialize(model_, 1);
    for (auto* trainer : {&alone_, &together_}) *trainer = std::make_unique<Trainer>(model, config_);
  }

  // What a command prints.
  nlohmann::json run(const std::string& command, int64_t number) {
    if (command == "join") return join(number);
    check(group_ != nullptr, UDI_E_STATE, "join first");
    if (command == "profile") return gradients_of_a_step();
    if (command == "steps") {
      const auto seconds = timed(number, [&] { step(*together_); }, [&] { step(*alone_); });
      return {{"step", seconds[0]}, {"alone", seconds[1]}};
    }
    if (command == "sums") return {{"sums", timed(number, [&] { sums(); })[0]}};
    if (command == "little") {
      const at::Tensor one = at::ones({group_->world()});
      const auto seconds = timed(number, [&] { group_->sum(one); }, [&] { group_->agree_on([] {}); });
      return {{"sum", seconds[0]}, {"agree", seconds[1]}};
    }
    fail(UDI_E_INVALID, "unknown command ", command);
  }

  bool first() const { return !group_ || group_->first(); }

 private:
  nlohmann::json join(int64_t bucket_bytes) {
    GroupSettings settings;
    settings.bucket_bytes = bucket_bytes;
    settings.timeout = 120;
    settings.port = next_port_++;
    together_->join(std::make_shared<Group>());  // leaves the last one
    group_.reset();
    group_ = std::make_shared<Group>(settings, host_);
    together_->join(group_);
    return {{"bytes", 4 * together_->gradients().flat.numel()}, {"ranks", group_->world()}};
  }

  void step(Trainer& trainer) { trainer.step({&views_}, host_, nullptr); }

  void sums() {
    const at::Tensor flat = alone_->gradients().flat;
    for (int64_t end = flat.numel(); end > 0;) {
      const int64_t begin = std::max<int64_t>(0, end - group_->bucket_bytes() / 4);
      group_->sum_later(flat.narrow(0, begin, end - begin));
      end = begin;
    }
    group_->wait();
  }

  // From which byte on the last chunk's gradients are complete, and when; the end of the pass is 0 s.
  nlohmann::json gradients_of_a_step() {
    const BatchTotals totals = totals_of({&views_});
    const UdiObjective objective(model_, config_);
    const TableSettings settings{model_, config_, objective, totals, 0, alone_->student().flat};
    Prototypes prototypes{};
    prototypes.student = at::empty_like(alone_->student().head.weight_v);
    prototypes.teacher = at::empty_like(prototypes.student);
    prototype_weights(alone_->student().head, prototypes.student);
    prototype_weights(alone_->teacher().head, prototypes.teacher);
    prototypes.centers = alone_->centers();
    prototypes.student_temp = config_.student_temp;
    prototypes.teacher_temp = config_.teacher_temp;
    Strand strand(model_, config_, alone_->student(), alone_->teacher(), alone_->gradients().zeros_like());
    const Spread spread = spread_of(model_, config_, at::kCPU, views_.batch, views_.global_size);
    std::vector<std::pair<int64_t, double>> marks;
    for (int round = 0; round < 2; ++round) {  // the first one warms up
      marks.clear();
      group_->agree_on([] {});
      strand.begin();
      const auto chunks = make_chunks({&views_}, {0}, spread.chunk);
      for (size_t i = 0; i < chunks.size(); ++i) {
        Strand::Ready ready;
        if (i + 1 == chunks.size()) ready = [&](int64_t element) { marks.emplace_back(4 * element, now()); };
        strand.learn(make_tables(chunks[i], settings), prototypes, ready);
      }
    }
    const double end = now();
    nlohmann::json complete = nlohmann::json::array();
    for (const auto& [byte, time] : marks) complete.push_back({byte, time - end});
    return {{"complete", complete}};
  }

  // The median of each body's, which take turns.
  template <class... Bodies>
  std::vector<double> timed(int64_t count, Bodies&&... bodies) {
    std::vector<std::vector<double>> seconds(sizeof...(bodies));
    const auto time = [&](std::vector<double>& of, const auto& body) {
      group_->agree_on([] {});
      const double start = now();
      body();
      of.push_back(now() - start);
    };
    for (int64_t i = 0; i <= count; ++i) {
      size_t next = 0;
      (time(seconds[next++], bodies), ...);
    }
    std::vector<double> medians;
    for (auto& of : seconds) medians.push_back(median({of.begin() + 1, of.end()}));  // the first one warms up
    return medians;
  }

  const udi_model_config model_ = model_config();
  udi_train_config config_{};
  Host host_;
  int next_port_ = kDefaultPort;
  Views views_;
  std::unique_ptr<Trainer> alone_, together_;
  std::shared_ptr<Group> group_;
};

}  // namespace
}  // namespace udi

int main(int argc, char** argv) {
  try {
    at::set_num_threads(1);
    udi::Rank rank(argc > 1 ? std::stoll(argv[1]) : 4);
    std::string line, command;
    while (std::getline(std::cin, line)) {
      int64_t number = 0;
      std::istringstream(line) >> command >> number;
      const nlohmann::json answer = rank.run(command, number);
      if (rank.first()) std::cout << answer.dump() << std::endl;
    }
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "bench_ranks: " << error.what() << "\n";
    return 1;
  }
}
