// Crops made on the device, by libudi's kernels, where views hold images and plans in their place (Views::planned).
#pragma once

#include "train/batch.h"

namespace udi {

// The chunk with its crops, queued on the device's current stream; a chunk whose views hold crops comes back as it is.
// The crops are those that the CPU would make, bit for bit. Images go to the device one behind the other, once a chunk.
// UDI_E_INVALID, UDI_E_DEVICE: there are no kernels for the device.
Chunk rendered(Chunk chunk, at::Device device);

}  // namespace udi
