from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._loss import Loss

class BinnedLoss(Loss):
    def encode(
        self,
        target: ArrayLike,
        edges: ArrayLike,
        K: int | None = None,
        *,
        outside: Literal["clip", "raise"] = ...,
        num_threads: int | None = ...,
    ) -> NDArray[np.int64]: ...
    def expectation(
        self, logits: ArrayLike, edges: ArrayLike, *, num_threads: int | None = ...
    ) -> NDArray[np.floating[Any]]: ...
    def quantile(
        self, logits: ArrayLike, q: ArrayLike, edges: ArrayLike, *, num_threads: int | None = ...
    ) -> NDArray[np.floating[Any]]: ...

def mu_law_edges(
    K: int, mu: float = 255, low: float = -1, high: float = 1
) -> NDArray[np.float64]: ...
