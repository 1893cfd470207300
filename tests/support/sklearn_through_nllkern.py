"""A plugin of pytest: scikit-learn's own tests of losses, with nllkern behind six of them.

    python -m pytest -p sklearn_through_nllkern --pyargs sklearn._loss

It replaces the Cython classes behind six losses and deselects the tests of other losses.
"""

import numpy as np
import sklearn._loss.loss as losses

import nllkern as nk


class Kernels:
    """What the Cython class of a loss does, by nllkern.  Outputs may have another dtype."""

    loss_object, options, classes = None, {}, False
    has_unit_hess = False  # scikit-learn's stand-in for second derivatives that are zero in parts

    def __init__(self, **options):
        vars(self).update(options)  # Huber's delta is an attribute
        self.options = {**self.options, **options}

    def arguments(self, y_true, raw_prediction, sample_weight, n_threads):
        target = np.asarray(y_true).astype(np.int64) if self.classes else y_true
        return (raw_prediction, target), {
            **self.options,
            "sample_weight": sample_weight,
            "num_threads": n_threads,
            "reduction": "none",
        }

    def loss(self, y_true, raw_prediction, sample_weight, loss_out, n_threads=1):
        inputs, options = self.arguments(y_true, raw_prediction, sample_weight, n_threads)
        loss_out[...] = self.loss_object(*inputs, **options)

    def gradient(self, y_true, raw_prediction, sample_weight, gradient_out, n_threads=1):
        inputs, options = self.arguments(y_true, raw_prediction, sample_weight, n_threads)
        gradient_out[...] = self.loss_object.grad(*inputs, **options)

    def loss_gradient(
        self, y_true, raw_prediction, sample_weight, loss_out, gradient_out, n_threads=1
    ):
        inputs, options = self.arguments(y_true, raw_prediction, sample_weight, n_threads)
        loss_out[...], gradient_out[...] = self.loss_object.value_and_grad(*inputs, **options)

    def gradient_hessian(
        self, y_true, raw_prediction, sample_weight, gradient_out, hessian_out, n_threads=1
    ):
        inputs, options = self.arguments(y_true, raw_prediction, sample_weight, n_threads)
        _, gradient_out[...], hess = self.loss_object.value_grad_hess(*inputs, **options)
        if self.has_unit_hess:
            hess = 1.0 if sample_weight is None else sample_weight
        hessian_out[...] = hess


class CyHalfSquaredError(Kernels):
    loss_object = nk.squared_error


class CyAbsoluteError(Kernels):
    loss_object, has_unit_hess = nk.absolute_error, True


class CyHuberLoss(Kernels):
    loss_object, has_unit_hess = nk.huber, True


class CyHalfPoissonLoss(Kernels):
    loss_object, options = nk.poisson_nll, {"link": "log", "full": False}


class CyHalfBinomialLoss(Kernels):
    loss_object = nk.binary_cross_entropy


class CyHalfMultinomialLoss(Kernels):
    loss_object, classes = nk.cross_entropy, True

    def gradient_proba(
        self, y_true, raw_prediction, sample_weight, gradient_out, proba_out, n_threads=1
    ):
        self.gradient(y_true, raw_prediction, None, proba_out, n_threads)
        proba_out[np.arange(len(y_true)), np.asarray(y_true).astype(int)] += 1.0
        self.gradient(y_true, raw_prediction, sample_weight, gradient_out, n_threads)

    def _test_cy_gradient(self, y_true, raw_prediction, sample_weight):
        gradient = np.empty(raw_prediction.shape)
        self.gradient(y_true, raw_prediction, sample_weight, gradient)
        return gradient


NAMES = set()
for kernels in Kernels.__subclasses__():
    assert hasattr(losses, kernels.__name__)
    setattr(losses, kernels.__name__, kernels)
    NAMES.add(kernels.__name__.removeprefix("Cy"))


def is_replaced(value):
    """Whether a parameter of a test is a loss with nllkern behind it, its class or its name."""
    value = losses._LOSSES.get(value, value) if isinstance(value, str) else value
    name = value.__name__ if isinstance(value, type) else type(value).__name__
    return name in NAMES


def pytest_collection_modifyitems(config, items):
    """Leave the tests with one of the losses as a parameter, or named in their code.

    Those of `array_api` are of other code, for the arrays of other libraries.
    """
    chosen, others = [], []
    for item in items:
        parameters = item.callspec.params.values() if hasattr(item, "callspec") else ()
        uses = any(map(is_replaced, parameters)) or NAMES & set(item.function.__code__.co_names)
        (chosen if uses and "array_api" not in item.name else others).append(item)
    config.hook.pytest_deselected(items=others)
    items[:] = chosen
