"""Builds the program of fuzz_c_interface.c: `python tests/support/fuzz.py LIBRARY PROGRAM CC ...`.

LIBRARY is a libnllkern.so, and CC ... the compiler with its options.
"""

import subprocess
import sys
from pathlib import Path

SUPPORT = Path(__file__).parent
PACKAGE = SUPPORT.parents[1] / "src" / "nllkern"


def build(library: Path, program: Path, compiler: list[str]) -> None:
    """The rows of the losses, which the program reads, are made beside it."""
    made = program.parent / "include" / "nllkern"
    made.mkdir(parents=True, exist_ok=True)
    generate = PACKAGE / "generate" / "c_interface.py"
    template = PACKAGE / "lib" / "include" / "nllkern" / "nllkern.h.in"
    subprocess.run([sys.executable, str(generate), str(template), str(made)], check=True)
    headers = [f"-I{made.parent}", f"-I{PACKAGE / 'lib' / 'core'}"]
    sources = [str(SUPPORT / "fuzz_c_interface.c"), str(made / "tables.c")]
    linked = [str(library), f"-Wl,-rpath,{library.parent}", "-lm"]
    subprocess.run([*compiler, *headers, *sources, "-o", str(program), *linked], check=True)


if __name__ == "__main__":
    build(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve(), sys.argv[3:])
