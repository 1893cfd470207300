"""Every loss against its tables of hard points: at most 4 ulp, values and derivatives.

``golden/`` holds the tables, ``tolerance.py`` the criterion.
"""

import golden
import numpy as np
import pytest
from tolerance import LIMIT, tolerances

import nllkern as nk

TABLES = golden.tables()


def as_tuple(x):
    return x if isinstance(x, tuple) else (x,)


def row_of(x, i):
    """Row i of an argument, long rows cut short."""
    row = x[i]
    if np.ndim(row) and row.size > 6:
        return f"[{', '.join(map(repr, row[:6].tolist()))}, ...]"
    return repr(row.tolist())


def report(table, what, got, exact, err):
    """The worst entries of one output, with everything needed to reproduce them."""
    lines = [f"{table.name} {table.options}: {what} is off by more than {LIMIT} ulp at"]
    order = np.argsort(err, axis=None)[::-1]
    for flat in order[:5]:
        at = np.unravel_index(flat, err.shape)
        if err[at] <= LIMIT:
            break
        inputs = ", ".join(row_of(a, at[0]) for a in table.args)
        right = np.ldexp(exact.high[at], exact.exponent[at])
        lines.append(
            f"  {tuple(map(int, at))}: inputs ({inputs}): got {got[at]!r}, exact {right!r},"
            f" {err[at]:.4g} ulp"
        )
    lines.append(f"  {np.count_nonzero(err > LIMIT)} of {err.size} entries")
    return "\n".join(lines)


@pytest.mark.parametrize("table", TABLES, ids=[t.name for t in TABLES])
def test_hard_points(table, simd_level):
    loss = getattr(nk, table.loss)
    options = {**table.options, "reduction": "none"}
    of_value, of_grads, of_hesss = tolerances(table.loss, table.args, table.options, table.dtype)
    failures = []

    def check(what, got, exact, tolerance, second=False):
        assert got.dtype == table.dtype, what
        err = golden.error(got, exact, tolerance, table.dtype, second)
        if not np.all(err <= LIMIT):
            failures.append(report(table, what, got, exact, err))

    # The three calls may run three different kernels: each has to be right.
    check("value", loss(*table.args, **options), table.value, of_value)
    value, grads = loss.value_and_grad(*table.args, **options)
    check("value of value_and_grad", value, table.value, of_value)
    for i, name in enumerate(loss.parameters):
        check(f"d/d{name}", as_tuple(grads)[i], table.grads[i], of_grads[i])
    value, grads, hesss = loss.value_grad_hess(*table.args, **options)
    check("value of value_grad_hess", value, table.value, of_value)
    for i, name in enumerate(loss.parameters):
        what = f"d/d{name} of value_grad_hess"
        check(what, as_tuple(grads)[i], table.grads[i], of_grads[i])
        check(f"d2/d{name}2", as_tuple(hesss)[i], table.hesss[i], of_hesss[i], second=True)
    if failures:
        pytest.fail("\n".join(failures), pytrace=False)


# The tables are only worth something if the usual formulas fail on them.


def textbook_cross_entropy(z, target):
    p = np.exp(z - z.max(-1, keepdims=True))
    p = p / p.sum(-1, keepdims=True)
    one_hot = np.eye(z.shape[-1], dtype=z.dtype)[target]
    return -np.log((p * one_hot).sum(-1)), [p - one_hot]


def textbook_binary_cross_entropy(z, y):
    return np.maximum(z, 0) - z * y + np.log1p(np.exp(-np.abs(z))), [1 / (1 + np.exp(-z)) - y]


def textbook_gaussian_nll(mean, u, y):
    sigma = np.log1p(np.exp(u))
    z = (y - mean) / sigma
    value = np.log(sigma) + z**2 / 2 + np.log(2 * np.pi).astype(z.dtype) / 2
    return value, [-z / sigma, (1 - z**2) / sigma / (1 + np.exp(-u))]


@pytest.mark.parametrize(
    ("name", "textbook"),
    [
        ("cross_entropy-index-10", textbook_cross_entropy),
        ("binary_cross_entropy-plain", textbook_binary_cross_entropy),
        ("gaussian_nll-softplus", textbook_gaussian_nll),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_textbook_formulas_fail(name, textbook, dtype):
    table = next(t for t in TABLES if t.name == f"{name}-{dtype}")
    of_value, of_grads, _ = tolerances(table.loss, table.args, table.options, table.dtype)
    with np.errstate(all="ignore"):
        value, grads = textbook(*table.args)
    for got, exact, tol in zip(
        [value, *grads], [table.value, *table.grads], [of_value, *of_grads], strict=True
    ):
        err = golden.error(got.astype(table.dtype), exact, tol, table.dtype)
        assert np.count_nonzero(err > 1e3) > 3
