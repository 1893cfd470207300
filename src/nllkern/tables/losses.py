"""Losses: one row each."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from . import options as o
from . import supports as s
from .links import COVARIANCE, IDENTITY, LINKS, LOG, LOG_VARIANCE, LOGIT, SOFTPLUS, VARIANCE, Link
from .options import COMMON, Option
from .supports import Support

TARGET_KINDS = ("index", "probabilities", "real")  # bits 0, 1, 2 in C


@dataclass(frozen=True)
class Parameter:
    """What a network predicts: its support, and the links that lead to it from a raw number."""

    name: str
    support: Support
    links: tuple[Link, ...] = (IDENTITY,)
    option: Option | None = None  # the keyword that chooses one of the links
    kind: str = "number"  # number, classes (K of them), vector, factor (a d x d matrix)

    @property
    def is_linked(self) -> bool:
        """Whether the loss sees it through a link."""
        return self.links != (IDENTITY,)

    def raw_support(self, links: Mapping[str, str]) -> Support:
        """Where its raw number lies, by the links that parameters with an option have."""
        link = links[self.name] if self.option else self.links[0].name
        return next(x.raw for x in self.links if x.name == link) or self.support


@dataclass(frozen=True)
class Loss:
    """One row."""

    name: str
    kind: str  # pointwise, rows, vectors, contrastive
    parameters: tuple[Parameter, ...]
    target: Support | None  # of a target; None: there is no target
    options: tuple[Option, ...] = ()  # beside the common ones
    targets: tuple[str, ...] = ()  # of rows: index, probabilities, real (put into bins)
    has_hess: bool = True
    in_c: bool = True
    # The expected second derivatives: those at every target, as none depends on it, ...
    hess_is_expected: bool = False
    # ... or those by the parameters themselves at the target that this makes of the parameters.
    typical_target: Callable[..., Any] | None = None
    # The formula in _second_order.py, if it is not pointwise: of derivatives by its target, and of
    # second ones.
    curvature: str = ""

    @property
    def arguments(self) -> tuple[str, ...]:
        """The positional arguments."""
        names = tuple(p.name for p in self.parameters)
        return names if self.target is None else (*names, "target")

    @property
    def has_target_gradient(self) -> bool:
        """Whether it has derivatives by a target of floats: an index or a bin has none."""
        return self.target is not None and (not self.targets or "probabilities" in self.targets)

    @property
    def all_options(self) -> tuple[Option, ...]:
        """The keywords, in the order of the signature."""
        return (*self.options, *COMMON)

    @property
    def links(self) -> tuple[str, ...]:
        """What the option ``link`` may be."""
        option = self.option("link")
        if option is None:
            return ()
        linked = [p for p in self.parameters if p.option is option]
        return tuple(link.name for link in linked[0].links) if linked else option.choices

    @property
    def target_kinds(self) -> int:
        """Of rows: what a target may be, a bit each."""
        return sum(1 << TARGET_KINDS.index(kind) for kind in self.targets)

    def words_of(self, k: int, link: int) -> str:
        """What is expected of positional argument k, whose link has that number in C."""
        if k == len(self.parameters):
            return self.target.words if self.target else ""
        raw = LINKS[link or self.parameters[k].links[0].number].raw
        return (raw or self.parameters[k].support).words

    @property
    def linked(self) -> int:
        """The bit set of the parameters that the loss sees through a link."""
        return sum(p.is_linked << k for k, p in enumerate(self.parameters))

    def option(self, name: str) -> Option | None:
        """The option of that name."""
        return next((x for x in self.all_options if x.name == name), None)


_POSITIVE = (IDENTITY, SOFTPLUS, LOG)
_SCALE = (*_POSITIVE, VARIANCE, LOG_VARIANCE)
_LIKELIHOOD = (o.LINK, o.FULL)


def _positive(name: str, option: Option = o.LINK, support: Support = s.POSITIVE) -> Parameter:
    return Parameter(name, support, _POSITIVE, option)


def _pointwise(
    name: str,
    *parameters: Parameter,
    target: Support,
    options: tuple[Option, ...] = (),
    **columns: Any,
) -> Loss:
    return Loss(name, "pointwise", parameters, target, options, **columns)


def _rows(
    name: str,
    prediction: str,
    support: Support,
    targets: tuple[str, ...],
    *options: Option,
    **columns: Any,
) -> Loss:
    parameter = Parameter(prediction, support, kind="classes")
    target = s.REAL if "real" in targets else s.NONNEGATIVE
    return Loss(name, "rows", (parameter,), target, options, targets, **columns)


def _vectors(name: str) -> Parameter:
    return Parameter(name, s.REAL, kind="vector")


LOSSES = (
    _rows(
        "cross_entropy",
        "logits",
        s.LOGIT,
        ("index", "probabilities"),
        o.CLASS_WEIGHT,
        o.LABEL_SMOOTHING,
        o.IGNORE_INDEX,
        o.Z_LOSS,
        o.SOFTCAP,
        hess_is_expected=True,
        curvature="softmax",
    ),
    _rows(
        "normalized_sigmoid_nll",
        "logits",
        s.LOGIT,
        ("index", "probabilities"),
        o.CLASS_WEIGHT,
        o.LABEL_SMOOTHING,
        o.IGNORE_INDEX,
        curvature="sigmoids",
    ),
    _rows(
        "kl_divergence",
        "logits",
        s.LOGIT,
        ("probabilities",),
        o.PREDICTED,
        hess_is_expected=True,
        curvature="divergence",
    ),
    _rows(
        "multiclass_hinge",
        "scores",
        s.LOGIT,
        ("index",),
        o.HINGE_MARGIN,
        o.HINGE_VARIANT,
        o.IGNORE_INDEX,
        curvature="piecewise_linear",
    ),
    _rows(
        "binned_cross_entropy",
        "logits",
        s.LOGIT,
        ("real",),
        o.EDGES,
        o.OUTSIDE,
        o.CLASS_WEIGHT,
        o.LABEL_SMOOTHING,
        o.Z_LOSS,
        o.SOFTCAP,
        hess_is_expected=True,
        curvature="softmax",
    ),
    _pointwise(
        "binary_cross_entropy",
        Parameter("logits", s.UNIT, (LOGIT,)),
        target=s.UNIT,
        options=(o.POS_WEIGHT,),
        hess_is_expected=True,
    ),
    _pointwise(
        "squared_error", Parameter("prediction", s.REAL), target=s.REAL, hess_is_expected=True
    ),
    _pointwise("absolute_error", Parameter("prediction", s.REAL), target=s.REAL),
    _pointwise("huber", Parameter("prediction", s.REAL), target=s.REAL, options=(o.DELTA,)),
    _pointwise("log_cosh", Parameter("prediction", s.REAL), target=s.REAL),
    _pointwise("hinge", Parameter("score", s.REAL), target=s.SIGN),
    _pointwise("squared_hinge", Parameter("score", s.REAL), target=s.SIGN),
    _pointwise(
        "gaussian_nll",
        Parameter("mean", s.REAL),
        Parameter("scale", s.POSITIVE, _SCALE, o.LINK),
        target=s.REAL,
        options=_LIKELIHOOD,
        typical_target=lambda mean, scale: mean + scale,
    ),
    _pointwise(
        "laplace_nll",
        Parameter("mean", s.REAL),
        _positive("scale"),
        target=s.REAL,
        options=_LIKELIHOOD,
    ),
    _pointwise(
        "student_t_nll",
        Parameter("mean", s.REAL),
        _positive("scale"),
        _positive("df", o.DF_LINK),
        target=s.REAL,
        options=(o.LINK, o.DF_LINK, o.FULL),
    ),
    _pointwise(
        "poisson_nll",
        _positive("rate", support=s.NONNEGATIVE),
        target=s.NONNEGATIVE,
        options=_LIKELIHOOD,
        typical_target=lambda rate: rate,
    ),
    _pointwise(
        "exponential_nll",
        _positive("rate"),
        target=s.NONNEGATIVE,
        options=_LIKELIHOOD,
        typical_target=lambda rate: 1 / rate,
    ),
    _pointwise(
        "gamma_nll",
        _positive("shape"),
        _positive("rate"),
        target=s.NONNEGATIVE,
        options=_LIKELIHOOD,
        typical_target=lambda shape, rate: shape / rate,
    ),
    _pointwise(
        "weibull_nll",
        _positive("shape"),
        _positive("scale"),
        target=s.POSITIVE,
        options=_LIKELIHOOD,
    ),
    _pointwise(
        "lognormal_nll",
        Parameter("mean", s.REAL),
        Parameter("scale", s.POSITIVE, _SCALE, o.LINK),
        target=s.POSITIVE,
        options=_LIKELIHOOD,
    ),
    Loss(
        "multivariate_gaussian_nll",
        "vectors",
        (
            _vectors("mean"),
            Parameter("factor", s.REAL, (*_POSITIVE, COVARIANCE), o.LINK, kind="factor"),
        ),
        s.REAL,
        _LIKELIHOOD,
        curvature="gaussian",
    ),
    Loss(
        "triplet_margin",
        "vectors",
        (_vectors("anchor"), _vectors("positive"), _vectors("negative")),
        None,
        (o.TRIPLET_MARGIN, o.P),
        curvature="triplet",
    ),
    Loss(
        "info_nce",
        "contrastive",
        (_vectors("queries"), _vectors("keys")),
        None,
        (o.TEMPERATURE, o.NORMALIZE, o.FORM),
        curvature="similarities",
        has_hess=False,
        in_c=False,
    ),
)
