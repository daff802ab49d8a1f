// The only way ATen comes in, precompiled. <torch/torch.h> stays out: it costs 20 seconds a file.
#pragma once

#include <ATen/ATen.h>
