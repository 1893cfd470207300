"""What the suite runs over: every loss x link x kind of target, generated from ``nk.losses()``.

A new pointwise loss needs nothing here: the library's own table says which of its parameters
have to be positive and where its target lives.
"""

from dataclasses import dataclass, field, replace

import numpy as np
import tolerance
from tolerance import Tolerance, error_in_ulps, tolerances

import nllkern as nk
from nllkern._losses import loss_infos
from nllkern._selfcheck_data import draw_target

DTYPES = ("float32", "float64")
REDUCTIONS = ("none", "sum", "mean")
LOSSES = {loss.name: loss for loss in nk.losses()}
WITHOUT_TARGET = {"info_nce", "triplet_margin"}
OF_VECTORS = {*WITHOUT_TARGET, "multivariate_gaussian_nll"}  # tested apart
WITHOUT_HESS = {"info_nce"}
COMMON = ("reduction", "sample_weight", "normalizer", "num_threads", "out", "check")
TABLE = {info.name: info for info in loss_infos() if info.kind != "contrastive"}
_POSITIVE_LINKS = ("", "identity", "variance")  # those that take the positive number itself
_VARIANTS = ("crammer_singer", "weston_watkins")
_INDEX_KINDS = ("index", *_VARIANTS)
NARROW = 48  # rows of at most so many classes have a loop of their own


def known(name, options):
    """Those of the options that the row-wise loss of that name has."""
    return {k: v for k, v in options.items() if k in TABLE[name].extra.split()}


def flat(results):
    """(value, grad, hess) as one list of arrays and floats."""
    parts = results if isinstance(results, tuple) else (results,)
    return [x for part in parts for x in (part if isinstance(part, tuple) else (part,))]


@dataclass(frozen=True)
class Problem:
    """A call waiting to be made: of the library, of its reference, or of some of its samples."""

    loss: object
    args: tuple
    options: dict = field(default_factory=dict)

    @property
    def dtype(self):
        return next(a.dtype for a in self.args if getattr(a, "dtype", np.dtype(int)).kind == "f")

    @property
    def rowwise(self):
        return TABLE[self.loss.name].kind == "rowwise"

    @property
    def shape(self):
        """Shape of the loss."""
        if self.rowwise:
            return self.args[0].shape[:-1]
        return np.broadcast_shapes(*map(np.shape, self.args))

    def having(self, *args, **options):
        """The same problem with other arguments, or further options."""
        return replace(self, args=args or self.args, options={**self.options, **options})

    def rows(self, index):
        """Those samples of the first axis alone."""
        per_sample = ("sample_weight", TABLE[self.loss.name].extra)
        options = {
            k: v[index] if k in per_sample and np.ndim(v) else v for k, v in self.options.items()
        }
        return replace(self, args=tuple(a[index] for a in self.args), options=options)

    def run(self, method="value_grad_hess", reference=False, **options):
        """All results of a method ("value" for the plain call) as a flat list."""
        loss = self.loss.reference if reference else self.loss
        call = loss if method == "value" else getattr(loss, method)
        return flat(call(*self.args, **{**self.options, **options}))

    def denominator(self):
        """What "mean" divides by, from its definition."""
        if self.options.get("normalizer") is not None:
            return self.options["normalizer"]
        weight = self.options.get("sample_weight")
        weight = np.ones(self.shape) if weight is None else np.float64(weight)
        if self.rowwise:
            target, ignored = self.args[1], self.options.get("ignore_index")
            counts = np.ones(self.shape, bool)
            if target.dtype.kind in "iu":
                counts = target != ignored
                if self.options.get("class_weight") is not None:
                    index = np.where(counts, target, 0).astype(int)
                    weight = weight * np.float64(self.options["class_weight"])[index]
            elif ignored is not None and 0 <= ignored < target.shape[-1]:
                on_ignored = np.arange(target.shape[-1]) == ignored
                counts = ((target != 0) != on_ignored).any(-1)
            weight = np.where(counts, weight, 0.0)
        return weight.sum()

    @np.errstate(all="ignore")
    def tolerance(self, reduction):
        """A Tolerance per result of value_grad_hess, weights and reduction included."""
        own = {k: v for k, v in self.options.items() if k not in COMMON}
        base = self.plain().run(reference=True, reduction="none")
        if self.loss.name in tolerance._FUNCTIONS:
            value, grads, hesss = tolerances(self.loss.name, self.args, own, self.dtype)
        else:
            value, grads, hesss = self.sensitivity(base)
        weight = self.options.get("sample_weight")
        weight = np.ones(self.shape) if weight is None else np.abs(np.float64(weight))
        divisor = (abs(self.denominator()) or 1.0) if reduction == "mean" else 1.0
        eps = np.finfo(self.dtype).eps
        scalar = [np.ndim(a) == 0 for a in self.args[:-1]]
        summed = [reduction != "none", *scalar, *scalar]
        result = []
        for exact, tol, total in zip(base, [value, *grads, *hesss], summed, strict=True):
            exact = np.asarray(exact)
            exact = tol.floor * 0 if exact.shape != tol.floor.shape else exact
            w = weight.reshape(weight.shape + (1,) * (exact.ndim - weight.ndim))
            # Further roundings: the scale, its product with the weight, and that with the result.
            floor = np.maximum(np.abs(exact), tol.floor)
            grant = tol.grant + 2 * eps * np.abs(exact)
            unused = (w == 0) | np.isnan(floor)  # a sample that does not count, or that is NaN
            floor, grant = (np.where(unused, 0, w * x / divisor) for x in (floor, grant))
            if total:
                floor, grant = np.sum(floor), np.sum(grant)
            result.append(Tolerance(np.maximum(floor, np.finfo(self.dtype).tiny), grant))
        return result

    def sensitivity(self, base):
        """What takes the place of ``tolerances`` for a loss that it does not know yet.

        The floor is the change of each result, in units of h, under a relative change h of each
        input: the terms of a difference show in it though they cancel in the result.
        """
        floors = [np.abs(x) for x in base]
        h = 2.0**-12
        for x in self.args:
            args = [np.float64(a) * (1 + h) if a is x else a for a in self.args]
            moved = self.having(*args).plain().run(reference=True, reduction="none")
            floors = [f + np.abs(y - z) / h for f, y, z in zip(floors, moved, base, strict=True)]
        floors[0] = np.maximum(floors[0], 1.0)
        parts = [Tolerance(np.asarray(f), 0.0 * np.asarray(f)) for f in floors]
        count = len(self.loss.parameters)
        return parts[0], parts[1 : 1 + count], parts[1 + count :]

    def plain(self):
        """Without weights."""
        return replace(self, options={k: v for k, v in self.options.items() if k not in COMMON})


def assert_matches_reference(problem, reduction="none", method="value_grad_hess", limit64=8.0):
    """To 4 ulp of float32; of float64 to more, and the grant twice, since the reference rounds."""
    want = problem.run(method, reference=True, reduction=reduction)
    tolerance = problem.tolerance(reduction)
    count = len(problem.loss.parameters)
    tolerance = tolerance[1 : 1 + count] if method == "grad" else tolerance
    limit = 4.0 if problem.dtype == np.float32 else limit64
    got = problem.run(method, reduction=reduction)
    for k, (x, exact, tol) in enumerate(zip(got, want, tolerance, strict=False)):
        what = f"result {k} of {problem.loss.name}.{method} ({reduction}, {problem.options})"
        if isinstance(exact, float):
            assert type(x) is float, what
        else:
            assert x.dtype == problem.dtype, what
            assert x.shape == exact.shape, what
        if problem.dtype == np.float64:
            tol = tol._replace(grant=2 * tol.grant)
        err = error_in_ulps(x, exact, tol, problem.dtype)
        if k > count:  # a second derivative may under- and overflow early, and then lose its sign
            info = np.finfo(problem.dtype)
            early = ~np.isfinite(x) & (np.abs(exact) > info.max / 4)
            early |= np.maximum(np.abs(x), np.abs(exact)) < 4 * info.tiny
            err = np.where(early, 0.0, err)
        if not np.all(err <= limit):
            at = np.unravel_index(np.argmax(err), np.shape(err))
            raise AssertionError(
                f"{what}{list(map(int, at))}: got {np.asarray(x)[at]!r}, "
                f"expected {np.asarray(exact)[at]!r}, {err[at]:.3g} ulp"
            )


def assert_same_bits(got, want, what=""):
    """Equal results, down to the sign of zero; a NaN is a NaN."""
    for k, (x, y) in enumerate(zip(got, want, strict=True)):
        assert type(x) is type(y), f"{what} result {k}"
        x, y = np.asarray(x), np.asarray(y)
        assert (x.dtype, x.shape) == (y.dtype, y.shape), f"{what} result {k}"
        same = ((x == y) & (np.signbit(x) == np.signbit(y))) | (np.isnan(x) & np.isnan(y))
        assert same.all(), f"{what} result {k} differs at {np.argwhere(~same)[:3].tolist()}"


@dataclass(frozen=True)
class Case:
    """A loss, with a link or with a kind of target and a number of classes."""

    name: str
    kind: str = ""
    classes: int = 0

    def __str__(self):
        return "-".join(str(x) for x in (self.name, self.kind, self.classes) if x)

    @property
    def rowwise(self):
        return TABLE[self.name].kind == "rowwise"

    @property
    def links(self):
        """Of the parameters, and of the last one if it has a link for itself: "softplus,log"."""
        first, _, own = self.kind.partition(",")
        return first, own or first

    @property
    def positive(self):
        """Which parameters have to be positive."""
        info = TABLE[self.name]
        count = len(info.parameters)
        links = [self.links[info.own and k == count - 1] for k in range(count)]
        return [k for k in range(count) if info.linked >> k & 1 and links[k] in _POSITIVE_LINKS]

    def parameters(self, shape, rng):
        """Float64 predictions inside the domain, a few units in size."""
        if self.rowwise:
            return [3 * rng.normal(size=(*shape, self.classes))]
        info, drawn = TABLE[self.name], []
        for k in range(len(info.parameters)):
            x = rng.normal(size=shape)
            drawn.append(np.exp(x) if k in self.positive else 2 * x)
        return drawn

    def target(self, shape, dtype, rng):
        if self.kind in _INDEX_KINDS:
            return rng.integers(0, self.classes, shape)
        if self.kind == "one-hot":
            index = rng.integers(0, self.classes, shape)
            return (np.arange(self.classes) == index[..., None]).astype(dtype)
        if self.rowwise:
            return rng.gamma(0.5, size=(*shape, self.classes)).astype(dtype)
        return draw_target(rng, TABLE[self.name].support, shape).astype(dtype)

    def problem(self, shape, dtype, seed=0):
        """Random arguments of that (leading) shape."""
        rng = np.random.default_rng(seed)
        shape = (shape,) if isinstance(shape, int) else shape
        args = [np.asarray(x, dtype) for x in self.parameters(shape, rng)]
        info = TABLE[self.name]
        options = {"link": self.links[0]} if info.links else {}
        if info.own:
            options[f"{info.parameters[-1]}_link"] = self.links[1]
        options |= {"variant": self.kind} if self.kind in _VARIANTS else {}
        target = np.asarray(self.target(shape, dtype, rng))
        return Problem(LOSSES[self.name], (*args, target), options)

    def weighted(self, shape, dtype, seed=0):
        """The same with every weight that the loss knows."""
        problem = self.problem(shape, dtype, seed)
        rng = np.random.default_rng(seed + 1)
        options = {"sample_weight": rng.uniform(0.1, 2.0, problem.shape)}
        if self.rowwise:
            options |= known(self.name, {"class_weight": rng.uniform(0.1, 2.0, self.classes)})
        elif extra := TABLE[self.name].extra:
            options[extra] = rng.uniform(0.1, 2.0, problem.shape)
        return problem.having(**{k: v.astype(dtype) for k, v in options.items()})


def kinds(name):
    """The kinds of target, links or variants that a row-wise loss is tested with."""
    if name == "cross_entropy":
        return ("index", "one-hot", "soft")
    if name == "multiclass_hinge":
        return _VARIANTS
    return LOSSES[name].links or ("index", "soft")


def cases(classes=(10, 67)):
    """Every loss x link, and every row-wise loss x kind of target x number of classes.

    Row-wise losses after the first share its loops: the largest narrow and the smallest wide number
    of classes will do.  A binned target has tests of its own, and so have the losses of vectors.
    """
    few = [k for k in classes if k <= NARROW][-1:] + [k for k in classes if k > NARROW][:1]
    result = []
    for info in TABLE.values():
        if info.kind == "pointwise":
            links = [*info.links, *(("softplus,identity", "log,softplus") if info.own else ())]
            result += [Case(info.name, link) for link in links or ("",)]
        elif info.kind == "rowwise" and info.support != "real":
            some = classes if info.name == "cross_entropy" else few
            result += [Case(info.name, kind, k) for kind in kinds(info.name) for k in some]
    return result
