"""InfoNCE: what samples see of each other, outputs, conversion of inputs, bad input."""

import pickle

import numpy as np
import pytest
from cases_info_nce import FORMS, each_dtype, each_form, each_normalize, pairs

import nllkern as nk
from nllkern import reference

pytestmark = pytest.mark.thin

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


# Outputs and bad input.


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


Q, K = pairs(4, 4, 3)


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
