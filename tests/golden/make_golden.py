"""Writes the tables of hard points: ``python tests/golden/make_golden.py`` (needs mpmath).

Inputs are rounded to the dtype first; the exact results belong to the rounded inputs.  The output
is the same bytes on every run.
"""

import io
import itertools
import json
import sys
import zipfile
from functools import partial
from pathlib import Path

import exact
import exact_classes
import numpy as np
import points_vectors
from mpmath import mp, mpf

import nllkern as nk

FOLDER = Path(__file__).parent
DTYPES = (np.float32, np.float64)
INF = np.inf


def stored(values, dtype):
    """(high, low, exponent) arrays of a nested list of mpf."""
    values = np.array(values, dtype=object)
    shape, flat = values.shape, values.ravel().tolist()
    info = np.finfo(dtype)
    most, least = mpf(float(info.max)), mpf(float(info.tiny))
    high, low = np.zeros(len(flat)), np.zeros(len(flat), np.float32)
    exponent = np.zeros(len(flat), np.int16)
    with mp.workdps(50):
        for i, x in enumerate(flat):
            if abs(x) > most * (1 + 64 * float(info.eps)):
                high[i] = INF if x > 0 else -INF
            elif abs(x) > most * (1 - 64 * float(info.eps)):
                high[i] = np.nan
            else:
                exponent[i] = mp.frexp(max(abs(x), least))[1]
                mantissa = mp.ldexp(x, -int(exponent[i]))
                high[i] = float(mantissa)
                if dtype is np.float64:
                    low[i] = float(mantissa - mpf(high[i]))
    return tuple(a.reshape(shape) for a in (high, low, exponent))


class Book:
    """The tables of one loss, collected and written to one file."""

    def __init__(self, loss):
        self.loss, self.meta, self.arrays = loss, [], {}

    def add(self, name, dtype, args, options, results):
        """``results``: per sample (value, grads, hesss); for classes grads are one row."""
        i = len(self.meta)
        values, grads, hesss = zip(*results, strict=True)
        if self.loss == "cross_entropy" or self.loss in exact_classes.MAKERS:
            outputs = [values, grads, hesss]
        else:
            outputs = [values, *zip(*grads, strict=True), *zip(*hesss, strict=True)]
        arrays = {k: v for k, v in options.items() if isinstance(v, np.ndarray)}
        plain = {k: v for k, v in options.items() if k not in arrays}
        for j, a in enumerate(args):
            self.arrays[f"{i}.arg{j}"] = a
        for k, v in arrays.items():
            self.arrays[f"{i}.{k}"] = v
        for j, out in enumerate(outputs):
            parts = stored(out, dtype)
            for part, a in zip(("high", "low", "exponent"), parts, strict=True):
                self.arrays[f"{i}.{part}{j}"] = a
        self.meta.append(
            {
                "name": f"{self.loss}-{name}-{np.dtype(dtype).name}",
                "dtype": np.dtype(dtype).name,
                "options": plain,
                "array_options": sorted(arrays),
                "args": len(args),
                "outputs": len(outputs),
            }
        )
        print(f"{self.meta[-1]['name']}: {len(results)} samples", flush=True)

    def write(self):
        self.arrays["tables"] = np.array(json.dumps(self.meta))
        with zipfile.ZipFile(FOLDER / f"{self.loss}.npz", "w") as archive:
            for name, array in self.arrays.items():
                data = io.BytesIO()
                np.lib.format.write_array(data, np.asarray(array), allow_pickle=False)
                # A ZipInfo of our own carries no date: the same bytes every time.
                info = zipfile.ZipInfo(name + ".npy")
                archive.writestr(info, data.getvalue(), zipfile.ZIP_DEFLATED, 9)


# Cross-entropy.


def index_rows(classes, dtype, rng):
    """(row, target) pairs: what goes wrong in a softmax."""
    last = classes - 1
    gaps = [1e-30, 1e-3, 1.0, 10.0, 17.0, 30.0, 60.0, 86.0, 88.5, 95.0, 100.0, 104.0]
    if dtype is np.float64:
        gaps = [1e-30, 1e-3, 1.0, 10.0, 37.0, 100.0, 300.0, 700.0, 709.0, 720.0, 740.0, 760.0]
    rows = []

    def add(row, *targets):
        rows.extend((np.array(row), t) for t in targets)

    for gap in gaps:
        add(np.r_[gap, np.zeros(last)], 0)  # confident and right
    for gap in gaps[3:9:2]:
        add(np.r_[rng.normal(size=last), gap], last)
        add(np.r_[gap, np.zeros(last)] + 1e6, 0)
        add(np.r_[gap, np.zeros(last)] - 3e5, 0, last)
    add(np.r_[np.zeros(last), 1e4], 0, last)  # confident and wrong
    add(np.r_[np.zeros(last), 1e30], 0, last)
    if dtype is np.float64:
        add(np.r_[np.zeros(last), 1e300], 0, last)
    add(np.full(classes, 7.25), last)  # ties
    add(np.full(classes, -1e30), 0)
    add(np.r_[np.full(min(2, classes), 3.0), rng.normal(size=max(classes - 2, 0))], 0, last)
    add(-np.arange(classes) * 0.75, 0, last)
    for scale in (1.0, 10.0, 100.0):
        add(rng.normal(size=classes) * scale, int(rng.integers(classes)))
    if classes > 1:
        row = rng.normal(size=classes) * 5
        row[::2] = -INF  # masked classes
        add(row, 1, 0)
        add(np.r_[np.full(last, -INF), 1.5], last)  # only the target is left: exactly 0
    if classes > 33:
        keep = range(0, len(rows), 3) if classes == 100 else (0, 5, 9, 16, 24, -3)
        rows = [rows[i] for i in keep]
    return rows


def soft_targets(classes, n, rng):
    t = rng.dirichlet(np.full(classes, 0.3), size=n)
    t[0] = 1.0 / classes
    if classes > 1:
        t[1, 0], t[1, 1:] = 1.0, 0.0
        t[2, 0] = 0.0
    t[3:6] *= np.array([[0.5], [2.0], [1e-6]])  # the rows need not sum to 1
    return t


def cross_entropy():
    book = Book("cross_entropy")

    def add(name, dtype, z, target, **options):
        z = np.asarray(z, dtype)
        classes = z.shape[1]
        if target.dtype.kind == "f":
            target = target.astype(dtype)
            t = target.tolist()
        else:
            t = np.eye(classes)[target].tolist()
        w = options.get("class_weight", np.ones(classes)).tolist()
        rest = [
            options.get(k, d)
            for k, d in (("label_smoothing", 0.0), ("z_loss", 0.0), ("softcap", None))
        ]
        results = [exact.cross_entropy(r, p, w, *rest) for r, p in zip(z.tolist(), t, strict=True)]
        book.add(name, dtype, [z, target], options, results)

    for dtype in DTYPES:
        rng = np.random.default_rng(20)
        for classes in (1, 2, 3, 10, 17, 33, 100, 1000):
            rows, targets = zip(*index_rows(classes, dtype, rng), strict=True)
            add(f"index-{classes}", dtype, rows, np.array(targets))
        for classes in (3, 17):
            rows, targets = zip(*index_rows(classes, dtype, rng), strict=True)
            rows, targets = np.array(rows), np.array(targets)
            finite = np.isfinite(rows).all(1)
            small = finite & (np.abs(rows).max(1) < 1e29)  # 1e30 squared overflows in z_loss
            weight = rng.uniform(0.1, 3.0, classes).astype(dtype)
            weight[0] = 0.25
            soft = soft_targets(classes, len(rows), rng)
            # Parameters that float32 holds exactly: they are not part of the rounding tested.
            eps, zl = 0.0999755859375, 0.0078125
            add(f"one-hot-{classes}", dtype, rows, np.eye(classes)[targets])
            # Probability 0 meets -inf: 0 * inf = 0.
            add(f"soft-{classes}", dtype, rows, np.where(np.isfinite(rows), soft, 0.0))
            add(f"smooth-{classes}", dtype, rows[finite], targets[finite], label_smoothing=eps)
            add(f"weight-{classes}", dtype, rows, targets, class_weight=weight)
            add(f"z_loss-{classes}", dtype, rows[small], targets[small], z_loss=zl)
            for cap in (30.0, 5.0):
                add(f"softcap{cap:g}-{classes}", dtype, rows, targets, softcap=cap)
            every = {"class_weight": weight, "label_smoothing": eps, "z_loss": zl, "softcap": 30.0}
            add(f"all-index-{classes}", dtype, rows[finite], targets[finite], **every)
            add(f"all-soft-{classes}", dtype, rows[finite], soft[finite], **every)
            del every["softcap"]
            add(f"weight-smooth-z_loss-{classes}", dtype, rows[small], soft[small], **every)
    book.write()


# Pointwise losses: lists of points, each rounded to the dtype, then the exact function.


def add_points(book, name, dtype, points, options, function, finite=False):
    """``finite``: only the points whose value is, in that dtype."""
    with np.errstate(over="ignore"):
        columns = np.array(points).T.astype(dtype)
    if book.loss == "gamma_nll":  # drop what rounds to zero or overflows in this dtype
        columns = columns[:, (columns[2] > 0) & np.isfinite(columns).all(0)]
    results = [function(*row) for row in columns.T.tolist()]
    if finite:
        kept = [abs(value) < float(np.finfo(dtype).max) for value, *_ in results]
        columns, results = columns[:, kept], [r for r, k in zip(results, kept, strict=True) if k]
    book.add(name, dtype, list(columns), options, results)


def add_link(book, link, dtype, points, loss):
    """With the constants, and every ninth point without."""
    for name, chosen, full in ((link, points, True), (f"{link}-not-full", points[::9], False)):

        def function(*row, full=full):
            return loss(*row, link, full)

        add_points(book, name, dtype, chosen, {"link": link, "full": full}, function)


def binary_cross_entropy():
    book = Book("binary_cross_entropy")
    for dtype in DTYPES:
        eps = float(np.finfo(dtype).eps)
        z = [0.0, 1e-30, 1e-10, 1e-3, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 17.0, 18.0, 20.0, 37.0]
        z += [50.0, 80.0, 87.0, 88.0, 89.0, 95.0, 103.0, 104.5, 1e4, 1e30, INF]
        z += [] if dtype is np.float32 else [300.0, 700.0, 709.5, 720.0, 744.0, 746.0, 1e300]
        z = [-x for x in z] + z
        y = [0.0, 1.0, 1e-30, 1e-8, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0 - eps, 1.0 - eps / 2]
        points = list(itertools.product(z, y))
        add_points(
            book, "plain", dtype, points, {}, lambda z, y: exact.binary_cross_entropy(z, y, 1.0)
        )
        for w in (0.25, 3.0):
            some = list(itertools.product(z[::2], y[:8]))
            add_points(
                book,
                f"pos_weight{w:g}",
                dtype,
                some,
                {"pos_weight": w},
                lambda z, y, w=w: exact.binary_cross_entropy(z, y, w),
            )
    book.write()


def gaussian_nll():
    book = Book("gaussian_nll")
    for dtype in DTYPES:
        single = dtype is np.float32
        tiny = float(np.finfo(dtype).smallest_subnormal)
        differences = [0.0, tiny, 1e-30, 1e-5, 0.5, 1.0, -3.0, 1e4, -1e15, 1e30]
        positive = [1e-30, 1e-10, 1e-3, 0.5, 1.0, 2.0, 100.0, 1e10, 1e30]
        edge = [1e-44, 1e-39, 3e38] if single else [1e-320, 1e-300, 1e300]
        raw = [-1e4, -1e3, -104.0, -100.0, -87.5, -50.0, -30.0, -17.0, -10.0, -5.0, -1.0, -1e-3]
        raw += [0.0, 1e-30, 0.5413249, 1.0, 5.0, 17.0, 30.0, 87.5, 100.0, 1e3, 1e4]
        raw += [] if single else [-740.0, -708.0, -300.0, 300.0, 700.0]
        sigma = {
            "identity": lambda u: u,
            "variance": lambda u: u**0.5,
            "softplus": lambda u: float(np.logaddexp(0.0, u)),
            "log": lambda u: float(np.exp(min(u, 80.0))),
            "log_variance": lambda u: float(np.exp(min(u / 2, 80.0))),
        }
        for link, value in sigma.items():
            scales = positive + edge if link in ("identity", "variance") else raw
            rng = np.random.default_rng(21)
            points = [(0.0, u, d) for u in scales for d in differences]
            # A difference of inputs that are both large, and z^2 close to 1, where 1 - z^2 = 0.
            points += [(1e6, u, 1e6 + 1.0) for u in scales]
            points += [(1.0, u, 1.0 + value(u) * k) for u in scales for k in (1.0, 1.0 + 1e-6)]
            points += [(0.0, u, -value(u) * k) for u in scales for k in (1.0, 0.57735)]
            points += [tuple(rng.normal(size=3)) for _ in range(20)]
            if link in ("identity", "variance"):
                points = [(m, abs(u), y) for m, u, y in points]
            add_link(book, link, dtype, points, exact.gaussian_nll)
    book.write()


def differences(dtype):
    """Predictions and targets: equal, close, far apart, with and without rounding."""
    rng = np.random.default_rng(23)
    tiny = float(np.finfo(dtype).smallest_subnormal)
    eps = float(np.finfo(dtype).eps)
    edge = [1e-42, 1.5e19, 3e38] if dtype is np.float32 else [1e-310, 1e154, 1e300]
    d = [0.0, tiny, 1e-30, 1e-10, 1e-5, 1e-3, 0.1, 0.3, 0.5, 0.75, 1.25, 2.0, 5.0, 20.0, 90.0]
    d += [1e3, 1e4, 1e10, *edge]
    points = [(s * x, 0.0) for x in d for s in (1, -1)]
    points += [(1.0 + k * eps, 1.0) for k in (0, 1, 3)] + [
        (1e6 + 0.5, 1e6),
        (0.1, -1e7),
        (1e-8, 3.0),
    ]
    return points + [tuple(rng.normal(size=2) * 3) for _ in range(40)]


def of_difference(loss, function, **named):
    """A loss of prediction - target, for each set of options of ``named``."""
    book = Book(loss)
    for dtype in DTYPES:
        for name, options in (named or {"plain": {}}).items():
            some = [p for p in differences(dtype) if loss != "huber" or huber_is_smooth(p, options)]
            values = tuple(options.values())
            add_points(book, name, dtype, some, options, lambda x, y, v=values: function(x, y, *v))
    book.write()


def huber_is_smooth(point, options):
    """Not so near to |d| = delta that the rounding of d decides which side it is on."""
    d = abs(point[0] - point[1])
    return d == options["delta"] or abs(d / options["delta"] - 1) > 1e-5


def squared_error():
    of_difference("squared_error", exact.squared_error)


def absolute_error():
    of_difference("absolute_error", exact.absolute_error)


def huber():
    deltas = {f"delta{delta:g}": {"delta": delta} for delta in (1.0, 0.25, 1e4)}
    of_difference("huber", exact.huber, **deltas)


def log_cosh():
    of_difference("log_cosh", exact.log_cosh)


def labels(loss, function):
    book = Book(loss)
    for dtype in DTYPES:
        eps = float(np.finfo(dtype).eps)
        z = [0.0, 1e-30, 0.3, 0.9, 1.0 - eps / 2, 1.0, 1.0 + eps, 1.1, 2.0, 1e4, 1e15]
        points = [(s * x, y) for x in z for s in (1, -1) for y in (-1.0, 1.0)]
        add_points(book, "plain", dtype, points, {}, function)
    book.write()


def hinge():
    labels("hinge", exact.hinge)


def squared_hinge():
    labels("squared_hinge", exact.squared_hinge)


def raw_numbers(dtype, link):
    """Raw parameters of a positive link, from one end of its range to the other."""
    if link == "identity":
        edge = [1e-44, 1e-39, 3e38] if dtype is np.float32 else [1e-320, 1e-300, 1e300]
        return [1e-30, 1e-10, 1e-3, 0.5, 1.0, 2.0, 100.0, 1e10, 1e30, *edge]
    raw = [-1e4, -1e3, -104.0, -100.0, -87.5, -62.0, -30.0, -17.0, -10.0, -5.0, -1.0, -1e-3]
    raw += [0.0, 1e-30, 0.5413249, 1.0, 5.0, 17.0, 30.0, 62.0, 64.0, 87.5, 100.0, 1e3, 1e4]
    return raw + ([] if dtype is np.float32 else [-740.0, -708.0, -300.0, 300.0, 505.0, 700.0])


def linked_value(link, u):
    """The positive parameter, roughly, limited to what a target can be."""
    return {"identity": u, "log": np.exp(min(u, 80.0)), "softplus": np.logaddexp(0.0, u)}[link]


def laplace_nll():
    book = Book("laplace_nll")
    for dtype in DTYPES:
        tiny = float(np.finfo(dtype).smallest_subnormal)
        differences = [0.0, tiny, 1e-30, 1e-5, 0.5, -3.0, 1e4, -1e15, 1e30]
        for link in ("identity", "softplus", "log"):
            rng = np.random.default_rng(24)
            raw = raw_numbers(dtype, link)
            points = [(0.0, u, d) for u in raw for d in differences]
            points += [(1e6, u, 1e6 + 1.0) for u in raw]
            # Near r = 1, where 1 - r = 0, and r = 1/2.
            points += [
                (0.0, u, -linked_value(link, u) * k) for u in raw for k in (1.0, 1 + 1e-6, 0.5)
            ]
            points += [(m, abs(u), y) for m, u, y in (rng.normal(size=3) for _ in range(20))]
            add_link(book, link, dtype, points, exact.laplace_nll)
    book.write()


def exponential_nll():
    book = Book("exponential_nll")
    for dtype in DTYPES:
        eps = float(np.finfo(dtype).eps)
        for link in ("identity", "softplus", "log"):
            raw = raw_numbers(dtype, link)
            points = [(u, y) for u in raw for y in (0.0, 1e-30, 1e-5, 0.3, 1.0, 1e4, 1e10, 1e30)]
            # Near the mean 1 / b to the last digits, then away from it.
            for u in raw:
                mean = 1.0 / max(linked_value(link, u), 1e-30)
                points += [(u, mean * (1 + k)) for k in (0.0, eps, -3 * eps, 1e-3, -0.3, 0.6)]
            add_link(book, link, dtype, points, exact.exponential_nll)
    book.write()


def poisson_nll():
    book = Book("poisson_nll")
    for dtype in DTYPES:
        eps = float(np.finfo(dtype).eps)
        tiny = float(np.finfo(dtype).smallest_subnormal)
        away = [0.0, eps, -3 * eps, 1e-5, 1e-3, -0.3, 0.6, -0.7, 4.0]
        for link in ("identity", "softplus", "log"):
            raw = raw_numbers(dtype, link)
            counts = [0.0, tiny, 1e-30, 0.3, 0.7, 1.0, 2.0, 17.0, 1e3, 1e7, 1e10]
            points = [(u, y) for u in raw for y in counts]
            # Near the rate to the last digits, then away from it.  Beyond 1/eps the rounding
            # of a linked rate moves the value in second order: nobody could know it.
            near = [u for u in raw if link == "identity" or linked_value(link, u) < 1 / eps]
            points += [(u, linked_value(link, u) * (1 + k)) for u in near for k in away]
            for y in (0.3, 1.0, 5.0, 42.0, 1e4, 1e6, 1e10):
                u = {"identity": y, "log": np.log(y), "softplus": y + np.log(-np.expm1(-y))}[link]
                points += [(u + k * (u if link == "identity" else 1.0), y) for k in away]
            points = [(u, y) for u, y in points if abs(u) < 3e38 and y < 3e38]
            add_link(book, link, dtype, points, exact.poisson_nll)
    book.write()


def student_t_nll():
    book = Book("student_t_nll")
    degrees = [1e-2, 0.1, 0.5, 1.0, 1.49, 1.51, 2.0, 2.12, 2.13, 3.0, 4.5, 10.0, 30.0, 100.0]
    degrees += [1e3, 1e5, 1e7, 1e10, INF]
    away = [0.0, 1e-30, 1e-5, 0.1, 0.5, 1.0, 1.0 + 1e-6, -1.7, 3.0, -10.0, 1e3, 1e8, 1e12, 1e18]
    raw = [-1e4, -1e3, -104.0, -30.0, -5.0, -0.5, 0.0, 0.7, 3.0, 25.0, 80.0, 1e3, 1e4]
    links = ("identity", "identity"), ("softplus", "identity"), ("log", "identity")
    links += ("softplus", "softplus"), ("log", "log"), ("log", "softplus")
    for dtype in DTYPES:
        for link, df_link in links:
            rng = np.random.default_rng(25)
            scales = [1e-10, 0.3] if link == "identity" else [-20.0, 2.0]
            points = []
            for nu in degrees if df_link == "identity" else raw[3:11]:
                for u in scales:
                    points += [(0.0, u, nu, linked_value(link, u) * z) for z in away]
            if df_link != "identity":
                far = [0.0, 1e-30, 0.5, -3.0, 1e18]
                points += [(0.0, u, nu, d) for u in raw[::3] for nu in raw for d in far]
            # A difference of inputs that are both large, and z^2 = nu, where d2/dmean2 is 0.
            points += [(1e6, 1.0, nu, 1e6 + 1.5) for nu in degrees[:5] + raw[4:8] if nu > 0]
            points += [(0.0, 1.0, nu, linked_value(link, 1.0) * nu**0.5) for nu in degrees[:-1]]
            random = rng.normal(size=(40, 4)) * [1, 1, 2, 2]
            points += [(m, abs(u), abs(nu) + 0.01, y) for m, u, nu, y in random]
            for name, chosen, full in (("", points, True), ("-not-full", points[::9], False)):
                options = {"link": link, "df_link": df_link, "full": full}
                values = tuple(options.values())
                add_points(
                    book,
                    f"{link}-{df_link}{name}",
                    dtype,
                    chosen,
                    options,
                    lambda *row, v=values: exact.student_t_nll(*row, *v),
                    finite=df_link != "identity",
                )
    book.write()


def gamma_nll():
    book = Book("gamma_nll")
    for dtype in DTYPES:
        eps = float(np.finfo(dtype).eps)
        shapes = [1e-30, 1e-10, 1e-3, 0.1, 0.5, 1.0, 1.4616321, 2.0, 3.0, 7.99, 8.0, 9.99, 10.0]
        shapes += [15.9, 16.0, 50.0, 1e3, 1e5, 1e7, 1e12]
        rates = [1e-30, 1e-10, 0.37, 1.0, 42.0, 1e10]
        away = [0.0, eps, -3 * eps, 1e-5, 1e-3, -0.05, 0.3, -0.5, 0.6, 1.0, -0.999, 1e4]
        points = []
        for i, a in enumerate(shapes):
            b = rates[i % len(rates)]
            # Near the mean a/b to the last digits, then away from it.
            points += [(a, b, (a / b) * (1 + k)) for k in away]
            points += [(a, 1.7, (a / 1.7) * (1 + k / max(a, 1.0) ** 0.5)) for k in (0.6, -0.6)]
            points += [(a, rates[(i + 2) % len(rates)], y) for y in (1e-30, 0.3, 1.0, 1e10, 1e30)]
        links = {"identity": points}

        low = [-1e4, -1e3, -104.0, -87.5, -50.0, -20.0, -5.0, -1.0, -0.3]
        high = [0.0, 0.7, 1.0, 2.5, 5.0, 20.0, 87.0, 1e3]
        raw = low + high
        for link in ("softplus", "log"):
            rng = np.random.default_rng(22)
            top = [1e4, 1e6, 1e10] if link == "softplus" else []

            def inverse(p, link=link):
                return np.log(p) if link == "log" else p + np.log(-np.expm1(-p))

            def forward(u, link=link):
                return np.exp(u) if link == "log" else np.logaddexp(0.0, u)

            some = [(u, v, y) for u in raw + top for v in raw[::2] + top for y in (0.3, 1e10)]
            some += [(u, v, 1e-30) for u in raw[::2] for v in raw[::2]]
            some += [(u, -0.3, 1.0) for u in raw + top]
            # Near the mean under the rounded raw parameters.
            for a in (0.01, 0.5, 1.5, 9.0, 60.0, 500.0, 1e4):
                for b in (0.02, 1.0, 30.0):
                    u, v = (float(dtype(inverse(p))) for p in (a, b))
                    mean = forward(u) / forward(v)
                    some += [(u, v, mean * (1 + k)) for k in (0.0, eps, 1e-3, -0.3)]
            some += [(*rng.normal(size=2) * 2, float(rng.gamma(2.0))) for _ in range(40)]
            links[link] = some
        for link, chosen in links.items():
            add_link(book, link, dtype, chosen, exact.gamma_nll)
    book.write()


def over_classes(name):
    book = Book(name)
    exact_classes.MAKERS[name](book, DTYPES, soft_targets)
    book.write()


def vectors(name):
    book = Book(name)
    for dtype in DTYPES:
        getattr(points_vectors, name)(book, dtype)
    book.write()


if __name__ == "__main__":
    makers = {loss.name: globals()[loss.name] for loss in nk.losses() if loss.name in globals()}
    makers |= {name: partial(over_classes, name) for name in exact_classes.MAKERS}
    makers |= {n: partial(vectors, n) for n in ("multivariate_gaussian_nll", "triplet_margin")}
    for name in sys.argv[1:] or makers:
        makers[name]()
