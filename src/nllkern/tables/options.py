"""Options: the keywords of the losses.  A name has two rows where two losses differ in domain."""

from dataclasses import dataclass
from typing import Any

from .supports import NONNEGATIVE, POSITIVE, Support

MAX = 1.7976931348623157e308  # the largest double
INFINITY = float("inf")


@dataclass(frozen=True)
class Option:
    """One row."""

    name: str
    kind: str  # number, flag, choice, integer, link, per_sample, per_class, edges, out
    default: Any
    words: str  # "expected ..."
    choices: tuple[str, ...] = ()  # of a choice, in the order of their numbers in C
    low: float = -MAX  # of a number, both ends included
    high: float = MAX
    nothing: float | None = None  # of a number: what None is in C
    support: Support | None = None  # of an array: what check=True expects
    field: str = ""  # of nllk_options; "": the name
    in_c: bool = True

    @property
    def c_field(self) -> str:
        """The member of nllk_options that holds it."""
        return self.field or self.name


TINY = 5e-324  # the smallest positive double: with it as the lower end, 0 is excluded

# What every loss has.
REDUCTION = Option(
    "reduction", "choice", "mean", "'mean', 'sum' or 'none'", ("mean", "sum", "none")
)
SAMPLE_WEIGHT = Option(
    "sample_weight", "sample_weight", None, "one weight per sample", support=NONNEGATIVE
)
NORMALIZER = Option(
    "normalizer", "number", None, "a positive, finite number or None", low=TINY, nothing=0.0
)
OUT = Option("out", "out", None, "arrays for the gradients", in_c=False)
NUM_THREADS = Option("num_threads", "threads", None, "1 to 1024, or None")
CHECK = Option("check", "flag", False, "True or False")
COMMON = (REDUCTION, SAMPLE_WEIGHT, NORMALIZER, OUT, NUM_THREADS, CHECK)

# Of losses over classes.
CLASS_WEIGHT = Option(
    "class_weight", "per_class", None, "one weight per class", support=NONNEGATIVE
)
LABEL_SMOOTHING = Option("label_smoothing", "number", 0.0, "a number from 0 to 1", low=0, high=1)
IGNORE_INDEX = Option("ignore_index", "integer", None, "an int or None")
Z_LOSS = Option("z_loss", "number", 0.0, "a finite number >= 0", low=0)
SOFTCAP = Option(
    "softcap", "number", None, "a positive, finite number or None", low=TINY, nothing=0.0
)
HINGE_MARGIN = Option("margin", "number", 1.0, "a finite number >= 0", low=0)
HINGE_VARIANT = Option(
    "variant",
    "choice",
    "crammer_singer",
    "one of crammer_singer, weston_watkins",
    ("crammer_singer", "weston_watkins"),
)
PREDICTED = Option(
    "link", "choice", "softmax", "one of softmax, log", ("softmax", "log"), field="variant"
)
EDGES = Option(
    "edges", "edges", ..., "a pair (low, high) or an increasing array of K + 1 numbers", in_c=False
)
OUTSIDE = Option("outside", "choice", "clip", "'clip' or 'raise'", ("clip", "raise"), in_c=False)

# Of pointwise losses.
POS_WEIGHT = Option(
    "pos_weight",
    "per_sample",
    None,
    "one weight, or one per sample",
    support=NONNEGATIVE,
    field="extra",
)
DELTA = Option(
    "delta",
    "per_sample",
    1.0,
    "a positive number, or one per sample",
    support=POSITIVE,
    field="extra",
)
LINK = Option("link", "link", "identity", "one of")
DF_LINK = Option("df_link", "link", "identity", "one of")
FULL = Option("full", "flag", True, "True or False", field="drop_constants")

# Of losses of vectors.
TRIPLET_MARGIN = Option("margin", "number", 1.0, "a finite number")
P = Option("p", "number", 2.0, "a number >= 1, or inf", low=1, high=INFINITY)
TEMPERATURE = Option(
    "temperature", "number", 0.1, "a positive, finite number", low=TINY, in_c=False
)
NORMALIZE = Option("normalize", "flag", True, "True or False", in_c=False)
FORM = Option(
    "form",
    "choice",
    "queries",
    "one of queries, symmetric, nt_xent",
    ("queries", "symmetric", "nt_xent"),
    in_c=False,
)
