"""bindings/java: Native.java, which is JNA's view of udi.h, the classes of javaclasses.py, and pom.xml with its version.

Handles are PointerTypes, structs go by reference, size_t is a long (libudi exists for 64-bit machines alone, which the
layout check holds)."""
import re

from generator import javaclasses
from generator.description import NOTE
from generator.names import camel, constants, markup, wrapped

FOLDER = "bindings/java/src/main/java/org/libudi"
SCALARS = {"int32": "int", "uint32": "int", "int64": "long", "uint64": "long", "size": "long", "float": "float",
           "double": "double", "uint8": "byte", "char": "byte"}

POM = f"""<?xml version="1.0" encoding="UTF-8"?>
<!-- {NOTE} -->
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>org.libudi</groupId>
  <artifactId>libudi</artifactId>
  <version>%s</version>
  <properties>
    <maven.compiler.source>17</maven.compiler.source>
    <maven.compiler.target>17</maven.compiler.target>
    <project.build.sourceEncoding>UTF-8</project.build.sourceEncoding>
  </properties>
  <dependencies>
    <dependency>
      <groupId>net.java.dev.jna</groupId>
      <artifactId>jna</artifactId>
      <version>5.13.0</version>
    </dependency>
  </dependencies>
</project>
"""


def comment(doc, indent):
    return markup(doc, indent, "/** ", " *", " */")


TOP = f"""// {NOTE}
package org.libudi;

import com.sun.jna.Callback;
import com.sun.jna.Library;
import com.sun.jna.Pointer;
import com.sun.jna.PointerType;
import com.sun.jna.Structure;
import com.sun.jna.Structure.FieldOrder;
@REFERENCES@

/** Every function, struct and constant of udi.h, as JNA maps them; the other classes are made of it. */
interface Native extends Library {{
"""

STRUCT = """    abstract class Struct extends Structure {
        private final int declared;
        private final int[] offsets;

        Struct(int declared, int... offsets) {
            this.declared = declared;
            this.offsets = offsets;
        }

        /** Compares with the header that this file was made from. Throws UnsatisfiedLinkError. */
        void checkLayout() {
            if (size() != declared) {
                throw new UnsatisfiedLinkError(getClass() + ": size is " + size() + ", must be " + declared);
            }
            int i = 0;
            for (String field : getFieldOrder()) {
                if (fieldOffset(field) != offsets[i]) {
                    throw new UnsatisfiedLinkError(
                            getClass() + "." + field + ": offset is " + fieldOffset(field) + ", must be " + offsets[i]);
                }
                ++i;
            }
        }
    }
"""


def field(member):
    if member["pointers"] or member["kind"] == "callback":
        return f"public {camel(member['of']) if member['kind'] == 'callback' else 'Pointer'} {member['name']};"
    kind = SCALARS[member["base"]]
    if "count" in member:
        return f"public {kind}[] {member['name']} = new {kind}[{member['count']}];"
    return f"public {kind} {member['name']};"


def struct(found):
    names = ", ".join(f'"{member["name"]}"' for member in found["fields"])
    lines = "".join(comment(member["doc"], "        ") + f"        {field(member)}\n" for member in found["fields"])
    offsets = ", ".join(str(member["offset"]) for member in found["fields"])
    sized = f"            struct_size = {found['size']};\n" if found["fields"][0]["name"] == "struct_size" else ""
    name = camel(found["name"])
    return (comment(found["doc"], "    ") + wrapped(f"    @FieldOrder({{{names}}})")
            + f"    class {name} extends Struct {{\n{lines}\n        public {name}() {{\n"
            + wrapped(f"            super({found['size']}, {offsets});") + sized + "        }\n    }\n\n")


def parameter_type(parameter):
    kind, pointers = parameter["kind"], parameter["pointers"]
    if "length" in parameter and kind == "struct":
        return f"{camel(parameter['of'])}[]"  # contiguous: made by Structure.toArray
    if "length" in parameter:
        return "Pointer[]"
    if pointers == 2:
        return "PointerByReference"
    if kind == "handle":
        return f"{camel(parameter['of'])}Handle"
    if kind in ("struct", "callback"):
        return camel(parameter["of"])
    if kind == "string" and parameter["const"]:
        return "String"
    if pointers and kind == "scalar":
        return f"{SCALARS[parameter['base']].capitalize()}ByReference"
    return "Pointer" if pointers else SCALARS[parameter["base"]]


def result_type(result):
    if result["kind"] == "void":
        return "void"
    return "String" if result["kind"] == "string" else SCALARS[result["base"]]


def callback(found):
    def kind(parameter):
        if parameter["kind"] == "struct":
            return camel(parameter["of"])
        return "Pointer" if parameter["pointers"] else SCALARS[parameter["base"]]
    parameters = ", ".join(f"{kind(parameter)} {parameter['name']}" for parameter in found["parameters"])
    return (comment(found["doc"], "    ") + f"    interface {camel(found['name'])} extends Callback {{\n"
            f"        {result_type(found['result'])} invoke({parameters});\n    }}\n\n")


def function(found):
    parameters = ", ".join(f"{parameter_type(parameter)} {parameter['name']}" for parameter in found["parameters"])
    line = f"    {result_type(found['result'])} {found['name']}({parameters});"
    return comment(found["doc"], "    ") + wrapped(line) + "\n"


def files(api, root):
    parts = [TOP, f'    String LIBRARY = "libudi.so.{api["abi"]}";\n',
             f'    String API_FINGERPRINT = "{api["fingerprint"]}";\n',
             f"    int API_VERSION = {api['version_number']};\n    int API_ABI = {api['abi']};\n\n"]
    parts += [f"    int {name} = {value};\n" for name, value, _ in constants(api)]
    for handle in api["handles"]:
        name = f"{camel(handle['name'])}Handle"
        parts.append(f"\n{comment(handle['doc'], '    ')}    class {name} extends PointerType {{\n"
                     f"        public {name}() {{}}\n\n"
                     f"        public {name}(Pointer pointer) {{\n            super(pointer);\n        }}\n    }}\n")
    parts.append("\n" + STRUCT + "\n")
    parts += [callback(found) for found in api["callbacks"]]
    parts += [struct(found) for found in api["structs"]]
    every = ", ".join(f"new {camel(found['name'])}()" for found in api["structs"])
    parts.append("    /** Every struct, to check the layout of. */\n    static Struct[] structs() {\n"
                 + wrapped(f"        return new Struct[] {{{every}}};") + "    }\n\n")
    parts += [function(found) for found in api["functions"]]
    text = "".join(parts).rstrip() + "\n}\n"
    used = sorted(set(re.findall(r"\b(\w+ByReference)\b", text)))
    text = text.replace("@REFERENCES@", "".join(f"import com.sun.jna.ptr.{name};\n" for name in used).rstrip())
    return {f"{FOLDER}/Native.java": text, "bindings/java/pom.xml": POM % api["version"], **javaclasses.files(api, FOLDER)}
