"""Hard points of the losses of vectors, for ``make_golden.py``."""

import exact_vectors as exact
import numpy as np


def _factors(d, dtype, rng):
    """(factor with a positive diagonal, scale of the differences): what is hard in a triangle."""
    eye, small = np.eye(d), np.finfo(dtype).eps
    random = np.tril(rng.normal(size=(d, d)), -1) / np.sqrt(d)
    graded = np.diag(10.0 ** -np.linspace(0, 5, d))
    big = 1e10 if dtype is np.float32 else 1e60
    return [
        (random + 1.5 * eye, 1.0),
        (random + 1.5 * eye, 0.0),  # y = mean: all of the gradient is the diagonal's
        (random + np.diag(np.exp(rng.normal(size=d))), 3.0),
        (random + eye, 1e4),
        (random @ graded + graded, 1.0),  # columns of very different size
        (graded @ random + graded, 1.0),  # rows
        (0.5 * eye - np.tri(d, k=-1) / d, 1.0),  # the solution grows from row to row
        (np.tri(d) * (1 - 4 * small), 1.0),
        ((random + 1.5 * eye) * big, big),
        ((random + 1.5 * eye) / big, 1.0 / big),
        (eye, 1.0),
    ]


def multivariate_gaussian_nll(book, dtype):
    raw_of = {
        "identity": lambda theta: theta,
        "softplus": lambda theta: np.where(
            theta > 30, theta, np.log(np.expm1(np.minimum(theta, 50)))
        ),
        "log": np.log,
    }
    for link, raw in raw_of.items():
        rng = np.random.default_rng(31)
        for d in (1, 2, 3, 5, 16, 17, 20, 35):
            mean, factor, y = [], [], []
            for low, scale in _factors(d, dtype, rng):
                theta = np.diagonal(low)
                u = np.tril(low, -1) + np.diag(raw(theta)) + np.triu(np.full((d, d), np.nan), 1)
                center = scale * rng.normal(size=d)
                mean.append(center)
                factor.append(u)
                y.append(center + scale * rng.normal(size=d))
            if link != "identity":  # a diagonal far from 1
                for shift in (-40.0, 30.0):
                    mean.append(np.zeros(d))
                    factor.append(np.diag(shift + rng.normal(size=d)))
                    y.append(np.exp(np.clip(shift, -60, 60)) * rng.normal(size=d))
            some = slice(None) if d < 17 else slice(0, None, 3)
            args = [np.array(x)[some].astype(dtype) for x in (mean, factor, y)]
            for full in (True, False) if d == 3 else (True,):
                results = [
                    exact.multivariate_gaussian_nll(*row, link, full)
                    for row in zip(*(x.tolist() for x in args), strict=True)
                ]
                name = f"{link}-{d}" + ("" if full else "-not-full")
                book.add(name, dtype, args, {"link": link, "full": full}, results)


def triplet_margin(book, dtype):
    huge, tiny = (1e30, 1e-38) if dtype is np.float32 else (1e300, 1e-300)
    small = float(np.finfo(dtype).smallest_subnormal)
    for p in (2.0, 1.0, np.inf, 1.25, 3.0, 10.0):
        rng = np.random.default_rng(32)
        for d in (1, 2, 5, 20, 35) if p in (1.0, 2.0, np.inf) else (2, 7, 20):
            points = []
            for scale in (1.0, 1e-6, 1e6, huge, tiny):
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
                points += [(0 * a, 40 * small * one, 3 * small * one)]
            args = [np.array(x).astype(dtype) for x in zip(*points, strict=True)]
            for margin in (1.0, 0.0):
                results = [
                    exact.triplet_margin(*row, margin, p)
                    for row in zip(*(x.tolist() for x in args), strict=True)
                ]
                book.add(f"p{p:g}-{d}-{margin:g}", dtype, args, {"margin": margin, "p": p}, results)
