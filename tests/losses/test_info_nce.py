"""InfoNCE: its reference and mpmath, what samples see of each other, memory, bits, real use."""

import itertools
import pickle
import tracemalloc

import numpy as np
import pytest

import nllkern as nk
from nllkern import reference
from nllkern._engine import use_simd_level
from nllkern.reference import _math as rm

pytestmark = pytest.mark.thin

FORMS = ("queries", "symmetric", "nt_xent")
DTYPES = ("float32", "float64")
SIZES = [(1, 1, 3), (2, 2, 1), (7, 7, 5), (300, 300, 16), (1, 4, 2), (7, 12, 5), (300, 777, 33)]
each_form = pytest.mark.parametrize("form", FORMS)
each_dtype = pytest.mark.parametrize("dtype", DTYPES)
each_normalize = pytest.mark.parametrize("normalize", [True, False], ids=["unit", "raw"])


def pairs(n, m, d, dtype="float64", seed=0):
    """Queries and keys that resemble each other."""
    rng = np.random.default_rng(seed)
    queries, keys = rng.normal(size=(n, d)), rng.normal(size=(m, d))
    keys[:n] += queries
    return queries.astype(dtype), keys.astype(dtype)


def fits(form, n, m):
    return form == "queries" or n == m


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


@each_normalize
@each_form
def test_gradients_by_differences(form, normalize):
    n, m, d = (5, 8 if form == "queries" else 5, 4)
    args = pairs(n, m, d)
    weight = np.array([0.5, 0.0, 2.0, 1.0, 0.3])
    options = {"form": form, "normalize": normalize, "temperature": 0.5, "sample_weight": weight}
    grads = nk.info_nce.grad(*args, **options)
    for j, at in [(0, at) for at in np.ndindex(n, 4)] + [(1, at) for at in np.ndindex(m, 4)]:
        values = []
        for step in (-2e-4, -1e-4, 1e-4, 2e-4):
            moved = [x.copy() for x in args]
            moved[j][at] += step
            values.append(nk.info_nce(*moved, **options))
        numeric = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / 12e-4
        assert abs(numeric - grads[j][at]) < 1e-10


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


def exact_info_nce(queries, keys, temperature, normalize, form):
    """Losses and gradients of their sum, by the textbook formulas."""
    mp = pytest.importorskip("mpmath").mp
    with mp.workdps(80):
        vectors = [[[mp.mpf(float(v)) for v in row] for row in x] for x in (queries, keys)]
        n, t = len(vectors[0]), mp.mpf(temperature)

        def dot(x, y):
            return mp.fsum(a * b for a, b in zip(x, y, strict=True))

        lengths = [[mp.sqrt(dot(r, r)) for r in x] for x in vectors]
        if normalize:
            vectors = [
                [[v / (size or 1) for v in r] for r, size in zip(x, sizes, strict=True)]
                for x, sizes in zip(vectors, lengths, strict=True)
            ]
        z = vectors[0] + vectors[1]
        total = len(z)
        side = {
            "queries": [(i, range(n, total), n + i, 1) for i in range(n)],
            "symmetric": [(i, range(n, total), n + i, 0.5) for i in range(n)]
            + [(n + i, range(n), i, 0.5) for i in range(n)],
            "nt_xent": [
                (i, [j for j in range(total) if j != i], (i + n) % total, 0.5) for i in range(total)
            ],
        }[form]
        losses = [mp.mpf(0)] * n
        grads = [[mp.mpf(0)] * len(z[0]) for _ in z]
        for i, candidates, own, share in side:
            s = {j: dot(z[i], z[j]) / t for j in candidates}
            top = max(s.values())
            e = {j: mp.exp(v - top) for j, v in s.items()}
            whole = mp.fsum(e.values())
            rest = mp.fsum(v for j, v in e.items() if j != own)
            losses[i % n] += share * mp.log1p(rest / e[own])
            for j in candidates:
                g = share * (-rest if j == own else e[j]) / whole / t
                for c in range(len(z[0])):
                    grads[i][c] += g * z[j][c]
                    grads[j][c] += g * z[i][c]
        if normalize:
            for i, size in enumerate(lengths[0] + lengths[1]):
                inner = dot(z[i], grads[i])
                grads[i] = [
                    (g - u * inner) / size if size else mp.mpf(0)
                    for g, u in zip(grads[i], z[i], strict=True)
                ]
        grads = np.array([[float(g) for g in row] for row in grads])
        return np.array([float(x) for x in losses]), [grads[:n], grads[n:]]


@each_dtype
@each_form
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
        exact, exact_grads = exact_info_nce(queries, keys, temperature, normalize, form)
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


# Samples that do not count, and those that others see.


@each_dtype
def test_query_of_weight_zero_is_not_looked_at(dtype):
    queries, keys = pairs(6, 9, 4, dtype)
    weight = np.array([1, 0, 2, 0.5, 0, 1], dtype)
    want = nk.info_nce.value_and_grad(queries, keys, sample_weight=weight)
    queries[[1, 4]] = [[np.nan] * 4, [np.inf] * 4]
    value, grads = nk.info_nce.value_and_grad(queries, keys, sample_weight=weight)
    assert value == want[0]
    for g, w in zip(grads, want[1], strict=True):
        assert np.array_equal(g, w)
    assert not grads[0][[1, 4]].any()


@each_form
def test_pair_of_weight_zero_is_a_negative_of_the_others(form):
    queries, keys = pairs(6, 6, 4)
    weight = np.array([1.0, 0, 1, 1, 1, 1])
    got = nk.info_nce(queries, keys, form=form, sample_weight=weight)
    each = nk.info_nce(queries, keys, form=form, reduction="none")
    assert got == pytest.approx(np.delete(each, 1).mean(), rel=1e-14)


@each_form
@each_dtype
def test_nothing_counts(form, dtype):
    queries, keys = pairs(5, 5, 3, dtype)
    queries[2] = np.nan
    for q, k, w in (
        (queries, keys, np.zeros(5, dtype)),
        (queries[:0], keys[: 5 if form == "queries" else 0], None),
    ):
        value, grads = nk.info_nce.value_and_grad(q, k, form=form, sample_weight=w)
        assert value == 0.0
        assert [g.shape for g in grads] == [q.shape, k.shape]
        assert not any(g.any() for g in grads)
        none = nk.info_nce(q, k, form=form, sample_weight=w, reduction="none")
        assert none.shape == (len(q),)
        assert not none.any()


def test_nan_stays_where_it_can():
    queries, keys = pairs(5, 5, 3)
    bad = queries.copy()
    bad[2, 1] = np.nan
    value, (d_queries, d_keys) = nk.info_nce.value_and_grad(bad, keys, reduction="none")
    assert np.isnan(value).tolist() == [False, False, True, False, False]
    assert np.isnan(d_queries).any(axis=1).tolist() == [False, False, True, False, False]
    assert np.isnan(d_keys).all()
    right = nk.info_nce(queries, keys, reduction="none")
    assert np.array_equal(np.delete(value, 2), np.delete(right, 2))
    bad = keys.copy()
    bad[2, 1] = np.inf
    assert np.isnan(nk.info_nce(queries, bad, reduction="none")).all()
    for form in FORMS[1:]:
        assert np.isnan(nk.info_nce(queries, bad, form=form, reduction="none")).all()
    assert np.isnan(nk.info_nce(bad, keys))


@each_form
def test_zero_row_has_no_gradient(form):
    queries, keys = pairs(5, 5, 3)
    queries[1] = keys[3] = 0
    value, grads = nk.info_nce.value_and_grad(queries, keys, form=form)
    assert np.isfinite(value)
    assert not grads[0][1].any()
    assert not grads[1][3].any()
    assert np.all(np.isfinite(grads[0]))


@each_dtype
def test_lengths_do_not_count(dtype):
    """Scaled by powers of two: the same bits of the value, gradients over the scale."""
    queries, keys = pairs(40, 40, 6, dtype)
    scale = np.exp2(np.random.default_rng(2).integers(-60, 60, (40, 1))).astype(dtype)
    for form in FORMS:
        value, grads = nk.info_nce.value_and_grad(queries, keys, form=form)
        again, scaled = nk.info_nce.value_and_grad(queries * scale, keys / scale, form=form)
        assert value == again
        assert np.array_equal(grads[0], scaled[0] * scale)
        assert np.array_equal(grads[1], scaled[1] / scale)


# Outputs.


@each_normalize
@each_form
@each_dtype
def test_out(form, dtype, normalize):
    """The caller's arrays, the inputs themselves among them, in any arrangement."""
    queries, keys = pairs(70, 70, 5, dtype)
    options = {"form": form, "normalize": normalize}
    value, want = nk.info_nce.value_and_grad(queries, keys, **options)
    _, twice = nk.info_nce.value_and_grad(queries, queries, **options)
    q, k = queries.copy(), keys.copy()
    fresh = np.full_like(q, np.nan)
    arrangements = {
        "new": (q, k, (fresh, np.full_like(k, np.nan)), want),
        "in place": (q.copy(), k.copy(), "01", want),
        "crossed": (q.copy(), k.copy(), "10", want),
        "queries only": (q.copy(), k.copy(), "0-", want),
        "keys only": (q.copy(), k.copy(), "-1", want),
        "keys over queries": (q.copy(), k.copy(), "-0", want),
        "queries over keys": (q.copy(), k.copy(), "1-", want),
    }
    for name, (a, b, out, right) in arrangements.items():
        if isinstance(out, str):
            out = tuple({"0": a, "1": b, "-": None}[c] for c in out)
        got, grads = nk.info_nce.value_and_grad(a, b, out=out, **options)
        assert got == value, name
        for g, o, w in zip(grads, out, right, strict=True):
            assert o is None or g is o
            assert np.array_equal(g, w), name
    same = queries.copy()
    for out in ((same, None), (None, same)):
        same[...] = queries
        grads = nk.info_nce.grad(same, same, out=out, **options)
        for g, w in zip(grads, twice, strict=True):
            assert np.array_equal(g, w)


def test_inputs_are_not_written_and_are_converted():
    queries, keys = pairs(9, 12, 4)
    value, grads = nk.info_nce.value_and_grad(queries, keys)
    for q, k in (
        (queries.tolist(), keys.tolist()),
        (np.asfortranarray(queries), keys[:, ::-1].copy()[:, ::-1]),
        (np.repeat(queries, 2, axis=0)[::2], keys.astype(">f8")),
        (queries.tolist(), keys),
    ):
        got, same = nk.info_nce.value_and_grad(q, k)
        assert got == value
        assert all(np.array_equal(a, b) for a, b in zip(same, grads, strict=True))
    frozen = queries.copy(), keys.copy()
    for x in frozen:
        x.flags.writeable = False
    for form in FORMS:
        k = frozen[1] if form == "queries" else frozen[1][:9]
        nk.info_nce.grad(frozen[0], k, form=form, normalize=False)
    assert np.array_equal(frozen[0], queries)
    assert np.array_equal(frozen[1], keys)
    ints = [[1, 0], [0, 1]]
    assert nk.info_nce(ints, ints) == nk.info_nce(np.eye(2), np.eye(2))


# Bad input.

Q, K = pairs(4, 4, 3)
Q4 = Q.astype("float32")
BAD = [
    ((Q,), {}, TypeError, ["1 positional", "queries, keys"]),
    ((Q, K, K), {}, TypeError, ["3 positional", "queries, keys"]),
    ((Q, K), {"temprature": 1.0}, TypeError, ["'temprature'", "temperature"]),
    ((Q, K), {"link": "log"}, TypeError, ["'link'"]),
    ((Q, K), {"temperature": 0.0}, ValueError, ["temperature is 0.0", "positive"]),
    ((Q, K), {"temperature": -1}, ValueError, ["temperature is -1", "positive"]),
    ((Q, K), {"temperature": np.nan}, ValueError, ["temperature is nan", "positive"]),
    ((Q, K), {"temperature": np.inf}, ValueError, ["temperature is inf", "finite"]),
    ((Q, K), {"temperature": "hot"}, TypeError, ["temperature is 'hot'", "number"]),
    ((Q, K), {"form": "both"}, ValueError, ["form is 'both'", "symmetric"]),
    ((Q, K), {"reduction": "max"}, ValueError, ["reduction is 'max'"]),
    ((Q, K), {"normalizer": -1.0}, ValueError, ["normalizer is -1.0"]),
    ((Q, K), {"num_threads": 0}, ValueError, ["num_threads is 0"]),
    ((Q[0], K), {}, ValueError, ["queries have shape (3,)", "(rows, D)"]),
    ((Q, K[0]), {}, ValueError, ["keys have shape (3,)", "(rows, D)"]),
    ((Q[:, :0], K[:, :0]), {}, ValueError, ["queries have shape (4, 0)", "D >= 1"]),
    ((Q, K[:, :2]), {}, ValueError, ["keys have shape (4, 2)", "(M, 3)"]),
    ((Q, K[:3]), {}, ValueError, ["keys have shape (3, 3)", "M >= 4"]),
    ((Q[:3], K), {"form": "symmetric"}, ValueError, ["keys has shape (4, 3)", "(3, 3)"]),
    ((Q[:3], K), {"form": "nt_xent"}, ValueError, ["keys has shape (4, 3)", "nt_xent"]),
    ((Q, K.astype("f4")), {}, TypeError, ["keys has dtype float32", "float64"]),
    ((Q.astype("f2"), K), {}, TypeError, ["queries has dtype float16", "float32 or float64"]),
    ((Q.astype(complex), K), {}, TypeError, ["queries has dtype complex128"]),
    ((Q, K), {"sample_weight": np.ones(3)}, ValueError, ["sample_weight has shape (3,)", "(4,)"]),
    ((Q, K), {"sample_weight": np.ones(4, "f4")}, TypeError, ["sample_weight has dtype float32"]),
    ((Q, K * [1, np.nan, 1]), {"check": True}, ValueError, ["keys[0, 1] is nan", "finite"]),
    ((Q4 * np.float32(np.inf), K.astype("f4")), {"check": True}, ValueError, ["queries[0, 0]"]),
]


@pytest.mark.parametrize(("args", "options", "error", "parts"), BAD)
def test_bad_input(args, options, error, parts):
    dtype = Q4.dtype if args[0].dtype == Q4.dtype else Q.dtype
    outs = tuple(np.full(np.shape(x), 7, dtype) for x in args[:2])
    for call in (nk.info_nce, nk.info_nce.grad, nk.info_nce.value_and_grad):
        more = [{}] if call is nk.info_nce or len(args) != 2 else [{}, {"out": outs}]
        for extra in more:
            with pytest.raises(error) as raised:
                call(*args, **options, **extra)
            message = str(raised.value)
            assert message.startswith("info_nce: ")
            if not (extra and "out" in message):
                assert all(part in message for part in parts), message
    assert all(np.all(x == 7) for x in outs)


@pytest.mark.parametrize(
    ("out", "error", "part"),
    [
        ((np.zeros((4, 3)), np.zeros((4, 2))), ValueError, "out[1] has shape (4, 2)"),
        ((np.zeros((4, 3), "f4"), None), TypeError, "out[0] has dtype float32"),
        ((np.zeros((4, 6))[:, ::2], None), ValueError, "out[0] has strides"),
        (np.zeros((4, 3)), TypeError, "expected a tuple of 2 arrays"),
        ((None,), TypeError, "tuple of 1"),
    ],
)
def test_bad_out(out, error, part):
    with pytest.raises(error) as raised:
        nk.info_nce.grad(Q, K, out=out)
    assert part in str(raised.value)


def test_out_that_overlaps():
    memory = np.zeros((5, 3))
    memory[:4] = Q
    for out in ((memory[1:], None), (None, memory[1:]), (memory[:4], memory[1:])):
        with pytest.raises(ValueError, match="overlaps"):
            nk.info_nce.grad(memory[:4], K, out=out)
    same = np.zeros((4, 3))
    with pytest.raises(ValueError, match=r"out\[0\] partly overlaps out\[1\]"):
        nk.info_nce.grad(Q, K, out=(same, same))
    with pytest.raises(TypeError, match="out receives gradients"):
        nk.info_nce(Q, K, out=(None, None))
    assert np.array_equal(memory[:4], Q)


def test_second_derivatives_are_refused():
    out = np.full_like(Q, 7)
    with pytest.raises(NotImplementedError, match="info_nce: second derivatives"):
        nk.info_nce.value_grad_hess(Q, K, out=((out, None), None))
    assert np.all(out == 7)
    assert "NotImplementedError" in nk.info_nce.__doc__
    with pytest.raises(NotImplementedError):
        reference.info_nce.value_grad_hess(Q, K)


def test_object():
    assert nk.info_nce in nk.losses()
    assert nk.info_nce.parameters == ("queries", "keys")
    assert nk.info_nce.links == ()
    assert pickle.loads(pickle.dumps(nk.info_nce)) is nk.info_nce


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
