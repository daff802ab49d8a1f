// A job that all processes of a launcher do together (options of the set "ranks").
#pragma once

#include <functional>

#include "data/source.h"
#include "jobs/jobs.h"

namespace udi {

// Meets the other ranks, compares the configurations, and runs body on each; host: with the group. Ranks other than 0 log
// warnings and errors alone, show no progress, and give an empty result. Whatever ends one ends all. UDI_E_INVALID: a
// difference between the ranks' configurations, by name.
Json run_on_ranks(const JobHost& host, JobConfig& config, const std::function<Json(const JobHost& host)>& body);

// UDI_E_INVALID: the ranks see other images under this name.
void check_same_images(const JobHost& host, const ImageSource& source, const std::string& path);

}  // namespace udi
