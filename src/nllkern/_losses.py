"""The loss objects, by name: one for each row of the kernels' table, and those made of others."""

from ._binned import BinnedLoss
from ._contrastive import ContrastiveLoss
from ._engine import LossInfo, loss_table
from ._pointwise import PointwiseLoss
from ._rowwise import RowwiseLoss
from ._vectors import vectors_loss

_KINDS = {"pointwise": PointwiseLoss, "rowwise": RowwiseLoss, "vectors": vectors_loss}


def _kind(info):
    return BinnedLoss if info.kind == "rowwise" and info.support == "real" else _KINDS[info.kind]


_all = {info.name: _kind(info)(k, info) for k, info in enumerate(loss_table())}
_INFO_NCE = LossInfo("info_nce", "contrastive", ("queries", "keys"), (), False, "", "none", 0)
_all["info_nce"] = ContrastiveLoss(-1, _INFO_NCE)
globals().update(_all)
__all__ = ["loss_named", "losses", *_all]


def loss_named(name):
    """The loss of that name (what pickles of it hold)."""
    return _all[name]


def loss_infos():
    """What there is to know of each loss, in the order of `losses`: a ``LossInfo`` each."""
    return [*loss_table(), _INFO_NCE]


def losses():
    """All loss objects: in the order of the table, then those made of others."""
    return list(_all.values())
