"""Losses over classes beside cross-entropy, of one sample, as textbooks write them: exact.py."""

from mpmath import mp, mpf

try:
    from .exact import DIGITS, _sigmoid, _times
except ImportError:  # run as a script of this folder
    from exact import DIGITS, _sigmoid, _times


def normalized_sigmoid_nll(z, target, class_weight, label_smoothing):
    """``target`` is a list of probabilities (one-hot for an index)."""
    with mp.workdps(DIGITS["softmax"]):
        classes = len(z)
        z = [mpf(x) for x in z]
        sigmoid = [mpf(0) if x == -mp.inf else _sigmoid(x) for x in z]
        total = mp.fsum(sigmoid)
        eps = mpf(label_smoothing)
        tau = [
            mpf(w) * ((1 - eps) * mpf(t) + eps / classes)
            for w, t in zip(class_weight, target, strict=True)
        ]
        mass = mp.fsum(tau)
        theta = [x / total for x in sigmoid]
        value = mp.fsum(
            _times(t, mp.inf if x == 0 else -mp.log(x)) for t, x in zip(tau, theta, strict=True)
        )
        grad, hess = [], []
        for x, s, p, t in zip(z, sigmoid, theta, tau, strict=True):
            slope = mpf(0) if x == -mp.inf else _sigmoid(-x)
            g, masked = mass * p - t, x == -mp.inf
            grad.append(mpf(0) if masked else g * slope)
            h = mass * p * (1 - p) * slope**2 - g * s * slope
            hess.append(mpf(0) if masked else h)
        return value, grad, hess


def kl_divergence(z, target, link):
    with mp.workdps(DIGITS["softmax"]):
        z, target = [mpf(x) for x in z], [mpf(t) for t in target]
        if link == "log":
            log_p = z
            p, mass = None, None
        else:
            top = max(z)
            lse = top + mp.log(mp.fsum(mp.exp(x - top) for x in z))
            log_p = [x - lse for x in z]
            p, mass = [mp.exp(x) for x in log_p], mp.fsum(target)
        value = mp.fsum(
            mpf(0) if t == 0 else t * (mp.log(t) - x) for t, x in zip(target, log_p, strict=True)
        )
        grad = [-t if link == "log" else mass * p[k] - t for k, t in enumerate(target)]
        hess = [mpf(0) if link == "log" else mass * p[k] * (1 - p[k]) for k in range(len(z))]
        masked = [x == -mp.inf for x in z]
        return (
            value,
            [mpf(0) if m else g for m, g in zip(masked, grad, strict=True)],
            [mpf(0) if m else h for m, h in zip(masked, hess, strict=True)],
        )


def multiclass_hinge(scores, target, margin, variant):
    """``target`` is the class index."""
    with mp.workdps(DIGITS["softmax"]):
        s = [mpf(x) for x in scores]
        target = int(target)
        others = [k for k in range(len(s)) if k != target and s[k] != -mp.inf]
        if variant == "crammer_singer" and others:
            largest = max(s[k] for k in others)
            others = [next(k for k in others if s[k] == largest)]
        active = [k for k in others if mpf(margin) + s[k] - s[target] > 0]
        value = mp.fsum(mpf(margin) + s[k] - s[target] for k in active)
        grad = [mpf(int(k in active)) for k in range(len(s))]
        grad[target] = mpf(0) if s[target] == -mp.inf else -mpf(len(active))
        return value, grad, [mpf(0)] * len(s)


# Points, and what is written of them.  ``book`` collects tables: make_golden.py.

import numpy as np  # noqa: E402

INF = np.inf


def sigmoid_rows(classes, dtype, rng):
    """(row, target) pairs: tiny sigmoids, sigmoids of almost 1, and both."""
    last = classes - 1
    rows = []

    def add(row, *targets):
        rows.extend((np.array(row, float), t) for t in targets)

    few = max(classes - 2, 0)
    add(np.full(classes, -1e4), last)  # every theta is tiny
    add(rng.normal(size=classes) - 1e4, 0, last)
    add(rng.normal(size=classes) * 3 - 1e3, last)
    for shift in (-100.0, -20.0, -5.0, -0.5, 0.5, 3.0, 10.0, 17.0, 30.0, 80.0, 120.0, 700.0):
        add(rng.normal(size=classes) * min(1.0, abs(shift)) + shift, int(rng.integers(classes)))
    for gap in (1e-6, 1e-3, 1.0, 10.0, 30.0, 60.0, 86.0, 88.5, 95.0, 100.0, 300.0, 720.0, 1e4):
        add(np.r_[5.0, np.full(last, -gap)], 0, last)  # confident: right and wrong
        add(np.r_[-gap, np.full(last, -2 * gap)], 0)
        add(np.r_[gap, np.full(last, -gap)], 0)
    add(np.r_[np.zeros(last), 1e4], 0, last)
    add(np.full(classes, 7.25), last)
    add(np.zeros(classes), 0)
    add(np.linspace(-90, 90, classes), 0, last, classes // 2)
    for scale in (1.0, 10.0, 100.0):
        add(rng.normal(size=classes) * scale, int(rng.integers(classes)))
    if classes > 1:
        row = rng.normal(size=classes) * 5
        row[::2] = -INF
        add(row, 1, 0)
        add(np.r_[np.full(last, -INF), 1.5], last)
        add(np.r_[INF, rng.normal(size=last)], 0, last)
        add(np.r_[-30.0, -31.0, np.full(few, -INF)], 0, 1)
    if classes > 33:
        rows = rows[:: 3 if classes == 100 else 9]
    return rows


def make_normalized_sigmoid_nll(book, dtypes, soft_targets):
    def add(name, dtype, z, target, **options):
        z = np.asarray(z, dtype)
        classes = z.shape[1]
        if target.dtype.kind == "f":
            target = target.astype(dtype)
            t = target.tolist()
        else:
            t = np.eye(classes)[target].tolist()
        w = options.get("class_weight", np.ones(classes)).tolist()
        eps = options.get("label_smoothing", 0.0)
        rows = zip(z.tolist(), t, strict=True)
        results = [normalized_sigmoid_nll(r, p, w, eps) for r, p in rows]
        book.add(name, dtype, [z, target], options, results)

    for dtype in dtypes:
        rng = np.random.default_rng(23)
        for classes in (1, 2, 3, 10, 17, 100, 1000):
            rows, targets = zip(*sigmoid_rows(classes, dtype, rng), strict=True)
            add(f"index-{classes}", dtype, rows, np.array(targets))
        for classes in (3, 17):
            rows, targets = zip(*sigmoid_rows(classes, dtype, rng), strict=True)
            rows, targets = np.array(rows), np.array(targets)
            finite = np.isfinite(rows).all(1)
            weight = rng.uniform(0.1, 3.0, classes).astype(dtype)
            soft = soft_targets(classes, len(rows), rng)
            eps = 0.0999755859375  # float32 holds it
            add(f"one-hot-{classes}", dtype, rows, np.eye(classes)[targets])
            add(f"soft-{classes}", dtype, rows, np.where(np.isfinite(rows), soft, 0.0))
            add(f"weight-{classes}", dtype, rows, targets, class_weight=weight)
            add(f"smooth-{classes}", dtype, rows[finite], targets[finite], label_smoothing=eps)
            every = {"class_weight": weight, "label_smoothing": eps}
            add(f"all-soft-{classes}", dtype, rows[finite], soft[finite], **every)


def divergence_rows(classes, dtype, rng):
    """(row of logits, target) pairs: far apart, close together, the same."""
    eps = float(np.finfo(dtype).eps)
    rows = []

    def probabilities(z):
        e = np.exp(z - z.max())
        return e / e.sum()

    for scale in (0.1, 1.0, 5.0, 20.0, 100.0):
        z = rng.normal(size=classes) * scale
        p = probabilities(z)
        rows.append((z, p))  # t = p to rounding
        for away in (eps, 1e-5, 1e-3, 0.05, 0.3, 0.41, 0.5):
            t = p * (1 + away * rng.choice([-1, 1], size=classes))
            rows.append((z, t / t.sum()))
        rows.append((z, rng.dirichlet(np.full(classes, 0.3))))
        rows.append((z, np.eye(classes)[rng.integers(classes)]))
        rows.append((z, np.eye(classes)[z.argmax()]))  # confident, and right
        rows.append((z, np.full(classes, 1 / classes)))
        rows.append((z + 1e6, np.full(classes, 1 / classes)))
        rows += [(z, p * k) for k in (0.0, 1e-6, 0.5, 3.0, 1e3)]  # need not sum to 1
        rows.append((z, p * rng.uniform(size=classes)))
    flat = np.zeros(classes)
    for gap in (30.0, 39.0, 41.0, 86.0, 95.0, 110.0, 398.0, 402.0, 730.0, 800.0, 1e4):
        z = np.r_[gap, flat[1:]]
        rows.append((z, np.full(classes, 1 / classes)))
        rows.append((z, np.r_[1.0, flat[1:]]))
        rows.append((z, np.r_[flat[1:], 1.0]))
        tiny = np.full(classes, 1e-25)
        tiny[0] = 1.0
        rows.append((z, tiny))
        rows.append((z, np.r_[1.0, np.full(classes - 1, float(np.finfo(dtype).tiny) / 4)]))
    return rows


def make_kl_divergence(book, dtypes, soft_targets):
    for dtype in dtypes:
        rng = np.random.default_rng(24)
        for classes in (1, 2, 3, 10, 17, 100):
            pairs = divergence_rows(classes, dtype, rng)
            if classes > 33:
                pairs = pairs[::3]
            if classes > 2:
                z, t = rng.normal(size=classes), rng.dirichlet(np.ones(classes))
                z[1] = -INF
                pairs.append((z, np.where(np.isfinite(z), t, 0.0)))  # 0 log 0 = 0
                pairs.append((z, t))  # impossible
                pairs.append((np.r_[np.full(classes - 1, -INF), 1.5], np.eye(classes)[-1]))
            z, t = (np.array(x).astype(dtype) for x in zip(*pairs, strict=True))
            for link in ("softmax", "log"):
                if link == "log":  # log-probabilities: sums of exponentials that are 1, or are not
                    with np.errstate(all="ignore"):
                        wide = z.astype(float)
                        wide = wide - wide.max(-1, keepdims=True)
                        wide[::2] -= np.log(np.exp(wide[::2]).sum(-1, keepdims=True))
                    z = wide.astype(dtype)
                    with np.errstate(divide="ignore"):
                        near = np.log(t[:12].astype(float)).astype(dtype)
                    z, t = np.concatenate([z, near]), np.concatenate([t, t[:12]])
                rows = zip(z.tolist(), t.tolist(), strict=True)
                results = [kl_divergence(r, p, link) for r, p in rows]
                book.add(f"{link}-{classes}", dtype, [z, t], {"link": link}, results)


def make_multiclass_hinge(book, dtypes, soft_targets):
    for dtype in dtypes:
        eps = float(np.finfo(dtype).eps)
        rng = np.random.default_rng(25)
        for classes in (1, 2, 3, 10, 17, 100):
            rows, targets = [], []
            for scale in (1e-3, 0.3, 1.0, 10.0, 1e6):
                for _ in range(4):
                    rows.append(rng.normal(size=classes) * scale)
                    targets.append(int(rng.integers(classes)))
            last = classes - 1
            # On the edge of the margin, and within the rounding of a difference of it.
            for near in (0.0, eps, -eps, 1e-30, -1e-30, 1e-3):
                rows += [np.r_[1.0 + near, np.zeros(last)], np.r_[near, np.full(last, -1.0)]]
                rows += [np.r_[0.5, np.full(last, -0.5 + near)], np.r_[0.25 + near, np.zeros(last)]]
                targets += [0, 0, 0, 0]
            rows += [np.full(classes, 2.0), np.full(classes, -1e30), np.r_[np.zeros(last), 1e30]]
            targets += [last, 0, 0]
            if classes > 2:
                row = rng.normal(size=classes)
                row[1] = -INF
                rows += [row, row]
                targets += [0, 1]
            z, t = np.array(rows).astype(dtype), np.array(targets)
            for variant in ("crammer_singer", "weston_watkins"):
                for margin in (1.0, 0.25, 0.0):
                    points = zip(z.tolist(), t.tolist(), strict=True)
                    results = [multiclass_hinge(r, y, margin, variant) for r, y in points]
                    options = {"variant": variant, "margin": margin}
                    book.add(f"{variant}-{margin:g}-{classes}", dtype, [z, t], options, results)


MAKERS = {
    "normalized_sigmoid_nll": make_normalized_sigmoid_nll,
    "kl_divergence": make_kl_divergence,
    "multiclass_hinge": make_multiclass_hinge,
}
