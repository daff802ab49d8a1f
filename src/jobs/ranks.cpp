#include "jobs/ranks.h"

#include "train/checksum.h"

namespace udi {
namespace {

GroupSettings group_settings(const JobConfig& config) {
  GroupSettings settings;
  if (config.given("rank")) settings.rank = int32_t(config.integer("rank"));
  if (config.given("world")) settings.world = int32_t(config.integer("world"));
  if (config.given("master_addr")) settings.address = config.string("master_addr");
  if (config.given("master_port")) settings.port = int32_t(config.integer("master_port"));
  settings.timeout = config.number("rank_timeout");
  settings.bucket_bytes = config.integer("bucket_bytes");
  return settings;
}

void check_same_config(Group& group, const JobConfig& config) {
  const auto texts = group.gather_text(config.values().dump());
  for (size_t rank = 1; rank < texts.size(); ++rank) {
    std::string list;
    const std::string now = text("on rank ", rank);
    for (const auto& line : differences(config.job(), Json::parse(texts[0]), Json::parse(texts[rank]), "on rank 0", now))
      list += (list.empty() ? "" : "; ") + line;
    check(list.empty(), UDI_E_INVALID, "the ranks were given different options: ", list);
  }
}

// What a rank other than 0 says: only what went wrong, and who says it.
void be_quiet(const Host& outer, int64_t rank, Host* host) {
  host->outer = &outer;
  host->deterministic = outer.deterministic;
  host->sink = [&outer, rank](udi_log_level level, const std::string& line) {
    if (level <= UDI_LOG_WARN) outer.log(level, "rank ", rank, ": ", line);
  };
}

}  // namespace

Json run_on_ranks(const JobHost& host, JobConfig& config, const std::function<Json(const JobHost&)>& body) {
  const auto group = std::make_shared<Group>(group_settings(config), host.host);
  for (const char* place : {"rank", "world"}) config.set(place, nullptr);  // of this process, not of the job
  if (group->world() == 1) return body(host);

  Host quiet;
  if (!group->first()) be_quiet(host.host, group->rank(), &quiet);
  const JobHost own{group->first() ? host.host : quiet, host.device, host.num_threads,
                    group->first() ? host.progress : ProgressFn(), group};
  try {
    check_same_config(*group, config);
    Json result = body(own);
    group->agree_on([] {});  // nobody leaves before all are done
    return group->first() ? result : Json::object();
  } catch (const Error& error) {
    if (error.rank < 0) group->leave(error.message);
    throw;
  }
}

void check_same_images(const JobHost& host, const ImageSource& source, const std::string& path) {
  if (!host.group) return;
  uint64_t names = 0;
  for (int64_t i = 0; i < source.size(); ++i) names = xxh64(source.name(i).data(), source.name(i).size(), names);
  const auto ranks = host.group->agree([&](Group::Words& mine) {
    mine[0] = source.size();
    mine[1] = int64_t(names);
  });
  for (size_t rank = 1; rank < ranks.size(); ++rank) {
    check(ranks[rank][0] == ranks[0][0], UDI_E_INVALID, path, ": ", ranks[0][0], " images on rank 0, ", ranks[rank][0],
          " on rank ", rank, ": all must see the same files");
    check(ranks[rank][1] == ranks[0][1], UDI_E_INVALID, path, ": ranks 0 and ", rank,
          " see images of other names: all must see the same files");
  }
}

}  // namespace udi
