// The structs of udi.h out of a job's configuration. What was not given and follows from other options is written back,
// so that config.values() is the effective configuration.
#pragma once

#include "base/limits.h"
#include "data/source.h"
#include "image/decode.h"
#include "jobs/config.h"
#include "model/aten.h"
#include "udi.h"

namespace udi {

// Options of the set "model". UDI_E_INVALID.
udi_model_config model_settings(JobConfig& config);

// Options of the set "views"; those of "model" are read for sizes and channels.
udi_view_config view_settings(JobConfig& config);

// Options of the sets "objective" and "optimisation". batches_per_epoch: the loader's.
udi_train_config train_settings(JobConfig& config, int64_t batches_per_epoch);

// Options of the set "formats", for jobs that read weights or archives.
FormatLimits format_settings(const JobConfig& config);

// Options of the set "limits" (and "formats"), for jobs that read images.
ImageSource::Options source_settings(const JobConfig& config);
DecodeLimits decode_settings(const JobConfig& config);

// Of the loader. num_threads: where option workers is 0. batch_size is of all ranks together: UDI_E_INVALID where they
// cannot share it.
udi_loader_config loader_settings(const JobConfig& config, int num_threads, int64_t rank = 0, int64_t world = 1);

// Option augment_on: whether crops are made on the device. UDI_E_INVALID, UDI_E_DEVICE: there are no kernels for it.
bool augments_on_device(const JobConfig& config, at::Device device);

}  // namespace udi
