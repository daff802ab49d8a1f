// The backbone as an ONNX file: tokens and attention for any batch and any image size.
#pragma once

#include <string>
#include <vector>

#include "base/safetensors.h"
#include "udi.h"

namespace udi {

// tensors: the model's, under official names, UDI_F32 in memory of this machine (no file's). What the graph takes and
// gives:
//
//   images         [batch, channels, height, width]   normalised; height and width multiples of patch_size
//   cls, cls_plus  [batch, D]                         after the final norm; cls_plus with two class tokens alone
//   patches        [batch, rows * columns, D]         after the final norm
//   attention_cls, attention_cls_plus  [batch, heads, rows, columns]  of the last block, as udi_model_attention has it
//
// Opset 17. UDI_E_UNSUPPORTED: larger than an ONNX file can be, 2 GiB.
void write_onnx(const std::string& path, const udi_model_config& config, const std::vector<TensorView>& tensors,
                const Metadata& metadata);

}  // namespace udi
