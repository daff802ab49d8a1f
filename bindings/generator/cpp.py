"""include/udi/layout.hpp: what the C++ layer was made for; a compiler that sees another udi.h, or lays it out differently,
says so."""
from generator.description import NOTE

TOP = """// {note}
#ifndef UDI_LAYOUT_HPP
#define UDI_LAYOUT_HPP

#include <cstddef>

#include "../udi.h"

// The namespace inside udi: a process may hold programs that were built with several releases of these headers.
#define UDI_HPP_RELEASE v{release}
static_assert(UDI_VERSION_NUMBER == {version_number} && UDI_ABI_VERSION == {abi}, "udi.hpp and udi.h are of two releases");

namespace udi {{
inline namespace UDI_HPP_RELEASE {{
namespace detail {{

constexpr const char* header_fingerprint() noexcept {{
  return "{fingerprint}";
}}

// Sizes and offsets in bytes.
"""
END = """
}  // namespace detail
}  // namespace UDI_HPP_RELEASE
}  // namespace udi

#endif  // UDI_LAYOUT_HPP
"""


def files(api, root):
    lines = []
    for struct in api["structs"]:
        name = struct["name"]
        lines.append(f'static_assert(sizeof({name}) == {struct["size"]}, "size of {name}");')
        lines += [f'static_assert(offsetof({name}, {field["name"]}) == {field["offset"]}, "{name}.{field["name"]}");'
                  for field in struct["fields"]]
    top = TOP.format(release=api["version"].replace(".", "_"), **api)
    return {"include/udi/layout.hpp": top + "\n".join(lines) + "\n" + END}
