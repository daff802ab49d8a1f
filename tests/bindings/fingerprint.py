"""The fingerprint changes with the interface and with nothing else.

Usage: fingerprint.py SOURCE_FOLDER
"""
import pathlib
import re
import sys

source = pathlib.Path(sys.argv[1])
sys.dont_write_bytecode = True
sys.path.insert(0, str(source / "scripts"))
import header  # noqa: E402

text = (source / "include/udi.h").read_text()
before = header.fingerprint(text)


def changed(pattern, replacement):
    edited = re.sub(pattern, replacement, text, count=1, flags=re.MULTILINE)
    if edited == text:
        sys.exit(f"nothing to replace by {replacement!r}")
    return header.fingerprint(edited) != before


same = [(r"^#define UDI_VERSION_MINOR \d+", "#define UDI_VERSION_MINOR 7"), (r"/\* NULL: silence \*/", "/* other words */"),
        (r"^  udi_status status;", "  udi_status   status; /* one */"),
        (r"^UDI_API UDI_CHECK udi_status udi_job_run\(", "UDI_API UDI_CHECK udi_status\nudi_job_run(")]
other = [(r"^#define UDI_ABI_VERSION \d+", "#define UDI_ABI_VERSION 7"), (r"^  UDI_E_SHAPE = 2,", "  UDI_E_SHAPE = 3,"),
         (r"char message\[504\]", "char message[500]"), (r"^  int32_t patch_size;", "  uint32_t patch_size;"),
         (r"^typedef struct udi_error \{\n", r"\g<0>  int32_t more;\n"),
         (r"^UDI_API uint32_t udi_version\(void\);", "UDI_API uint64_t udi_version(void);"),
         (r"^UDI_API uint32_t udi_version\(void\);", ""), (r"const udi_model \*", "udi_model *")]
wrong = [f"{edit!r} changes it" for edit in same if changed(*edit)]
wrong += [f"{edit!r} does not change it" for edit in other if not changed(*edit)]
if wrong:
    sys.exit("\n".join(wrong))
print(f"{len(same)} edits without and {len(other)} with consequence")
