"""bindings/rust/src: sys.rs, bindgen's types and functions, then constants of the right types, fingerprint and layout; and
types.rs, enumerations, configurations and results as the crate offers them.

bindgen 0.60.1 leaves the constants of anonymous enums to the libclang it meets, so they are written here.
"""
import os
import pathlib
import shutil
import subprocess
import textwrap

from clang import native

from generator.description import NOTE
from generator.names import camel, constants, is_result, member, wrapped

PATH = "bindings/rust/src/sys.rs"
TYPES_PATH = "bindings/rust/src/types.rs"
TOP = f"""// {NOTE} Types and functions are bindgen 0.60.1's.
#![allow(non_camel_case_types, dead_code)]
"""


def bindgen(root):
    """Its output, or None without bindgen 0.60.1 and rustfmt. Reads with the same libclang as the description."""
    if not (shutil.which("bindgen") and shutil.which("rustfmt")):
        return None
    if subprocess.run(["bindgen", "--version"], capture_output=True, text=True).stdout.strip() != "bindgen 0.60.1":
        return None
    builtin = subprocess.run(["cc", "-print-file-name=include"], check=True, capture_output=True, text=True).stdout.strip()
    command = ["bindgen", str(root / "include/udi.h"), "--allowlist-function", "udi_.*", "--allowlist-type", "udi_.*",
               "--no-prepend-enum-name", "--size_t-is-usize", "--no-layout-tests", "--disable-header-comment",
               "--blocklist-type", "__.*", "--", "-isystem", builtin]
    environment = dict(os.environ, LIBCLANG_PATH=str(pathlib.Path(native.__file__).parent))
    # rustfmt takes the settings of the folder it runs in, and the crate has its own.
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment, cwd=root).stdout


LAYOUT = """macro_rules! rows {
    ($rows:ident, $name:ident, $size:literal $(, $field:ident=$offset:literal)*) => {
        let value = ::std::mem::MaybeUninit::<$name>::uninit();
        let value = value.as_ptr();
        $rows.push((stringify!($name), ::std::mem::size_of::<$name>(), $size));
        $($rows.push((
            concat!(stringify!($name), ".", stringify!($field)),
            unsafe { ::std::ptr::addr_of!((*value).$field) as usize - value as usize },
            $offset,
        ));)*
    };
}

/// Sizes of structs and offsets of fields: name, bytes found here, bytes in the header.
pub fn layout() -> Vec<(&'static str, usize, usize)> {
    let mut rows = Vec::new();
"""


def layout(api):
    lines = ""
    for struct in api["structs"]:
        fields = [f"{field['name']}={field['offset']}" for field in struct["fields"]]
        row = ", ".join(["rows", struct["name"], str(struct["size"]), *fields])
        lines += wrapped(f"    rows!({row});")
    return f"{LAYOUT}{lines}    rows\n}}\n"


# ---- types.rs --------------------------------------------------------------------------------------------------------
TYPES_TOP = f"""// {NOTE}
use std::path::PathBuf;

use crate::context::Log;
use crate::sys;
use crate::value::{{configuration, enumeration, result}};
"""
SCALARS = {"int32": "i32", "uint32": "u32", "int64": "i64", "uint64": "u64", "float": "f32", "double": "f64"}


def documented(name, doc, indent):
    """The header's name, where it says more than Rust's, and its comment. Brackets are shapes, not links."""
    text = ": ".join(filter(None, (name and f"`{name}`", doc))).replace("[", "\\[").replace("<", "\\<")
    return textwrap.fill(text, 120, initial_indent=f"{indent}/// ", subsequent_indent=f"{indent}/// ",
                         break_long_words=False, break_on_hyphens=False) + "\n"


def enumeration(found):
    lines = "".join(
        documented(constant["name"], constant["doc"], " " * 8)
        + f"        {camel(member(constant['name'], found).lower())} = {constant['name']},\n"
        for constant in found["constants"] if constant["name"] != "UDI_OK")
    return (f"enumeration! {{\n{documented(found['type'], found['doc'], '    ')}"
            f"    {camel(found['type'])}: {found['type']} {{\n{lines}    }}\n}}\n")


def field_type(field, enumerations, of_result):
    if field["kind"] == "callback":
        return "Option<Log>"
    if field["kind"] == "string":
        return "String" if of_result else "Option<PathBuf>" if field["name"].endswith("_dir") else "Option<String>"
    kind = camel(field["of"]) if field["of"] in enumerations else SCALARS[field["base"]]
    return f"[{kind}; {field['count']}]" if "count" in field else kind


def structure(struct, api, enumerations):
    of_result = is_result(struct, api)
    inits = [function["name"] for function in api["functions"]
             if function["name"] == struct.get("init") and len(function["parameters"]) == 2]
    fields = [field for field in struct["fields"] if field["name"] not in ("struct_size", "reserved")
              and field["kind"] in ("scalar", "string", "callback")]
    lines = "".join(documented("" if field["doc"] else field["name"], field["doc"], " " * 8)
                    + f"        {field['name']}: {field_type(field, enumerations, of_result)},\n" for field in fields)
    return (f"{'result' if of_result else 'configuration'}! {{\n{documented(struct['name'], struct['doc'], '    ')}"
            f"    {camel(struct['name'])}: {' by '.join([struct['name'], *inits])} {{\n{lines}    }}\n}}\n")


def types(api):
    enumerations = {found["type"] for found in api["enumerations"]}
    parts = [enumeration(found) for found in api["enumerations"]]
    parts += [structure(struct, api, enumerations) for struct in api["structs"]
              if "init" in struct or is_result(struct, api)]
    return "\n".join([TYPES_TOP] + parts)


def files(api, root):
    made = bindgen(root)
    if made is None:
        return {PATH: None, TYPES_PATH: types(api)}
    values = "".join(f"pub const {name}: {type} = {value};\n" for name, value, type in constants(api))
    values += (f'pub const API_FINGERPRINT: &str = "{api["fingerprint"]}";\n'
               f'pub const API_VERSION: u32 = {api["version_number"]};\npub const API_ABI: u32 = {api["abi"]};\n')
    return {PATH: f"{TOP}\n{made}\n{values}\n{layout(api)}", TYPES_PATH: types(api)}
