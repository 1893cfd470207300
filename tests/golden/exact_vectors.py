"""The losses of vectors as textbooks write them, in mpmath; see ``exact.py``."""

from exact import _link
from mpmath import mp, mpf


def multivariate_gaussian_nll(mean, factor, y, link, full):
    """With the inverse of the factor, and the derivatives of the inverse."""
    d = len(mean)
    with mp.workdps(160):
        links = [_link(link, mpf(factor[i][i])) for i in range(d)]
        low = mp.matrix(d, d)
        for i in range(d):
            for j in range(i):
                low[i, j] = mpf(factor[i][j])
            low[i, i] = links[i][0]
        inverse = mp.matrix(d, d)  # columns by substitution: mp.inverse pivots, at any cost
        for j in range(d):
            for i in range(j, d):
                right = mpf(i == j) - mp.fsum(low[i, k] * inverse[k, j] for k in range(j, i))
                inverse[i, j] = right / low[i, i]
        w = inverse * mp.matrix([mpf(a) - mpf(b) for a, b in zip(y, mean, strict=True)])
        g = inverse.T * w
        value = mp.fsum(x**2 for x in w) / 2 + mp.fsum(mp.log(x[0]) for x in links)
        if full:
            value += d * mp.log(2 * mp.pi) / 2
        precision = [mp.fsum(inverse[k, i] ** 2 for k in range(d)) for i in range(d)]
        grad = [[mpf(0)] * d for _ in range(d)]
        hess = [[mpf(0)] * d for _ in range(d)]
        for i in range(d):
            theta, first, second = links[i]
            for j in range(i):
                grad[i][j] = -g[i] * w[j]
                hess[i][j] = precision[i] * w[j] ** 2
            f1 = 1 / theta - g[i] * w[i]
            f2 = precision[i] * w[i] ** 2 + 2 * g[i] * w[i] / theta - 1 / theta**2
            grad[i][i] = f1 * first
            hess[i][i] = f2 * first**2 + f1 * second
        return value, [[-x for x in g], grad], [precision, hess]


def _norm(x, p):
    """Norm, first and second derivatives; 0 where they do not exist."""
    size = [abs(v) for v in x]
    sign = [mp.sign(v) for v in x]
    zero = [mpf(0)] * len(x)
    if max(size) == 0:
        return mpf(0), zero, zero
    if p == mp.inf:
        tied = [v == max(size) for v in size]
        return max(size), [s * t / sum(tied) for s, t in zip(sign, tied, strict=True)], zero
    norm = mp.fsum(v**p for v in size) ** (1 / p)
    first = [s * (v / norm) ** (p - 1) if v else mpf(0) for s, v in zip(sign, size, strict=True)]
    second = [
        (p - 1) * v ** (p - 2) / norm ** (p - 1) * (1 - (v / norm) ** p) if v and p > 1 else mpf(0)
        for v in size
    ]
    if p == 2:
        second = [(1 - (v / norm) ** 2) / norm for v in size]
    return norm, first, second


def triplet_margin(anchor, positive, negative, margin, p):
    with mp.workdps(120):
        anchor, positive, negative = ([mpf(v) for v in x] for x in (anchor, positive, negative))
        p = mpf(p)
        near, u, h = _norm([a - b for a, b in zip(anchor, positive, strict=True)], p)
        far, v, k = _norm([a - b for a, b in zip(anchor, negative, strict=True)], p)
        z = mpf(margin) + near - far
        on = mpf(z > 0)
        pairs, bends = list(zip(u, v, strict=True)), list(zip(h, k, strict=True))
        grads = [[on * (a - b) for a, b in pairs], [-on * a for a, _ in pairs]]
        hesss = [[on * (a - b) for a, b in bends], [on * a for a, _ in bends]]
        return (
            on * z,
            [*grads, [on * b for _, b in pairs]],
            [*hesss, [-on * b for _, b in bends]],
        )
