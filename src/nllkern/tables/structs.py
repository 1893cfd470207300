"""The structs of nllkern.h: their members, in order.

``nllk_options`` has a member for each row of an option that is a number or a choice.
"""

from typing import NamedTuple

from .losses import LOSSES
from .options import Option

MAX_PARAMETERS = max(len(loss.parameters) for loss in LOSSES if loss.in_c)
CALL_WORDS = 112  # of nllk_call, 8 bytes each


class Member(NamedTuple):
    """A member: its C type, name, length (0: no array), default in C, and what it is."""

    type: str
    name: str
    length: int
    default: str
    words: str


def distinct_options() -> list[Option]:
    """Every row of an option that C has, once a member."""
    found: dict[str, Option] = {}
    for loss in LOSSES:
        for option in loss.all_options:
            if option.in_c and loss.in_c:
                found.setdefault(option.c_field, option)
    return list(found.values())


def number_default(option: Option) -> float:
    """What the member of a number holds where nothing is given."""
    value = option.nothing if option.default is None else option.default
    if value is None:
        raise ValueError(f"the option {option.name} has no default in C")
    return float(value)


def _of_losses(kind: str) -> list[Option]:
    of_all = LOSSES[0].all_options[len(LOSSES[0].options) :]
    return [x for x in distinct_options() if x.kind == kind and x not in of_all]


OPTIONS = (
    Member("size_t", "size", 0, "sizeof(nllk_options)", "sizeof(nllk_options)"),
    Member("int", "want", 0, "0", "NLLK_VALUE ..."),
    Member("int", "reduction", 0, "0", "NLLK_MEAN ..."),
    Member(
        "int", "link", MAX_PARAMETERS, "0", "NLLK_IDENTITY ..., of each parameter that has links"
    ),
    Member("int", "target", 0, "0", "of rows: NLLK_TARGET_INT64 ..."),
    *(Member("int", x.c_field, 0, "0", f"{x.words}: 0, 1") for x in _of_losses("choice")),
    Member("int", "shared", 0, "0", "bit j: all samples share input j, the target being the last"),
    Member("int", "num_threads", 0, "0", "at most; 0: nllk_get_num_threads()"),
    Member("int", "check", 0, "0", "look for inputs outside the domain first"),
    Member("int", "drop_constants", 0, "0", "leave out the terms that depend on no parameter"),
    Member("int", "has_ignore_index", 0, "0", "rows whose index is ignore_index do not count"),
    Member("int64_t", "ignore_index", 0, "0", ""),
    Member("double", "normalizer", 0, "0", "denominator of the mean; 0: the weight that counts"),
    Member("const void *", "sample_weight", 0, "0", "T, one a sample"),
    Member("const void *", "class_weight", 0, "0", "T, one a class"),
    Member("const void *", "extra", 0, "0", "T: pos_weight or delta, for each sample"),
    Member("ptrdiff_t", "extra_period", 0, "0", "how many before they repeat; 0: one a sample"),
    Member("double", "extra_value", 0, "1", "the same for all samples, where extra is NULL"),
    Member("ptrdiff_t", "row_stride", 0, "0", "from one row of logits to the next; 0: no gaps"),
    Member("const double *", "factor", 0, "0", "the factor that all samples share, in doubles"),
    *(
        Member("double", x.c_field, 0, repr(number_default(x)), x.words)
        for x in _of_losses("number")
    ),
    Member("nllk_parallel", "parallel", 0, "0", "sets workers to work; NULL: nllk_get_threading()"),
    Member("void *", "context", 0, "0", "first argument of `parallel` and `interrupted`"),
    Member("nllk_interrupt", "interrupted", 0, "0", "whether to give up; NULL: never"),
)

RESULTS = (
    Member("size_t", "size", 0, "sizeof(nllk_results)", "sizeof(nllk_results)"),
    Member("void *", "loss", 0, "0", "of each sample, weighted"),
    Member("void *", "grad", MAX_PARAMETERS, "0", "derivatives of the reduced value"),
    Member("void *", "hess", MAX_PARAMETERS, "0", "second ones, by each number alone"),
    Member("double", "value", 0, "0", "of the reduction; for NLLK_NONE the sum"),
    Member("double", "denominator", 0, "0", ""),
    Member("double", "grad_sum", MAX_PARAMETERS, "0", "of pointwise parameters that are shared"),
    Member("double", "hess_sum", MAX_PARAMETERS, "0", ""),
    Member("const char *", "argument", 0, "0", "of an error: the argument or option, or NULL"),
    Member("ptrdiff_t", "bad", 0, "-1", "of an error: the element of that argument, or -1"),
)
