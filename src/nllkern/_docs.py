"""Docstrings of the loss objects: one text a loss; what all losses share is written once.

``$name`` in a text stands for the shared text of that name below.
"""

import inspect
from string import Template

SHARED = {
    "arrays": """\
Floating-point inputs are float32 or float64, and those of one call share one dtype; lists,
integers and Python numbers take the dtype of the others (float64 if there is none).
C-contiguous arrays are read where they lie, read-only ones included.  Whatever else NumPy can
convert (lists, other strides or byte orders, torch CPU tensors, memoryviews, DLPack exporters)
is converted to such an array first, which costs a copy.""",
    "common": """\
reduction : {"mean", "sum", "none"}, default "mean"
    "mean" divides the weighted sum by the sum of the weights of the samples that count, and is
    0.0 with zero derivatives if there are none; "none" keeps one value per sample.
    Gradients are those of the reduced value; for "none", each sample's own.
sample_weight : array_like, optional
    One weight per sample, in the shape of the loss; multiplies its value and derivatives.
    A sample of weight 0 does not count, whatever its data.
normalizer : float, optional
    The denominator of "mean" instead of the sum of the weights, for gradients that are
    accumulated over several batches.  Positive and finite; only with ``reduction="mean"``.
out : $out_type, optional
    $out_text
    Every array has the shape and dtype of its prediction, is C-contiguous and may be that
    prediction itself, which is then overwritten; it overlaps nothing else.
num_threads : int, optional
    Threads for this call, instead of the current default.  Small calls use one.
check : bool, default False
    Read through the inputs first and raise ValueError at the first one outside the domain.""",
    "one_out": """\
Not for the value alone.  Receives the gradient; for ``value_grad_hess`` a pair
    (gradient, second derivatives), either of which may be None.""",
    "more_outs": """\
Not for the value alone.  Receives the gradients, one array per prediction in the order of
    the arguments, None for those to be allocated and for predictions that are one number;
    for ``value_grad_hess`` a pair of such tuples.""",
    "value": """\
``loss(...)``
    The value: a float, summed in float64, for "mean" and "sum"; for "none" an array in the
    dtype of the inputs.""",
    "one_prediction": """\
$value
``loss.grad(...)``
    The gradient, an array like `$prediction`.
``loss.value_and_grad(...)``
    (value, gradient) from one pass over the inputs.
``loss.value_grad_hess(...)``
    (value, gradient, second derivatives); the last is the diagonal of the Hessian of each
    sample, an array like `$prediction`, weighted and reduced as the gradient is.""",
    "more_predictions": """\
$value
``loss.grad(...)``
    The gradients: a tuple of arrays, one per prediction in the order of the arguments.  For a
    prediction that is one number, a float: the sum over the samples, for every reduction.
``loss.value_and_grad(...)``
    (value, gradients) from one pass over the inputs.
``loss.value_grad_hess(...)``
    (value, gradients, second derivatives); the last is a tuple like the gradients: the second
    derivative of each sample by each prediction, weighted and reduced as the gradients are.""",
    "raises": """\
TypeError
    For dtypes other than float32 and float64, inputs of different float dtypes, a wrong number
    of positional arguments, an unknown keyword.
ValueError
    For shapes that do not fit, keyword values out of range, an `out` that cannot be written to
    or overlaps an input in part; with ``check=True`` for inputs outside the domain.
    All errors are raised before anything is written.""",
    "nan": """\
A NaN among the inputs of a sample makes that sample's value and derivatives NaN, and the
reduced value with it, and nothing else.""",
    "same": """\
Results have the same bits for any number of threads.""",
}

DOCSTRINGS = {
    "cross_entropy": r"""
Softmax cross-entropy of logits with class indices or class probabilities.

Called with::

    loss(logits, target, *, class_weight=None, label_smoothing=0.0, ignore_index=None,
         z_loss=0.0, softcap=None, <common keywords>)

For one sample with logits z_k and target probabilities t_k (one-hot for an index)::

    s_k   = softcap tanh(z_k / softcap),  or z_k without softcap
    lse   = log(sum_k exp(s_k)),          p_k = exp(s_k - lse)
    tau_k = class_weight_k ((1 - label_smoothing) t_k + label_smoothing / K)
    T     = sum_k tau_k

    value = sum_k tau_k (lse - s_k) + z_loss lse^2
    grad  = (T p_k - tau_k + 2 z_loss lse p_k) s'_k
    hess  = ((T + 2 z_loss lse) p_k (1 - p_k) + 2 z_loss p_k^2) s'_k^2
            + (T p_k - tau_k + 2 z_loss lse p_k) s''_k

For a plain target that is -log p_target with gradient p - t.  No constant is dropped, and none
is added: the entropy of a soft target is not subtracted.  Values are in nats.

$arrays

Parameters
----------
logits : array_like, shape (..., K), K >= 1
    Unnormalised log-probabilities, classes on the last axis.  Any array whose rows are
    contiguous and evenly spaced is read where it lies.
target : array_like, shape (...) or (..., K)
    Integers: class indices, 0 <= index < K or `ignore_index`; int32 and int64 are not copied.
    Floating point in the logits' shape: probabilities >= 0, which need not sum to one.
class_weight : array_like, shape (K,), optional
    Multiplies each class's term of the smoothed target.
label_smoothing : float, default 0.0
    In [0, 1]: the share of the target that is spread evenly over all K classes.
ignore_index : int, optional
    Samples with this class index do not count; nor do probability rows whose whole mass lies
    on this class.
z_loss : float, default 0.0
    Coefficient >= 0 of the squared logsumexp.  Class weights do not multiply it.
softcap : float, optional
    Positive: the bound c of c tanh(z/c), which replaces the logits.
$common

Returns
-------
$one_prediction

Raises
------
IndexError
    For a class index that is neither in [0, K) nor `ignore_index`, named with its position.
$raises

Notes
-----
"mean" divides by the sum of sample_weight * class_weight[target] over the samples that are not
ignored for class indices, and by the sum of sample_weight for probabilities.

A logit of -inf is a masked class: probability 0, derivatives exactly 0; if the target gives it
mass, the value is +inf.  A logit of +inf, or a row of nothing but -inf, makes the sample NaN.
$nan

The sum over the classes other than the largest is kept apart from it, so that a confident and
correct row has a small loss and gradient, not zero [1]_.
$same

References
----------
.. [1] P. Blanchard, D. J. Higham, N. J. Higham, "Accurately computing the log-sum-exp and
   softmax functions", IMA Journal of Numerical Analysis 41 (2021) 2311-2330.
.. [2] C. M. Bishop, "Pattern Recognition and Machine Learning", Springer 2006, section 4.3.4.
.. [3] C. Szegedy et al., "Rethinking the Inception architecture for computer vision",
   CVPR 2016 (label smoothing).
.. [4] A. Chowdhery et al., "PaLM: scaling language modeling with pathways", Journal of Machine
   Learning Research 24 (2023) 240 (z-loss).
.. [5] Gemma Team, "Gemma 2: improving open language models at a practical size",
   arXiv:2408.00118 (softcap).

Examples
--------
>>> import numpy as np
>>> import nllkern as nk
>>> logits = np.array([[2.0, 0.0, -1.0], [0.0, 1.0, 1.0]])
>>> value, grad = nk.cross_entropy.value_and_grad(logits, np.array([0, 2]))
>>> round(value, 4)
0.5159
>>> grad.round(4).tolist()
[[-0.0781, 0.0571, 0.021], [0.0777, 0.2112, -0.2888]]

Probabilities as targets, and smoothing:

>>> soft = np.array([[0.8, 0.1, 0.1], [0.0, 0.5, 0.5]])
>>> nk.cross_entropy(logits, soft, label_smoothing=0.1, reduction="none").round(4).tolist()
[0.7865, 0.8953]
""",
    "binary_cross_entropy": r"""
Binary cross-entropy of logits with targets anywhere in [0, 1].

Called with::

    loss(logits, target, *, pos_weight=None, <common keywords>)

For one sample with logit z and target y, softplus(z) = log(1 + exp(z)), sigmoid(z) =
1 / (1 + exp(-z)), pos_weight w (1 if not given)::

    value = w y softplus(-z) + (1 - y) softplus(z)
    grad  = (1 - y) sigmoid(z) - w y sigmoid(-z)
    hess  = ((1 - y) + w y) sigmoid(z) sigmoid(-z)

Without pos_weight the gradient is sigmoid(z) - y.  No constant is dropped, and none is added:
the entropy of a fractional target is not subtracted.  Values are in nats.

$arrays

Parameters
----------
logits : array_like
    Log-odds of the positive class, of any shape, or one number for all targets.
target : array_like, the shape of logits
    Probability of the positive class, 0 <= y <= 1.  Outside of that the formula is computed as
    it stands.
pos_weight : array_like, optional
    Weight of the positive term: a number, or an array that broadcasts to the logits.
$common

Returns
-------
$one_prediction

Raises
------
$raises

Notes
-----
Logits of +-inf give the exact limit: with 0 * inf = 0, the value is 0 for a target on that side
and +inf otherwise.
$nan

One exponential serves both softplus and both sigmoids, and small values keep all their
digits [1]_.
$same

References
----------
.. [1] M. Maechler, "Accurately computing log(1 - exp(-|a|))", vignette of the R package Rmpfr.
.. [2] C. M. Bishop, "Pattern Recognition and Machine Learning", Springer 2006, section 4.3.2.

Examples
--------
>>> import numpy as np
>>> import nllkern as nk
>>> logits = np.array([0.0, 2.0, -3.0])
>>> value, grad = nk.binary_cross_entropy.value_and_grad(logits, np.array([0.5, 1.0, 0.0]))
>>> round(value, 4)
0.2896
>>> grad.round(4).tolist()
[0.0, -0.0397, 0.0158]
""",
    "gaussian_nll": r"""
Negative log-density of the normal distribution, mean and scale predicted.

Called with::

    loss(mean, scale, target, *, link="identity", full=True, <common keywords>)

For one sample with mean mu, standard deviation sigma = link(scale), target y and
z = (y - mu) / sigma::

    value = log(sigma) + z^2 / 2 + log(2 pi) / 2     (the last term only if full)

    d/dmu       = -z / sigma          d2/dmu2       = 1 / sigma^2
    d/dlogsigma = 1 - z^2             d2/dlogsigma2 = 2 z^2

and from log(sigma) to the raw scale u by the chain rule:

==================  =======================  ==================
link                sigma                    domain of scale
==================  =======================  ==================
``"identity"``      u                        u > 0
``"softplus"``      log(1 + exp(u))          any number
``"log"``           exp(u)                   any number
``"variance"``      sqrt(u)                  u > 0
``"log_variance"``  exp(u / 2)               any number
==================  =======================  ==================

`mean` and sigma are in the units of `target`.  Values are in nats; with ``full`` they are those
of the density in the units of the target.

$arrays

Parameters
----------
mean : array_like
    Predicted mean, of any shape, or one number for all targets.
scale : array_like, the shape of mean
    Raw scale, from which `link` makes sigma, or one number for all targets.
target : array_like, the shape of mean
    Any number.
link : {"identity", "softplus", "log", "variance", "log_variance"}, default "identity"
    How `scale` becomes sigma.
full : bool, default True
    Keep log(2 pi) / 2, which depends on no parameter.  Without it, and with a sigma of 1, the
    value is half the squared error.
$common

Returns
-------
$more_predictions

Raises
------
$raises

Notes
-----
A scale outside the domain of its link makes the sample NaN.  Finite inputs under the other links
give finite results unless the exact one overflows the dtype, also where sigma itself
underflows.
$nan

$same

References
----------
.. [1] D. A. Nix, A. S. Weigend, "Estimating the mean and variance of the target probability
   distribution", IEEE International Conference on Neural Networks 1994.
.. [2] C. M. Bishop, "Pattern Recognition and Machine Learning", Springer 2006, section 1.2.4.

Examples
--------
>>> import numpy as np
>>> import nllkern as nk
>>> mean, raw, target = np.array([0.0, 1.0]), np.array([0.0, 0.5]), np.array([1.0, 1.5])
>>> value, (d_mean, d_raw) = nk.gaussian_nll.value_and_grad(mean, raw, target, link="softplus")
>>> round(value, 4)
1.3088
>>> d_mean.round(4).tolist(), d_raw.round(4).tolist()
([-1.0407, -0.2635], [-0.39, 0.2353])

One sigma for all targets; its gradient is a float:

>>> value, (d_mean, d_sigma) = nk.gaussian_nll.value_and_grad(mean, 1.0, target)
>>> d_sigma
0.375
""",
    "gamma_nll": r"""
Negative log-density of the gamma distribution, shape and rate predicted.

Called with::

    loss(shape, rate, target, *, link="identity", full=True, <common keywords>)

For one sample with shape a = link(shape), rate b = link(rate) and target y > 0; the mean of the
distribution is a / b, its variance a / b^2::

    value = lgamma(a) - a log(b) - (a - 1) log(y) + b y

    d/da = digamma(a) - log(b y)      d2/da2 = trigamma(a)
    d/db = y - a / b                  d2/db2 = a / b^2

and to the raw parameters u by the chain rule:

==============  ================  ================================
link            parameter         domain of both raw parameters
==============  ================  ================================
``"identity"``  u                 u > 0
``"softplus"``  log(1 + exp(u))   any number
``"log"``       exp(u)            any number
==============  ================  ================================

`shape` has no unit, `rate` has the inverse unit of `target`.  Values are in nats; with ``full``
they are those of the density in the units of the target.

$arrays

Parameters
----------
shape : array_like
    Raw shape, of any array shape, or one number for all targets.
rate : array_like, the array shape of shape
    Raw rate (the inverse scale), or one number for all targets.
target : array_like, the array shape of shape
    Positive numbers.
link : {"identity", "softplus", "log"}, default "identity"
    How `shape` and `rate` become the parameters.
full : bool, default True
    Keep + log(y), which depends on no parameter.
$common

Returns
-------
$more_predictions

Raises
------
$raises

Notes
-----
A target <= 0 is impossible: value +inf, derivatives NaN.  A parameter outside the domain of its
link makes the sample NaN.  Finite parameters under the other links give finite results unless
the exact one overflows the dtype.
$nan

The value is computed as lgamma(a) - a log(a) + a, in which nothing large is left, plus
log(y) plus a (r - 1 - log(r)) with r = b y / a, the form of [1]_: nothing cancels at large shapes.
$same

References
----------
.. [1] C. Loader, "Fast and accurate computation of binomial probabilities", 2000.
.. [2] P. McCullagh, J. A. Nelder, "Generalized Linear Models", 2nd edition, Chapman and Hall
   1989, chapter 8.
.. [3] NIST Digital Library of Mathematical Functions, section 5.11, https://dlmf.nist.gov/5.11.

Examples
--------
>>> import numpy as np
>>> import nllkern as nk
>>> shape, rate = np.array([2.0, 3.0]), np.array([1.0, 0.5])
>>> target = np.array([1.0, 6.0])
>>> value, (d_shape, d_rate) = nk.gamma_nll.value_and_grad(shape, rate, target)
>>> round(value, 4)
1.5945
>>> d_shape.round(4).tolist(), d_rate.round(4).tolist()
([0.2114, -0.0879], [-0.5, 0.0])
""",
}


def docstring(name: str) -> str:
    """The docstring of the loss of that name, shared texts filled in."""
    text = DOCSTRINGS[name]
    several = "$more_predictions" in text
    parameters = text.partition("----------\n")[2]
    words = {
        "out_type": "tuple of numpy.ndarray" if several else "numpy.ndarray",
        "out_text": SHARED["more_outs" if several else "one_out"],
        "prediction": parameters.partition(" :")[0],
    }
    while "$" in text:
        text = Template(text).substitute(SHARED, **words)
    return inspect.cleandoc(text)
