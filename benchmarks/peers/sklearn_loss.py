"""scikit-learn's private loss classes, called as its own estimators call them."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import sklearn
from scipy.special import gammaln
from sklearn._loss import _loss

from .formulas_numpy import mu_law_bin, uniform_bin

LOSSES = {
    "cross_entropy": _loss.CyHalfMultinomialLoss(),
    "binary_cross_entropy": _loss.CyHalfBinomialLoss(),
    "binned_cross_entropy, uniform": _loss.CyHalfMultinomialLoss(),
    "binned_cross_entropy, mu-law": _loss.CyHalfMultinomialLoss(),
    "squared_error": _loss.CyHalfSquaredError(),
    "absolute_error": _loss.CyAbsoluteError(),
    "huber": _loss.CyHuberLoss(1.0),
    "poisson_nll, log": _loss.CyHalfPoissonLoss(),
}
BINS = {"binned_cross_entropy, uniform": uniform_bin, "binned_cross_entropy, mu-law": mu_law_bin}
# It leaves out what of a likelihood depends on the target alone, which the others compute.
CONSTANTS = {"poisson_nll, log": lambda y: gammaln(y + 1).sum()}


def versions():
    return {"scikit-learn": sklearn.__version__}


def build(work, args, out, threads):
    if work.name not in LOSSES:
        return {}
    raw, target = args
    both = LOSSES[work.name].loss_gradient
    bins = BINS.get(work.name)
    if target.dtype.kind == "i":
        target = target.astype(raw.dtype)  # it keeps class indices as floats
    values, grad = np.empty(target.shape, raw.dtype), np.empty_like(raw)

    def value_and_grad():
        both(
            y_true=target if bins is None else bins(target).astype(raw.dtype),
            raw_prediction=raw,
            sample_weight=None,
            loss_out=values,
            gradient_out=grad,
            n_threads=threads,
        )
        return values.sum(), (grad,)

    if work.name not in CONSTANTS:
        return {"loss_gradient": value_and_grad}
    pool, parts = ThreadPoolExecutor(threads), np.array_split(target, threads)

    def with_constant():
        value, grads = value_and_grad()
        return value + sum(pool.map(CONSTANTS[work.name], parts)), grads

    return {"loss_gradient": with_constant}
