"""Gradients by targets, and derivatives of gradients, in the operations of JAX or of PyTorch.

Those of a pointwise loss come from its value formula (``reference/formulas.py``), run on jets of
arrays; those of the others from differentiating the formulas below.  ``xp`` is the library, as
``ArrayLibrary`` describes it.

A class that has the target 0 and the probability 0 does not count: its slope by the target is 0, as
its term 0 log 0 is.  So is the slope of t log t at t = 0, where its limit is -inf: in the gradient
by the logits behind a target it is multiplied by t, and 0 is what t log t goes to.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from ._adapters import is_fixed, is_shared, loss_shape
from .reference import formulas
from .reference.domains import is_impossible, is_meaningless
from .reference.functions import ArrayNumbers, Functions, stirling
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
    grad: Callable[..., Any]  # of a function of one array, as a function
    hvp: Callable[..., list[Any]]  # of a function, at inputs, along directions


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
    def inputs(self) -> list[Any]:
        """Parameters and target."""
        return [*self.parameters, *([] if self.target is None else [self.target])]

    def moved(self, numbers: Sequence[int], inputs: Sequence[Any]) -> "Call":
        """The same with other inputs of those numbers."""
        found, count = self.inputs, len(self.parameters)
        for k, x in zip(numbers, inputs, strict=True):
            found[k] = x
        return self._replace(parameters=found[:count], target=next(iter(found[count:]), None))

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """Of the inputs."""
        return [tuple(x.shape) for x in self.inputs]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the losses of the samples."""
        return loss_shape(self.row, self.shapes)


def along(
    lib: ArrayLibrary, call: Call, directions: Sequence[Any], places: Sequence[int]
) -> list[Any]:
    """The derivatives of the gradients by some inputs, along directions (None: 0) in all inputs.

    The gradients are those of the reduced value, or with reduction="none" those of each sample's.
    """
    if call.row.kind == "pointwise":
        return _pointwise(lib, call, directions, places)
    inputs = call.inputs
    used = [k for k in range(len(inputs)) if k in places or directions[k] is not None]
    moves = [
        lib.numpy.zeros_like(inputs[k]) if directions[k] is None else directions[k] for k in used
    ]
    total = partial(_total, lib, call, used)
    found = dict(zip(used, lib.hvp(total, [inputs[k] for k in used], moves), strict=True))
    return [_counted(lib, call, k, found[k]) for k in places]


def by_target(lib: ArrayLibrary, call: Call) -> Any:
    """The gradient by the target."""
    target = len(call.parameters)
    if call.row.kind != "pointwise":
        found = lib.grad(partial(_total, lib, call, [target]))(call.target)
        return _counted(lib, call, target, found)
    scale = _scale_of_samples(lib, call)
    (slope,) = _derivatives(lib, call, [target])
    found = lib.numpy.where(scale == 0, 0, scale * slope)
    return found.sum() if is_shared(call.row, call.shapes, target) else found


def _counted(lib: ArrayLibrary, call: Call, k: int, x: Any) -> Any:
    """Derivatives by input k, 0 of the samples that do not count, whatever their data."""
    if is_shared(call.row, call.shapes, k):
        return x
    scale = _scale(lib, call, FORMULAS[call.row.curvature](lib, call)[1])
    return lib.numpy.where(scale.reshape(scale.shape + (1,) * (x.ndim - scale.ndim)) == 0, 0, x)


def _total(lib: ArrayLibrary, call: Call, numbers: Sequence[int], *inputs: Any) -> Any:
    """The reduced value by its formula, or the sum of the losses, as a function of some inputs."""
    xp, call = lib.numpy, call.moved(numbers, inputs)
    samples, counts = FORMULAS[call.row.curvature](lib, call)
    scale = _scale(lib, call, counts)
    return xp.where(scale == 0, 0, scale * xp.where(scale == 0, 0, samples)).sum()


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


class _Numbers(ArrayNumbers):
    """Those of the library, for ``reference.functions``."""

    def __init__(self, lib: ArrayLibrary) -> None:
        super().__init__(lib.numpy, lib.number, lib.number(math.pi))
        self.lib = lib

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
        """The series alone: its recurrence would have to know the numbers."""
        return False


def _scale_of_samples(lib: ArrayLibrary, call: Call) -> Any:
    return _scale(
        lib, call, lib.numpy.ones_like(lib.numpy.broadcast_to(call.inputs[0], call.shape))
    )


def _pointwise(
    lib: ArrayLibrary, call: Call, directions: Sequence[Any], places: Sequence[int]
) -> list[Any]:
    """By the second derivatives of each sample by every pair of inputs.

    Jets that move along the directions would need one pass, but JAX transposes what it finds here,
    so that directions may only be multiplied by.
    """
    xp, scale = lib.numpy, _scale_of_samples(lib, call)
    found = [xp.zeros_like(scale) for _ in places]
    for j, direction in enumerate(directions):
        seconds = [] if direction is None else _derivatives(lib, call, places, j)
        for k, second in enumerate(seconds):
            found[k] = found[k] + xp.where(scale == 0, 0, scale * second) * direction
    return [
        x.sum() if is_shared(call.row, call.shapes, k) else x
        for k, x in zip(places, found, strict=True)
    ]


def _derivatives(
    lib: ArrayLibrary, call: Call, places: Sequence[int], j: int | None = None
) -> list[Any]:
    """By some inputs: of each sample's loss, or of its derivative by input j."""
    row, shape = call.row, call.shape
    links = {p.name: call.option(p.option.name) for p in row.parameters if p.option}
    f, jets, arguments = Functions(_Numbers(lib)), [], {}
    for k, (name, x) in enumerate(zip(row.arguments, call.inputs, strict=True)):
        x = lib.numpy.broadcast_to(x, shape)
        jets.append(Jet(moving(x) if k == j else (x,)))
        arguments[name] = linked(f, links.get(name, "identity"), jets[k])
    for option in row.options:
        x = call.option(option.name)
        if option.kind == "per_sample":
            # A number beside integers would be one of float32 in PyTorch.
            one = lib.numpy.ones_like(lib.numpy.broadcast_to(call.inputs[0], shape))
            arguments[option.name] = jet(one if x is None else one * x)
        elif option.kind != "link":
            arguments[option.name] = x
    value = jet(getattr(formulas, row.name)(f, **arguments))
    gradients, order = value.gradients(lib.numpy.where), int(j is not None)
    inputs = dict(zip(row.arguments, call.inputs, strict=True))
    has_none = is_meaningless(row, links, inputs) | is_impossible(row, call.target)
    found = [(*gradients.get(jets[k], ()), 0, 0)[order] for k in places]
    return [lib.numpy.where(has_none, math.nan, x) for x in found]


# ---- formulas: (losses of the samples, what each adds to the denominator of a mean) ----


def _softplus(xp: Any, x: Any) -> Any:
    return xp.logaddexp(x, xp.zeros_like(x))


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
    tau, linear = _linear(lib, tau, scores)
    return tau.sum(-1) * lse - linear + z_loss * lse * lse


def _linear(lib: ArrayLibrary, t: Any, scores: Any) -> tuple[Any, Any]:
    """The targets that count, and the sum of t s: t = 0 with s = -inf does not."""
    xp = lib.numpy
    masked = (t == 0) & (scores == -math.inf)
    t = xp.where(masked, 0, t)
    return t, (t * xp.where(masked, 0, scores)).sum(-1)


def divergence(lib: ArrayLibrary, call: Call) -> tuple[Any, Any]:
    """sum_k t_k (log t_k - log p_k) of logits, or of logarithms of probabilities."""
    xp, (z,), t = lib.numpy, call.parameters, call.target
    logged = call.option("link") == "log"
    cross = -_linear(lib, t, z)[1] if logged else _softmax_nll(lib, z, t, 0)
    return cross + (t * xp.log(xp.where(t == 0, 1, t))).sum(-1), xp.ones_like(cross)


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
        divergence,
        piecewise_linear,
        gaussian,
        triplet,
        similarities,
    )
}
