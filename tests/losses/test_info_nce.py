"""InfoNCE: its reference and mpmath, memory, bits, real use."""

import itertools
import tracemalloc

import numpy as np
import pytest
from cases_info_nce import FORMS, each_dtype, each_form, each_normalize, pairs

import nllkern as nk
from nllkern import reference
from nllkern._engine import use_simd_level
from nllkern.reference import _math as rm
from nllkern.reference import formulas_vectors
from nllkern.reference.jets import Jet

pytestmark = pytest.mark.thin

SIZES = [(1, 1, 3), (2, 2, 1), (7, 7, 5), (300, 300, 16), (1, 4, 2), (7, 12, 5), (300, 777, 33)]


# How far from the exact result an output may lie.


def dots(n):
    """Roundings, in eps, of a sum of n products by BLAS: n / 2 at the most, in practice less."""
    return min(n / 2, 4 + np.sqrt(n))


def logsumexp(s):
    top = s.max(axis=1)
    return top + np.log(np.exp(s - top[:, None]).sum(axis=1))


@np.errstate(all="ignore")
def bounds(queries, keys, dtype, *, temperature=0.1, normalize=True, form="queries", weight=None):
    """Of the losses (N,), and of both gradients of their weighted sum.

    Granted: what the products of matrices and the normalisation round, and the difference of a
    similarity and the largest.  The rest has 4 eps: of the exact loss, since nothing cancels in
    it, and of the sum of the magnitudes of its terms in a gradient.
    """
    eps = float(np.finfo(dtype).eps)
    raw = np.float64(queries), np.float64(keys)
    lengths = [np.linalg.norm(x, axis=1, keepdims=True) for x in raw]
    unit = [x / np.where(n == 0, 1, n) for x, n in zip(raw, lengths, strict=True)]
    q, k = unit if normalize else raw
    n, d = q.shape
    w = np.ones(n) if weight is None else np.abs(np.float64(weight))

    def rows(left, right, target, weight, hidden=False):
        """Bounds of the losses, and of the gradients by left and right."""
        at = np.arange(len(left)), target
        s = left @ right.T / temperature
        size = np.abs(left) @ np.abs(right).T / temperature
        if hidden:
            np.fill_diagonal(s, -np.inf)
            np.fill_diagonal(size, 0)
        moved = (dots(d) + 2 + 4 * normalize) * size + size.max(axis=1, keepdims=True)
        moved *= eps
        p = np.exp(s - s.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        rest = rm.sum_of_others(p)  # 1 - p
        g = p.copy()
        g[at] = rest[at]
        loss = np.where(p[at] > 0.5, -np.log1p(-rest[at]), -(s[at] - logsumexp(s)))
        of_loss = 4 * eps * np.abs(loss) + (g * moved).sum(axis=1) + np.finfo(dtype).tiny
        spread = p * (rest * moved + rm.sum_of_others(p * moved))
        w = weight[:, None]
        return (
            of_loss,
            ((w * spread) @ abs(right) + terms(len(right)) * (w * g) @ abs(right)) / temperature,
            ((w * spread).T @ abs(left) + terms(len(left)) * (w * g).T @ abs(left)) / temperature,
        )

    def terms(n):
        return (4 + dots(n) + 3 * normalize) * eps

    if form == "queries":
        loss, dq, dk = rows(q, k, np.arange(n), w)
    elif form == "symmetric":
        (a, dq, dk), (b, dk2, dq2) = (rows(x, y, np.arange(n), w / 2) for x, y in ((q, k), (k, q)))
        loss, dq, dk = (a + b) / 2, dq + dq2, dk + dk2
    else:
        z, pair = np.concatenate([q, k]), np.roll(np.arange(2 * n), n)
        both, a, b = rows(z, z, pair, np.tile(w / 2, 2), hidden=True)
        loss, dq, dk = (both[:n] + both[n:]) / 2, (a + b)[:n], (a + b)[n:]
    grads = []
    for g, u, length in zip((dq, dk), (q, k), lengths, strict=True):
        if normalize:
            g = (g + np.abs(u) * (np.abs(u) * g).sum(axis=1, keepdims=True)) / length
        grads.append(np.nan_to_num(g, nan=0.0, posinf=np.finfo(dtype).max) + np.finfo(dtype).tiny)
    return w * loss + eps * np.finfo(dtype).tiny, grads


def assert_within(got, exact, bound, what):
    err = np.abs(np.asarray(got, np.float64) - exact) / bound
    assert np.all(err <= 1), f"{what}: {np.nanmax(err):.3g} of the bound"


# Against the reference.


def sizes():
    for n, m, d in SIZES:
        for form in FORMS if n == m else FORMS[:1]:
            yield pytest.param(form, n, m, d, id=f"{form}-{n}-{m}-{d}")


@pytest.mark.thin(1)
@each_normalize
@each_dtype
@pytest.mark.parametrize(("form", "n", "m", "d"), list(sizes()))
def test_matches_reference(form, n, m, d, dtype, normalize):
    queries, keys = pairs(n, m, d, dtype)
    weight = np.random.default_rng(1).uniform(0, 2, n).astype(dtype)
    weight[1::3] = 0
    for w in (None, weight):
        own = {"form": form, "normalize": normalize, "temperature": 0.2}
        of_loss, of_grads = bounds(queries, keys, dtype, weight=w, **own)
        own["sample_weight"] = w
        exact, exact_grads = reference.info_nce.value_and_grad(
            queries, keys, reduction="none", **own
        )
        total = n if w is None else float(w.sum(dtype=np.float64))
        scale = 1 if dtype == "float32" else 2  # the reference has float64's roundings too
        for level in nk.simd_levels():
            for options, over in (
                ({"reduction": "none"}, 1),
                ({"reduction": "sum"}, 1),
                ({}, total),
                ({"normalizer": 3.5}, 3.5),
            ):
                with use_simd_level(level):
                    value, grads = nk.info_nce.value_and_grad(queries, keys, **own, **options)
                    again = nk.info_nce(queries, keys, **own, **options)
                    also = nk.info_nce.grad(queries, keys, **own, **options)
                if options == {"reduction": "none"}:
                    assert value.dtype == dtype
                    assert value.shape == (n,)
                    assert_within(value, exact, scale * of_loss, "losses")
                else:
                    assert type(value) is float
                    assert_within(value * over, exact.sum(), scale * of_loss.sum(), str(options))
                for g, e, b in zip(grads, exact_grads, of_grads, strict=True):
                    assert g.dtype == dtype
                    assert_within(g, e / over, scale * b / over, f"gradient, {options}")
                assert np.array_equal(again, value)
                assert all(np.array_equal(a, b) for a, b in zip(also, grads, strict=True))


@each_form
def test_reference_reduces(form):
    queries, keys = pairs(5, 5, 3)
    weight = np.array([0.5, 0.0, 2.0, 1.0, 0.3])
    own = {"form": form, "sample_weight": weight}
    each, grads = reference.info_nce.value_and_grad(queries, keys, reduction="none", **own)
    mean, mean_grads = reference.info_nce.value_and_grad(queries, keys, **own)
    assert mean == pytest.approx(each.sum() / 3.8, rel=1e-14)
    for g, m in zip(grads, mean_grads, strict=True):
        np.testing.assert_allclose(m, g / 3.8, rtol=1e-14)


def test_forms_by_hand():
    """Each form in terms of cross_entropy and of the form "queries"."""
    queries, keys = pairs(6, 6, 3)
    q, k = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (queries, keys))
    s = q @ k.T / 0.1
    rows = nk.cross_entropy(s, np.arange(6), reduction="none")
    columns = nk.cross_entropy(s.T.copy(), np.arange(6), reduction="none")
    np.testing.assert_allclose(nk.info_nce(queries, keys, reduction="none"), rows, rtol=1e-12)
    got = nk.info_nce(queries, keys, form="symmetric", reduction="none")
    np.testing.assert_allclose(got, (rows + columns) / 2, rtol=1e-12)
    z = np.concatenate([q, k])
    s = z @ z.T / 0.1
    np.fill_diagonal(s, -np.inf)
    both = nk.cross_entropy(s, np.roll(np.arange(12), 6), reduction="none")
    got = nk.info_nce(queries, keys, form="nt_xent", reduction="none")
    np.testing.assert_allclose(got, (both[:6] + both[6:]) / 2, rtol=1e-12)
    np.testing.assert_allclose(nk.info_nce(queries, keys, form="nt_xent"), both.mean(), rtol=1e-12)


# Hard points, against mpmath.

HARD = {
    "identical": [[1.0, 2.0, 3.0]] * 4,
    "orthogonal": np.eye(4),
    "opposite": [[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]],
    "nearly identical": 1 + np.eye(4) * 2.0**-20,
    "huge": [[1e30, 2e30, -1e30], [3e30, 1e30, 0.0], [1e30, -1e30, 2e30], [1e-30, 0.0, 3e30]],
    "tiny": [[1e-36, 2e-36, 0.0], [3e-36, 0.0, 1e-36], [0.0, 1e-37, 2e-36], [1e-36] * 3],
    "of all lengths": [[1e30, 1e29, 0.0], [1e-30, 2e-30, 3e-31], [1.0, 0.0, 5.0], [3e9, -1e9, 1.0]],
    "one is zero": [[1.0, 2.0, 3.0], [0.0, 0.0, 0.0], [-1.0, 2.0, 0.0], [1.0, 1.0, 1.0]],
}


def exact_info_nce(queries, keys, **options):
    """Losses and gradients of their sum, by the value formula in mpmath and its tape."""
    exact = pytest.importorskip("nllkern.reference.exact")
    with exact.mp.workdps(80):
        f = exact.functions(80)
        inputs = [
            [[Jet((exact.mpf(float(v)),)) for v in row] for row in x] for x in (queries, keys)
        ]
        losses = formulas_vectors.info_nce(f, *inputs, **options)
        by = sum(losses).gradients()
        grads = [[[float(by[v][0]) if v in by else 0.0 for v in row] for row in x] for x in inputs]
        return np.array([float(x.value) for x in losses]), list(map(np.array, grads))


@each_dtype
@each_form
@pytest.mark.thread_unsafe(reason="sets the digits of mpmath, which are the process's")
@pytest.mark.parametrize("shift", [0, 1], ids=["itself", "the next"])
@pytest.mark.parametrize("name", HARD)
def test_hard_points(name, shift, form, dtype):
    """Each vector with itself as positive, or the next."""
    queries = np.array(HARD[name], dtype)
    keys = np.roll(queries, shift, axis=0).copy()
    for normalize, temperature in itertools.product((True, False), (0.01, 1.0)):
        if not normalize and not 1e-10 < np.abs(queries).max() < 1e10:
            continue  # squares leave the range of float32
        own = {"form": form, "normalize": normalize, "temperature": temperature}
        exact, exact_grads = exact_info_nce(queries, keys, **own)
        of_loss, of_grads = bounds(queries, keys, dtype, **own)
        for level in nk.simd_levels():
            with use_simd_level(level):
                value, grads = nk.info_nce.value_and_grad(queries, keys, reduction="none", **own)
            assert_within(value, exact, of_loss, "value")
            for g, e, b in zip(grads, exact_grads, of_grads, strict=True):
                over = np.isinf(g) & (np.abs(e) > np.finfo(dtype).max)
                assert_within(np.where(over, 0, g), np.where(over, 0, e), b, "gradient")


@each_dtype
@each_form
def test_confident_pairs_have_small_losses(form, dtype, simd_level):
    """Exact similarities: 4 eps and nothing else, of losses around 1e-28."""
    n = 8
    queries = np.eye(n, dtype=dtype)
    value, (d_queries, _) = nk.info_nce.value_and_grad(
        queries, queries, temperature=1 / 64, form=form, reduction="none"
    )
    others = (2 * n - 2 if form == "nt_xent" else n - 1) * np.exp(-64.0)
    np.testing.assert_allclose(value, np.full(n, others), rtol=4 * np.finfo(dtype).eps)
    # Of each other coordinate, 64 exp(-64) from the row and as much from each further sum.
    sums = {"queries": 1, "symmetric": 1, "nt_xent": 2}[form]
    off = d_queries[~np.eye(n, dtype=bool)]
    assert np.all(off > 0)
    np.testing.assert_allclose(off, 64 * np.exp(-64.0) * sums, rtol=8 * np.finfo(dtype).eps)


@each_form
def test_accumulated_gradient_is_accurate(form):
    """Blocks added in float32 are as good as one product of whole matrices: a few eps."""
    queries, keys = pairs(1100, 1100, 8, "float32")
    grads = nk.info_nce.grad(queries, keys, form=form)
    exact = reference.info_nce.grad(queries, keys, form=form)
    for g, e in zip(grads, exact, strict=True):
        assert np.abs(g - e).max() < 8 * np.finfo("f4").eps * np.abs(e).max()


# Memory and bits.


def blocked(form):
    """Enough rows for several blocks, the last of them shorter."""
    n, m = (1100, 1500) if form == "queries" else (1100, 1100)
    return n, m


@each_form
@each_dtype
def test_same_bits_for_any_number_of_threads(form, dtype):
    queries, keys = pairs(*blocked(form), 24, dtype)
    weight = np.random.default_rng(3).uniform(0, 2, len(queries)).astype(dtype)
    results = []
    for threads in (1, 2, 3, 7):
        options = {"form": form, "sample_weight": weight}
        results.append(nk.info_nce.value_and_grad(queries, keys, num_threads=threads, **options))
        with nk.num_threads(threads):
            results.append(nk.info_nce.value_and_grad(queries, keys, **options))
    for value, grads in results[1:]:
        assert value == results[0][0]
        assert all(np.array_equal(g, w) for g, w in zip(grads, results[0][1], strict=True))


@each_form
@pytest.mark.thread_unsafe(reason="counts the memory of the process")
@pytest.mark.parametrize("method", ["value", "value_and_grad"])
def test_memory(form, method):
    """Under a tenth of the matrix of similarities, besides the results."""
    n, d = 4096, 64
    queries, keys = pairs(n, n, d, "float32")
    out = np.empty_like(queries), np.empty_like(keys)
    tracemalloc.start()
    try:
        if method == "value":
            nk.info_nce(queries, keys, form=form)
        else:
            nk.info_nce.value_and_grad(queries, keys, form=form, out=out)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    matrix = 4 * (2 * n if form == "nt_xent" else n) ** 2
    assert matrix / 1000 < peak < matrix / 10


# Real use.


def test_two_views_of_digits_find_each_other():
    """Encoders of the upper and the lower half of each digit: halves of one image find each other.

    Gradient descent with momentum on the form that CLIP is trained with.  Held-out lower halves
    are searched for each upper half among 400.
    """
    datasets = pytest.importorskip("sklearn.datasets")
    x, _ = datasets.load_digits(return_X_y=True)
    x = (x - x.mean(axis=0)) / 8
    views = x[:, :32], x[:, 32:]
    order = np.random.default_rng(0).permutation(len(x))
    train, held_out = order[400:1000], order[:400]
    rng = np.random.default_rng(1)
    maps = [rng.normal(size=(32, 16)) / 6 for _ in views]
    speed = [np.zeros_like(m) for m in maps]

    def rank():
        """The share of upper halves whose own lower half is among the ten nearest."""
        q, k = (v[held_out] @ m for v, m in zip(views, maps, strict=True))
        k /= np.linalg.norm(k, axis=1, keepdims=True)
        s = q @ k.T
        return np.mean((s > np.diag(s)[:, None]).sum(axis=1) < 10)

    before, values = rank(), []
    for _ in range(100):
        halves = [v[train] @ m for v, m in zip(views, maps, strict=True)]
        value, grads = nk.info_nce.value_and_grad(*halves, form="symmetric", temperature=0.2)
        values.append(value)
        for v, m, s, g in zip(views, maps, speed, grads, strict=True):
            s *= 0.9
            s -= 2.0 * (v[train].T @ g)
            m += s
    assert values[-1] < values[0] - 1
    assert before < 0.1
    assert rank() > 5 * before
