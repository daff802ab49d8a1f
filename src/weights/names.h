// Other people's weights under the names that libudi uses, which are the official code's: backbone.backbone.* (the
// vision transformer), backbone.attn.* and backbone.norm1.* (the SRS module), head.0.* (the projection head). And the
// way back.
//
// What is read, from .pth and safetensors files alike, and how ImportedWeights::layout calls it:
//
// - official: {student, teacher, ...} of main_udi.py; student, teacher or a state_dict alone; with "module." or not.
// - official-backbone: what the official evaluation extracts, with one "backbone." less, or none.
// - dino, ibot: full checkpoints, backbone.* and head.* in student and teacher.
// - vit: bare names, which are those of DINO's and iBOT's backbone files, of DeiT ({"model": ...}) and of timm.
#pragma once

#include <deque>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/safetensors.h"
#include "udi.h"
#include "weights/pth.h"

namespace udi {

struct ImportOptions {
  udi_role role = UDI_TEACHER;  // where the file holds both
  int32_t heads = 0;            // of a block, where the file does not tell; 0: not given
  int32_t srs_heads = 0;        // of the SRS module, likewise
  SafetensorsFile::Limits safetensors;
  PthFile::Limits pth;
};

struct ImportedWeights {
  std::string layout;  // of the list above
  // Under official names. What fits into no model of libudi keeps its own name: it is for the caller to refuse.
  std::vector<TensorView> tensors;
  // The fields of udi_model_config that the file tells. Without a head, those of the head are absent; without a class
  // token or SRS module, class_tokens and include_patch say so.
  nlohmann::json model_config;
  std::vector<std::string> dropped;  // "name: why": left out on purpose
  std::vector<std::string> missing;  // official names that a model of this configuration has and the file has not
  TensorView center;                 // [levels, out_dim]; data NULL if the file has none
  nlohmann::json scalars;            // the rest of a .pth (PthFile::scalars), metadata of a safetensors file

  std::shared_ptr<const void> file;  // keeps the tensors' memory alive
};

// Reads a file of any of these layouts. UDI_E_FORMAT: damaged, or of no such layout; UDI_E_UNSUPPORTED: a network that
// libudi has not (DeiT distilled, layer scale, register tokens, separate heads); UDI_E_INVALID: options.heads must be
// given.
ImportedWeights import_weights(const std::string& path, const ImportOptions& options);

struct TimmWeights {
  std::vector<TensorView> tensors;
  std::deque<std::vector<uint8_t>> copies;  // memory of those that are not the model's own
};

// The backbone under timm's names: cls_token, pos_embed, patch_embed.proj.*, blocks.*, norm.*. With first_token_only a
// second class token and its slot of the position embedding are left out, which is what timm's models load. The model's
// tensors must outlive the result. UDI_E_NOT_FOUND: no backbone among them.
TimmWeights export_timm(const std::vector<TensorView>& official, bool first_token_only);

}  // namespace udi
