"""At build time: the types of the loss objects.  ``python stubs.py _losses.pyi``"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tables import LOSSES, Loss, Option
from tables.options import REDUCTION

HEAD = """\
# Made from nllkern/tables by generate/stubs.py.

from collections.abc import Sequence
from typing import Any, Literal, Protocol, TypeAlias, final, overload, type_check_only

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._binned import BinnedLoss
from ._loss import Loss

_Array: TypeAlias = NDArray[np.floating[Any]]
_Out: TypeAlias = _Array | None
_Grad: TypeAlias = _Array | float

@type_check_only
class _DLPack(Protocol):
    def __dlpack__(self) -> Any: ...

# A prediction that is an array, so that its gradient is one; that of one number is a float.
_Arrays: TypeAlias = NDArray[Any] | Sequence[Any] | memoryview | _DLPack
"""

REDUCED, EACH = 'Literal["mean", "sum"]', 'Literal["none"]'


def literal(words: tuple[str, ...]) -> str:
    """The type of one of these words."""
    return f"Literal[{', '.join(f'{w!r}' for w in words)}]".replace("'", '"')


def option_type(loss: Loss, option: Option) -> str:
    """The type of a keyword."""
    if option.kind == "choice":
        return literal(option.choices)
    if option.kind == "link":
        linked = next(p for p in loss.parameters if p.option is option)
        return literal(tuple(link.name for link in linked.links))
    of_kind = {"number": "float", "flag": "bool", "integer": "int", "threads": "int"}
    found = of_kind.get(option.kind, "ArrayLike")
    return found if option.default not in (None,) else f"{found} | None"


def keywords(loss: Loss, reduction: str, out: str) -> list[str]:
    """The keywords of a method."""
    found = []
    for option in loss.all_options:
        default = "" if option.default is ... else " = ..."
        if option is REDUCTION:
            found.append(f"reduction: {reduction}{' = ...' if 'mean' in reduction else ''}")
        elif option.kind != "out":
            found.append(f"{option.name}: {option_type(loss, option)}{default}")
        elif out:
            found.append(f"out: {out} = ...")
    return found


def method(name: str, positional: list[str], named: list[str], returns: str) -> list[str]:
    """A method of the stub."""
    lines = [f"    def {name}(", "        self,"]
    lines += [f"        {x}," for x in (*positional, "/", "*", *named)]
    return [*lines, f"    ) -> {returns}: ..."]


def results(loss: Loss, grad: str) -> str:
    """The type of the gradients where that of one is `grad`."""
    many = [grad] * len(loss.parameters)
    if loss.kind == "vectors" and any(p.kind == "factor" for p in loss.parameters):
        many[-1] = "Any"  # None where the factor is fixed
    return many[0] if len(many) == 1 else f"tuple[{', '.join(many)}]"


def methods(loss: Loss) -> list[str]:
    """All methods, an overload for each type that a result may have."""
    count = len(loss.parameters)
    target = [f"{name}: ArrayLike" for name in loss.arguments[count:]]
    out = "_Out" if count == 1 else f"tuple[{', '.join(['_Out'] * count)}] | None"
    # What a parameter is, and so its gradient: pointwise parameters may be one number.
    kinds = [("_Arrays", "_Array"), ("ArrayLike", "_Grad")]
    if loss.kind != "pointwise":
        kinds = [("ArrayLike", "_Array")]
    lines: list[str] = []

    def add(name: str, of: str, given: str, returns: str, overloaded: bool = True) -> None:
        positional = [f"{p.name}: {of}" for p in loss.parameters] + target
        for reduction, value in ((REDUCED, "float"), (EACH, "_Array")):
            if overloaded:
                lines.append("    @overload")
            each = returns.replace("VALUE", value)
            lines.extend(method(name, positional, keywords(loss, reduction, given), each))

    add("__call__", "ArrayLike", "", "VALUE")
    for of, grad in kinds:
        add("value_and_grad", of, out, f"tuple[VALUE, {results(loss, grad)}]")
    for of, grad in kinds:
        add("grad", of, out, results(loss, grad))
    for of, grad in kinds if loss.has_hess else ():
        both = results(loss, grad)
        add("value_grad_hess", of, f"tuple[{out}, {out}] | None", f"tuple[VALUE, {both}, {both}]")
    return lines


def stub() -> str:
    """The whole file."""
    lines = [HEAD]
    for loss in LOSSES:
        base = "BinnedLoss" if "real" in loss.targets else "Loss"
        lines += ["@final", "@type_check_only", f"class _{loss.name}({base}):"]
        lines += [*methods(loss), ""]
    lines += [f"{loss.name}: _{loss.name}" for loss in LOSSES]
    lines += ["", "def loss_named(name: str) -> Any: ...", "def losses() -> list[Loss]: ...", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(stub())
