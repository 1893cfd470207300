"""What the other tests lean on: the choice of the quick cases."""

from itertools import combinations, product

import pytest
from thin import covering

pytest_plugins = ["pytester"]
AXES = [(2, 3, 20), (2,) * 6, (40, 3, 2, 2), (1, 4), (7,)]


@pytest.mark.parametrize("axes", AXES, ids=str)
def test_every_pair_is_covered(axes):
    rows = list(product(*map(range, axes)))
    chosen = covering(rows)
    assert chosen == [row for row in rows if row in set(chosen)]
    assert chosen == covering(rows)
    for i, j in combinations(range(len(axes)), 2):
        assert len({(row[i], row[j]) for row in chosen}) == axes[i] * axes[j]
    largest = sorted(axes)[-2:]
    assert len(chosen) <= 2 * largest[0] * largest[-1]
    singles = covering(rows, 1)
    assert all(len({row[i] for row in singles}) == n for i, n in enumerate(axes))
    assert len(singles) <= max(axes) + 1


def test_rows_that_are_no_product():
    """Pairs that occur in no row are not asked for."""
    rows = [(0, 0, 0), (0, 1, 1), (1, 0, 1), (2, 2, 2), (2, 2, 2)]
    assert covering(rows) == rows[:4]
    assert covering([]) == []


THINNED = """
import pytest

@pytest.fixture(params=range(3))
def level(request):
    return request.param

@pytest.mark.thin
@pytest.mark.parametrize("a", range(4))
@pytest.mark.parametrize("b", range(2))
def test_pairs(a, b, level): pass

@pytest.mark.thin(1)
@pytest.mark.parametrize("a", range(4))
@pytest.mark.parametrize("b", range(2))
def test_values(a, b, level): pass

@pytest.mark.parametrize("a", range(4))
@pytest.mark.parametrize("b", range(2))
def test_all(a, b): pass
"""


def test_what_is_left_out_is_slow(pytester):
    pytester.makeini("[pytest]\nmarkers =\n    slow\n    thin")
    pytester.makeconftest(
        "import pytest\nfrom thin import thin\n"
        "@pytest.hookimpl(tryfirst=True)\n"
        "def pytest_collection_modifyitems(items): thin(items)"
    )
    pytester.makepyfile(THINNED)
    run = pytester.runpytest("-m", "not slow", "-q", "-p", "no:randomly")
    counts = run.parseoutcomes()
    assert counts["passed"] == 4 * 3 + 4 + 4 * 2
    assert pytester.runpytest("-q").parseoutcomes()["passed"] == 24 + 24 + 8
