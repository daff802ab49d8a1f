#include "api/group.h"

#include "api/guard.h"
#include "api/structs.h"

using namespace udi;

udi_status udi_group_create(udi_context* context, const udi_group_config* config, udi_group** out, udi_error* error) {
  return guard(context_of(context), error, [&] {
    require(context, "context");
    require(out, "out");
    const udi_group_config given = read_config_or_default(config, "config", udi_group_config_init);
    GroupSettings settings{given.rank, given.world, given.port, given.timeout, given.bucket_bytes, {}};
    if (given.address) settings.address = given.address;
    *out = new udi_group{context->context, std::make_shared<Group>(settings, context->context->host)};
  });
}

int32_t udi_group_rank(const udi_group* group) { return group ? int32_t(group->group->rank()) : 0; }

int32_t udi_group_world(const udi_group* group) { return group ? int32_t(group->group->world()) : 0; }

void udi_group_free(udi_group* group) { release(group); }
