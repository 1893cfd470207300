"""The inputs that ``python -m nllkern`` checks the losses on.

Everything follows from the table of losses: which inputs a loss has, where they may lie, and its
links.
"""

import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._losses import LossInfo, loss_infos

Array = NDArray[Any]

DTYPES = ("float32", "float64")
CLASSES = (1, 2, 3, 10, 17, 33, 100, 1000)
EDGES = (-3.0, 3.0)
VARIANTS = ("crammer_singer", "weston_watkins")
VECTORS = ((50, 1), (17, 2), (33, 5), (100, 16), (20, 17), (9, 40))  # samples, numbers of each


class Case(NamedTuple):
    """Inputs of one call."""

    args: tuple[Array, ...]
    options: dict[str, Any]


class Row(NamedTuple):
    """One row of the report: cases that belong together."""

    loss: str
    dtype: str
    name: str
    cases: list[Case]


def rows(quick: bool = False) -> list[Row]:
    """Every loss, dtype, and link or kind of target."""
    size = 333 if quick else 1999
    found = []
    for info in loss_infos():
        for dtype in DTYPES:
            rng = np.random.default_rng(7)
            if info.kind == "rowwise":
                classes = CLASSES[:-1:2] if quick else CLASSES
                for name, cases in class_cases(rng, dtype, info, classes).items():
                    found.append(Row(info.name, dtype, name, cases))
            elif info.kind == "vectors":
                found += vector_rows(rng, dtype, info.name, info.links, quick)
            elif info.kind == "contrastive":
                forms = ("queries", "symmetric", "nt_xent")
                for form, normalize in itertools.product(forms, (True, False)):
                    sizes = (1, 5), (17, 3), (size, 20)
                    cases = [vector_case(rng, dtype, form, normalize, *shape) for shape in sizes]
                    what = f"form {form}" + (", normalized" if normalize else "")
                    found.append(Row(info.name, dtype, what, cases))
            if info.kind != "pointwise":
                continue
            for link in info.links or [""]:
                cases = [point_case(rng, dtype, info, link, n) for n in (1, 17, size)]
                cases.append(hard_point_case(dtype, info, link))
                found.append(Row(info.name, dtype, f"link {link}" if link else "plain", cases))
    return found


def link_options(info: LossInfo, link: str) -> dict[str, Any]:
    """The keywords for one link of all parameters."""
    options: dict[str, Any] = {"link": link} if link else {}
    if info.own:
        options[f"{info.parameters[-1]}_link"] = link
    return options


def point_case(
    rng: np.random.Generator, dtype: str, info: LossInfo, link: str, n: int, extra: bool = True
) -> Case:
    """Random inputs of a pointwise loss."""
    args = []
    for k in range(len(info.parameters)):
        x = rng.normal(scale=3.0, size=n)
        args.append(np.exp(x) if info.linked >> k & 1 and not signed(link) else x)
    args.append(draw_target(rng, info.support, (n,)))
    options = link_options(info, link)
    if extra and info.extra:
        options[info.extra] = rng.uniform(0.1, 3.0, size=n).astype(dtype)
    return Case(tuple(x.astype(dtype) for x in args), options)


def vector_case(
    rng: np.random.Generator, dtype: str, form: str, normalize: bool, n: int, columns: int
) -> Case:
    """Pairs of vectors that resemble each other; if lengths do not count, of all lengths."""
    queries, noise = rng.normal(scale=0.5, size=(2, n, columns))
    keys = queries + noise
    if normalize:
        queries *= 10.0 ** rng.uniform(-15, 15, size=(n, 1))
        keys[1::7] = 0
    options = {"form": form, "normalize": normalize, "temperature": 0.125}
    return Case((queries.astype(dtype), keys.astype(dtype)), options)


def draw_target(rng: np.random.Generator, support: str, shape: tuple[int, ...]) -> Array:
    """Random targets of a pointwise loss: its whole support, edges included."""
    y = rng.normal(scale=2.0, size=shape)
    edge = rng.uniform(size=shape) < 0.2
    if support == "unit":
        y = rng.uniform(size=shape)
        return np.where(edge, np.round(y), y)
    if support == "sign":
        return np.where(y < 0, -1.0, 1.0)
    if support == "nonnegative":
        return np.where(edge, 0.0, np.exp(y))
    return np.exp(y) if support == "positive" else y


def hard_point_case(dtype: str, info: LossInfo, link: str) -> Case:
    """Large, tiny, meaningless and impossible inputs of a pointwise loss, in all combinations."""
    eps = float(np.finfo(dtype).eps)
    real = [0.0, 1e-30, 1e-3, 0.5, 1.0, 5.0, 17.0, 40.0, 90.0, 300.0, 1e3, 1e5]
    real = [-x for x in real] + real + [np.nan]
    above = [-1.0, 0.0, 1e-12, 1e-3, 0.5, 1.0, 2.5, 10.0, 1e3, 1e6, np.nan]
    target = {
        "real": [0.0, 1e-3, -0.5, 1.0, 1e3, -1e6, np.nan],
        "unit": [0.0, 1e-12, 0.25, 0.5, 1.0 - eps, 1.0, np.nan],
        "positive": [-1.0, 0.0, 1e-12, 0.3, 1.0, 40.0, 1e6, np.nan],
        "nonnegative": [-1.0, 0.0, 1e-12, 0.3, 1.0, 40.0, 1e6, np.nan],
        "sign": [-1.0, 1.0, np.nan],
    }[info.support]
    count = len(info.parameters)
    domains = [above if info.linked >> k & 1 and not signed(link) else real for k in range(count)]
    if count > 2:
        domains = [d[::3] for d in domains]
    columns = np.array(list(itertools.product(*domains, target))).T
    return Case(tuple(x.astype(dtype) for x in columns), link_options(info, link))


def signed(link: str) -> bool:
    """Whether the raw parameter of this link may be any number."""
    return link not in ("identity", "variance")


def class_target(rng: np.random.Generator, dtype: str, kind: str, n: int, k: int) -> Array:
    """Random targets over k classes: indices, probabilities, or numbers that fall into k bins."""
    if kind == "index":
        return rng.integers(k, size=n)
    if kind == "real":
        return rng.normal(scale=2.0, size=n).astype(dtype)
    return rng.dirichlet(np.full(k, 0.5), size=n).astype(dtype)


def needed(info: LossInfo) -> dict[str, Any]:
    """The keywords that a loss cannot do without."""
    return {"edges": EDGES} if "edges" in info.extra.split() else {}


def class_options(info: LossInfo) -> Iterator[dict[str, Any]]:
    """The links and variants of a loss over classes."""
    for link in info.links:
        yield {"link": link}
    for variant in VARIANTS if "variant" in info.extra.split() else ():
        yield {"variant": variant}
    if not info.links and "variant" not in info.extra.split():
        yield needed(info)


def class_cases(
    rng: np.random.Generator, dtype: str, info: LossInfo, classes: tuple[int, ...]
) -> dict[str, list[Case]]:
    """Inputs of a loss over classes: every kind of target, without and with all options."""
    names = {"index": "class indices", "prob": "probabilities", "real": "numbers"}
    found: dict[str, list[Case]] = {}

    def add(name: str, args: tuple[Array, ...], options: dict[str, Any]) -> None:
        found.setdefault(name, []).append(Case(args, options))

    for k, kind, own in itertools.product(classes, info.support.split(), class_options(info)):
        title = " ".join([names[kind], *(f"{x} {own[x]}" for x in ("link", "variant") if x in own)])
        logits = rng.normal(scale=4.0, size=(max(35, 2000 // k), k)).astype(dtype)
        every = {
            "class_weight": rng.uniform(0.1, 2.0, size=k).astype(dtype),
            "label_smoothing": 0.125,  # exact in float32, as the others are
            "ignore_index": 0,
            "z_loss": 2.0**-10,
            "softcap": 30.0,
            "margin": 0.5,
        }
        options = {x: y for x, y in every.items() if x in info.extra.split()}
        target = class_target(rng, dtype, kind, len(logits), k)
        if options:
            add(f"{title}, all options", (logits, target), {**own, **options})
        hard = hard_rows(rng, k).astype(dtype)
        more = class_target(rng, dtype, kind, len(hard), k)
        if kind == "prob":
            more = np.eye(k, dtype=dtype)[rng.integers(k, size=len(hard))]
        add(title, (np.concatenate([logits, hard]), np.concatenate([target, more])), own)
    return found


def hard_rows(rng: np.random.Generator, k: int) -> Array:
    """Confident, shifted, tied, masked, infinite and meaningless rows of k logits."""
    row = rng.normal(scale=4.0, size=k)
    lone = np.full(k, -np.inf)
    lone[-1] = 2.0
    found = [row, row * 100, row + 1e6, row * 0 + 7.25, np.where(row > 0, row, -np.inf), lone]
    for gap in (1e-3, 10.0, 40.0, 80.0, 1e4):
        confident = row * 0
        confident[0] = gap
        found += [confident, confident[::-1]]
    for odd in (np.nan, np.inf, -np.inf):
        spoilt = row.copy()
        spoilt[k // 2] = odd
        found.append(spoilt)
    return np.array([*found, row * 0 - np.inf])


def vector_rows(
    rng: np.random.Generator, dtype: str, name: str, links: tuple[str, ...], quick: bool
) -> list[Row]:
    """A loss of vectors: its links, or its norms."""
    sizes = VECTORS[::2] if quick else VECTORS
    if not links:
        norms = {"p = 2": 2.0, "p = 1": 1.0, "p = inf": np.inf, "p = 3": 3.0}
        return [
            Row(name, dtype, text, [triplet_case(rng, dtype, n, d, p) for n, d in sizes])
            for text, p in norms.items()
        ]
    found = []
    for link in links:
        cases = [factor_case(rng, dtype, n, d, link, True) for n, d in sizes]
        if link != "covariance":
            cases += [factor_case(rng, dtype, n, d, link, False) for n, d in sizes]
        found.append(Row(name, dtype, f"link {link}", cases))
    return found


def factor_case(
    rng: np.random.Generator, dtype: str, n: int, d: int, link: str, shared: bool
) -> Case:
    """Vectors with a well conditioned factor each, one for all, or one covariance."""
    mean, target = rng.normal(size=(2, n, d))
    raw = rng.normal(size=(d, d) if shared else (n, d, d))
    below = np.tril(raw, -1) / np.sqrt(d)
    diagonal = np.eye(d) * np.diagonal(raw, axis1=-2, axis2=-1)[..., None]
    factor = below + np.where(np.eye(d) > 0, np.exp(diagonal / 4), 0.0)
    if signed(link) and link != "covariance":
        factor = below + diagonal
    if link == "covariance":
        factor = factor @ factor.T
    return Case(tuple(x.astype(dtype) for x in (mean, factor, target)), {"link": link})


def triplet_case(rng: np.random.Generator, dtype: str, n: int, d: int, p: float) -> Case:
    """Vectors for which the hinge is at rest, and for which it is not."""
    vectors = rng.normal(size=(3, n, d)).astype(dtype)
    return Case(tuple(vectors), {"p": p, "margin": 0.5})
