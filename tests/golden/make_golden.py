"""Writes the tables of hard points: ``python tests/golden/make_golden.py`` (needs mpmath).

Inputs are rounded to the dtype first; the exact results belong to the rounded inputs.  The output
is the same bytes on every run.
"""

import io
import itertools
import json
import sys
import zipfile
from pathlib import Path

import exact
import numpy as np
import points_vectors
from mpmath import mp, mpf

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
        if self.loss == "cross_entropy":
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


def add_points(book, name, dtype, points, options, function):
    with np.errstate(over="ignore"):
        columns = np.array(points).T.astype(dtype)
    if book.loss == "gamma_nll":  # drop what rounds to zero or overflows in this dtype
        columns = columns[:, (columns[2] > 0) & np.isfinite(columns).all(0)]
    results = [function(*row) for row in columns.T.tolist()]
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


def vectors(name):
    """The maker of a loss of vectors, whose points have a file of their own."""

    def make():
        book = Book(name)
        for dtype in DTYPES:
            getattr(points_vectors, name)(book, dtype)
        book.write()

    return make


if __name__ == "__main__":
    makers = {f.__name__: f for f in (cross_entropy, binary_cross_entropy, gaussian_nll, gamma_nll)}
    makers |= {name: vectors(name) for name in ("multivariate_gaussian_nll", "triplet_margin")}
    for name in sys.argv[1:] or makers:
        makers[name]()
