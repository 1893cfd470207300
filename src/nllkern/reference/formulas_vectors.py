"""The value of every loss of vectors: formulas like those of ``formulas.py``, of lists."""

from typing import Any


def multivariate_gaussian_nll(f, mean, factor, target, full):
    """|w|^2/2 + sum_i log L_ii + d log(2 pi)/2, L w = y - mean; rows of the lower triangle."""
    w: list[Any] = []
    value = 0
    for m, row, y in zip(mean, factor, target, strict=True):
        *below, diagonal = row
        rest = y - m
        for x, entry in zip(w, below, strict=True):
            rest = rest - entry * x
        w.append(rest / diagonal)
        value = value + f.log(diagonal) + w[-1] * w[-1] * 0.5
    return value + (len(mean) * f.half_log_2pi if full else 0)


def triplet_margin(f, anchor, positive, negative, margin, p):
    near = norm(f, [a - b for a, b in zip(anchor, positive, strict=True)], p)
    far = norm(f, [a - b for a, b in zip(anchor, negative, strict=True)], p)
    return f.relu(margin + near - far)


def norm(f, x, p):
    """|x|_p, without derivatives where it has none."""
    size = [f.abs(v) for v in x]
    largest = largest_of(f, [v.value for v in size])
    if p == float("inf"):
        tied = [v.value == largest for v in size]
        count = sum(1 * t for t in tied)
        return sum(v * t for v, t in zip(size, tied, strict=True)) / count
    if p == 1:
        return sum(size)
    # Of an array both branches are computed: what is not selected is moved away from 0.
    zero = largest == 0
    if p == 2:
        return f.where(zero, lambda: 0 * size[0], lambda: f.sqrt(sum(v * v for v in x) + 1 * zero))
    powers = [
        f.where(v.value == 0, lambda v=v: 0 * v, lambda v=v: f.power(v + 1 * (v.value == 0), p))
        for v in size
    ]
    total = sum(powers)
    return f.where(zero, lambda: 0 * size[0], lambda: f.power(total + 1 * zero, 1 / f.n.real(p)))


def largest_of(f, values):
    top = values[0]
    for v in values[1:]:
        top = f.n.choose(v > top, lambda v=v: v, lambda top=top: top)
    return top


def info_nce(f, queries, keys, temperature, normalize, form):
    """The loss of every pair of rows: cross-entropy of their similarities."""
    if normalize:
        queries, keys = ([unit(f, x) for x in rows] for rows in (queries, keys))
    n = len(queries)
    if form == "queries":
        return similar(f, queries, keys, temperature, range(n))
    if form == "symmetric":
        pairs = (queries, keys), (keys, queries)
        both = [similar(f, a, b, temperature, range(n)) for a, b in pairs]
        return [(x + y) * 0.5 for x, y in zip(*both, strict=True)]
    rows = [*queries, *keys]
    pair = [*range(n, 2 * n), *range(n)]
    values = similar(f, rows, rows, temperature, pair, without_self=True)
    return [(values[i] + values[n + i]) * 0.5 for i in range(n)]


def unit(f, x):
    length = norm(f, x, 2)
    nothing = length.value == 0
    return [f.where(nothing, lambda v=v: 0 * v, lambda v=v: v / length) for v in x]


def similar(f, left, right, temperature, target, without_self=False):
    """-log softmax of the similarities of each row at its target."""
    values = []
    for i, row in enumerate(left):
        own = dot(row, right[target[i]])
        others = [j for j in range(len(right)) if j != target[i] and not (without_self and j == i)]
        gaps = [(dot(row, right[j]) - own) / temperature for j in others]
        values.append(f.log1p(sum(map(f.exp, gaps))) if gaps else 0 * own)
    return values


def dot(x, y):
    return sum(a * b for a, b in zip(x, y, strict=True))
