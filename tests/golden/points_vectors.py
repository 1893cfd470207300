"""Hard points of losses of vectors: factors of every shape, differences of every size."""

import numpy as np

from nllkern._accuracy import Table

DTYPES = ("float32", "float64")


def factors(d, dtype, rng):
    """(factor with a positive diagonal, scale of the differences): what is hard in a triangle."""
    eye, eps = np.eye(d), np.finfo(dtype).eps
    random = np.tril(rng.normal(size=(d, d)), -1) / np.sqrt(d)
    graded = np.diag(10.0 ** -np.linspace(0, 5, d))
    big = 1e10 if dtype == "float32" else 1e60
    return [
        (random + 1.5 * eye, 1.0),
        (random + 1.5 * eye, 0.0),  # y = mean: all of the gradient is the diagonal's
        (random + np.diag(np.exp(rng.normal(size=d))), 3.0),
        (random + eye, 1e4),
        (random @ graded + graded, 1.0),  # columns of very different size
        (graded @ random + graded, 1.0),  # rows
        (0.5 * eye - np.tri(d, k=-1) / d, 1.0),  # the solution grows from row to row
        (np.tri(d) * (1 - 4 * eps), 1.0),
        ((random + 1.5 * eye) * big, big),
        ((random + 1.5 * eye) / big, 1.0 / big),
        (eye, 1.0),
    ]


RAW = {
    "identity": lambda theta: theta,
    "softplus": lambda theta: theta + np.log(-np.expm1(-theta)),
    "log": np.log,
}


def with_factor(row, dtype):
    """Tables of a loss of vectors and a lower triangle."""
    for link, raw in RAW.items():
        rng = np.random.default_rng(31)
        for d in (1, 2, 3, 5, 16, 17, 20, 35):
            points = []
            for low, scale in factors(d, dtype, rng):
                with np.errstate(over="ignore"):
                    diagonal = np.diag(raw(np.diagonal(low)))
                above = np.triu(np.full((d, d), np.nan), 1)
                center = scale * rng.normal(size=d)
                points.append(
                    (
                        center,
                        np.tril(low, -1) + diagonal + above,
                        center + scale * rng.normal(size=d),
                    )
                )
            for shift in (-40.0, 30.0) if link != "identity" else ():  # a diagonal far from 1
                y = np.exp(shift) * rng.normal(size=d)
                points.append((np.zeros(d), np.diag(shift + rng.normal(size=d)), y))
            args = [
                np.array(x).astype(dtype) for x in zip(*points[:: 1 if d < 6 else 3], strict=True)
            ]
            for full in (True, False) if d == 3 else (True,):
                name = f"{link}-{d}" + ("" if full else "-not-full")
                yield Table(row.name, name, dtype, {"link": link, "full": full}, args, [])


def with_distances(row, dtype):
    """Tables of a loss of the distances of three vectors."""
    huge, tiny = (1e30, 1e-38) if dtype == "float32" else (1e300, 1e-300)
    small = float(np.finfo(dtype).smallest_subnormal)
    for p in (2.0, 1.0, np.inf, 1.25, 3.0, 10.0):
        rng = np.random.default_rng(32)
        for d in (1, 2, 5, 20) if p in (1.0, 2.0, np.inf) else (2, 7):
            points = []
            for scale in (1.0, 1e-6, huge, tiny):
                a, b, c = scale * rng.normal(size=(3, d))
                points += [(a, 3 * b, c), (a, b, a + 0.25 * (c - a))]
            a, b, c = rng.normal(size=(3, d))
            points += [(a, a, c), (a, b, a), (a, a, a), (a, c, b), (a, c, a - 0.999 * (c - a))]
            points += [(1e6 + a, 1e6 + b, 1e6 + 0.5 * c), (a, b, a * (1 + 1e-3))]
            one = np.eye(d)[0]
            points += [
                (0 * a, 5 * one, one),
                (0 * a, 3 * np.ones(d), np.ones(d)),
                (0 * a, a, 0 * a),
            ]
            if p in (1.0, 2.0, np.inf):
                points.append((0 * a, 40 * small * one, 3 * small * one))
            args = [np.array(x).astype(dtype) for x in zip(*points, strict=True)]
            for margin in (1.0, 0.0) if d == 2 else (1.0,):
                options = {"margin": margin, "p": p}
                yield Table(row.name, f"p{p:g}-{d}-{margin:g}", dtype, options, args, [])


def tables(row, held):
    has_factor = any(p.kind == "factor" for p in row.parameters)
    for dtype in DTYPES:
        yield from (with_factor if has_factor else with_distances)(row, dtype)
