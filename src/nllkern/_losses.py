"""The loss objects, by name: one for each row of the tables."""

from ._binned import BinnedLoss
from ._info_nce import info_nce
from ._loss import Loss
from .tables import LOSSES
from .tables import Loss as Row


def _loss(index: int, row: Row) -> Loss:
    if "real" in row.targets:
        return BinnedLoss(index, row)
    return Loss(index, row, None if row.in_c else info_nce)


_all = {row.name: _loss(index, row) for index, row in enumerate(LOSSES)}
globals().update(_all)
__all__ = ["loss_named", "losses", *_all]


def loss_named(name: str) -> Loss:
    """The loss of that name (what pickles of it hold)."""
    return _all[name]


def losses():
    """All loss objects, in the order of the table."""
    return list(_all.values())
