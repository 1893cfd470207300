"""The command nllkern-config: where a C compiler finds nllkern."""

import argparse

from ._show import __version__, get_include, library_folder

FOLDER = library_folder()
ANSWERS = {
    "version": (__version__, "version of nllkern"),
    "cflags": (f"-I{get_include()}", "flags for the compiler"),
    "libs": (f"-L{FOLDER} -lnllkern -Wl,-rpath,{FOLDER}", "flags for the linker"),
    "includedir": (get_include(), "folder of nllkern/nllkern.h"),
    "libdir": (str(FOLDER), "folder of the library"),
    "pkgconfigdir": (str(FOLDER), "folder of nllkern.pc"),
}


def main(arguments: list[str] | None = None) -> None:
    """Print what was asked for, in one line."""
    parser = argparse.ArgumentParser("nllkern-config", description="How to compile with nllkern.")
    for name, (_, description) in ANSWERS.items():
        parser.add_argument(f"--{name}", action="store_true", help=description)
    asked = vars(parser.parse_args(arguments))
    if not any(asked.values()):
        parser.error(f"expected one of {', '.join('--' + name for name in ANSWERS)}")
    print(" ".join(ANSWERS[name][0] for name in ANSWERS if asked[name]))


if __name__ == "__main__":
    main()
