#include "dist/launcher.h"

#include <cmath>
#include <cstdlib>

#include "base/error.h"

namespace udi {
namespace {

constexpr int64_t kMostRanks = 1 << 20;
constexpr int kFirstPort = 20000, kPorts = 10000;  // for runs whose launcher names no port

class Variables {
 public:
  explicit Variables(const Environment& environment) : environment_(environment) {}

  std::string text(const char* name) const {
    const char* value = environment_(name);
    return value ? value : "";
  }
  bool has(const char* name) const { return !text(name).empty(); }
  bool has(const char* one, const char* other) const { return has(one) && has(other); }

  int64_t number(const char* name, int64_t low, int64_t high) const {
    const std::string word = text(name);
    const bool digits = !word.empty() && word.size() <= 9 && word.find_first_not_of("0123456789") == std::string::npos;
    const int64_t value = digits ? std::strtoll(word.c_str(), nullptr, 10) : -1;
    check(digits && value >= low && value <= high, UDI_E_INVALID, "the launcher's variable ", name, " is '",
          word.substr(0, 64), "', must be a whole number from ", low, " to ", high);
    return value;
  }

 private:
  const Environment& environment_;
};

// A port that all processes of a job come to by themselves; another job's is another, as a rule.
int port_of(const std::string& job) {
  uint32_t hash = 2166136261u;  // FNV-1a
  for (const char c : job) hash = (hash ^ uint8_t(c)) * 16777619u;
  return kFirstPort + int(hash % uint32_t(kPorts));
}

// "node[03-07,9],other" -> "node03"
std::string first_host(const std::string& list) {
  const size_t bracket = list.find('['), comma = list.find(',');
  if (bracket == std::string::npos || comma < bracket) return list.substr(0, comma);
  const size_t end = list.find_first_of("-,]", bracket);
  return list.substr(0, bracket) + list.substr(bracket + 1, end == std::string::npos ? end : end - bracket - 1);
}

void read_address(const Variables& variables, Place& place) {
  if (variables.has("MASTER_ADDR")) place.address = variables.text("MASTER_ADDR");
  if (variables.has("MASTER_PORT")) place.port = int(variables.number("MASTER_PORT", 0, 65535));
}

bool read_torchrun(const Variables& variables, Place& place) {
  if (!variables.has("RANK", "WORLD_SIZE")) return false;
  place.world = variables.number("WORLD_SIZE", 1, kMostRanks);
  place.rank = variables.number("RANK", 0, place.world - 1);
  place.address = "127.0.0.1";
  if (variables.text("TORCHELASTIC_USE_AGENT_STORE") == "True") {
    place.store_is_kept = true;
    place.prefix = "/udi/attempt_" + variables.text("TORCHELASTIC_RESTART_COUNT") + "/";
  }
  return true;
}

bool read_open_mpi(const Variables& variables, Place& place) {
  if (!variables.has("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE")) return false;
  place.world = variables.number("OMPI_COMM_WORLD_SIZE", 1, kMostRanks);
  place.rank = variables.number("OMPI_COMM_WORLD_RANK", 0, place.world - 1);
  if (variables.text("OMPI_COMM_WORLD_LOCAL_SIZE") == variables.text("OMPI_COMM_WORLD_SIZE")) place.address = "127.0.0.1";
  for (const char* job : {"PMIX_NAMESPACE", "OMPI_MCA_ess_base_jobid"}) {
    if (variables.has(job)) {
      place.port = port_of(variables.text(job));
      break;
    }
  }
  return true;
}

// In a batch script itself, outside srun, the job's variables are there and no step's: one process, that is.
bool read_slurm(const Variables& variables, Place& place) {
  if (!variables.has("SLURM_PROCID", "SLURM_NTASKS")) return false;
  if (variables.has("SLURM_JOB_ID") && !variables.has("SLURM_STEP_ID")) return false;
  const char* const tasks = variables.has("SLURM_STEP_NUM_TASKS") ? "SLURM_STEP_NUM_TASKS" : "SLURM_NTASKS";
  place.world = variables.number(tasks, 1, kMostRanks);
  place.rank = variables.number("SLURM_PROCID", 0, place.world - 1);
  for (const char* list : {"SLURM_STEP_NODELIST", "SLURM_JOB_NODELIST", "SLURM_NODELIST"}) {
    if (place.address.empty()) place.address = first_host(variables.text(list));
  }
  for (const char* nodes : {"SLURM_STEP_NUM_NODES", "SLURM_NNODES"}) {
    if (variables.text(nodes) == "1") place.address = "127.0.0.1";
  }
  if (variables.has("SLURM_JOB_ID"))
    place.port = port_of(variables.text("SLURM_JOB_ID") + "." + variables.text("SLURM_STEP_ID"));
  return true;
}

}  // namespace

const char* own_environment(const char* name) { return std::getenv(name); }

void check_group_settings(const GroupSettings& s) {
  const auto range = [](const char* name, auto value, auto low, auto high) {
    check(value >= low && value <= high, UDI_E_INVALID, name, " is ", value, ", must be ", low, " to ", high);
  };
  range("world", int64_t(s.world), int64_t(0), kMostRanks);
  range("rank", int64_t(s.rank), int64_t(-1), s.world > 0 ? int64_t(s.world) - 1 : kMostRanks - 1);
  range("port", s.port, -1, 65535);
  range("timeout", s.timeout, 0.1, 86400.0);
  range("bucket_bytes", s.bucket_bytes, int64_t(0), int64_t(1) << 40);
  check((s.world == 0) == (s.rank < 0) || (s.world == 1 && s.rank < 0), UDI_E_INVALID, "rank is ", s.rank,
        " and world is ", s.world, ": give both, or neither where the launcher's environment has them");
}

Place place_of(const GroupSettings& settings, const Environment& environment) {
  check_group_settings(settings);
  const Variables variables(environment);
  Place place;
  if (settings.world > 0) {
    place.world = settings.world;
    place.rank = std::max(settings.rank, 0);
    place.address = "127.0.0.1";
    read_address(variables, place);
  } else if (read_torchrun(variables, place) || read_open_mpi(variables, place) || read_slurm(variables, place)) {
    read_address(variables, place);
  }
  if (!settings.address.empty()) place.address = settings.address;
  if (settings.port >= 0) place.port = settings.port;
  if (place.world == 1) return Place();
  check(!place.address.empty(), UDI_E_INVALID, "rank ", place.rank, " of ", place.world,
        " knows no address of rank 0: set MASTER_ADDR to the name of rank 0's machine (mpirun -x MASTER_ADDR), ",
        "or give the address itself");
  check(place.port != 0 || place.rank == 0, UDI_E_INVALID, "port is 0 on rank ", place.rank,
        ": a free one can be chosen by rank 0 alone, which names it in its log");
  return place;
}

int64_t local_rank(const Environment& environment) {
  const Variables variables(environment);
  if (variables.has("LOCAL_RANK")) return variables.number("LOCAL_RANK", 0, kMostRanks);
  if (variables.has("OMPI_COMM_WORLD_LOCAL_RANK")) return variables.number("OMPI_COMM_WORLD_LOCAL_RANK", 0, kMostRanks);
  if (variables.has("SLURM_LOCALID", "SLURM_STEP_ID")) return variables.number("SLURM_LOCALID", 0, kMostRanks);
  return 0;
}

}  // namespace udi
