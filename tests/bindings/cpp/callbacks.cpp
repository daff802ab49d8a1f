// Jobs, progress, logs and cancels; what callbacks throw.
#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>

#include "expect.hpp"
#include "recipe.hpp"

namespace {

struct Enough {
  int why;
};

// Calls until one throws an Enough, and gives that. Logs come from worker threads: soon, not at once.
template <class Call>
int enough(Call&& call) {
  for (int i = 0; i < 1000; ++i) {
    try {
      call();
    } catch (const Enough& thrown) {
      return thrown.why;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  throw std::logic_error("nothing was thrown");
}

void check_progress(const std::string& folder) {
  udi::Context context;
  const std::string options = R"({"out": ")" + folder + R"(/drawn", "train": 20, "test": 20})";
  int runs = 0;
  const auto stop = [&](const udi_progress& now) -> bool {
    expect(now.struct_size == sizeof now && now.total > 0 && now.stage != nullptr, "progress");
    ++runs;
    throw Enough{7};
  };
  try {
    context.run("demo-data", options, stop);
    expect(false, "thrown on");
  } catch (const Enough& thrown) {
    expect(thrown.why == 7 && runs == 1, "once, as it was thrown");
  }
  fails([&] { context.run("demo-data", options, [](const udi_progress&) { return false; }); }, UDI_E_CALLBACK, "");
  fails(
      [&] {
        context.run("demo-data", options, [&](const udi_progress&) {
          context.cancel();
          return true;
        });
      },
      UDI_E_CANCELLED, "");
  fails([&] { recipe::model(context); }, UDI_E_CANCELLED, "");
  context.clear_cancel();
  int calls = 0;
  const std::string result = context.run("demo-data", options, [&](const udi_progress&) { return ++calls > 0; });
  expect(calls > 0 && result.front() == '{' && result.back() == '}', result);
  expect(context.run("demo-data", R"({"out": ")" + folder + R"(/other", "train": 20, "test": 20})").size() > 2,
         "without progress");
  fails([&] { context.run("demo-data", "{\"fields\": 1}"); }, UDI_E_INVALID, "fields");
  fails([&] { context.run("no-such-job", "{}"); }, UDI_E_INVALID, "no-such-job");
}

void check_cancel() {
  udi::Context context;
  const udi::Model model = recipe::model(context);
  const recipe::Images images;
  const udi::Tensor batch = model.prepare(images.all);
  std::thread other([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    context.cancel();
  });
  fails(
      [&] {
        for (;;) model.extract(batch);
      },
      UDI_E_CANCELLED, "");
  other.join();
  context.clear_cancel();
  expect(model.extract(batch).shape()[0] == 8, "and on");
}

udi::Loader open(const udi::Context& context, const std::string& pictures) {  // with bad files among them
  udi::LoaderConfig config;
  config.batch_size = 8;
  config.workers = 2;
  config.max_bad_percent = 100;
  return udi::Loader(context, pictures, recipe::crops(), config);
}

void check_log(const std::string& pictures) {
  std::mutex mutex;
  std::vector<std::string> lines;
  std::atomic<int> mode{0};  // 1: throws, 2: cancels and throws
  udi::Context* seen = nullptr;
  const auto alive = std::make_shared<int>(0);
  udi::Context context(udi::ContextConfig(), [&, alive](udi_log_level level, std::string_view line) {
    const std::lock_guard<std::mutex> lock(mutex);
    expect(level >= UDI_LOG_ERROR && level <= UDI_LOG_DEBUG, "a level");
    lines.emplace_back(line);
    if (mode == 2) seen->cancel();
    if (mode != 0) throw Enough{mode};
  });
  seen = &context;
  std::optional<udi::Loader> loader(open(context, pictures));
  for (int i = 0; i < 10; ++i) loader->next();
  {
    const std::lock_guard<std::mutex> lock(mutex);
    expect(!lines.empty() && lines[0].find("bad") != std::string::npos, "bad files are in the log");
  }

  mode = 1;
  expect(enough([&] { loader.emplace(open(context, pictures)).next(); }) == 1, "what the log threw");
  mode = 0;
  loader.reset();  // no worker logs any more
  try {
    recipe::model(context);  // a line of before may have been thrown after the first one
  } catch (const Enough&) {
  }
  expect(recipe::model(context).info().depth == 2, "the context goes on");

  mode = 2;
  expect(enough([&] { loader.emplace(open(context, pictures)).next(); }) == 2, "what the log threw");
  mode = 0;
  loader.reset();
  try {
    recipe::model(context);
  } catch (const Enough&) {
  } catch (const udi::Error&) {
  }
  fails([&] { recipe::model(context); }, UDI_E_CANCELLED, "");  // Context::cancel is not taken back
  context.clear_cancel();

  auto model = std::make_unique<udi::Model>(recipe::model(context));
  context = udi::Context();
  expect(alive.use_count() == 2 && model->info().depth == 2, "a handle keeps the log");
  model.reset();
  expect(alive.use_count() == 1, "and lets it go");
}

}  // namespace

void check_callbacks(const std::string& folder, const std::string& pictures) {
  check_progress(folder);
  check_cancel();
  check_log(pictures);
}
