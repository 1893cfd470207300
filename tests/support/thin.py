"""Fewer, better chosen cases: each pair of values of two parameters occurs in one of them."""

import itertools
import random


def covering(*axes, seed=0):
    """Tuples with one value of each axis, so that every pair of values of two axes occurs in one.

    Greedy, and the same for the same axes.  Three axes of 2, 3 and 20 values need 60 tuples or a
    little more instead of 120; ten axes of 2 values need about 10 instead of 1024.
    """
    rng = random.Random(seed)
    axes = [list(axis) for axis in axes]
    if len(axes) < 2:
        return list(itertools.product(*axes))
    columns = list(itertools.combinations(range(len(axes)), 2))
    left = {
        (i, a, j, b) for i, j in columns for a in range(len(axes[i])) for b in range(len(axes[j]))
    }

    def pairs(row):
        return {(i, row[i], j, row[j]) for i, j in columns}

    rows = []
    for wanted in sorted(left):
        if wanted not in left:
            continue
        best, most = None, 0
        for _ in range(20):
            row = [rng.randrange(len(axis)) for axis in axes]
            row[wanted[0]], row[wanted[2]] = wanted[1], wanted[3]
            for k in rng.sample(range(len(axes)), len(axes)):  # one axis after the other, greedily
                if k not in (wanted[0], wanted[2]):
                    others = [j for j in range(len(axes)) if j != k]
                    row[k] = max(
                        range(len(axes[k])),
                        key=lambda a, k=k, row=row, others=others: sum(
                            (min((j, row[j]), (k, a)) + max((j, row[j]), (k, a))) in left
                            for j in others
                        ),
                    )
            found = len(pairs(row) & left)
            if found > most:
                best, most = list(row), found
        left -= pairs(best)
        rows.append(tuple(axis[k] for axis, k in zip(axes, best, strict=True)))
    return rows
