"""What the suite runs over: every loss x link x kind of target, generated from ``nk.losses()``.

A new pointwise loss needs nothing here: the library's own table says which of its parameters
have to be positive and where its target lives.
"""

from dataclasses import dataclass, field, replace

import numpy as np

import nllkern as nk
from nllkern._accuracy import LIMIT, flat, float_error
from nllkern._selfcheck_data import draw
from nllkern.reference.sampled import IS_WIDER, judge, spread
from nllkern.tables import LOSSES as ROWS
from nllkern.tables.supports import REAL

DTYPES = ("float32", "float64")
REDUCTIONS = ("none", "sum", "mean")
LOSSES = {loss.name: loss for loss in nk.losses()}
COMMON = ("reduction", "sample_weight", "normalizer", "num_threads", "out", "check")
ROW = {row.name: row for row in ROWS}
_VARIANTS = ("crammer_singer", "weston_watkins")
_INDEX_KINDS = ("index", *_VARIANTS)
NARROW = 48  # rows of at most so many classes have a loop of their own


def known(name, options):
    """Those of the options that the loss of that name has of its own."""
    own = {x.name for x in ROW[name].options}
    return {k: v for k, v in options.items() if k in own}


def per_sample_option(name):
    """The option that is an array beside the samples, if there is one."""
    return next((x.name for x in ROW[name].options if x.kind == "per_sample"), None)


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
        return self.row.kind == "rows"

    @property
    def row(self):
        return ROW[self.loss.name]

    @property
    def shared(self):
        """Whether each prediction is one for all samples: a number, or a factor."""
        axes = len(self.shape)
        if self.row.kind == "vectors":
            own = {"factor": axes + 2, "vector": axes + 1}
            given = self.options.get("link") == "covariance"
            pairs = zip(self.row.parameters, self.args, strict=False)
            return [p.kind == "factor" and (given or x.ndim != own[p.kind]) for p, x in pairs]
        return [np.ndim(x) == 0 and axes > 0 for x in self.args[: len(self.row.parameters)]]

    @property
    def shape(self):
        """Shape of the loss."""
        if self.row.kind != "pointwise":
            return self.args[0].shape[:-1]
        return np.broadcast_shapes(*map(np.shape, self.args))

    def having(self, *args, **options):
        """The same problem with other arguments, or further options."""
        return replace(self, args=args or self.args, options={**self.options, **options})

    def rows(self, index):
        """Those samples of the first axis alone."""
        per_sample = ("sample_weight", per_sample_option(self.loss.name))
        options = {
            k: v[index] if k in per_sample and np.ndim(v) else v for k, v in self.options.items()
        }
        shared = [*self.shared, False]
        args = [x if s else x[index] for x, s in zip(self.args, shared, strict=False)]
        return replace(self, args=tuple(args), options=options)

    def run(self, method="value_grad_hess", reference=False, **options):
        """All results of a method ("value" for the plain call) as a flat list, without None."""
        loss = self.loss.reference if reference else self.loss
        call = loss if method == "value" else getattr(loss, method)
        results = flat(call(*self.args, **{**self.options, **options}))
        return [x for x in results if x is not None]

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
    def exact(self, reduction):
        """[(f, bound)] of every result of value_grad_hess, weights and reduction included."""
        own = {k: v for k, v in self.options.items() if k not in COMMON}
        weight = self.options.get("sample_weight")
        weighted = weight is not None or reduction == "mean"
        weight = np.ones(self.shape) if weight is None else np.float64(weight)
        divisor = self.denominator() if reduction == "mean" else 1.0
        shared, args = self.shared, list(self.args)
        fixed = own.get("link") == "covariance"  # it has no derivatives
        if fixed:
            own["link"], args[1] = "identity", np.linalg.cholesky(np.float64(args[1]))
        if self.row.kind == "vectors" and any(shared):
            args[1] = np.broadcast_to(args[1], (*self.shape, *args[1].shape))
        result = []
        for k, (f, bound) in enumerate(judge(self.loss.name, tuple(args), own)):
            parameter = (k - 1) % len(shared) if k else None
            if fixed and parameter == 1:
                continue
            pair = weigh(f, bound, weight, divisor, weighted)
            total = reduction != "none" if parameter is None else shared[parameter]
            if total:
                pair = tuple(x.sum(tuple(range(weight.ndim))) for x in pair)
            result.append(pair)
        return result

    def with_weights(self, seed=1):
        """The same with a random weight for each sample."""
        weight = np.random.default_rng(seed).uniform(0.1, 2.0, self.shape)
        return self.having(sample_weight=weight.astype(self.dtype))

    def plain(self):
        """Without weights."""
        return replace(self, options={k: v for k, v in self.options.items() if k not in COMMON})


def weigh(f, bound, weight, divisor, weighted):
    """A result of every sample and its bound, times the weight and over the divisor of "mean"."""
    w = spread(weight, f)
    if weighted:  # further roundings: of the weight, and of its product with the result
        bound = bound + 2 * np.abs(f)
    nothing = (w == 0) | (divisor == 0)  # a mean over weights that are all 0 is 0
    bound = np.where(nothing | np.isnan(bound), 0, np.abs(w) * bound / np.abs(divisor))
    return np.where(nothing, 0, w * f / divisor), bound


def assert_type(x, f, dtype, what):
    """A sum over samples is a float; an array has the dtype of the inputs."""
    assert np.shape(x) == f.shape, what
    if isinstance(f, np.ndarray):
        assert x.dtype == dtype, what
    else:
        assert type(x) is float, what


def assert_exact(problem, reduction="none", method="value_grad_hess", rounded=8.0):
    """To 4 roundings; of float64 to `rounded` where the judge is one of float64 too."""
    exact = problem.exact(reduction)
    count = len(exact) // 2
    exact = exact[1 : 1 + count] if method == "grad" else exact
    wider = problem.dtype == np.float32 or (IS_WIDER and problem.row.kind == "pointwise")
    limit = LIMIT if wider else rounded
    got = problem.run(method, reduction=reduction)
    for k, (x, (f, bound)) in enumerate(zip(got, exact, strict=False)):
        what = f"result {k} of {problem.loss.name}.{method} ({reduction}, {short(problem.options)})"
        assert_type(x, f, problem.dtype, what)
        err = float_error(x, f, bound, problem.dtype)
        if not np.all(err <= limit):
            at = np.unravel_index(np.argmax(err), np.shape(err))
            raise AssertionError(
                f"{what}{list(map(int, at))}: got {np.asarray(x)[at]!r}, "
                f"expected {np.asarray(f)[at]!r}, {err[at]:.3g} roundings"
            )


def short(options):
    """Arrays by their shape."""
    return {k: f"<{v.shape}>" if isinstance(v, np.ndarray) else v for k, v in options.items()}


def assert_same_bits(got, want, what=""):
    """Equal results, down to the sign of zero; a NaN is a NaN."""
    for k, (x, y) in enumerate(zip(got, want, strict=True)):
        assert type(x) is type(y), f"{what} result {k}"
        x, y = np.asarray(x), np.asarray(y)
        assert (x.dtype, x.shape) == (y.dtype, y.shape), f"{what} result {k}"
        same = ((x == y) & (np.signbit(x) == np.signbit(y))) | (np.isnan(x) & np.isnan(y))
        assert same.all(), f"{what} result {k} differs at {np.argwhere(~same)[:3].tolist()}"


def assert_same_on_threads(problem, methods=("value_and_grad", "value_grad_hess")):
    """The bits of every method and reduction do not depend on the number of threads."""
    for method in methods:
        for reduction in REDUCTIONS:
            one = problem.run(method, reduction=reduction, num_threads=1)
            for threads in (2, 3, 7):
                got = problem.run(method, reduction=reduction, num_threads=threads)
                assert_same_bits(got, one, f"{method} {reduction} on {threads} threads")


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
        return ROW[self.name].kind == "rows"

    @property
    def row(self):
        return ROW[self.name]

    @property
    def indexed(self):
        """Whether its target is a class index."""
        return self.kind in _INDEX_KINDS

    @property
    def link_options(self):
        """The link of every option that is one: "softplus,log" for link and df_link."""
        names = [x.name for x in self.row.options if x.kind == "link"]
        links = self.kind.split(",")
        return dict(zip(names, links * len(names) if len(links) == 1 else links, strict=False))

    def has_link(self, k):
        """Whether parameter k stands behind a link that an option names."""
        return self.row.parameters[k].option is not None

    @property
    def positive(self):
        """Which parameters have to be positive."""
        found = []
        for k, p in enumerate(self.row.parameters):
            link = self.link_options.get(p.option.name) if p.option else None
            if any(x.name == link and x.raw != REAL for x in p.links):
                found.append(k)
        return found

    def parameters(self, shape, rng):
        """Float64 predictions inside the domain, a few units in size."""
        if self.rowwise:
            return [3 * rng.normal(size=(*shape, self.classes))]
        drawn = []
        for k in range(len(self.row.parameters)):
            x = rng.normal(size=shape)
            drawn.append(np.exp(x) if k in self.positive else 2 * x)
        return drawn

    def target(self, shape, dtype, rng):
        if self.indexed:
            return rng.integers(0, self.classes, shape)
        if self.kind == "one-hot":
            index = rng.integers(0, self.classes, shape)
            return (np.arange(self.classes) == index[..., None]).astype(dtype)
        if self.rowwise:
            return rng.gamma(0.5, size=(*shape, self.classes)).astype(dtype)
        return draw(rng, self.row.target, shape).astype(dtype)

    def problem(self, shape, dtype, seed=0):
        """Random arguments of that (leading) shape."""
        rng = np.random.default_rng(seed)
        shape = (shape,) if isinstance(shape, int) else shape
        args = [np.asarray(x, dtype) for x in self.parameters(shape, rng)]
        options = dict(self.link_options)
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
        elif extra := per_sample_option(self.name):
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
    for row in ROWS:
        if row.kind == "pointwise":
            mixed = sum(x.kind == "link" for x in row.options) > 1
            links = [*row.links, *(("softplus,identity", "log,softplus") if mixed else ())]
            result += [Case(row.name, link) for link in links or ("",)]
        elif row.kind == "rows" and "real" not in row.targets:
            some = classes if row.name == "cross_entropy" else few
            result += [Case(row.name, kind, k) for kind in kinds(row.name) for k in some]
    return result
