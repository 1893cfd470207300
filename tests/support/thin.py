"""Fewer, better chosen cases: every pair of values of two parameters, not every combination.

    @pytest.mark.thin          # in the quick suite: cases that hold every pair of values
    @pytest.mark.thin(1)       # every value

on a test, or as `pytestmark` of a module, marks its other cases as slow.  A fixture's parameter,
such as `simd_level`, counts as well.
"""

import random
from itertools import combinations

import pytest


def covering(rows, strength=2):
    """Some of the rows, in their order: what any `strength` columns hold in one, they hold in one
    of these.

    Almost as few as possible, by a greedy search; always the same ones.
    """
    rows = list(rows)

    def combined(row):
        indexed = list(enumerate(row))
        return set(combinations(indexed, min(strength, len(indexed))))

    missing = set().union(*map(combined, rows))
    order = list(range(len(rows)))
    random.Random(0).shuffle(order)
    chosen = []
    for least in range(max((len(combined(row)) for row in rows), default=0), 0, -1):
        for k in order:
            found = combined(rows[k]) & missing
            if len(found) >= least:
                chosen.append(k)
                missing -= found
    return [rows[k] for k in sorted(chosen)]


def identity(parameter):
    """Something hashable that is the same wherever the name and the value are."""
    name, value = parameter
    try:
        hash(value)
    except TypeError:
        return name, id(value)
    return name, value


def thin(items):
    """Marks the cases of the collected tests that are left out of the quick suite."""
    groups = {}
    for item in items:
        mark = item.get_closest_marker("thin")
        if mark and hasattr(item, "callspec"):
            key = item.nodeid.partition("[")[0], mark.args
            groups.setdefault(key, []).append(item)
    for (_, arguments), group in groups.items():
        rows = [tuple(map(identity, item.callspec.params.items())) for item in group]
        quick = set(covering(rows, *arguments))
        for row, item in zip(rows, group, strict=True):
            if row not in quick:
                item.add_marker(pytest.mark.slow)
