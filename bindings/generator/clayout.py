"""bindings/layout.c: a C compiler agrees with libclang about the layout, or does not compile it."""
from generator.description import NOTE


def files(api, root):
    lines = [f"/* {NOTE} */", "#include <stddef.h>", "#include <udi.h>", ""]
    for struct in api["structs"]:
        name = struct["name"]
        lines.append(f'_Static_assert(sizeof({name}) == {struct["size"]}, "size of {name}");')
        lines += [f'_Static_assert(offsetof({name}, {field["name"]}) == {field["offset"]}, "{name}.{field["name"]}");'
                  for field in struct["fields"]]
    lines += [f'_Static_assert({constant["name"]} == {constant["value"]}, "{constant["name"]}");'
              for enumeration in api["enumerations"] for constant in enumeration["constants"]]
    return {"bindings/layout.c": "\n".join(lines) + "\n"}
