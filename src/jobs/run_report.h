// The report page of a training run: its log, and attention maps of a dozen images.
#pragma once

#include <string>

#include "data/source.h"
#include "jobs/jobs.h"
#include "jobs/run_folder.h"
#include "model/model.h"

namespace udi {

// images: for the attention maps, unless the option report_images names others. result: of the run so far, shown at the
// top of the page.
void write_run_report(const JobHost& host, const JobConfig& config, const RunFolder& folder, const Model& teacher,
                      const ImageSource& images, const Json& result, const std::string& path);

}  // namespace udi
