"""bindings/csharp/Native.cs: P/Invoke over blittable structs, a SafeHandle for each kind of handle.

Structs go by pointer, so that NULL can be passed; a handle that may be NULL is a new, empty one."""
from generator.description import NOTE
from generator.names import camel, constants, markup, wrapped

SCALARS = {"int32": "int", "uint32": "uint", "int64": "long", "uint64": "ulong", "size": "UIntPtr", "float": "float",
           "double": "double", "uint8": "byte", "char": "byte"}
KEYWORDS = {"out", "ref", "in", "params", "object", "string", "event", "base", "fixed", "lock", "checked", "operator"}

TOP = f"""// {NOTE}
using System;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Udi
{{
"""

LAYOUT = """    /// <summary>Sizes and offsets are the header's, or the first use throws.</summary>
    static unsafe class Layout
    {
        static void Expect(string what, long found, long declared)
        {
            if (found == declared) return;
            throw new TypeLoadException(what + " is at or of " + found + " bytes, must be " + declared);
        }

        public static void Check()
        {
%s        }
    }

"""

NATIVE = """    public static unsafe class Native
    {
        const string LIBRARY = "libudi.so.%(abi)d";

        public static readonly Interface Ours = new Interface(
            "%(fingerprint)s", %(version_number)d, %(abi)d);

        static Native()
        {
            Layout.Check();
            Ours.Require(new Interface(Library.Text(udi_api_fingerprint()), udi_version(), udi_abi_version()));
        }

"""


def comment(doc, indent):
    return markup(doc, indent, "/// <summary>", "///", "</summary>")


def named(name):
    return f"@{name}" if name in KEYWORDS else name


def handle(found):
    name = f"{camel(found['name'])}Handle"
    return (comment(found["doc"], "    ") + f"    public sealed class {name} : SafeHandleZeroOrMinusOneIsInvalid\n    {{\n"
            f"        public {name}() : base(true) {{ }}\n\n        protected override bool ReleaseHandle()\n        {{\n"
            f"            Native.{found['free']}(handle);\n            return true;\n        }}\n    }}\n\n")


def field(member):
    if member["pointers"] or member["kind"] == "callback":
        return f"public IntPtr {named(member['name'])};"
    if "count" in member:
        return f"public fixed {SCALARS[member['base']]} {named(member['name'])}[{member['count']}];"
    return f"public {SCALARS[member['base']]} {named(member['name'])};"


def struct(found):
    lines = "".join(comment(member["doc"], "        ") + f"        {field(member)}\n" for member in found["fields"])
    return (comment(found["doc"], "    ") + "    [StructLayout(LayoutKind.Sequential)]\n"
            f"    public unsafe struct {camel(found['name'])}\n    {{\n{lines}    }}\n\n")


def checked(found):
    """The statements that compare a struct's layout with the description."""
    name = camel(found["name"])
    lines = ["            {", f"                {name} value;",
             f'                Expect("{name}", sizeof({name}), {found["size"]});']
    for member in found["fields"]:
        address = f"value.{named(member['name'])}" if "count" in member else f"&value.{named(member['name'])}"
        lines.append(wrapped(f'                Expect("{name}.{member["name"]}", (byte*){address} - (byte*)&value, '
                             f'{member["offset"]});').rstrip())
    return "\n".join(lines) + "\n            }\n"


def type_of(parameter):
    kind, pointers, out = parameter["kind"], parameter["pointers"], parameter.get("direction") == "out"
    if kind == "handle":
        if "length" in parameter:
            return "IntPtr[]"
        if parameter["direction"] == "consumed":
            return "IntPtr"
        return ("out " if out else "") + f"{camel(parameter['of'])}Handle"
    if kind == "struct":
        return f"{camel(parameter['of'])}*"
    if kind == "callback":
        return camel(parameter["of"])
    if kind == "string" and pointers == 1 and parameter["const"]:
        return "[MarshalAs(UnmanagedType.LPUTF8Str)] string"
    if pointers and kind == "scalar" and out:
        return f"out {SCALARS[parameter['base']]}"
    if pointers:
        return "out IntPtr" if out and pointers == 2 else "IntPtr"
    return SCALARS[parameter["base"]]


def result(type):
    return "void" if type["kind"] == "void" else "IntPtr" if type["pointers"] else SCALARS[type["base"]]


def callback(found):
    parameters = ", ".join(f"{type_of(parameter) if parameter['kind'] == 'struct' else result(parameter)} "
                           f"{named(parameter['name'])}" for parameter in found["parameters"])
    return (comment(found["doc"], "    ") + "    [UnmanagedFunctionPointer(CallingConvention.Cdecl)]\n"
            f"    public unsafe delegate {result(found['result'])} {camel(found['name'])}({parameters});\n\n")


def function(found):
    parameters = ", ".join(f"{type_of(parameter)} {named(parameter['name'])}" for parameter in found["parameters"])
    return (comment(found["doc"], "        ") + "        [DllImport(LIBRARY, CallingConvention = CallingConvention.Cdecl)]\n"
            + wrapped(f"        public static extern {result(found['result'])} {found['name']}({parameters});") + "\n")


def files(api, root):
    parts = [TOP] + [handle(found) for found in api["handles"]] + [callback(found) for found in api["callbacks"]]
    parts += [struct(found) for found in api["structs"]]
    parts.append(LAYOUT % "".join(checked(found) for found in api["structs"]))
    parts.append(NATIVE % api)
    parts += [f"        public const int {name} = {value};\n" for name, value, _ in constants(api)] + ["\n"]
    parts += [function(found) for found in api["functions"]]
    return {"bindings/csharp/Native.cs": "".join(parts).rstrip() + "\n    }\n}\n"}
