"""bindings/rust/src/sys.rs: bindgen's types and functions, then constants of the right types, fingerprint and layout.

bindgen 0.60.1 leaves the constants of anonymous enums to the libclang it meets, so they are written here.
"""
import os
import pathlib
import shutil
import subprocess

from clang import native

from generator.description import NOTE
from generator.names import constants, wrapped

PATH = "bindings/rust/src/sys.rs"
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
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout


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


def files(api, root):
    made = bindgen(root)
    if made is None:
        return {PATH: None}
    values = "".join(f"pub const {name}: {type} = {value};\n" for name, value, type in constants(api))
    values += (f'pub const API_FINGERPRINT: &str = "{api["fingerprint"]}";\n'
               f'pub const API_VERSION: u32 = {api["version_number"]};\npub const API_ABI: u32 = {api["abi"]};\n')
    return {PATH: f"{TOP}\n{made}\n{values}\n{layout(api)}"}
