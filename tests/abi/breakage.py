"""abi/abi.py check and rules.py can fail: headers with one change each, and what is said of it. breakage.py SOURCE_FOLDER"""
import pathlib
import re
import sys
import tempfile

source = pathlib.Path(sys.argv[1])
sys.path.insert(0, str(source / "abi"))
import abi  # noqa: E402
import rules  # noqa: E402

# What is changed, by which edits of udi.h (pattern, replacement), and a word of the report; None: nothing is reported.
CHANGES = [
    ("nothing", [], None),
    ("a comment", [(r"What is", "What was")], None),
    ("a struct grows at its end", [(r"(\n\} udi_extract_config;)", r"\n  int32_t later, still_later;\1")], None),
    ("every struct but udi_error grows", [(r"(\n\} udi_(?!error)\w+;)", r"\n  int32_t later, still_later;\1")], None),
    ("a function more", [(r"(UDI_API void udi_string_free)", r"UDI_API void udi_later(void);\n\1")], None),
    ("a constant more", [(r"UDI_LARS = 3", "UDI_LARS = 3, UDI_LATER = 4")], None),
    ("udi_error grows", [(r"(\n\} udi_error;)", r"\n  int32_t later;\1")], "udi_error"),
    ("two fields of one type change places", [(r"int32_t block; ", "int32_t num_blocks;"),
                                              (r"int32_t num_blocks; /", "int32_t block; /")], "udi_extract_config"),
    ("a field in the middle", [(r"(  int32_t num_blocks;)", r"  int32_t between;\n\1")], "udi_extract_config"),
    ("a field in the middle, and one at the end",
     [(r"(  int32_t num_blocks;)", r"  int32_t between;\n\1"), (r"(\n\} udi_extract_config;)", r"\n  int32_t later;\1")],
     "udi_extract_config"),
    ("a field less in the middle", [(r"  int32_t num_blocks;", "")], "udi_extract_config"),
    ("a field less at the end", [(r"  udi_precision precision;([^\n]*\n\} udi_extract_config)", r"\1")], "udi_extract_config"),
    ("another name", [(r"int32_t num_blocks;", "int32_t blocks;")], "udi_extract_config"),
    ("another type of the same size", [(r"  float mlp_ratio;", "  int32_t mlp_ratio;")], "udi_model_config"),
    ("another sign", [(r"int32_t num_blocks;", "uint32_t num_blocks;")], "udi_extract_config"),
    ("a longer array", [(r"float mean\[16\]", "float mean[17]")], "udi_model_config"),
    ("a longer message", [(r"message\[504\]", "message[1024]")], "udi_error"),
    ("const goes", [(r"const int64_t \*shape", "int64_t *shape")], "udi_array"),
    ("a function less", [(r"UDI_API [^;]*udi_model_save\([^;]*\);", "")], "udi_model_save"),
    ("a parameter less", [(r"(udi_views_crops\(const udi_views \*views), int32_t global", r"\1")], "udi_views_crops"),
    ("a parameter more", [(r"(udi_loader_seek\(udi_loader \*loader),", r"\1, int32_t whence,")], "udi_loader_seek"),
    ("a narrower parameter", [(r"(udi_loader_seek\([^)]*)int64_t", r"\1int32_t")], "udi_loader_seek"),
    ("another result", [(r"int64_t udi_views_count", "int32_t udi_views_count")], "udi_views_count"),
    ("a callback's parameter", [(r"(\*udi_log_fn\)\(void \*user), udi_log_level", r"\1, int64_t")], "udi_log_fn"),
    ("a callback's result", [(r"int32_t \(\*udi_progress_fn\)", "int64_t (*udi_progress_fn)")], "udi_progress_fn"),
    ("a constant's value", [(r"UDI_E_IO = 4", "UDI_E_IO = 40")], "UDI_E_IO was 4, is 40"),
    ("a constant less", [(r"UDI_ATTENTION_CLS_PLUS = 2,", "")], "UDI_ATTENTION_CLS_PLUS was 2, is None"),
    ("a soname without a dump", [(r"UDI_ABI_VERSION \d+", "UDI_ABI_VERSION 77")], "no dump of libudi.so.77"),
]

# What must not be added: the edits, and a word of rules.py's report.
NEXT = r"UDI_API void udi_string_free"
VIOLATIONS = [
    ([(r"(\n\} udi_extract_config;)", r"\n  int64_t wide;\1")], "udi_extract_config: 4 bytes of padding"),
    ([(r"  uint32_t struct_size;(\n  udi_token)", r"\1")], "udi_extract_config begins with udi_token token"),
    ([(r"(\n\} udi_extract_config;)", r"\n  long plain;\1")], "udi_extract_config.plain is of type long int"),
    ([(r"(\n\} udi_step_stats;)", r"\n  udi_error last;\1")], "udi_step_stats.last is of type udi_error"),
    ([(r"(\n\} udi_error;)", r"\n  int32_t later;\1")], "udi_error has 516 bytes"),
    ([(NEXT, r"UDI_API void udi_f(int n);\n\g<0>")], "udi_f: n is of type int"),
    ([(NEXT, r"UDI_API void udi_f(udi_image i);\n\g<0>")],
     "udi_f: i is of type udi_image"),
    ([(NEXT, r"UDI_API udi_status udi_f(int32_t n);\n\g<0>")],
     "udi_f returns udi_status and its last parameter is ['int32_t']"),
    ([(NEXT, r"UDI_API void udi_f(udi_model **model);\n\g<0>")],
     "model gives something back"),
    ([(NEXT, r"UDI_API udi_status udi_f(udi_tensor **out, udi_error *error);\n\g<0>")], "has no row for udi_f"),
    ([(NEXT, r"UDI_API float udi_f(void);\n\g<0>")], "udi_f returns float"),
    ([(r"(\*udi_log_fn\)\()void \*user, ", r"\1")], "udi_log_fn must take the caller's own pointer first"),
    ([(r"enum \{ UDI_NCHW", "enum udi_order { UDI_NCHW")], "enum udi_order has a name"),
    ([(r"UDI_LARS = 3", "UDI_LARS = 3, OTHER = 4")], "constant OTHER = 4"),
]


def edited(header, edits):
    for pattern, replacement in edits:
        header, count = re.subn(pattern, replacement, header)
        assert count >= 1, f"{pattern} is not in udi.h any more: this test is out of date"
    return header


with tempfile.TemporaryDirectory() as folder:
    folder = pathlib.Path(folder)
    header = (source / "include" / "udi.h").read_text()
    (folder / "release.abi").write_text(abi.dump(source / "include" / "udi.h"))
    wrong = []
    for what, edits, word in CHANGES:
        (folder / "udi.h").write_text(edited(header, edits))
        report = "\n".join(abi.check(folder / "udi.h", releases=folder))
        if (word is None) != (report == "") or (word and word not in report):
            wrong.append(f"{what}: wanted {'nothing' if word is None else word}, was told '{report}'")
    for edits, word in VIOLATIONS:
        (folder / "udi.h").write_text(edited(header, edits))
        report = "\n".join(rules.check(folder / "udi.h"))
        if word not in report:
            wrong.append(f"wanted '{word}', was told '{report}'")
sys.exit("\n\n".join(wrong) if wrong else 0)
