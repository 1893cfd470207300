"""At build time: the functions of nllkern.h as Cython has them.

python generate.py nllkern.h _capi.pyx _capi.pxd FOLDER COMPILER...

FOLDER holds the table of losses, which the header includes.
"""

import re
import subprocess
import sys
from pathlib import Path

TYPES = (
    "from libc.stdint cimport int64_t\n\n"
    "from nllkern._capi_types cimport nllk_api, nllk_call, nllk_options, nllk_results\n\n"
)
PROTOTYPE = re.compile(r"^((?:const )?\w+ \*?)(nllk_\w+)\(([^;]*)\);", re.MULTILINE)


def prototypes(header: str, folder: str, compiler: list[str]) -> list[tuple[str, str, str]]:
    """What each function returns, its name, and its arguments."""
    command = [*compiler, "-E", "-P", "-DNLLK_API=", f"-I{folder}", header]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    text = re.sub(r"\s+", " ", text).replace("; ", ";\n").replace("} ", "}\n")
    found = PROTOTYPE.findall(text)
    return [(a, b, re.sub(r"\* ", "*", c) if c != "void" else "") for a, b, c in found]


def main(header: str, pyx: str, pxd: str, folder: str, *compiler: str) -> None:
    """Write both files."""
    source = (
        "# cython: language_level=3\n" + TYPES + 'cdef extern from "nllkern/nllkern.h" nogil:\n'
    )
    bodies, declarations = "", TYPES
    for returns, name, arguments in prototypes(header, folder, list(compiler)):
        names = ", ".join(part.split()[-1].lstrip("*") for part in arguments.split(",") if part)
        source += f'    {returns}c_{name} "{name}" ({arguments})\n'
        bodies += f"\ncdef api {returns}{name}({arguments}) noexcept nogil:\n"
        bodies += f"    {'' if returns == 'void ' else 'return '}c_{name}({names})\n"
        declarations += f"cdef {returns}{name}({arguments}) noexcept nogil\n"
    Path(pyx).write_text(source + bodies)
    Path(pxd).write_text(declarations)


if __name__ == "__main__":
    main(*sys.argv[1:])
