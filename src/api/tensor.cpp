#include "api/arrays.h"
#include "api/guard.h"
#include "api/structs.h"

using namespace udi;

udi_status udi_tensor_view(const udi_tensor* tensor, udi_array* out, udi_error* error) {
  return guard(context_of(tensor), error, [&] {
    require(tensor, "tensor");
    check_out_struct(out, "out");
    write_struct(out, array_of(tensor->tensor));
  });
}

udi_status udi_tensor_wrap(udi_context* context, const udi_array* array, udi_release_fn release, void* user,
                           udi_tensor** out, udi_error* error) {
  return guard(context_of(context), error, [&] {
    require(context, "context");
    require(out, "out");
    *out = own(context->context, read_struct(array, "array", udi_array{}), "array", [=] {
      if (release) release(user);
    });
  });
}

void udi_tensor_free(udi_tensor* tensor) { release(tensor); }
