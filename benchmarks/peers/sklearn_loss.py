"""scikit-learn's private loss classes, called as its own estimators call them."""

import numpy as np
import sklearn
from sklearn._loss._loss import CyHalfBinomialLoss, CyHalfMultinomialLoss

LOSSES = {"cross_entropy": CyHalfMultinomialLoss, "binary_cross_entropy": CyHalfBinomialLoss}


def versions():
    return {"scikit-learn": sklearn.__version__}


def build(loss, args, out, threads):
    if loss not in LOSSES:
        return {}
    raw, target = args
    target = target.astype(raw.dtype)  # it keeps class indices as floats
    both = LOSSES[loss]().loss_gradient
    values, grad = np.empty(target.shape, raw.dtype), np.empty_like(raw)

    def value_and_grad():
        both(
            y_true=target,
            raw_prediction=raw,
            sample_weight=None,
            loss_out=values,
            gradient_out=grad,
            n_threads=threads,
        )
        return values.sum(), (grad,)

    return {"loss_gradient": value_and_grad}
