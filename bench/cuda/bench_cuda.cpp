// Times every kernel of libudi_cuda.so at the sizes of a step of ViT-S/16 with 2 + 10 crops and writes one JSON object.
//
//   bench_cuda [--batch 128] [--repeats 21] [--json FILE]
//
// A repeat runs a copy and then every kernel once, so that all see the same clocks; the median counts. Inputs are
// random. share_of_copy is the kernel's bytes a second over those of a device-to-device copy of the same run (read and
// written).
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "cases.h"

namespace udi::cuda::bench {

namespace {

// ---- Timing and report ----------------------------------------------------------------------------------------

double median(std::vector<double> samples) {
  std::sort(samples.begin(), samples.end());
  return samples[samples.size() / 2];
}

void measure(std::vector<Timed>& all, int repeats) {
  cudaStream_t stream = nullptr;
  check(cudaStreamCreate(&stream), "a stream");
  std::vector<cudaEvent_t> marks(all.size() + 1);
  for (cudaEvent_t& mark : marks) check(cudaEventCreate(&mark), "an event");
  for (int repeat = -2; repeat < repeats; ++repeat) {  // two to warm up
    check(cudaEventRecord(marks[0], stream), "an event");
    for (size_t i = 0; i < all.size(); ++i) {
      const udi_cuda_status status = all[i].run(stream);
      if (status.code != 0) stop(all[i].name.c_str(), status.text);
      check(cudaEventRecord(marks[i + 1], stream), "an event");
    }
    check(cudaStreamSynchronize(stream), "a kernel");
    for (size_t i = 0; i < all.size() && repeat >= 0; ++i) {
      float milliseconds = 0;
      check(cudaEventElapsedTime(&milliseconds, marks[i], marks[i + 1]), "an event");
      all[i].microseconds.push_back(1e3 * milliseconds);
    }
  }
}

void report(FILE* to, const std::vector<Timed>& all, int64_t batch) {
  cudaDeviceProp device;
  check(cudaGetDeviceProperties(&device, 0), "the GPU's properties");
  int driver = 0;
  check(cudaDriverGetVersion(&driver), "the driver's version");
  const double copy = double(all[0].work.bytes) / median(all[0].microseconds) / 1e3;
  std::fprintf(to, "{\"device\": \"%s\", \"multiprocessors\": %d, \"l2_bytes\": %d, \"driver\": %d, \"batch\": %lld,\n",
               device.name, device.multiProcessorCount, device.l2CacheSize, driver, static_cast<long long>(batch));
  std::fprintf(to, " \"copy_gb_per_s\": %.1f, \"kernels\": [", copy);
  for (size_t i = 0; i < all.size(); ++i) {
    const Timed& timed = all[i];
    const double time = median(timed.microseconds), rate = double(timed.work.bytes) / time / 1e3;
    std::fprintf(to, "%s\n  {\"name\": \"%s\", \"shape\": \"%s\", \"bytes\": %lld, \"operations\": %lld, ",
                 i ? "," : "", timed.name.c_str(), timed.shape.c_str(), static_cast<long long>(timed.work.bytes),
                 static_cast<long long>(timed.work.operations));
    std::fprintf(to, "\"microseconds\": %.2f, \"gb_per_s\": %.1f, \"share_of_copy\": %.3f, \"samples\": [", time, rate,
                 rate / copy);
    for (size_t j = 0; j < timed.microseconds.size(); ++j)
      std::fprintf(to, "%s%.2f", j ? ", " : "", timed.microseconds[j]);
    std::fprintf(to, "]}");
  }
  std::fprintf(to, "\n ]}\n");
}

int64_t number_of(const char* text, int64_t most) {
  char* end = nullptr;
  const long long number = std::strtoll(text, &end, 10);
  if (*end != 0 || number < 1 || number > most) stop(text, "must be a whole number, at least 1 and not too large");
  return number;
}

}  // namespace

}  // namespace udi::cuda::bench

int main(int count, char** arguments) {
  using namespace udi::cuda::bench;
  int64_t batch = 128, repeats = 21;
  const char* json = nullptr;
  for (int i = 1; i < count; i += 2) {
    const std::string name = arguments[i];
    if (i + 1 == count) stop(arguments[i], "wants a value");
    if (name == "--batch") {
      batch = number_of(arguments[i + 1], 512);
    } else if (name == "--repeats") {
      repeats = number_of(arguments[i + 1], 10000);
    } else if (name == "--json") {
      json = arguments[i + 1];
    } else {
      stop(arguments[i], "no such option; there are --batch, --repeats and --json");
    }
  }
  int devices = 0;
  check(cudaGetDeviceCount(&devices), "no GPU");
  std::vector<Timed> all = all_cases(batch);
  measure(all, int(repeats));
  report(stdout, all, batch);
  if (json) {
    FILE* const file = std::fopen(json, "w");
    if (!file) stop(json, "cannot be written");
    report(file, all, batch);
    if (std::fclose(file) != 0) stop(json, "cannot be written");
  }
  return 0;
}
