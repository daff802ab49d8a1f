// Weights from one file format to another.
#include "base/safetensors.h"
#include "jobs/features.h"
#include "jobs/model_file.h"
#include "weights/names.h"
#include "weights/pth_write.h"

namespace udi {
namespace {

bool ends_with(const std::string& text, const std::string& end) {
  return text.size() > end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

std::string target_of(const JobConfig& config, const std::string& output) {
  const bool pth = ends_with(output, ".pth");
  check(pth || ends_with(output, ".safetensors"), UDI_E_INVALID, "output: ", output,
        " ends neither in .safetensors nor in .pth");
  const std::string to = config.given("to") ? config.string("to") : pth ? "official" : "udi";
  check(pth == (to == "official"), UDI_E_INVALID, "to ", to, " is written to a file that ends in ",
        to == "official" ? ".pth" : ".safetensors");
  return to;
}

// Both roles of a file, where it holds both: what the official code wants to go on from.
void write_official(const std::string& input, const ModelFileOptions& options, const Model& model,
                    const std::string& output) {
  OfficialCheckpoint checkpoint;
  ModelFileOptions other = options;
  other.role = UDI_STUDENT;
  const Model student = open_model_file(input, other, at::kCPU).model;
  checkpoint.student = student.weights.views();
  checkpoint.teacher = model.weights.views();
  write_official_pth(output, checkpoint);
}

void write_timm(const Model& model, const std::string& output) {
  const TimmWeights weights = export_timm(model.weights.views(), true);
  write_safetensors(output, weights.tensors, {{"format", "pt"}});
}

}  // namespace

Json run_convert(const JobHost& host, JobConfig& config) {
  const std::string input = config.string("input"), output = config.string("output");
  const std::string to = target_of(config, output);
  ModelFileOptions options = model_file_settings(config);
  options.partial = config.flag("partial");
  const ModelFile file = open_model_file(input, options, at::kCPU);
  for (const auto& note : file.notes) host.host.log(UDI_LOG_INFO, input, ": ", note);
  host.host.check_cancel();
  if (to == "udi") {
    save_model(file.model, output);
  } else if (to == "timm") {
    write_timm(file.model, output);
  } else {
    write_official(input, options, file.model, output);
  }
  return {{"input", input},
          {"layout", file.layout},
          {"output", output},
          {"to", to},
          {"parameters", file.model.weights.count()},
          {"notes", file.notes.size()}};
}

}  // namespace udi
