"""Hard rows of losses over classes: confident, shifted, tied, masked; targets of every kind."""

import itertools

import numpy as np

from nllkern._accuracy import Table

DTYPES = ("float32", "float64")
SIZES = {1: 4, 2: 8, 3: 14, 10: 12, 17: 10, 100: 3}  # classes: rows
OF_OPTIONS = {3: 7, 17: 4}
INF = np.inf


def rows(classes, dtype, rng, count, most=1e30):
    """Logits: what goes wrong in a softmax."""
    single, last = dtype == "float32", classes - 1
    gaps = [1e-30, 1e-3, 1.0, 10.0, 17.0, 30.0, 37.0, 60.0, 86.0, 88.5, 95.0, 104.0, 1e4]
    gaps += [] if single else [300.0, 700.0, 709.0, 720.0, 740.0]
    found = [np.r_[gap, np.zeros(last)] for gap in gaps]
    found += [np.r_[gap, rng.normal(size=last)] for gap in gaps[3:]]
    found += [rng.permuted(np.r_[gap, rng.normal(size=last)]) + shift for gap, shift in SHIFTED]
    found += [rng.normal(size=classes) * scale for scale in (1e-3, 1.0, 1.0, 5.0, 20.0, 100.0)]
    found += [np.full(classes, 7.25), -np.arange(classes) * 0.75, np.r_[np.zeros(last), most]]
    if classes > 1:
        masked = rng.normal(size=classes) * 5
        masked[::2] = -INF
        found += [masked, np.r_[np.full(last, -INF), 1.5]]
    if len(found) > count:
        found = [found[i] for i in sorted(rng.permutation(len(found))[:count])]
    return np.array(found).astype(dtype)


SHIFTED = [(1.0, 1e6), (30.0, 1e6), (20.0, -3e5), (5.0, -104.0), (0.0, -700.0), (90.0, 100.0)]


def indices(z, rng):
    """The largest of a row, or any class."""
    any_class = rng.integers(0, z.shape[1], len(z))
    return np.where(rng.uniform(size=len(z)) < 0.4, z.argmax(-1), any_class)


def probabilities(z, rng):
    """Of any class, peaked, near those of the row itself; rows need not sum to 1."""
    n, classes = z.shape
    with np.errstate(invalid="ignore"):
        e = np.exp(z.astype(float) - z.max(-1, keepdims=True))
    p = e / e.sum(-1, keepdims=True)
    eps = float(np.finfo(z.dtype).eps)
    soft = rng.dirichlet(np.full(classes, 0.3), size=n)
    one_hot = np.eye(classes)[rng.integers(0, classes, n)]
    away = rng.choice([0.0, eps, 1e-5, 1e-3, 0.3], size=(n, 1))
    near = p * (1 + away * rng.choice([-1, 1], size=p.shape))
    scaled = soft * rng.choice([1e-6, 0.5, 3.0], size=(n, 1))
    kind = rng.integers(0, 5, n)
    t = np.choose(kind[:, None], [soft, one_hot, near, scaled, np.full(p.shape, 1 / classes)])
    return np.where(np.isfinite(z), t, 0.0)  # 0 * inf = 0


def values(option, classes, rng, dtype):
    """What an option is tried with, beside its default."""
    if option.kind == "per_class":
        return [rng.uniform(0.1, 3.0, classes).astype(dtype)]
    if option.kind == "number":
        if option.high == 1:
            return [0.0999755859375]  # float32 holds these
        if option.nothing is not None:
            return [30.0, 5.0]
        return [0.0078125] if option.default == 0 else [0.25, 0.0]
    return []


def option_sets(row, classes, rng, dtype):
    """(name, options, whether the default ones); a choice multiplies them all."""
    choices = [x for x in row.options if x.kind == "choice"]
    tried = {x.name: values(x, classes, rng, dtype) for x in row.options}
    tried = {k: v for k, v in tried.items() if v}
    sets = [("", {}, True)]
    for key, some in tried.items():
        sets += [(f"{key}{x:g}" if np.isscalar(x) else key, {key: x}, False) for x in some]
    if len(tried) > 1:
        sets.append(("all", {key: some[0] for key, some in tried.items()}, False))
    for chosen in itertools.product(*(x.choices for x in choices)):
        more = dict(zip((x.name for x in choices), chosen, strict=True))
        for name, options, usual in sets:
            yield "-".join([*chosen, *([name] if name else [])]), {**options, **more}, usual


def tables(row, held):
    """Of a loss over classes; those held come first, under their names."""
    if "real" in row.targets:  # a target of another kind is an index in the end
        return
    for t in held:
        yield t._replace(results=[])
    taken = {t.name for t in held}
    for dtype in DTYPES:
        rng = np.random.default_rng(20)
        for kind, classes in itertools.product(row.targets, SIZES):
            for name, options, usual in option_sets(row, classes, rng, dtype):
                count = SIZES[classes] if usual else OF_OPTIONS.get(classes)
                full = "-".join(["drawn", kind, *([name] if name else []), str(classes)])
                if not count or full in taken:
                    continue
                z = rows(classes, dtype, rng, count, 1e30 if usual else 1e10)
                target = indices(z, rng) if kind == "index" else probabilities(z, rng).astype(dtype)
                if not usual:
                    finite = np.isfinite(z).all(-1)
                    z, target = z[finite], target[finite]
                yield Table(row.name, full, dtype, options, [z, target], [])
