"""Losses over classes and of vectors: weights and options far beyond float32, rows of weight 0."""

import numpy as np
import pytest

import nllkern as nk
from nllkern import reference

each_classes = pytest.mark.parametrize("classes", [4, 10, 100, 2500])
FAR = [1e-42, 1e-30, 3e38]


def rows(classes, count=21):
    rng = np.random.default_rng(classes)
    logits = rng.normal(size=(count, classes)).astype("f4")
    index = rng.integers(0, classes, count)
    prob = rng.dirichlet(np.ones(classes), count).astype("f4")
    return logits, index, prob


def assert_equals_reference(loss, args, scale=1.0, **options):
    """Value and gradient; results times `scale` are of ordinary size, in which 40 eps pass."""
    value, grad = loss.value_and_grad(*args, **options)
    exact, exact_grad = getattr(reference, loss.name).value_and_grad(*args, **options)
    assert value == pytest.approx(float(exact), rel=40 * 1.2e-7)
    np.testing.assert_allclose(
        grad.astype("f8") * scale, exact_grad * scale, rtol=5e-6, atol=1e-6 + scale * 2e-45
    )


@each_classes
@pytest.mark.parametrize("weight", FAR)
@pytest.mark.parametrize(
    "options", [{}, {"label_smoothing": 0.1}, {"softcap": 3.0}, {"z_loss": 1e-3}]
)
def test_far_sample_weights(classes, weight, options):
    logits, index, prob = rows(classes)
    weight = np.full(len(index), weight, "f4")
    weight[::5] *= np.float32(0.5)
    for target in (index, prob):
        assert_equals_reference(nk.cross_entropy, (logits, target), sample_weight=weight, **options)


@each_classes
@pytest.mark.parametrize("weight", FAR)
def test_far_sample_weights_of_other_losses(classes, weight):
    logits, index, prob = rows(classes)
    weight = np.full(len(index), weight, "f4")
    own = {"sample_weight": weight}
    assert_equals_reference(nk.normalized_sigmoid_nll, (logits, index), **own)
    assert_equals_reference(nk.normalized_sigmoid_nll, (logits, prob), **own)
    assert_equals_reference(nk.kl_divergence, (logits, prob), **own)
    assert_equals_reference(nk.kl_divergence, (logits, prob), link="log", **own)
    for variant in ("crammer_singer", "weston_watkins"):
        assert_equals_reference(nk.multiclass_hinge, (logits, index), variant=variant, **own)


@each_classes
@pytest.mark.parametrize("weight", FAR)
def test_far_class_weights(classes, weight):
    logits, index, prob = rows(classes)
    class_weight = np.full(classes, weight, "f4")
    class_weight[::3] *= np.float32(0.5)
    for options in ({}, {"label_smoothing": 0.1}):
        own = {"class_weight": class_weight, **options}
        assert_equals_reference(nk.cross_entropy, (logits, index), **own)
        assert_equals_reference(
            nk.cross_entropy, (logits, prob), 1 / weight, reduction="sum", **own
        )


@each_classes
def test_far_weights_meet(classes):
    logits, index, prob = rows(classes)
    own = {
        "sample_weight": np.full(len(index), 1e-30, "f4"),
        "class_weight": np.full(classes, 3e38, "f4"),
        "reduction": "sum",
    }
    for target in (index, prob):
        assert_equals_reference(nk.cross_entropy, (logits, target), 1e-8, **own)


@each_classes
def test_options_outside_float32(classes):
    logits, index, prob = rows(classes)
    tied = logits.copy()
    tied[:, : classes // 2] = tied[np.arange(len(index)), index][:, None]
    for target in (index, prob):
        args = logits, target
        plain = nk.cross_entropy.value_and_grad(*args)
        capped = nk.cross_entropy.value_and_grad(*args, softcap=1e39)
        assert plain[0] == capped[0]
        np.testing.assert_array_equal(plain[1], capped[1])
        value, grad = nk.cross_entropy.value_and_grad(*args, softcap=1e-50)
        assert value == pytest.approx(np.log(classes), rel=1e-6)
        assert not grad.any()
        for z_loss in (1e-50, 1e36):
            assert_equals_reference(nk.cross_entropy, args, min(1, 1 / z_loss), z_loss=z_loss)
    for variant in ("crammer_singer", "weston_watkins"):
        for margin in (0.7, 1e-50, 1e39):
            own = {"variant": variant, "margin": margin}
            assert_equals_reference(nk.multiclass_hinge, (tied, index), **own)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@each_classes
def test_a_row_of_weight_0_may_have_any_index(classes, dtype):
    logits, index, _ = rows(classes)
    logits = logits.astype(dtype)
    weight = np.ones(len(index), dtype)
    weight[3:7] = 0
    logits[3, 0] = np.nan
    other = index.copy()
    other[3:7] = -1, classes, 2**40, -(2**40)
    for loss in (nk.cross_entropy, nk.normalized_sigmoid_nll, nk.multiclass_hinge):
        value, grad = loss.value_and_grad(logits, index, sample_weight=weight)
        again, other_grad = loss.value_and_grad(logits, other, sample_weight=weight)
        assert value == again == value
        np.testing.assert_array_equal(grad, other_grad)
        assert not grad[3:7].any()
        with pytest.raises(IndexError, match=r"target\[4\]"):
            loss(
                logits,
                other,
                sample_weight=np.where(np.arange(len(index)) == 3, 0, 1).astype(dtype),
            )


@pytest.mark.parametrize("far", [np.inf, np.nan])
@each_classes
def test_the_weight_of_an_absent_class_does_not_matter(classes, far):
    logits, index, prob = rows(classes)
    index[index == 1] = 0
    prob[:, 1] = 0
    one_hot = np.eye(classes, dtype="f4")[index]
    class_weight = np.ones(classes, "f4")
    usual = [
        nk.cross_entropy.value_and_grad(logits, t, class_weight=class_weight)
        for t in (index, one_hot, prob)
    ]
    class_weight[1] = far
    for target, (value, grad) in zip((index, one_hot, prob), usual, strict=True):
        got, got_grad = nk.cross_entropy.value_and_grad(logits, target, class_weight=class_weight)
        assert got == value
        np.testing.assert_array_equal(got_grad, grad)


@pytest.mark.parametrize("weight", FAR)
def test_far_weights_of_vectors(weight):
    rng = np.random.default_rng(0)
    for d in (3, 40):
        mean, y, other = rng.normal(size=(3, 19, d)).astype("f4")
        factor = np.eye(d, dtype="f4") + np.tri(d, k=-1, dtype="f4") / 10
        w = np.full(19, weight, "f4")
        usual = nk.triplet_margin.value_and_grad(mean, y, other, margin=5.0)
        got = nk.triplet_margin.value_and_grad(mean, y, other, margin=5.0, sample_weight=w)
        assert got[0] == pytest.approx(usual[0], rel=1e-6)
        for a, b in zip(got[1], usual[1], strict=True):
            np.testing.assert_allclose(a, b, rtol=2e-6, atol=1e-8)
        for L in (factor, np.broadcast_to(factor, (19, d, d))):
            usual = nk.multivariate_gaussian_nll.value_and_grad(mean, L, y)
            got = nk.multivariate_gaussian_nll.value_and_grad(mean, L, y, sample_weight=w)
            assert got[0] == pytest.approx(usual[0], rel=1e-6)
            for a, b in zip(got[1], usual[1], strict=True):
                np.testing.assert_allclose(a, b, rtol=2e-6, atol=1e-7)


@pytest.mark.parametrize("form", ["queries", "symmetric", "nt_xent"])
@pytest.mark.parametrize("weight", FAR)
def test_far_weights_of_pairs(form, weight):
    queries, keys = np.random.default_rng(0).normal(size=(2, 40, 8)).astype("f4")
    w = np.full(40, weight, "f4")
    w[::3] = 0
    usual = nk.info_nce.value_and_grad(queries, keys, form=form, sample_weight=w / w.max())
    got = nk.info_nce.value_and_grad(queries, keys, form=form, sample_weight=w)
    assert got[0] == pytest.approx(usual[0], rel=1e-6)
    for a, b in zip(got[1], usual[1], strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-6, atol=1e-8)
