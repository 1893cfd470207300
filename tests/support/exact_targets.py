"""Derivatives by targets, by differences of the value formulas at 60 digits."""

import numpy as np
from mpmath import mp

from nllkern.reference import formulas_classes, formulas_vectors
from nllkern.reference._pointwise import Pointwise
from nllkern.reference.bounds import run
from nllkern.reference.exact import functions, number
from nllkern.reference.jets import Jet
from nllkern.reference.links import linked


@np.errstate(invalid="ignore")  # of a NaN above a diagonal
def derivatives(problem):
    """Of the reduced value: (the gradient by the target, its derivatives by every input).

    The second ones are those of each sample by itself, of shape (*target, *numbers of an input).
    """
    row, args = problem.loss.row, problem.args
    own = 0 if row.kind == "pointwise" else 1  # axes of the target of a sample
    shape = args[-1].shape[: args[-1].ndim - own]
    weight = problem.options.get("sample_weight", np.ones(shape))
    weight = weight / weight.sum()
    first, second = np.zeros(args[-1].shape), {}
    with mp.workdps(60):
        h = mp.mpf(10) ** -12  # h^2 is the error, and 10^-60 / h^2 that of the digits
        for at in np.ndindex(shape):
            numbers = [np.frompyfunc(number, 1, 1)(x[at], out=...) for x in args]
            options = {k: v[at] if np.shape(v) == shape else v for k, v in problem.options.items()}

            def slope(moved, k, numbers=numbers, options=options):
                """By entry k of the target, of inputs that have moved."""
                ends = []
                for step in (h, -h):
                    given = [x.copy() for x in moved]
                    given[-1][k] += step
                    ends.append(value(row, given, options))
                return (ends[0] - ends[1]) / (2 * h)

            for k in np.ndindex(numbers[-1].shape):
                first[(*at, *k)] = weight[at] * slope(numbers, k)
                for i, x in enumerate(numbers):
                    found = second.setdefault(i, np.zeros((*args[-1].shape, *x.shape)))
                    for m in np.ndindex(x.shape):
                        if not mp.isnormal(x[m]) and x[m] != 0:
                            continue  # -inf, and what is above a diagonal, stay where they are
                        ends = []
                        for step in (h, -h):
                            moved = [y.copy() for y in numbers]
                            moved[i][m] += step
                            ends.append(slope(moved, k))
                        found[(*at, *k, *m)] = weight[at] * (ends[0] - ends[1]) / (2 * h)
    return first, [second[i] for i in range(len(args))]


def value(row, numbers, options):
    """Of one sample, from its numbers: arrays of mpmath's."""
    f = functions(mp.dps)
    options = {x.name: x.default for x in row.options} | options
    if row.kind == "pointwise":
        given = {n: x[()] for n, x in zip(row.arguments, numbers, strict=True)}
        inputs, links, others = Pointwise(row).arguments(options | given, ())
        inputs = {n: x if n in given else number(float(x)) for n, x in inputs.items()}
        return run(Pointwise(row).formula, f, inputs, links, others, "")[0].value
    if row.kind == "rows":
        formula = getattr(formulas_classes, row.name)
        wanted = {k: v for k, v in options.items() if k in formula.__code__.co_varnames}
        if "class_weight" in wanted:
            weight = wanted["class_weight"]
            weight = np.ones(len(numbers[0])) if weight is None else weight
            wanted["class_weight"] = Jet((np.array([number(x) for x in weight]),))
        logits, target = (Jet((x,)) for x in numbers)
        return formula(f, logits, target, **wanted).value.item()
    mean, factor, target = numbers
    rows = [
        [
            linked(f, options["link"], Jet((x,))) if i == j else Jet((x,))
            for j, x in enumerate(line[: i + 1])
        ]
        for i, line in enumerate(factor)
    ]
    mean, target = ([Jet((x,)) for x in y] for y in (mean, target))
    formula = getattr(formulas_vectors, row.name)
    return formula(f, mean, rows, target, full=options["full"]).value
