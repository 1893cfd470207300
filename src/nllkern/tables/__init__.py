"""What a loss, an option, a link and a support are: one row each.

Whatever exists once a loss (C prototypes and structs, validation, Python signatures, type stubs,
the interfaces to other frameworks, tables of the documentation, self-check, tests) is made from
these rows: at build time by ``generate/``, at run time by import.  They need nothing but Python.
"""

from .links import LINKS, Link
from .losses import LOSSES, Loss, Parameter
from .options import COMMON, Option
from .supports import SUPPORTS, Support

__all__ = [
    "COMMON",
    "LINKS",
    "LOSSES",
    "SUPPORTS",
    "Link",
    "Loss",
    "Option",
    "Parameter",
    "Support",
]
