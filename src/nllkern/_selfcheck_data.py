"""Random inputs of every loss, from its row: ordinary ones, inside the domain."""

import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .tables import Loss, Support
from .tables import supports as s

Array = NDArray[Any]

DTYPES = ("float32", "float64")
SAMPLES = {"quick": 60, "usual": 300, "full": 2000, "bits": 100_000}  # or numbers
CLASSES = {"quick": (3, 17), "usual": (3, 17, 33), "full": (1, 2, 3, 10, 17, 33, 64), "bits": (17,)}
WIDTHS = {"quick": (3,), "usual": (2, 5), "full": (1, 2, 5, 16), "bits": (5,)}
EDGES = (-3.0, 3.0)


class Problem(NamedTuple):
    """Inputs of one call."""

    name: str
    args: tuple[Array, ...]
    options: dict[str, Any]


def draw(rng: np.random.Generator, support: Support, shape: tuple[int, ...]) -> Array:
    """Random numbers of a support, some of them on its edge."""
    x = rng.normal(scale=2.0, size=shape)
    edge = rng.uniform(size=shape) < 0.2
    if support in (s.UNIT, s.OPEN_UNIT):
        x = 1 / (1 + np.exp(-x))
        return np.where(edge & (support == s.UNIT), np.round(x), x)
    if support == s.SIGN:
        return np.where(x < 0, -1.0, 1.0)
    if support == s.COUNT:
        return np.floor(np.exp(x))
    if support in (s.POSITIVE, s.NONNEGATIVE):
        return np.exp(x)
    return x


def link_sets(row: Loss) -> Iterator[dict[str, str]]:
    """One link for all parameters that have it, and mixtures of those chosen apart."""
    offered = {
        p.option.name: [x.name for x in p.links if x.in_c] for p in row.parameters if p.option
    }
    longest = max(map(len, offered.values()), default=1)
    for k in range(longest):
        yield {key: names[k % len(names)] for key, names in offered.items()}
    if len(offered) > 1:
        yield {key: names[(k + 1) % len(names)] for k, (key, names) in enumerate(offered.items())}


def problems(
    row: Loss, dtype: str, mode: str, elements: int = 0, width: int = 0
) -> Iterator[Problem]:
    """Every link or choice of a loss, every kind of target; or, of a size, the links alone."""
    rng = np.random.default_rng(7)
    size = elements or SAMPLES[mode]
    widths = (width,) if width else (CLASSES if row.kind == "rows" else WIDTHS).get(mode, ())
    return _KINDS[row.kind](row, dtype, rng, size, widths)


def _pointwise(
    row: Loss, dtype: str, rng: np.random.Generator, size: int, widths: tuple[int, ...]
) -> Iterator[Problem]:
    for links in link_sets(row):
        args = []
        for p in row.parameters:
            link = next((x for x in p.links if p.option and x.name == links[p.option.name]), None)
            support = s.REAL if p.option is None else (link and link.raw) or p.support
            args.append(draw(rng, support, (size,)))
        args.append(draw(rng, row.target or s.REAL, (size,)))
        options: dict[str, Any] = dict(links)
        for x in row.options:
            if x.kind == "per_sample":
                options[x.name] = rng.uniform(0.1, 3.0, size=size).astype(dtype)
        yield Problem(" ".join(links.values()), tuple(a.astype(dtype) for a in args), options)


def _rows(
    row: Loss, dtype: str, rng: np.random.Generator, size: int, widths: tuple[int, ...]
) -> Iterator[Problem]:
    choices = [x for x in row.options if x.kind == "choice" and x.in_c]
    for kind in row.targets:
        for chosen in itertools.product(*(x.choices for x in choices)):
            own: dict[str, Any] = dict(zip((x.name for x in choices), chosen, strict=True))
            for k in widths:
                n = max(7, size // k)
                logits = rng.normal(scale=3.0, size=(n, k)).astype(dtype)
                if kind == "index":
                    target = rng.integers(k, size=n)
                elif kind == "real":
                    target = rng.normal(scale=2.0, size=n).astype(dtype)
                    own["edges"] = EDGES
                else:
                    target = rng.dirichlet(np.full(k, 0.5), size=n).astype(dtype)
                name = " ".join([kind, *chosen, str(k)])
                yield Problem(name, (logits, target), dict(own))
                every = {x.name: option_value(x, rng, k, dtype) for x in row.options}
                every = {key: x for key, x in every.items() if x is not None}
                if every and not own.keys() >= every.keys():
                    yield Problem(f"{name}, all options", (logits, target), {**own, **every})


def option_value(option: Any, rng: np.random.Generator, classes: int, dtype: str) -> Any:
    """What an option is checked with; float32 holds the numbers."""
    if option.kind == "per_class":
        return rng.uniform(0.1, 2.0, size=classes).astype(dtype)
    if option.kind != "number":
        return None
    return 30.0 if option.nothing is not None else 0.125


def _vectors(
    row: Loss, dtype: str, rng: np.random.Generator, size: int, widths: tuple[int, ...]
) -> Iterator[Problem]:
    has_factor = any(p.kind == "factor" for p in row.parameters)
    norms = [x.name for x in row.options if x.high == np.inf]
    sets: list[dict[str, Any]] = list(map(dict, link_sets(row)))
    if norms:
        sets = [{norms[0]: p} for p in (2.0, 1.0, np.inf, 3.0)]
    for options, d in itertools.product(sets, widths):
        n = max(5, size // (d * d if has_factor else d))
        args = []
        for p in row.parameters:
            x = rng.normal(size=(n, d, d) if p.kind == "factor" else (n, d))
            if p.kind == "factor":
                diagonal = np.exp(rng.normal(size=(n, d)) / 4)
                x = np.tril(x, -1) / np.sqrt(d) + np.eye(d) * diagonal[..., None]
            args.append(x.astype(dtype))
        if row.target is not None:
            args.append(rng.normal(size=(n, d)).astype(dtype))
        words = [x if isinstance(x, str) else f"{x:g}" for x in options.values()]
        yield Problem(" ".join([*words, str(d)]), tuple(args), dict(options))


def _contrastive(
    row: Loss, dtype: str, rng: np.random.Generator, size: int, widths: tuple[int, ...]
) -> Iterator[Problem]:
    choices = [x for x in row.options if x.kind == "choice"]
    for chosen in itertools.product(*(x.choices for x in choices)):
        options: dict[str, Any] = dict(zip((x.name for x in choices), chosen, strict=True))
        queries, noise = rng.normal(scale=0.5, size=(2, 300 if size > 2000 else 6, 3))
        args = queries.astype(dtype), (queries + noise).astype(dtype)
        yield Problem(" ".join(chosen), args, options)


_KINDS = {"pointwise": _pointwise, "rows": _rows, "vectors": _vectors, "contrastive": _contrastive}
