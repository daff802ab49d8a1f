// A model from any file that libudi reads: its own, or other people's weights.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "base/host.h"
#include "base/limits.h"
#include "model/model.h"

namespace udi {

struct ModelFileOptions {
  udi_role role = UDI_TEACHER;       // where the file holds both
  int32_t heads = 0, srs_heads = 0;  // where the file does not tell; 0: not given
  bool partial = false;              // tensors may be missing, extra or misshapen
  FormatLimits limits;
};

struct ModelFile {
  Model model;
  std::string layout;                // "udi", or of weights/names.h
  std::vector<std::string> notes;    // in words: what was left out on purpose
  std::vector<std::string> misfits;  // "missing NAME", "extra NAME", "misshapen NAME ...": options.partial alone
  std::set<std::string> unset;       // weights of the model that the file has no values for: drawn at random
};

// By what is in it, whatever it is called. UDI_E_NOT_FOUND, UDI_E_IO.
bool is_safetensors(const std::string& path);

// Missing, extra or misshapen tensors are UDI_E_FORMAT with Error::lines, unless options.partial. A file without a
// projection head gives a model with the smallest one, drawn at random: extraction and attention do not use it.
ModelFile open_model_file(const std::string& path, const ModelFileOptions& options, at::Device device);

// The model alone; the notes go to the log.
Model open_model(const Host& host, const std::string& path, const ModelFileOptions& options, at::Device device);

// Copies the weights of the file that `to` has in the same shape. Returns, a line each, what did not fit: weights of
// `to` that the file has not (those keep their values), tensors of the file that `to` has not, other shapes, and other
// numbers of heads, which no shape tells.
std::vector<std::string> copy_weights(const ModelFile& from, Model* to);

}  // namespace udi
