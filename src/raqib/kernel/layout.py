"""The layouts that kernel side and daemon share, read from the very headers that the programs are built with."""

from __future__ import annotations

import re
from importlib.resources import files

import cffi

_DEFINE = re.compile(r"^#define\s+(\w+)\s+(.+?)\s*$", re.MULTILINE)
_DIRECTIVE = re.compile(r"^#.*$", re.MULTILINE)
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_WORD = re.compile(r"\b[A-Za-z_]\w*")
_ENUM = re.compile(r"^enum (\w+) \{", re.MULTILINE)

_TYPES = """
typedef uint8_t __u8; typedef uint16_t __u16; typedef uint32_t __u32; typedef uint64_t __u64;
typedef int8_t __s8; typedef int16_t __s16; typedef int32_t __s32; typedef int64_t __s64;
"""


def _constants(header: str) -> dict[str, int]:
    """Return the numeric #defines; later ones may name earlier ones."""
    values: dict[str, int] = {}
    for name, expression in _DEFINE.findall(header):
        known = re.sub(r"[A-Za-z_]\w*", lambda found: str(values[found.group()]), expression)
        if not re.fullmatch(r"[\d\s+*()<|-]+", known):
            raise ValueError(f"layout: expected a number for {name}, found {expression!r}")
        values[name] = int(eval(known, {"__builtins__": {}}))  # noqa: S307  # digits and operators only
    return values


def _declarations(header: str) -> str:
    header = _COMMENT.sub("", header)
    values = {name: str(value) for name, value in _constants(header).items()}
    return _WORD.sub(lambda found: values.get(found.group(), found.group()), _DIRECTIVE.sub("", header))


LAYOUTS = ("core.h", "net.h")
"""In this order: a later one names types of an earlier one."""

_HEADER = "".join(files("raqib.kernel").joinpath(f"objects/layout/{name}").read_text() for name in LAYOUTS)
ffi = cffi.FFI()
ffi.cdef(_TYPES + _declarations(_HEADER))


def constant(name: str) -> int:
    """Return an enumerator or a #define of the layout by its name.

    Raises KeyError if there is none of that name.
    """
    return _CONSTANTS[name]


def _all_constants() -> dict[str, int]:
    found = _constants(_HEADER)
    for tag in _ENUM.findall(_HEADER):
        found.update(ffi.typeof(f"enum {tag}").relements)
    return found


_CONSTANTS = _all_constants()
