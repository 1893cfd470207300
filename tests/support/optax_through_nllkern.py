"""A plugin of pytest: optax's own tests of losses, with nllkern.jax behind its functions.

    python -m pytest -p optax_through_nllkern .../optax/losses/_*_test.py

It replaces the functions that nllkern has a loss for and deselects the tests of the others.
"""

import jax
import jax.numpy as jnp
import numpy as np
from optax.losses import _classification, _regression, _self_supervised

import nllkern.jax as nj


def classes_last(x, axis):
    """The axes of the classes as one, the last."""
    axes = (axis,) if isinstance(axis, int) else axis
    axes = [k % x.ndim for k in axes]
    others = [k for k in range(x.ndim) if k not in axes]
    return x.transpose(*others, *axes).reshape(*(x.shape[k] for k in others), -1)


def masked(logits, targets, axis, where):
    """Logits and probabilities without the classes, and the samples, that `where` leaves out."""
    logits, targets = jnp.asarray(logits), jnp.asarray(targets)
    if where is None:
        return classes_last(logits, axis), classes_last(targets, axis)
    where = jnp.expand_dims(where, axis) if where.ndim != logits.ndim else where
    where = classes_last(jnp.broadcast_to(where, logits.shape), axis)
    logits, targets = classes_last(logits, axis), classes_last(targets, axis)
    some = jnp.any(where, -1, keepdims=True)
    logits = jnp.where(where, logits, jnp.where(some, -jnp.inf, 0.0))
    return logits, jnp.where(where, targets, 0.0)


def sigmoid_binary_cross_entropy(logits, labels):
    logits = jnp.asarray(logits)
    return nj.binary_cross_entropy(logits, jnp.asarray(labels, logits.dtype), reduction="none")


def safe_softmax_cross_entropy(logits, labels):
    return softmax_cross_entropy(logits, labels)


def softmax_cross_entropy(logits, labels, axis=-1, where=None):
    return nj.cross_entropy(*masked(logits, labels, axis, where), reduction="none")


def softmax_cross_entropy_with_integer_labels(logits, labels, axis=-1, where=None):
    classes = classes_last(jnp.asarray(logits), axis)
    if where is None:
        return nj.cross_entropy(classes, jnp.asarray(labels), reduction="none")
    one_hot = jax.nn.one_hot(labels, classes.shape[-1])
    return nj.cross_entropy(*masked(classes, one_hot, -1, where), reduction="none")


def hinge_loss(predictor_outputs, targets):
    return nj.hinge(predictor_outputs, targets, reduction="none")


def multiclass_hinge_loss(scores, labels):
    return nj.multiclass_hinge(scores, labels, reduction="none")


def kl_divergence(log_predictions, targets, axis=-1, where=None):
    inputs = jnp.asarray(log_predictions), jnp.asarray(targets)
    if where is not None:
        inputs = [jnp.where(where, x, 0.0) for x in inputs]
    inputs = [classes_last(x, axis) for x in inputs]
    return nj.kl_divergence(*inputs, link="log", reduction="none")


def kl_divergence_with_log_targets(log_predictions, log_targets, axis=-1, where=None):
    return kl_divergence(log_predictions, jnp.exp(log_targets), axis, where)


def compared(predictions, targets):
    """Predictions and targets, which are 0 by default."""
    predictions = jnp.asarray(predictions)
    return predictions, jnp.zeros_like(predictions) if targets is None else jnp.asarray(targets)


def l2_loss(predictions, targets=None):
    return nj.squared_error(*compared(predictions, targets), reduction="none")


def squared_error(predictions, targets=None):
    return 2.0 * l2_loss(predictions, targets)


def huber_loss(predictions, targets=None, *, delta=1.0):
    return nj.huber(*compared(predictions, targets), delta=delta, reduction="none")


def log_cosh(predictions, targets=None):
    return nj.log_cosh(*compared(predictions, targets), reduction="none")


def triplet_margin_loss(
    anchors, positives, negatives, axis=-1, norm_degree=2, margin=1.0, eps=1e-6
):
    inputs = (jnp.moveaxis(x, axis, -1) for x in map(jnp.asarray, (anchors, positives, negatives)))
    return nj.triplet_margin(*inputs, p=norm_degree, margin=margin, reduction="none")


def names_in(code):
    """The names that a function and those inside it use."""
    inner = [names_in(x) for x in code.co_consts if hasattr(x, "co_names")]
    return set(code.co_names).union(*inner)


# The functions that are replaced, and those of optax that call one of them.
NAMES = set()
for module in (_classification, _regression, _self_supervised):
    for name in set(vars(module)) & set(globals()):
        if getattr(globals()[name], "__module__", None) == __name__:
            setattr(module, name, globals()[name])
            NAMES.add(name)
    for name, function in vars(module).items():
        code = getattr(function, "__code__", None)
        if code is not None and function.__module__ == module.__name__ and names_in(code) & NAMES:
            NAMES.add(name)


def pytest_collection_modifyitems(config, items):
    """Leave the tests in whose code one of the functions is named."""
    chosen, others = [], []
    for item in items:
        function = getattr(item.function, "__wrapped__", item.function)
        (chosen if names_in(function.__code__) & NAMES else others).append(item)
    config.hook.pytest_deselected(items=others)
    items[:] = chosen


def pytest_runtest_setup():
    """The tests draw their data, and once in 32 times a mask that leaves nothing."""
    np.random.seed(0)  # noqa: NPY002
