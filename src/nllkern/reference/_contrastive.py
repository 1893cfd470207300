"""Losses over the similarities of two sets of vectors; the matrix of similarities is whole."""

from collections.abc import Callable
from typing import Any

import numpy as np

from . import _math as rm
from ._math import Array
from ._protocol import Reference, Samples, as_float64, loss

Gradients = Callable[[Array], tuple[Array, Array]]  # from the weights of the rows


class ContrastiveReference(Reference):
    """A loss whose samples see each other's vectors, without second derivatives."""

    def _convert(self, arguments: dict[str, Any]) -> tuple[dict[str, Any], list[bool]]:
        return arguments, [False, False]

    def value_grad_hess(self, *args: Any, **kwargs: Any) -> Any:
        """Not offered."""
        raise NotImplementedError(f"{self.name} has no second derivatives")


@loss(ContrastiveReference)
def info_nce(queries: Any, keys: Any, temperature: float, normalize: bool, form: str) -> Samples:
    """Cross-entropy of the similarities of N queries with M keys, of which the i-th is query i's.

    q_i, k_j   = the rows, over their Euclidean norms if normalize (a row of zeros stays)
    S_ij       = q_i . k_j / temperature
    queries    : value_i = -log(exp(S_ii) / sum_j exp(S_ij))
    symmetric  : the mean of that and of -log(exp(S_ii) / sum_j exp(S_ji));  M = N
    nt_xent    : with the 2N rows z = [q; k] and S_ij = z_i . z_j / temperature, S_ii = -inf, the
                 mean of -log(exp(S_ip) / sum_j exp(S_ij)) over row i and its pair p;  M = N
    With G the derivatives by S:  d/dq = G k / temperature,  d/dk = G^T q / temperature, and
    through q = u / |u|:  d/du = (d/dq - q (q . d/dq)) / |u|,  0 where u is 0.
    """
    raw = as_float64("queries", queries), as_float64("keys", keys)
    for name, x in zip(("queries", "keys"), raw, strict=True):
        if x.ndim != 2 or x.shape[1] == 0:
            raise ValueError(f"{name} must be (rows, D) with D >= 1, got shape {x.shape}")
    (n, d), (m, _) = raw[0].shape, raw[1].shape
    if raw[1].shape[1] != d or m < n or (form != "queries" and m != n):
        raise ValueError(f"keys have shape {raw[1].shape}, queries {raw[0].shape}")
    units = [_unit_rows(x) for x in raw] if normalize else [(x, None, None) for x in raw]
    q, k = units[0][0], units[1][0]
    own = np.arange(n)

    def by_rows(
        left: Array, right: Array, target: Array, hidden: tuple[Array, Array] | None = None
    ) -> tuple[Array, Gradients]:
        """Losses; and from weights of the rows the gradients by `left` and `right`."""
        s = left @ right.T / temperature
        if hidden is not None:
            s[hidden] = -np.inf
        value, p = _softmax_losses(s, target)

        def grads(weight: Array) -> tuple[Array, Array]:
            g = np.where((weight != 0)[:, None], weight[:, None] * p, 0.0) / temperature
            used = np.where((weight != 0)[:, None] | (hidden is not None), left, 0.0)
            return np.where((weight != 0)[:, None], g @ right, 0.0), g.T @ used

        return value, grads

    if form == "queries":
        value, grads = by_rows(q, k, own)
    elif form == "symmetric":
        (rows, of_rows), (columns, of_columns) = by_rows(q, k, own), by_rows(k, q, own)
        value = 0.5 * (rows + columns)

        def grads(weight: Array) -> tuple[Array, Array]:
            (dq, dk), (dk2, dq2) = of_rows(0.5 * weight), of_columns(0.5 * weight)
            return dq + dq2, dk + dk2
    else:
        z, pair = np.concatenate([q, k]), np.concatenate([own + n, own])
        both, of_both = by_rows(z, z, pair, (np.arange(2 * n), np.arange(2 * n)))
        value = 0.5 * (both[:n] + both[n:])

        def grads(weight: Array) -> tuple[Array, Array]:
            total = np.add(*of_both(np.tile(0.5 * weight, 2)))
            return total[:n], total[n:]

    def of_input(j: int) -> Callable[[Array], Array]:
        u, length, scale = units[j]

        def grad(weight: Array) -> Array:
            g = grads(weight)[j]
            if length is None:
                return g
            return np.asarray((g - u * (u * g).sum(1, keepdims=True)) / length * scale)

        return grad

    outside = {
        name: (~np.isfinite(x), "finite") for name, x in zip(("queries", "keys"), raw, strict=True)
    }
    return Samples(value, (of_input(0), of_input(1)), (), outside)


def _unit_rows(x: Array) -> tuple[Array, Array, Array]:
    """Rows over their norms; the norm of scale * row, and scale, a power of two (0 for zeros)."""
    largest = np.abs(x).max(axis=1, keepdims=True)
    scale = np.ldexp(1.0, -np.clip(np.frexp(largest)[1], -1000, 1024))
    norm = np.sqrt(((x * scale) ** 2).sum(axis=1, keepdims=True))
    zero = norm == 0
    norm = np.where(zero, 1.0, norm)
    return x * scale / norm, norm, np.where(zero, 0.0, scale)


def _softmax_losses(s: Array, target: Array) -> tuple[Array, Array]:
    """-log softmax of each row at its target, and its gradient by the row."""
    index = target[:, None]
    bad = np.isnan(s) | (s == np.inf) | (s == -np.inf).all(-1, keepdims=True)
    bad = bad.any(-1, keepdims=True)
    m, rest, p, q = rm.softmax(s)
    value = (m - np.take_along_axis(s, index, axis=-1)) + np.log1p(rest)
    p = rm.replaced(p, index, -np.take_along_axis(q, index, axis=-1))
    return np.where(bad, np.nan, value)[:, 0], np.where(bad, np.nan, p)
