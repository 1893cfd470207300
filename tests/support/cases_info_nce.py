"""What the tests of info_nce share."""

import numpy as np
import pytest

FORMS = ("queries", "symmetric", "nt_xent")
each_form = pytest.mark.parametrize("form", FORMS)
each_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])
each_normalize = pytest.mark.parametrize("normalize", [True, False], ids=["unit", "raw"])


def pairs(n, m, d, dtype="float64", seed=0):
    """Queries and keys that resemble each other."""
    rng = np.random.default_rng(seed)
    queries, keys = rng.normal(size=(n, d)), rng.normal(size=(m, d))
    keys[:n] += queries
    return queries.astype(dtype), keys.astype(dtype)
