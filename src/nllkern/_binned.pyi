import numpy as np
from numpy.typing import NDArray

def mu_law_edges(
    K: int, mu: float = 255, low: float = -1, high: float = 1
) -> NDArray[np.float64]: ...
