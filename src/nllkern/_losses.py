"""The loss objects, by name: one for each row of the tables."""

from collections import namedtuple

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


LossInfo = namedtuple("LossInfo", "name kind parameters links own extra support linked")


def loss_infos():
    """To be replaced by the rows."""
    found = []
    for row in LOSSES:
        rows = row.kind == "rows"
        extra = " ".join(x.name for x in row.options if rows or x.kind == "per_sample")
        support = " ".join("prob" if t == "probabilities" else t for t in row.targets)
        if not rows:
            support = row.target.name if row.target else "none"
            support = "positive" if row.name == "gamma_nll" else support
        own = any(x.name.endswith("_link") for x in row.options)
        linked = row.linked if row.links or row.kind == "vectors" else 0
        found.append(
            LossInfo(
                row.name,
                "rowwise" if rows else row.kind,
                tuple(p.name for p in row.parameters),
                row.links,
                own,
                extra if row.kind in ("rows", "pointwise") else "",
                support,
                linked,
            )
        )
    return found
