#include "augment.h"
#include "device.h"

namespace udi::cuda {

udi_cuda_status launch_augment(const AugmentArgs& args, Stream stream) {
  if (args.channels < 1 || args.channels > 16) return bad("augment: channels must be from 1 to 16");
  if (args.size < 1 || args.size > 16384) return bad("augment: size must be from 1 to 16384");
  // Of the finest grid, that of blur: at worst a block a row.
  if (args.crops < 0 || args.crops > kMaxBlocks / (int64_t(args.channels) * args.size))
    return bad("augment: crops must be from 0 to 2147483647 / (channels * size)");
  if (args.crops == 0) return kDone;
  if (!args.images || !args.crop || !args.workspace || !args.out)
    return bad("augment: images, crop, workspace and out must not be null");
  for (const auto pass : {launch_resize, launch_colours, launch_blur}) {
    const udi_cuda_status status = pass(args, stream);
    if (status.code != 0) return status;
  }
  return kDone;
}

}  // namespace udi::cuda
