"""bindings/java/.../org/libudi: the classes that say nothing but what udi.h says. An enum for each enumeration, a class with
setters for each configuration, a record for each result. The rest of the package is written by hand."""
import html
import re

from generator.description import NOTE
from generator.names import camel, is_result, markup, member, public, wrapped

TYPES = {"int32": "int", "uint32": "int", "int64": "long", "uint64": "long", "size": "long", "float": "float",
         "double": "double", "uint8": "byte"}


def named(name):
    """embed_dim -> embedDim"""
    return name[0] + camel(name)[1:]


def comment(lines, indent=""):
    """A javadoc comment of the lines, each wrapped; an empty one between text and tags."""
    made = "".join(markup(line, f"{indent} *", " ", "", "") if line else f"{indent} *\n" for line in lines)
    return f"{indent}/**\n{made}{indent} */\n"


def about(name, doc):
    """What the header says, after the header's name."""
    return f"{name}: {doc}" if doc else name


def initial(doc):
    """The comment of an _init function without what C alone needs to know."""
    return re.sub(r" ?(struct_size: [^.]*\.|Ignores NULL\.)", "", doc).strip()


# ---- Enums -----------------------------------------------------------------------------------------------------------
def enumeration_class(found):
    name = camel(found["type"])
    constants = ",\n".join(
        markup(about(constant["name"], constant["doc"]), "    ", "/** ", " *", " */")
        + f"    {member(constant['name'], found)}({constant['value']})" for constant in found["constants"])
    return f"""{comment([about(found["type"] + " of udi.h", found["doc"]) + "."])}public enum {name} {{
{constants};

    private final int value;

    {name}(int value) {{
        this.value = value;
    }}

    /** {{@return its number in udi.h}} */
    public int value() {{
        return value;
    }}

    static {name} of(int value) {{
        for ({name} known : values()) {{
            if (known.value == value) {{
                return known;
            }}
        }}
        throw new IllegalArgumentException("no {name} has the number " + value + ": this binding is older than libudi");
    }}
}}
"""


# ---- Configurations and results --------------------------------------------------------------------------------------
def type_of(field, enumerations):
    if field["kind"] == "string":
        return "String"
    return camel(field["of"]) if field["of"] in enumerations else TYPES[field["base"]]


def read(field, enumerations):
    """The field of a struct as a value that is the caller's."""
    if field["kind"] == "string":
        return f"Text.of(struct.{field['name']})"
    if field["of"] in enumerations:
        return f"{camel(field['of'])}.of(struct.{field['name']})"
    return f"struct.{field['name']}{'.clone()' if 'count' in field else ''}"


def write(field, enumerations):
    name = field["name"]
    if "count" in field:
        return f"""        if (value.length > {field["count"]}) {{
            throw new IllegalArgumentException("{name} gets " + value.length + " values, holds {field["count"]}");
        }}
        System.arraycopy(value, 0, struct.{name}, 0, value.length);
"""
    value = f'Text.memory("{name}", value)' if field["kind"] == "string" else "value"
    return f"        struct.{name} = {value}{'.value()' if field['of'] in enumerations else ''};\n"


def property_of(field, config, enumerations):
    """Setter and getter."""
    name, type = field["name"], type_of(field, enumerations)
    says = about(name, field["doc"])
    many = "..." if "count" in field else ""
    value = f"the first of its {field['count']} values; the others stay" if many else "the new one"
    return (comment([f"Sets {says}.", "", f"@param value {value}", "@return this"], "    ")
            + f"    public {config} {named(name)}({type}{many} value) {{\n{write(field, enumerations)}        return this;\n"
            + f"    }}\n\n{markup(says, '    ', '/** {@return ', ' *', '} */')}"
            + f"    public {type}{'[]' if many else ''} {named(name)}() {{\n"
            + f"        return {read(field, enumerations)};\n    }}\n")


def config_class(struct, api, enumerations):
    name = camel(struct["name"])
    init = next(function for function in api["functions"] if function["name"] == struct["init"])
    given = [parameter["name"] for parameter in init["parameters"] if parameter["kind"] == "string"]
    call = f"Udi.LIB.{init['name']}(struct, struct.size()"
    if given:
        arguments = "".join(f', Text.checked("{argument}", {argument})' for argument in given)
        body = (f"        try (Call call = new Call()) {{\n            call.check({call}{arguments}, call.error));\n"
                "        }\n    }\n\n    /** For a call to fill. */\n" + f"    {name}() {{}}\n")
    else:
        body = f"        {call});\n    }}\n"
    tags = [f"@param {argument} as said above" for argument in given]
    parameters = ", ".join(f"String {argument}" for argument in given)
    properties = "\n".join(property_of(field, name, enumerations) for field in public(struct))
    shared = "Its setters give it back, so that they can be written in a row. Not to be changed during a call that has it."
    return (comment([f"{about(struct['name'] + ' of udi.h', struct['doc']).rstrip('.')}. {shared}"])
            + f"public final class {name} {{\n    final Native.{name} struct = new Native.{name}();\n\n"
            + comment([initial(init["doc"])] + [""] * bool(tags) + tags, "    ")
            + f"    public {name}({parameters}) {{\n{body}\n{properties}}}\n")


def result_class(struct, enumerations):
    name, fields = camel(struct["name"]), public(struct)
    tags = [f"@param {named(field['name'])} {field['doc'] or 'as in udi.h'}" for field in fields]
    components = ", ".join(f"{type_of(field, enumerations)}{'[]' if 'count' in field else ''} {named(field['name'])}"
                           for field in fields)
    values = ", ".join(read(field, enumerations) for field in fields)
    return (comment([f"{about(struct['name'] + ' of udi.h', struct['doc']).rstrip('.')}.", ""] + tags)
            + wrapped(f"public record {name}({components}) {{")
            + f"    static {name} of(Native.{name} struct) {{\n"
            + wrapped(f"        return new {name}({values});") + "    }\n}\n")


def files(api, folder):
    """{path: text} of all of them."""
    enumerations = {found["type"]: found for found in api["enumerations"] if found["type"]}
    made = {camel(name): enumeration_class(found) for name, found in enumerations.items()}
    for struct in api["structs"]:
        if "init" in struct:
            made[camel(struct["name"])] = config_class(struct, api, enumerations)
        elif is_result(struct, api):
            made[camel(struct["name"])] = result_class(struct, enumerations)
    return {f"{folder}/{name}.java": f"// {NOTE}\npackage org.libudi;\n\n{text}" for name, text in made.items()}
