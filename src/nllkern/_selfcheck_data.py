"""The inputs that ``python -m nllkern`` checks the losses on.

Everything follows from the table of losses: which inputs a loss has, where they may lie, and its
links.
"""

import itertools
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._engine import loss_table

Array = NDArray[Any]

DTYPES = ("float32", "float64")
CLASSES = (1, 2, 3, 10, 17, 33, 100, 1000)
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
    for name, kind, parameters, links, extra, support, linked in loss_table():
        for dtype in DTYPES:
            rng = np.random.default_rng(7)
            if kind == "rowwise":
                classes = CLASSES[:-1:2] if quick else CLASSES
                for target, cases in class_cases(rng, dtype, classes).items():
                    found.append(Row(name, dtype, target, cases))
            elif kind == "vectors":
                found += vector_rows(rng, dtype, name, links, quick)
            for link in (links or [""]) if kind == "pointwise" else []:
                positive = [bool(linked >> j & 1) for j in range(len(parameters))]
                cases = [
                    point_case(rng, dtype, positive, link, support, extra, n) for n in (1, 17, size)
                ]
                cases.append(hard_point_case(dtype, positive, link, support))
                found.append(Row(name, dtype, f"link {link}" if link else "plain", cases))
    return found


def point_case(
    rng: np.random.Generator,
    dtype: str,
    positive: list[bool],
    link: str,
    support: str,
    extra: str,
    n: int,
) -> Case:
    """Random inputs of a pointwise loss."""
    raw = [rng.normal(scale=3.0, size=n) for _ in positive]
    args = [np.exp(x) if p and not signed(link) else x for p, x in zip(positive, raw, strict=True)]
    y = rng.normal(scale=2.0, size=n)
    target = {"real": y, "unit": rng.uniform(size=n), "positive": np.exp(y)}[support]
    if support == "unit":
        target[::5] = np.round(target[::5])
    options: dict[str, Any] = {"link": link} if link else {}
    if extra:
        options[extra] = rng.uniform(0.1, 3.0, size=n).astype(dtype)
    return Case(tuple(x.astype(dtype) for x in (*args, target)), options)


def hard_point_case(dtype: str, positive: list[bool], link: str, support: str) -> Case:
    """Large, tiny, meaningless and impossible inputs of a pointwise loss, in all combinations."""
    eps = float(np.finfo(dtype).eps)
    real = [0.0, 1e-30, 1e-3, 0.5, 1.0, 5.0, 17.0, 40.0, 90.0, 300.0, 1e3, 1e5]
    real = [-x for x in real] + real + [np.nan]
    above = [-1.0, 0.0, 1e-12, 1e-3, 0.5, 1.0, 2.5, 10.0, 1e3, 1e6, np.nan]
    target = {
        "real": [0.0, 1e-12, -0.5, 1.0, 1e3, -1e6, np.nan],
        "unit": [0.0, 1e-12, 0.25, 0.5, 1.0 - eps, 1.0, np.nan],
        "positive": [-1.0, 0.0, 1e-12, 0.3, 1.0, 40.0, 1e6, np.nan],
    }[support]
    domains = [above if p and not signed(link) else real for p in positive]
    columns = np.array(list(itertools.product(*domains, target))).T
    return Case(tuple(x.astype(dtype) for x in columns), {"link": link} if link else {})


def signed(link: str) -> bool:
    """Whether the raw parameter of this link may be any number."""
    return link not in ("identity", "variance")


def class_cases(
    rng: np.random.Generator, dtype: str, classes: tuple[int, ...]
) -> dict[str, list[Case]]:
    """Inputs of a loss over classes: indices and probabilities, without and with all options."""
    found: dict[str, list[Case]] = {
        "class indices": [],
        "class indices, all options": [],
        "probabilities": [],
        "probabilities, all options": [],
    }
    for k in classes:
        logits = rng.normal(scale=4.0, size=(max(35, 2000 // k), k)).astype(dtype)
        index = rng.integers(k, size=len(logits))
        prob = rng.dirichlet(np.full(k, 0.5), size=len(logits)).astype(dtype)
        options = {
            "class_weight": rng.uniform(0.1, 2.0, size=k).astype(dtype),
            "label_smoothing": 0.125,  # exact in float32, as the others are
            "ignore_index": 0,
            "z_loss": 2.0**-10,
            "softcap": 30.0,
        }
        found["class indices, all options"].append(Case((logits, index), options))
        found["probabilities, all options"].append(Case((logits, prob), options))
        logits = np.concatenate([logits, hard_rows(rng, k).astype(dtype)])
        index = np.concatenate([index, rng.integers(k, size=len(logits) - len(index))])
        found["class indices"].append(Case((logits, index), {}))
        prob = np.concatenate([prob, np.eye(k, dtype=dtype)[index[len(prob) :]]])
        found["probabilities"].append(Case((logits, prob), {}))
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
