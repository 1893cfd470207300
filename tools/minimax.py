"""Weighted minimax polynomials with coefficients rounded to a machine format (mpmath only).

`fit` solves  min over c of  max |p(x) - f(x)| / w(x),  p(x) = sum of c_k x^k,  on an interval by
the exchange algorithm of Remez, on a dense Chebyshev grid.  Coefficients are then rounded one after
the other, from the constant term up, and the remaining ones are fitted again after each rounding,
so that the rounded polynomial is nearly as good as the unrounded one.
"""

import mpmath as mp

mp.mp.dps = 60


def chebyshev_grid(lo, hi, n):
    """The n + 1 extreme points of the Chebyshev polynomial T_n on [lo, hi]."""
    return [(lo + hi) / 2 - (hi - lo) / 2 * mp.cos(mp.pi * i / n) for i in range(n + 1)]


def round_to(c, bits):
    """Round c to `bits` significant bits (24: float32, 53: float64)."""
    with mp.workprec(bits):
        return +c


def horner(coefficients, x):
    value = mp.mpf(0)
    for c in reversed(coefficients):
        value = value * x + c
    return value


def remez(xs, fs, ws, powers, points=None):
    """Minimax coefficients of the given powers over the grid, their error, and where it alternates.

    points  grid indices to start from, at least as many as are needed
    """
    n = len(powers)
    last = len(xs) - 1
    columns = [[x**p / w for p in powers] for x, w in zip(xs, ws, strict=True)]
    scaled = [f / w for f, w in zip(fs, ws, strict=True)]
    if points is None:
        points = [round((1 - mp.cos(mp.pi * i / n)) / 2 * last) for i in range(n + 1)]
        for i in range(1, n + 1):  # distinct even where the formula rounds two together
            points[i] = max(points[i], points[i - 1] + 1)
    points = points[len(points) - n - 1 :]
    best = None
    for _ in range(100):
        system = mp.matrix(n + 1, n + 1)
        right = mp.matrix(n + 1, 1)
        for row, i in enumerate(points):
            for k in range(n):
                system[row, k] = columns[i][k]
            system[row, n] = (-1) ** row
            right[row] = scaled[i]
        solution = mp.lu_solve(system, right)
        coefficients, level = [solution[k] for k in range(n)], abs(solution[n])
        errors = [
            sum(c * b for c, b in zip(coefficients, column, strict=True)) - s
            for column, s in zip(columns, scaled, strict=True)
        ]
        worst = max(abs(e) for e in errors)
        if best is None or worst < best[1]:
            best = coefficients, worst, points
        if worst <= level * (1 + mp.mpf("1e-4")):
            break
        points = exchange(errors, n + 1)
    return best


def exchange(errors, count):
    """`count` grid indices where the error alternates and is locally largest, its peak included."""
    peaks = []
    for i, e in enumerate(errors):
        if peaks and (e > 0) == (errors[peaks[-1]] > 0):
            if abs(e) > abs(errors[peaks[-1]]):
                peaks[-1] = i
        else:
            peaks.append(i)
    while len(peaks) > count:
        if len(peaks) == count + 1:
            del peaks[0 if abs(errors[peaks[0]]) < abs(errors[peaks[-1]]) else -1]
            continue
        k = min(
            range(len(peaks) - 1),
            key=lambda j: max(abs(errors[peaks[j]]), abs(errors[peaks[j + 1]])),
        )
        del peaks[k : k + 2]
    if len(peaks) < count:
        raise ArithmeticError("too few alternations: the grid is too coarse or the degree too high")
    return peaks


def fit(f, lo, hi, degree, bits, weight=None, fixed=(), grid=400, antiderivative=False):
    """Rounded minimax coefficients (constant term first) and the largest weighted error they leave.

    weight(x)       the size of an error that counts as 1 (default 1: absolute error)
    fixed           leading coefficients that are given
    antiderivative  the coefficients are wanted, and rounded, for the integral of f: c_k / (k + 1)
    """
    xs = chebyshev_grid(mp.mpf(lo), mp.mpf(hi), grid)
    fs = [f(x) for x in xs]
    ws = [weight(x) if weight else mp.mpf(1) for x in xs]
    done = [mp.mpf(c) for c in fixed]
    points = None
    while len(done) <= degree:
        rest = [g - horner(done, x) for g, x in zip(fs, xs, strict=True)]
        coefficients, _, points = remez(xs, rest, ws, range(len(done), degree + 1), points)
        divisor = len(done) + 1 if antiderivative else 1
        done.append(round_to(coefficients[0] / divisor, bits) * divisor)
    worst = max(abs((horner(done, x) - g) / w) for x, g, w in zip(xs, fs, ws, strict=True))
    if antiderivative:
        done = [c / (k + 1) for k, c in enumerate(done)]
    return done, worst


def hex_float(c):
    """Write c, exact in double, as a hexadecimal constant of C."""
    mantissa, exponent = float(c).hex().split("p")
    mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    return f"{mantissa}p{exponent}"
