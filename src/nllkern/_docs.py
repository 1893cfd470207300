"""Docstrings of the loss objects: a file each in ``docstrings``; what they share is written here.

``$name`` in a text stands for the shared text of that name below, ``$called`` for the call with all
keywords of the loss and ``$links`` for the table of its links, as its row has them.  Lines
``.. name: text`` above the docstring are for the page "Which loss for which target?".
"""

import inspect
import textwrap
from importlib.resources import files
from string import Template

from .tables import LINKS, LOSSES, Loss

SHARED = {
    "parameters": """\
Floating-point inputs are float32 or float64, and those of one call share one dtype; lists,
integers and Python numbers take the dtype of the others (float64 if there is none).
C-contiguous arrays are read where they lie, read-only ones included.  Whatever else NumPy can
convert (lists, other strides or byte orders, torch CPU tensors, memoryviews, DLPack exporters)
is converted to such an array first, which costs a copy.

Parameters
----------""",
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
    "pair_out": """\
Not for the value alone.  Receives the gradients: a pair of arrays, either of which may be
    None.""",
    "value": """\
Returns
-------
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
    "pair_of_vectors": """\
$value
``loss.grad(...)``
    The gradients: a pair of arrays, one per argument.
``loss.value_and_grad(...)``
    (value, gradients).""",
    "raises": """\
Raises
------
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
    "examples": """\
Examples
--------
>>> import numpy as np
>>> import nllkern as nk""",
}

# What a loss returns, and so what its `out` takes.
OUTS = {"one_prediction": "one_out", "more_predictions": "more_outs", "pair_of_vectors": "pair_out"}


def called(row: Loss) -> str:
    """How the loss is called."""
    defaults = [
        x.name if x.default is ... else f"{x.name}={x.default!r}".replace("'", '"')
        for x in row.options
    ]
    call = f"loss({', '.join([*row.arguments, '*', *defaults, '<common_keywords>'])})"
    lines = "\n".join(textwrap.wrap(call, 95, subsequent_indent="     "))
    return "Called with::\n\n" + textwrap.indent(lines.replace("common_", "common "), "    ")


def links(row: Loss) -> str:
    """The table of the links that lead to the parameters."""
    linked = next((p for p in row.parameters if p.is_linked), row.parameters[0])
    lines = [("link", "parameter", "raw number ``u``")]
    for link in LINKS:
        if link in linked.links and link.in_c:
            raw = (link.raw or linked.support).words
            lines.append((f'``"{link.name}"``', f"``{link.formula}``", raw))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rule = "  ".join("=" * n for n in widths)
    rows = ["  ".join(map(str.ljust, line, widths)).rstrip() for line in lines]
    return "\n".join([rule, rows[0], rule, *rows[1:], rule])


def read(name: str) -> tuple[dict[str, str], str]:
    """The lines ``.. name: text`` above the docstring of a loss, and the docstring."""
    text = (files(__package__) / "docstrings" / f"{name}.rst").read_text("utf-8")
    above, _, rest = text.partition("\n\n")
    lines = [line.removeprefix(".. ").partition(": ") for line in above.splitlines()]
    return {key: words for key, _, words in lines}, rest


def docstring(name: str) -> str:
    """The docstring of the loss of that name, shared texts filled in."""
    text = read(name)[1]
    row = next(row for row in LOSSES if row.name == name)
    out = next(outs for returns, outs in OUTS.items() if f"${returns}" in text)
    words = {
        "called": called(row),
        "links": links(row),
        "out_type": "numpy.ndarray" if out == "one_out" else "tuple of numpy.ndarray",
        "out_text": SHARED[out],
        "prediction": row.parameters[0].name,
    }
    while "$" in text:
        text = Template(text).substitute(SHARED, **words)
    return inspect.cleandoc(text)
