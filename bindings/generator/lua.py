"""bindings/lua/udi_raw.lua: the declarations for LuaJIT, and what udi.lua needs to know of each function."""
from generator import cdef
from generator.description import NOTE
from generator.names import wrapped


def kind(type):
    """status, or as in the description; integers and floats by their base, since Lua's numbers are doubles."""
    if type["of"] == "udi_status":
        return "status"
    return type["base"] if type["kind"] == "scalar" else type["kind"]


def function(found):
    parameters = [", ".join(f'"{part}"' for part in (parameter["name"], kind(parameter), parameter["of"],
                                                     "array" if "length" in parameter else parameter["direction"]))
                  for parameter in found["parameters"]]
    listed = ", ".join(f"{{{parameter}}}" for parameter in parameters)
    return wrapped(f'    {{"{found["name"]}", "{kind(found["result"])}", {{{listed}}}}},')


def files(api, root):
    text = (root / "include/udi.h").read_text()
    layout = "".join(wrapped(f'    {{"{struct["name"]}", {struct["size"]}, {{' +
                             ", ".join(f"{field['name']}={field['offset']}" for field in struct["fields"]) + "}},")
                     for struct in api["structs"])
    return {"bindings/lua/udi_raw.lua": f"""-- {NOTE}
local ffi = require "ffi"

ffi.cdef [[
{cdef.text(text)}]]

return {{
  library = "libudi.so.{api["abi"]}",
  fingerprint = "{api["fingerprint"]}",
  version = {api["version_number"]},
  abi = {api["abi"]},
  layout = {{ -- struct, size, offsets of its fields
{layout}  }},
  functions = {{ -- name, kind of result, parameters: name, kind, type, direction
{"".join(function(found) for found in api["functions"])}  }},
}}
"""}
