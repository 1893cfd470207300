"""Every loss against its tables of hard points: at most 4 units of the criterion, everywhere.

``nllkern._accuracy`` holds the criterion, ``tests/golden`` the tables.
"""

import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import nllkern as nk
from nllkern._accuracy import LIMIT, error, errors, load
from nllkern.tables import LOSSES

pytest.importorskip("mpmath")
GOLDEN = Path(__file__).parent.parent / "golden"
sys.path.append(str(GOLDEN))
import make_golden  # noqa: E402

TABLES = [t for path in sorted(GOLDEN.glob("*.npz")) for t in load(path)]
each_table = pytest.mark.parametrize("table", TABLES, ids=str)


def row_of(x, i):
    """Row i of an argument, long rows cut short."""
    row = np.asarray(x)[i]
    if row.ndim and row.size > 6:
        return f"[{', '.join(map(repr, row.ravel()[:6].tolist()))}, ...]"
    return repr(row.tolist())


def report(table, what, got, exact, err):
    """The worst entries of one output, with everything needed to reproduce them."""
    lines = [f"{table} {table.options}: {what} is off by more than {LIMIT:g} units at"]
    for flat in np.argsort(err, axis=None)[:-6:-1]:
        at = np.unravel_index(flat, err.shape)
        if err[at] <= LIMIT:
            break
        inputs = ", ".join(row_of(a, at[0]) for a in table.args)
        right = np.ldexp(exact.high[at], exact.exponent[at])
        lines.append(
            f"  {tuple(map(int, at))}: inputs ({inputs}): got {got[at]!r}, exact {right!r},"
            f" {err[at]:.4g} units"
        )
    lines.append(f"  {np.count_nonzero(err > LIMIT)} of {err.size} entries")
    return "\n".join(lines)


@each_table
def test_hard_points(table, simd_level):
    failures = []
    for what, got, exact, err in errors(getattr(nk, table.loss), table):
        assert got.dtype == table.dtype, what
        if not np.all(err <= LIMIT):
            failures.append(report(table, what, got, exact, err))
    if failures:
        pytest.fail("\n".join(failures), pytrace=False)


STORED = {t.loss for t in TABLES}
POINTWISE = [row for row in LOSSES if row.kind == "pointwise"]
# Losses whose table has not been stored yet, and one more, so that this is tested itself.
FRESH = [row for row in POINTWISE if row.name not in STORED or row.name == "laplace_nll"]


@pytest.mark.parametrize("row", FRESH, ids=lambda row: row.name)
def test_fresh_points(row, simd_level):
    for table in fresh_tables(row):
        for what, got, exact, err in errors(getattr(nk, row.name), table):
            assert np.all(err <= LIMIT), report(table, what, got, exact, err)


@cache
def fresh_tables(row):
    """Three points, their results computed now, for every set of options."""
    tables = []
    for table in make_golden.pointwise(row, []):
        some = np.random.default_rng(0).permutation(len(table.args[0]))[:3]
        args = [x[some] for x in table.args]
        per_sample = {x.name for x in row.options if x.kind == "per_sample"}
        options = {k: x[some] if k in per_sample else x for k, x in table.options.items()}
        found = make_golden.results(row.name, args, options, table.dtype, 0, per_sample)
        tables.append(table._replace(args=args, options=options, results=found))
    return tables


def test_tables_are_whole():
    for t in TABLES:
        row = next(x for x in LOSSES if x.name == t.loss)
        assert len(t.results) == 1 + len(row.parameters) * (1 + row.has_hess)
        assert not any(np.isnan(r.high).all() for r in t.results if r.high.size)


# The tables are only worth something if the usual formulas fail on them.


def textbook_cross_entropy(z, target):
    p = np.exp(z - z.max(-1, keepdims=True))
    p = p / p.sum(-1, keepdims=True)
    one_hot = np.eye(z.shape[-1], dtype=z.dtype)[target]
    return -np.log((p * one_hot).sum(-1)), [p - one_hot]


def textbook_binary_cross_entropy(z, y, pos_weight):
    p = 1 / (1 + np.exp(-z))
    value = -pos_weight * y * np.log(p) - (1 - y) * np.log(1 - p)
    return value, [(1 - y + pos_weight * y) * p - pos_weight * y]


def textbook_gaussian_nll(mean, u, y):
    sigma = np.log1p(np.exp(u))
    z = (y - mean) / sigma
    value = np.log(sigma) + z**2 / 2 + np.log(2 * np.pi).astype(z.dtype) / 2
    return value, [-z / sigma, (1 - z**2) / sigma / (1 + np.exp(-u))]


TEXTBOOK = {
    "cross_entropy-index-": textbook_cross_entropy,
    "binary_cross_entropy-": textbook_binary_cross_entropy,
    "gaussian_nll-softplus-float": textbook_gaussian_nll,
}


@pytest.mark.parametrize("name", TEXTBOOK)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_textbook_formulas_fail(name, dtype):
    missed = [0, 0]
    for table in (t for t in TABLES if str(t).startswith(name) and t.dtype == dtype):
        arrays = [x for x in table.options.values() if isinstance(x, np.ndarray)]
        with np.errstate(all="ignore"):
            value, grads = TEXTBOOK[name](*table.args, *arrays)
        for k, (got, exact) in enumerate(zip([value, grads[0]], table.results, strict=False)):
            missed[k] += np.count_nonzero(error(got.astype(dtype), exact, dtype) > 1e3)
    assert min(missed) > 3, missed
