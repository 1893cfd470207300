"""Derivatives of gradients along a direction, in the operations of JAX or of PyTorch.

Those of a pointwise loss come from its value formula (``reference/formulas.py``), run on jets of
arrays; those of the others from differentiating the formulas below, where the terms that are linear
in the predictions may be left out.  ``xp`` is the library, as ``ArrayLibrary`` describes it.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ._adapters import is_fixed, is_shared, loss_shape
from .reference import formulas
from .reference.functions import BERNOULLI, Functions, stirling
from .reference.jets import Jet, jet, moving
from .reference.links import linked
from .tables import Loss


class ArrayLibrary(NamedTuple):
    """What JAX and PyTorch name or do in different ways."""

    numpy: Any  # the functions that both have: exp, where, ...
    number: Callable[[float], Any]  # a double that does not widen float32 arrays
    logsumexp: Callable[[Any, int], Any]
    polygamma: Callable[[int, Any], Any]  # -1: lgamma, 0: digamma, ...
    solve: Callable[[Any, Any], Any]  # lower triangular systems
    bins: Callable[[Any, Any], Any]  # searchsorted, the right side
    hvp: Callable[..., list[Any]]  # of a function, at parameters, along directions


class Call(NamedTuple):
    """A call whose gradients are differentiated; its arrays have the dtype of the call."""

    row: Loss
    constants: dict[str, Any]
    parameters: Sequence[Any]
    target: Any  # None: the loss has none
    arrays: dict[str, Any]

    def option(self, name: str) -> Any:
        """The array, number or name that an option was given, or its default."""
        option = self.row.option(name)
        default = option.default if option else None
        return self.arrays.get(name, self.constants.get(name, default))

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """Of the inputs."""
        inputs = [*self.parameters, *([] if self.target is None else [self.target])]
        return [tuple(x.shape) for x in inputs]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the losses of the samples."""
        return loss_shape(self.row, self.shapes)


def along(lib: ArrayLibrary, call: Call, directions: Sequence[Any]) -> list[Any]:
    """The derivative of the gradient by each parameter, along directions (None: 0) in all of them.

    The gradients are those of the reduced value, or with reduction="none" those of each sample's.
    """
    row, xp = call.row, lib.numpy
    if row.kind == "pointwise":
        return _pointwise(lib, call, directions)
    formula = FORMULAS[row.curvature]
    used = [k for k in range(len(row.parameters)) if not is_fixed(row, call.constants, k)]

    def total(*moving: Any) -> Any:
        parameters = list(call.parameters)
        for k, x in zip(used, moving, strict=True):
            parameters[k] = x
        samples, counts = formula(lib, call._replace(parameters=parameters))
        scale = _scale(lib, call, counts)
        return xp.where(scale == 0, 0, scale * xp.where(scale == 0, 0, samples)).sum()

    at = [call.parameters[k] for k in used]
    found: list[Any] = [xp.zeros_like(x) for x in call.parameters]
    moves = [found[k] if directions[k] is None else directions[k] for k in used]
    for k, x in zip(used, lib.hvp(total, at, moves), strict=True):
        found[k] = x
    return found


def samples(lib: ArrayLibrary, call: Call) -> Any:
    """The weighted losses of the samples, less terms that depend on no parameter."""
    values, counts = FORMULAS[call.row.curvature](lib, call)
    return values * _scale(lib, call, counts)


def _scale(lib: ArrayLibrary, call: Call, counts: Any) -> Any:
    """What the losses are multiplied by; ``counts``: what each adds to the mean's denominator."""
    xp, weight = lib.numpy, call.arrays.get("sample_weight")
    weight = xp.where(counts == 0, 0, xp.ones_like(counts) if weight is None else weight)
    if call.option("reduction") != "mean":
        return weight
    normalizer = call.option("normalizer")
    if normalizer is not None:
        return weight / normalizer
    denominator = (weight * counts).sum()
    return weight / xp.where(denominator == 0, 1, denominator)


# ---- pointwise losses: jets ----


class _Numbers:
    """Arrays as ``reference.functions`` asks for them; every branch is computed."""

    steps = 16
    log: Callable[[Any], Any]

    def __init__(self, lib: ArrayLibrary) -> None:
        self.lib, xp = lib, lib.numpy
        self.xp = xp
        self.real, self.pi = lib.number, lib.number(math.pi)
        for name in ("exp", "log", "log1p", "expm1", "sqrt", "tanh", "sinh", "ceil"):
            setattr(self, name, getattr(xp, name))

    def bernoulli(self) -> list[float]:
        """B_2, B_4, ..."""
        return [p / q for p, q in BERNOULLI]

    def stirling(self, a: Any) -> Any:
        """lgamma(a) - (a - 1/2) log a + a - log(2 pi)/2 and three derivatives."""
        where, large = self.xp.where, a >= self.steps
        series = stirling(self, where(large, a, self.steps))
        x = where(large, self.steps, a)
        r, log = 1 / x, self.log(x)
        plain = (
            (x - 0.5) * log - x + 0.5 * math.log(2 * math.pi),
            log - 0.5 * r,
            r + 0.5 * r * r,
            -r * r - r * r * r,
        )
        return tuple(
            where(large, s, self.lib.polygamma(n - 1, x) - p)
            for n, (s, p) in enumerate(zip(series, plain, strict=True))
        )

    def any(self, condition: Any) -> bool:
        """Whether the recurrence in front of the series is needed."""
        return False

    def choose(self, condition: Any, yes: Any, no: Any) -> Any:
        return self.xp.where(condition, yes(), no())

    def select(self, condition: Any, yes: Any, no: Any) -> Jet:
        where = self.xp.where
        yes, no = jet(yes()), jet(no())
        length = max(len(yes.series), len(no.series))
        a, b = ((*x.series, 0, 0)[:length] for x in (yes, no))
        series = tuple(where(condition, x, y) for x, y in zip(a, b, strict=True))
        of_yes = yes, lambda d: tuple(where(condition, c, 0) for c in d)
        of_no = no, lambda d: tuple(where(condition, 0, c) for c in d)
        return Jet(series, (of_yes, of_no))

    def log1pmx(self, x: Any) -> Any:
        """log(1 + x) - x: with s = x/(2 + x), log(1 + x) = 2 atanh(s) and 2s - x = -x s."""
        where = self.xp.where
        near = (x > -0.5) & (x < 1)
        t = where(near, x, 0)
        s = t / (2 + t)
        tail = 0 * s
        for n in range(24, 0, -1):
            tail = s * s * (1 / (2 * n + 1) + tail)
        return where(near, t * ((1 - s) * tail - s), self.xp.log1p(x) - x)


def _pointwise(lib: ArrayLibrary, call: Call, directions: Sequence[Any]) -> list[Any]:
    """By the second derivatives of each sample by every pair of parameters."""
    xp, shape = lib.numpy, call.shape
    scale = _scale(lib, call, xp.ones_like(xp.broadcast_to(call.parameters[0], shape)))
    found = [xp.zeros_like(scale) for _ in directions]
    for j, direction in enumerate(directions):
        for k, second in enumerate([] if direction is None else _second_derivatives(lib, call, j)):
            found[k] = found[k] + xp.where(scale == 0, 0, scale * second) * direction
    return [x.sum() if is_shared(call.row, call.shapes, k) else x for k, x in enumerate(found)]


def _second_derivatives(lib: ArrayLibrary, call: Call, j: int) -> list[Any]:
    """Those of each sample's loss by parameter j and each of the parameters."""
    row, xp, shape = call.row, lib.numpy, call.shape
    f, jets, arguments = Functions(_Numbers(lib)), [], {}
    for k, (parameter, x) in enumerate(zip(row.parameters, call.parameters, strict=True)):
        x = xp.broadcast_to(x, shape)
        jets.append(Jet(moving(x) if k == j else (x,)))
        link = call.option(parameter.option.name) if parameter.option else "identity"
        arguments[parameter.name] = linked(f, link, jets[k])
    arguments["target"] = Jet((xp.broadcast_to(call.target, shape),))
    for option in row.options:
        x = call.option(option.name)
        if option.kind == "per_sample":
            arguments[option.name] = jet(1.0 if x is None else x)
        elif option.kind != "link":
            arguments[option.name] = x
    gradients = jet(getattr(formulas, row.name)(f, **arguments)).gradients(xp.where)
    return [(*gradients.get(x, ()), 0, 0)[1] for x in jets]


# ---- formulas: (losses of the samples, what each adds to the denominator of a mean) ----


def _softplus(xp: Any, x: Any) -> Any:
    return xp.logaddexp(x, xp.zeros_like(x))


def _times(xp: Any, t: Any, x: Any) -> Any:
    """T x, and 0 where t is 0 though x be infinite."""
    return xp.where(t == 0, 0, t * xp.where(t == 0, 0, x))


def _target(lib: ArrayLibrary, call: Call, logits: Any) -> tuple[Any, Any]:
    """The weights of the classes in the loss of each row, and what it adds to the denominator."""
    xp, target, classes = lib.numpy, call.target, logits.shape[-1]
    class_weight, smoothing = call.option("class_weight"), call.option("label_smoothing") or 0
    ignored, edges = call.option("ignore_index"), call.option("edges")
    if edges is not None:
        target = xp.clip(lib.bins(_edges(edges, classes), target) - 1, 0, classes - 1)
    order = xp.arange(classes)
    weight = xp.ones_like(logits[..., :1]) if class_weight is None else class_weight
    if target.ndim < logits.ndim:
        t = xp.where(target[..., None] == order, xp.ones_like(logits), 0)
        counts = (t * weight).sum(-1)
        if ignored is not None:
            counts = xp.where(target == ignored, 0, counts)
    else:
        t, counts = target, xp.ones_like(logits[..., 0])
        if ignored is not None and 0 <= ignored < classes:
            counts = xp.where(((t != 0) == (order == ignored)).all(-1), 0, counts)
    return weight * ((1 - smoothing) * t + smoothing / classes), counts


def _edges(edges: Sequence[float], bins: int) -> Sequence[float]:
    """All edges, also where a pair was given."""
    if len(edges) != 2:
        return edges
    low, high = edges
    return [low + (high - low) * k / bins for k in range(bins + 1)]


def softmax(lib: ArrayLibrary, call: Call) -> tuple[Any, Any]:
    """sum_k tau_k (lse - s_k) + z_loss lse^2."""
    xp, (z,) = lib.numpy, call.parameters
    tau, counts = _target(lib, call, z)
    softcap, z_loss = call.option("softcap"), call.option("z_loss")
    if softcap is not None:
        z = xp.where(z == -math.inf, -math.inf, softcap * xp.tanh(z / softcap))
    return _softmax_nll(lib, z, tau, z_loss or 0), counts


def sigmoids(lib: ArrayLibrary, call: Call) -> tuple[Any, Any]:
    """The same of s = log sigmoid(z)."""
    xp, (z,) = lib.numpy, call.parameters
    tau, counts = _target(lib, call, z)
    masked = z == -math.inf
    score = -_softplus(xp, -xp.where(masked, 0, z))
    return _softmax_nll(lib, xp.where(masked, -math.inf, score), tau, 0), counts


def _softmax_nll(lib: ArrayLibrary, scores: Any, tau: Any, z_loss: float) -> Any:
    lse = lib.logsumexp(scores, -1)
    return tau.sum(-1) * lse - _times(lib.numpy, tau, scores).sum(-1) + z_loss * lse * lse


def softmax_or_log(lib: ArrayLibrary, call: Call) -> tuple[Any, Any]:
    """The same of logits, or linear in logarithms of probabilities."""
    return piecewise_linear(lib, call) if call.option("link") == "log" else softmax(lib, call)


def piecewise_linear(lib: ArrayLibrary, call: Call) -> tuple[Any, Any]:
    """Without second derivatives; -inf stays out of the sum, of which 0 is left."""
    z, xp = call.parameters[0], lib.numpy
    nothing = xp.where(z == -math.inf, 0, 0 * z).sum(-1)
    return nothing, xp.ones_like(nothing)


def gaussian(lib: ArrayLibrary, call: Call) -> tuple[Any, Any]:
    """|w|^2/2 + sum_i log theta_i, L w = y - mean."""
    xp, (mean, factor) = lib.numpy, call.parameters
    if is_fixed(call.row, call.constants, 1):
        lower = xp.linalg.cholesky(factor)
        logs = xp.log(lower.diagonal(0, -2, -1))
    else:
        raw = factor.diagonal(0, -2, -1)
        f = Functions(_Numbers(lib))
        theta = linked(f, call.option("link"), Jet((raw,)))
        logs = f.log(theta).value
        order = xp.arange(raw.shape[-1])
        on_diagonal = order == order[:, None]
        lower = xp.tril(factor, -1) + xp.where(on_diagonal, theta.value[..., None, :], 0)
    rest = (call.target - mean)[..., None]
    lower = xp.broadcast_to(lower, (*rest.shape[:-2], *lower.shape[-2:]))
    w = lib.solve(lower, rest)[..., 0]
    value = 0.5 * (w * w).sum(-1) + logs.sum(-1)
    return value, xp.ones_like(value)


def triplet(lib: ArrayLibrary, call: Call) -> tuple[Any, Any]:
    """max(0, margin + |a - p|_p - |a - n|_p)."""
    xp, (a, b, c), p = lib.numpy, call.parameters, call.option("p")
    excess = call.option("margin") + _norm(xp, a - b, p) - _norm(xp, a - c, p)
    value = xp.where(excess > 0, excess, 0)
    return value, xp.ones_like(value)


def _norm(xp: Any, x: Any, p: float) -> Any:
    """|x|_p, without derivatives where it has none."""
    size = xp.abs(x)
    if p == 1:
        return size.sum(-1)
    if p == math.inf:
        return xp.amax(size, -1)
    powers = xp.where(size == 0, 0, xp.where(size == 0, 1, size) ** p).sum(-1)
    return xp.where(powers == 0, 0, xp.where(powers == 0, 1, powers) ** (1 / p))


def similarities(lib: ArrayLibrary, call: Call) -> tuple[Any, Any]:
    """Cross-entropy of similarities."""
    xp, (q, k), form = lib.numpy, call.parameters, call.option("form")
    if call.option("normalize"):
        q, k = (_unit(xp, x) for x in (q, k))
    n, t = q.shape[0], call.option("temperature")

    def losses(left: Any, right: Any, pair: Any, hidden: Any = None) -> Any:
        s = left @ right.T / t
        order = xp.arange(right.shape[0])
        if hidden is not None:
            s = xp.where(order == hidden[:, None], -math.inf, s)
        return lib.logsumexp(s, -1) - xp.where(order == pair[:, None], s, 0).sum(-1)

    own = xp.arange(n)
    if form == "nt_xent":
        z, all_rows = xp.concatenate([q, k]), xp.arange(2 * n)
        both = losses(z, z, (all_rows + n) % (2 * n), all_rows)
        value = 0.5 * (both[:n] + both[n:])
    elif form == "symmetric":
        value = 0.5 * (losses(q, k, own) + losses(k, q, own))
    else:
        value = losses(q, k, own)
    return value, xp.ones_like(value)


def _unit(xp: Any, x: Any) -> Any:
    squares = (x * x).sum(-1)[:, None]
    return xp.where(squares == 0, 0, x / xp.sqrt(xp.where(squares == 0, 1, squares)))


FORMULAS = {
    formula.__name__: formula
    for formula in (
        softmax,
        sigmoids,
        softmax_or_log,
        piecewise_linear,
        gaussian,
        triplet,
        similarities,
    )
}
