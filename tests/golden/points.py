"""Hard points of pointwise losses, drawn from the supports and the links in their rows.

Three kinds: extreme inputs in random combinations; ordinary ones; and those at which a result
changes sign, found by bisection along every input, because there its terms cancel.
"""

import itertools

import numpy as np

from nllkern import reference
from nllkern.reference.bounds import results, run
from nllkern.reference.functions import FLOATS
from nllkern.tables import supports as s

EXTREMES, ORDINARY, ROOTS = 100, 40, 120  # points of each kind in a table


def numbers(support, dtype):
    """From one end of a support to the other."""
    single = dtype == "float32"
    eps = float(np.finfo(dtype).eps)
    tiny = float(np.finfo(dtype).smallest_subnormal)
    small = [tiny, 1e-39 if single else 1e-310, 1e-30, 1e-10, 1e-5, 1e-3]
    middle = [0.1, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 7.99, 10.0, 17.0, 50.0]
    large = [1e3, 1e5, 1e7, 1e10, 1e15, 1e30, 3e38 if single else 1e300]
    if support in (s.POSITIVE, s.NONNEGATIVE, s.COUNT):
        return [*small, *middle, *large, *([] if support == s.POSITIVE else [0.0])]
    if support in (s.UNIT, s.OPEN_UNIT):
        ends = [] if support == s.OPEN_UNIT else [0.0, 1.0]
        return [*ends, 1e-30, 1e-8, 0.1, 0.25, 0.5, 0.75, 0.9, 1 - eps, 1 - eps / 2]
    if support == s.SIGN:
        return [-1.0, 1.0]
    return [0.0, *(sign * x for x in (*small, *middle, *large) for sign in (1, -1))]


def raw_numbers(dtype):
    """Raw numbers of a parameter behind a link."""
    raw = [1e-30, 1e-3, 0.3, 0.5413249, 1.0, 2.5, 5.0, 10.0, 17.0, 30.0, 50.0, 62.0, 64.0, 87.5]
    raw += [100.0, 104.0, 300.0, 1e3, 1e4]
    raw += [] if dtype == "float32" else [505.0, 700.0, 708.0, 740.0]
    return [0.0, *raw, *(-x for x in raw)]


def domain(parameter, links, dtype):
    """The hard numbers of a parameter, and a way to draw ordinary ones."""
    support = parameter.support
    if parameter.option is None and parameter.is_linked:
        return raw_numbers(dtype), ordinary(s.REAL)
    if parameter.option is not None:
        link = next(x for x in parameter.links if x.name == links[parameter.name])
        support = link.raw or parameter.support
        if support == s.REAL:
            return raw_numbers(dtype), ordinary(s.REAL)
    return numbers(support, dtype), ordinary(support)


def ordinary(support):
    def draw(rng, n):
        x = rng.normal(size=n) * 2
        if support in (s.POSITIVE, s.NONNEGATIVE, s.COUNT):
            return np.floor(np.exp(x)) if support == s.COUNT else np.exp(x)
        if support in (s.UNIT, s.OPEN_UNIT):
            return 1 / (1 + np.exp(-x))
        return np.where(x < 0, -1.0, 1.0) if support == s.SIGN else x

    return draw


def option_sets(row):
    """Keyword arguments: every link for all parameters, and some mixtures; flags on and off."""
    chosen = [x for x in row.options if x.kind == "link"]
    offered = {
        x.name: list(
            dict.fromkeys(y.name for p in row.parameters if p.option == x for y in p.links)
        )
        for x in chosen
    }
    names = list(offered)
    if len(names) < 2:
        links = [dict(zip(names, c, strict=True)) for c in itertools.product(*offered.values())]
    else:
        every = offered[names[0]]
        shifts = [(0, k) for k in range(len(every))], [(1, 0), (2, 1)]
        links = [dict.fromkeys(names, every[k]) for _, k in shifts[0]]
        links += [dict(zip(names, (every[i], every[j]), strict=True)) for i, j in shifts[1]]
    flags = [x.name for x in row.options if x.kind == "flag"]
    for options in links:
        yield "-".join(options.values()), dict.fromkeys(flags, True), options
        for flag in flags:
            name = "-".join([*options.values(), f"not-{flag}"])
            yield name, {**dict.fromkeys(flags, True), flag: False}, options


class Drawer:
    """Points of one loss, dtype and set of options."""

    def __init__(self, row, dtype, options, seed):
        self.row, self.dtype, self.options = row, dtype, options
        self.reference = getattr(reference, row.name)
        self.rng = np.random.default_rng(seed)
        links = {p.name: options[p.option.name] for p in row.parameters if p.option}
        self.domains = [domain(p, links, dtype) for p in row.parameters]
        self.domains.append((numbers(row.target, dtype), ordinary(row.target)))
        self.domains += [
            (numbers(x.support, dtype)[4:-4], ordinary(x.support))
            for x in row.options
            if x.kind == "per_sample"
        ]

    def inputs(self, columns):
        inputs, links, options = split(self.reference, columns, self.options)
        return {k: np.asarray(x, np.longdouble) for k, x in inputs.items()}, links, options

    def evaluate(self, columns, which=None):
        """Results at every point, in NumPy; only the one of that number."""
        inputs, links, options = self.inputs(columns)
        parameters = self.reference.parameters
        wanted = parameters if which is None else [parameters[(which - 1) % len(parameters)]]
        found = []
        with np.errstate(all="ignore"):
            for name in wanted:
                jet, _ = run(self.reference.formula, FLOATS, inputs, links, options, name)
                found.append([x + 0 * inputs["target"] for x in jet.derivatives])
        if which is not None:
            return found[0][0 if which == 0 else 1 + (which - 1) // len(parameters)]
        values, firsts, seconds = zip(*found, strict=True)
        return [values[0], *firsts, *seconds]

    def bounds(self, columns):
        """[(f, bound)] of every point, in NumPy."""
        inputs, links, options = self.inputs(columns)
        with np.errstate(all="ignore"):
            found = results(self.reference.formula, FLOATS, inputs, links, options)
        return [tuple(x + 0 * inputs["target"] for x in pair) for pair in found]

    def extremes(self, n):
        return [self.rng.choice(np.array(hard), n) for hard, _ in self.domains]

    def ordinary(self, n):
        return [draw(self.rng, n) for _, draw in self.domains]

    def roots(self, n):
        """Where a result changes sign along an input."""
        found = []
        bases = [np.concatenate(x) for x in zip(self.extremes(25), self.ordinary(25), strict=True)]
        for j, (hard, _) in enumerate(self.domains):
            grid = np.sort(np.array(hard))
            lower, upper = ([np.repeat(b, len(grid) - 1) for b in bases] for _ in range(2))
            lower[j] = np.tile(grid[:-1], len(bases[0]))
            upper[j] = np.tile(grid[1:], len(bases[0]))
            pairs = zip(self.evaluate(lower), self.evaluate(upper), strict=True)
            for k, (f, g) in enumerate(pairs):
                with np.errstate(all="ignore"):
                    crosses = np.flatnonzero(np.isfinite(f + g) & (f * g < 0))
                crosses = self.rng.permutation(crosses)[:n]
                found.append(self.bisect(j, k, lower, upper, crosses))
        columns = [np.concatenate(x) for x in zip(*found, strict=True)]
        some = self.rng.permutation(len(columns[0]))[:n]
        return [x[some] for x in columns]

    def bisect(self, j, k, lower, upper, which):
        columns = [x[which] for x in lower]
        low, high = columns[j], upper[j][which]
        below = self.evaluate(columns, k) < 0
        for _ in range(60):
            columns[j] = (low + high) / 2
            same = (self.evaluate(columns, k) < 0) == below
            low, high = np.where(same, columns[j], low), np.where(same, high, columns[j])
        return columns

    def points(self):
        """Columns, rounded to the dtype, without those where a rounding decides over a jump."""
        kinds = self.extremes(EXTREMES), self.ordinary(ORDINARY), self.roots(ROOTS)
        with np.errstate(over="ignore"):
            columns = [np.concatenate(x).astype(self.dtype) for x in zip(*kinds, strict=True)]
        good = np.isfinite(columns).all(0) & self.is_smooth(columns)
        target = columns[len(self.row.parameters)]
        good &= (target != 0) | np.isfinite(self.evaluate(columns, 0))  # at the edge, the limit
        return np.unique(np.array(columns)[:, good], axis=1)

    def is_smooth(self, columns):
        """Whether no result jumps within a few roundings of the inputs."""
        eps = np.finfo(self.dtype).eps
        here = self.bounds(columns)
        smooth = np.ones(len(columns[0]), bool)
        for j in range(len(self.row.arguments)):
            for sign in (4, -4):
                moved = [np.asarray(x, np.float64) for x in columns]
                moved[j] = moved[j] * (1 + sign * eps)
                with np.errstate(all="ignore"):
                    for (f, bound), g in zip(here, self.evaluate(moved), strict=True):
                        smooth &= ~(np.abs(f - g) > 100 * eps * bound + 1e-300)
        return smooth


def split(loss, columns, options):
    """(inputs by name, links, the other options) of a reference loss."""
    named = [*loss.row.arguments, *(x.name for x in loss.row.options if x.kind == "per_sample")]
    given = {x.name: x.default for x in loss.row.options}
    given |= options | dict(zip(named, columns, strict=True))
    return loss.arguments(given, np.shape(columns[0]))
