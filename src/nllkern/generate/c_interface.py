"""At build time: what C and Cython have of the tables.

python c_interface.py nllkern.h.in FOLDER    writes into FOLDER
    nllkern.h       the C interface, flat
    tables.c        the rows of the losses and options, for validation
    supports.h      the supports
    losses.inc, links.inc  the lists of losses and links that the kernels read
    entry_losses.c  the functions of the losses, and the table of all functions
    _capi.pyx, _capi.pxd   the same functions for Cython
    LOSS.c          the translation unit of each pointwise loss

python c_interface.py    prints the names of the pointwise losses
"""

import re
import sys
from collections.abc import Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tables import LINKS as ALL_LINKS
from tables import LOSSES, SUPPORTS, Loss, Support
from tables.options import COMMON, MAX, Option
from tables.structs import (
    CALL_WORDS,
    MAX_PARAMETERS,
    OPTIONS,
    RESULTS,
    Member,
    distinct_options,
    number_default,
)
from tables.supports import NONNEGATIVE

MADE = "/* Made from src/nllkern/tables by src/nllkern/generate/c_interface.py. */\n"
LINKS = [link for link in ALL_LINKS if link.in_c]
IN_C = [loss for loss in LOSSES if loss.in_c]
BITS = {"f32": "float", "f64": "double"}


# ---- nllkern.h ----


def declaration(m: Member) -> str:
    """A member as C declares it."""
    space = "" if m.type.endswith("*") else " "
    return f"{m.type}{space}{m.name}{f'[{m.length}]' if m.length else ''};"


def members(struct: Iterable[Member]) -> str:
    """The members of a struct, one a line."""
    width = max(len(declaration(m)) for m in struct) + 1
    lines = [
        f"    {declaration(m):<{width}}{f'/* {m.words} */' if m.words else ''}".rstrip()
        for m in struct
    ]
    return "\n".join(lines)


def initializer(struct: Iterable[Member]) -> str:
    """The defaults of a struct: in order, which C++ can read too."""
    values = [f"{{{', '.join([m.default] * m.length)}}}" if m.length else m.default for m in struct]
    return "{" + ", ".join(values) + "}"


def inputs(loss: Loss, t: str) -> list[str]:
    """The parameters of a C function that come before its options."""
    sizes = {"pointwise": [], "rows": ["classes"], "vectors": ["dimension"]}[loss.kind]
    found = [f"ptrdiff_t {name}" for name in ("samples", *sizes)]
    for name in loss.arguments:
        of = "void" if loss.kind == "rows" and name == "target" else t
        found.append(f"const {of} *{name}")
    return found


def functions() -> list[tuple[str, list[str], str]]:
    """Name, parameters and body of each function of a loss."""
    found = []
    for k, loss in enumerate(IN_C):
        for bits, t in BITS.items():
            given = inputs(loss, t)
            size = "0" if loss.kind == "pointwise" else given[1].split()[-1]
            array = "{" + ", ".join(loss.arguments) + "}"
            call = f"{k}, {int(t == 'double')}, samples, {size}, (const void *const[]){array}"
            rest = ["const nllk_options *options", "nllk_results *results"]
            body = f"return nllk_compute({call}, options, results);"
            found.append((f"nllk_{loss.name}_{bits}", [*given, *rest], body))
            body = f"return nllk_open({call}, options, results, call);"
            found.append(
                (f"nllk_{loss.name}_{bits}_open", [*given, *rest, "nllk_call *call"], body)
            )
    return found


def header(template: str) -> str:
    """nllkern.h."""
    names = ", ".join(f"NLLK_LOSS_{loss.name}" for loss in IN_C)
    filled = {
        "MAX_PARAMETERS": str(MAX_PARAMETERS),
        "CALL_WORDS": str(CALL_WORDS),
        "LINKS": ", ".join(f"NLLK_{link.name.upper()}" for link in LINKS),
        "LOSSES": f"{names}, NLLK_LOSS_COUNT",
        "CHOICES": "\n".join(choices()),
        "OPTIONS": members(OPTIONS),
        "DEFAULT_OPTIONS": initializer(OPTIONS),
        "RESULTS": members(RESULTS),
        "EMPTY_RESULTS": initializer(RESULTS),
        "PROTOTYPES": "\n".join(
            f"NLLK_API int {name}({', '.join(given)});" for name, given, _ in functions()
        ),
    }
    return re.sub(r"@(\w+)@", lambda m: filled[m[1]], template)


def choices() -> list[str]:
    """An enum for each option that is a choice between names."""
    rows = {x: None for loss in IN_C for x in loss.options if x.kind == "choice" and x.in_c}
    return [
        f"enum {{ {', '.join(f'NLLK_{x.c_field}_{c}'.upper() for c in x.choices)} }};"
        f" /* {x.c_field} of {', '.join(loss.name for loss in IN_C if x in loss.options)} */"
        for x in rows
    ]


# ---- tables.c ----


def number(x: float) -> str:
    """A double as C reads it."""
    return "INFINITY" if x == float("inf") else x.hex() if abs(x) == MAX else repr(float(x))


def support(x: Support | None) -> str:
    """The enumerator of a support."""
    return "NLLK_ANY" if x is None else f"NLLK_{x.name.upper()}_NUMBER"


def number_rows() -> list[Option]:
    """Every row of an option that is a number, two of one name where losses differ."""
    rows = {x: None for loss in IN_C for x in loss.options if x.kind == "number" and x.in_c}
    return list(rows)


def tables() -> str:
    """tables.c."""
    lines = [MADE, '#include "tables.h"', "", "#include <math.h>", ""]
    lines += ["const nllk_support_info nllk_supports[NLLK_SUPPORT_COUNT] = {"]
    lines += ['    [NLLK_ANY] = {"any", "a number"},']
    lines += [f'    [{support(x)}] = {{"{x.name}", "{x.words}"}},' for x in SUPPORTS]
    lines += ["};", ""]
    lines += ["const int nllk_raw_supports[NLLK_LINK_COUNT] = {"]
    lines += [f"    [NLLK_{x.name.upper()}] = {support(x.raw)}," for x in LINKS]
    lines += ["};", ""]
    rows = number_rows()
    lines += [
        f"const int nllk_number_count = {len(rows)};",
        "const nllk_number_info nllk_numbers[] = {",
    ]
    for x in rows:
        nothing = "NAN" if x.nothing is None else number(x.nothing)
        lines.append(
            f'    {{.name = "{x.name}", .offset = offsetof(nllk_options, {x.c_field}), '
            f".low = {number(x.low)}, .high = {number(x.high)}, .nothing = {nothing}, "
            f'.value = {number(number_default(x))}, .words = "{x.words}"}},'
        )
    lines += ["};"]
    lines += [
        f"_Static_assert(sizeof(((nllk_options *)0)->{x.c_field}) == sizeof(double), "
        f'"{x.c_field} is a double");'
        for x in rows
    ]
    lines += ["", "const nllk_loss_info nllk_losses[NLLK_LOSS_COUNT] = {"]
    lines += [row(loss, rows) for loss in IN_C]
    return "\n".join([*lines, "};", ""])


def row(loss: Loss, rows: list[Option]) -> str:
    """The row of a loss in C."""
    numbers = sum(1 << rows.index(x) for x in loss.options if x in rows)
    has = {x.kind: x for x in loss.options if x.in_c}
    extra = has.get("per_sample")
    parameters = ", ".join(
        f'{{.name = "{p.name}", .support = {support(p.support)}, '
        f".links = {sum(1 << LINKS.index(link) for link in p.links if link.in_c)}, "
        f".is_matrix = {int(p.kind == 'factor')}}}"
        for p in loss.parameters
    )
    variants = len(has["choice"].choices) if "choice" in has else 1
    columns = {
        "name": f'"{loss.name}"',
        "kind": f"NLLK_KIND_{loss.kind.upper()}",
        "count": len(loss.parameters),
        "linked": loss.linked,
        "parameter": f"{{{parameters}}}",
        "has_target": int(loss.target is not None),
        "target": support(loss.target),
        "targets": " | ".join(f"NLLK_TAKES_{t.upper()}" for t in loss.targets) or 0,
        "numbers": numbers,
        "variants": variants,
        "has_full": int(any(x.kind == "flag" for x in loss.options)),
        "has_class_weight": int("per_class" in has),
        "has_ignore_index": int("integer" in has),
        "extra": f'"{extra.name}"' if extra else "NULL",
        "extra_support": support(extra.support if extra else None),
    }
    return "    {" + ", ".join(f".{key} = {value}" for key, value in columns.items()) + "},"


def supports() -> str:
    """supports.h."""
    names = ["NLLK_ANY", *map(support, SUPPORTS), "NLLK_SUPPORT_COUNT"]
    lines = [
        MADE,
        "#ifndef NLLK_SUPPORTS_H",
        "#define NLLK_SUPPORTS_H",
        "",
        "#include <math.h>",
        "",
    ]
    lines += [f"enum {{ {', '.join(names)} }};", ""]
    lines += [
        "static inline int nllk_is_inside(int support, double x)",
        "{",
        "    switch (support) {",
    ]
    lines += [f"    case {support(x)}: return {x.test};" for x in SUPPORTS]
    return "\n".join([*lines, "    default: return 1;", "    }", "}", "", "#endif", ""])


# ---- what the kernels read ----


def losses_inc() -> str:
    """losses.inc."""
    return MADE + "".join(f"NLLK_LOSS({loss.name})\n" for loss in IN_C)


def links_inc() -> str:
    """links.inc."""
    return MADE + "".join(f"NLLK_LINK({link.name}, {link.name.upper()})\n" for link in LINKS)


def pointwise(loss: Loss) -> str:
    """The translation unit of a pointwise loss."""
    direct = int(all(len(p.links) == 1 for p in loss.parameters))
    lines = [MADE, f'#include "pointwise/losses/{loss.name}.h"', f"#define LOSS {loss.name}"]
    lines += [f"#define COUNT {len(loss.parameters)}", f"#define LINKED {loss.linked}"]
    lines += [f"#define DIRECT {direct}", f"#define TARGET {support(loss.target)}"]
    zero = sum(1 << k for k, p in enumerate(loss.parameters) if p.support == NONNEGATIVE)
    lines += [f"#define LIMIT_AT_ZERO {zero}"]
    return "\n".join([*lines, '#include "pointwise/kernel.h"', ""])


# ---- entry_losses.c and Cython ----

TYPE = re.compile(r"NLLK_API ((?:const )?\w+ \*?)(\w+)\(([^;]*)\);")


def prototypes(text: str) -> list[tuple[str, str, list[str]]]:
    """What each function of a header returns, its name, and its parameters."""
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    return [
        (returns.strip(), name, [] if given == "void" else re.sub(r"\s+", " ", given).split(", "))
        for returns, name, given in TYPE.findall(text)
    ]


def entry(text: str) -> str:
    """entry_losses.c."""
    lines = [MADE, '#include "call.h"', ""]
    for name, given, body in functions():
        lines += [f"int {name}({', '.join(given)})", "{", f"    {body}", "}", ""]
    lines.append("static const nllk_function functions[] = {")
    for returns, name, given in prototypes(text):
        signature = f"{returns} ({', '.join(given) or 'void'})"
        lines.append(f'    {{"{name}", "{signature}", (void (*)(void)){name}}},')
    lines += ["};", "", "const nllk_api *nllk_get_api(void)", "{"]
    lines += ["    static const nllk_api api = {NLLK_ABI, sizeof api,"]
    lines += ["                                 sizeof functions / sizeof *functions, functions};"]
    return "\n".join([*lines, "    return &api;", "}", ""])


def cython(text: str) -> tuple[str, str]:
    """_capi.pyx and _capi.pxd."""
    types = cython_types(text)
    pyx, pxd = ["# cython: language_level=3", types], [types]
    pyx.append('cdef extern from "nllkern/nllkern.h" nogil:')
    bodies = []
    for returns, name, given in prototypes(text):
        space = "" if returns.endswith("*") else " "
        names = ", ".join(x.split()[-1].lstrip("*").split("[")[0] for x in given)
        given = [re.sub(r"const void \*const \*", "const void **", x) for x in given]
        head = f"{returns}{space}{name}({', '.join(given)})"
        pyx.append(f'    {returns}{space}c_{name} "{name}" ({", ".join(given)})')
        bodies += ["", f"cdef api {head} noexcept nogil:"]
        bodies.append(f"    {'' if returns == 'void' else 'return '}c_{name}({names})")
        pxd.append(f"cdef {head} noexcept nogil")
    return "\n".join([*pyx, *bodies, ""]), "\n".join([*pxd, ""])


def cython_types(text: str) -> str:
    """The structs and enumerators of the header."""
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    lines = ["from libc.stdint cimport int64_t, uint64_t", ""]
    lines += ['cdef extern from "nllkern/nllkern.h" nogil:', "    enum:"]
    for body in re.findall(r"enum \{(.*?)\}", text, re.DOTALL):
        lines += [
            f"        {word.split('=')[0].strip()}" for word in body.split(",") if word.strip()
        ]
    lines += [
        "    ctypedef void (*nllk_work)(void *task, int k) noexcept nogil",
        "    ctypedef void (*nllk_parallel)(void *context, int count, nllk_work work, void *task) "
        "noexcept nogil",
        "    ctypedef int (*nllk_interrupt)(void *context) noexcept nogil",
    ]
    for name, struct in (("nllk_options", OPTIONS), ("nllk_results", RESULTS)):
        lines += [f"    ctypedef struct {name}:"]
        lines += [f"        {declaration(m).rstrip(';')}" for m in struct]
    lines += ["    ctypedef struct nllk_call:", f"        uint64_t room[{CALL_WORDS}]"]
    lines += ["    ctypedef struct nllk_function:", "        const char *name"]
    lines += ["        const char *type", "        void (*address)()"]
    lines += ["    ctypedef struct nllk_api:", "        int abi", "        size_t size"]
    return "\n".join(
        [*lines, "        ptrdiff_t count", "        const nllk_function *functions", ""]
    )


def main(template: str, folder: str) -> None:
    """Write all of them."""
    text = header(Path(template).read_text())
    pyx, pxd = cython(text)
    written = {
        "nllkern.h": text,
        "supports.h": supports(),
        "losses.inc": losses_inc(),
        "links.inc": links_inc(),
        "tables.c": tables(),
        "entry_losses.c": entry(text),
        "_capi.pyx": pyx,
        "_capi.pxd": pxd,
    }
    written |= {f"{loss.name}.c": pointwise(loss) for loss in IN_C if loss.kind == "pointwise"}
    for name, content in written.items():
        (Path(folder) / name).write_text(content)


if __name__ == "__main__":
    assert all(option in loss.all_options for loss in LOSSES for option in COMMON)
    assert len({x.c_field for x in distinct_options()}) == len(distinct_options())
    if len(sys.argv) == 1:
        print(*(loss.name for loss in IN_C if loss.kind == "pointwise"))
    else:
        main(*sys.argv[1:])
