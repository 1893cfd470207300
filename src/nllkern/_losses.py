"""The loss objects, by name: one for each row of the kernels' table."""

from ._engine import loss_table
from ._pointwise import PointwiseLoss
from ._rowwise import RowwiseLoss
from ._vectors import vectors_loss

_KINDS = {"pointwise": PointwiseLoss, "rowwise": RowwiseLoss, "vectors": vectors_loss}
_all = {info.name: _KINDS[info.kind](k, info) for k, info in enumerate(loss_table())}
globals().update(_all)
__all__ = ["loss_named", "losses", *_all]


def loss_named(name):
    """The loss of that name (what pickles of it hold)."""
    return _all[name]


def losses():
    """All loss objects, in the order of the table."""
    return list(_all.values())
