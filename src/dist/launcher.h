// Which rank of a distributed run this process is: what was said explicitly, or else what torchrun, Open MPI's mpirun or
// Slurm's srun left in the environment.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "udi.h"

namespace udi {

constexpr int kDefaultPort = 29500;  // torchrun's

// udi_group_config, with the address as text of our own; empty: not given.
struct GroupSettings {
  int32_t rank = -1, world = 0, port = -1;
  double timeout = 600;
  int64_t bucket_bytes = 0;
  std::string address;
};

// UDI_E_INVALID with field, value and limit.
void check_group_settings(const GroupSettings& settings);

struct Place {
  int64_t rank = 0, world = 1;
  std::string address;        // of the store; empty in a world of 1
  int port = kDefaultPort;    // 0: a free one
  bool store_is_kept = false;  // by the launcher (torchrun's agent): no rank opens one
  std::string prefix;          // of all keys in a store that others use, too
};

// The value of a variable, or NULL.
using Environment = std::function<const char*(const char* name)>;
const char* own_environment(const char* name);

// UDI_E_INVALID: settings or variables that make no place; the message names them and says what to give.
Place place_of(const GroupSettings& settings, const Environment& environment = own_environment);

// Of the ranks on this machine, which one this is: LOCAL_RANK, OMPI_COMM_WORLD_LOCAL_RANK or SLURM_LOCALID; 0 without a
// launcher.
int64_t local_rank(const Environment& environment = own_environment);

}  // namespace udi
