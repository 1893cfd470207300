"""Every function of lib/kernels/functions/, on its own, at every SIMD level, against its bound.

The bounds stand in lib/tables/functions.inc.  float32 is compared with the formulas of
function_formulas.py in float64; float64 with the same formulas in long double, where that is wider,
and with mpmath.  The formulas themselves are compared with mpmath.
"""

from concurrent.futures import ThreadPoolExecutor
from functools import cache

import mpmath as mp
import numpy as np
import pytest
from function_formulas import EXACT, NUMPY

import nllkern as nk
from nllkern import _engine

TABLE = {name: (low, high, f32, f64) for name, low, high, f32, f64 in _engine.vecmath_table()}
NAMES = list(TABLE)
LEVELS = nk.simd_levels()
DTYPES = [np.float32, np.float64]
LONG_DOUBLE = np.finfo(np.longdouble).eps < 1e-18

# A likelihood adds these to terms of order one: their error is measured against max(|exact|, 1).
FLOOR_ONE = {"log_softplus", "stirling_remainder", "student_normalizer"}


# ---- points ------------------------------------------------------------------------------------


def domain(name, dtype):
    low, high = TABLE[name][:2]
    most, least = float(np.finfo(dtype).max), float(np.finfo(dtype).smallest_subnormal)
    low, high = (v if np.isinf(v) else min(max(v, -most), most) for v in (low, high))
    return dtype(max(low, least) if low > 0 else low), dtype(high)


def order(x):
    """Integers in the order of the floats."""
    bits = np.asarray(x).view(np.int32 if x.dtype == np.float32 else np.int64)
    return np.where(bits < 0, np.iinfo(bits.dtype).min - bits, bits)


def from_order(k, dtype):
    return np.where(k < 0, np.iinfo(k.dtype).min - k, k).view(dtype)


def clip(name, x, dtype):
    low, high = domain(name, dtype)
    return np.clip(x.astype(dtype), low, high)


def uniform_bits(name, dtype, count, rng):
    """Every float of the domain equally likely: all binades, subnormals."""
    first, last = (int(order(v)) for v in domain(name, dtype))
    kind = np.int32 if dtype is np.float32 else np.int64
    return from_order(rng.integers(first, last, count, kind, endpoint=True), dtype)


def hard_points(name, dtype):
    """Neighbours of powers of two, of zeros, and of every constant where a formula changes."""
    info = np.finfo(dtype)
    powers = 2.0 ** np.arange(np.log2(float(info.smallest_subnormal)), info.maxexp)
    n = np.arange(info.minexp - info.nmant - 1, info.maxexp + 1)
    centers = [
        powers,
        1 + powers,
        1 - powers[powers < 1],
        n * np.log(2),  # exp: r changes sign
        (n + 0.5) * np.log(2),  # exp: n changes
        np.sqrt(0.5) * powers,  # log: the exponent changes
        np.sqrt(0.5) * powers - 1,
        # thresholds of the formulas
        [88.8, 709.8, 104, 745.2, 107, 748.5, 53.5, 374.25, 20, 40, 0.75, 0.5625, 0.765625, 0.5413],
        [0.78125, 1.5, 2.125],
    ]
    with np.errstate(over="ignore"):
        x = np.concatenate([np.asarray(c, np.float64) for c in centers]).astype(dtype)
        up, down = np.nextafter(x, dtype(np.inf)), np.nextafter(x, dtype(-np.inf))
    around = np.concatenate([x, up, down])
    around = np.concatenate([around, -around, np.array([0.0, -0.0], dtype)])
    low, high = domain(name, dtype)
    inside = around[(around >= low) & (around <= high) & np.isfinite(around)]
    return np.unique(np.concatenate([inside, np.array([low, high], dtype)]))


def points(name, dtype, count, seed=0):
    """Finite points of the domain: hard ones, then random ones, half where the function varies."""
    rng = np.random.default_rng(seed)
    eighth = max(count // 8, 1)
    x = np.concatenate(
        [
            hard_points(name, dtype)[:: max(1, 8000 // eighth)],
            uniform_bits(name, dtype, 4 * eighth, rng),
            clip(name, rng.uniform(-3, 3, eighth), dtype),
            clip(name, rng.uniform(-110, 110) + rng.uniform(-20, 20, eighth), dtype),
            clip(name, np.exp(rng.uniform(-8, 8, eighth)) * rng.choice([-1, 1], eighth), dtype),
            clip(name, -1 + np.exp(rng.uniform(-40, 1, eighth)), dtype),
        ]
    )
    return x[np.isfinite(x)]


# ---- errors ------------------------------------------------------------------------------------


def unit(name, exact, dtype):
    info = np.finfo(dtype)
    floor = 1.0 if name in FLOOR_ONE else float(info.tiny)
    return float(info.eps) * np.maximum(np.abs(exact), floor)


def worst(name, x, exact, rest, level):
    """Largest error in ulp over x, and where.  The exact result is `exact` and `rest` ulp more."""
    got = _engine.vecmath(name, x, level)
    with np.errstate(invalid="ignore", over="ignore"):
        error = np.abs((got - exact) / unit(name, exact, x.dtype) - rest)
        # Also where both are inf.
        error = np.where(exact.astype(x.dtype) == got, np.fmin(error, 0.5), error)
    error = np.where(np.isnan(error), np.inf, error)
    k = int(np.argmax(error))
    return float(error[k]), float(x[k])


def check(name, x, exact, rest=0.0):
    bound = TABLE[name][2 if x.dtype == np.float32 else 3]
    for level in LEVELS:
        error, where = worst(name, x, exact, rest, level)
        at = f"{name}, {x.dtype}, {level}: at {where!r} = {where.hex()}"
        assert error <= bound, f"{at}: {error:.3f} ulp, bound {bound}"


def in_numpy(name, x, wide):
    with np.errstate(all="ignore"):
        return NUMPY[name](x.astype(wide))


@cache
def in_mpmath(name, count):
    """float64 points and their exact results, in two parts; computed once for all SIMD levels."""
    distinct = np.unique(points(name, np.float64, 2 * count, seed=1))
    x = np.random.default_rng(2).permutation(distinct)[:count]
    high, rest = np.empty_like(x), np.zeros_like(x)
    with mp.workdps(40):
        for i, xi in enumerate(x.tolist()):
            exact = EXACT[name](mp.mpf(xi))
            high[i] = float(exact)
            if np.isfinite(high[i]):
                ulp = mp.mpf(float(unit(name, high[i], np.float64)))
                rest[i] = float((exact - mp.mpf(high[i])) / ulp)
    return x, high, rest


# ---- tests -------------------------------------------------------------------------------------


def test_every_function_has_a_reference():
    assert set(NUMPY) == set(EXACT) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_float32(name):
    x = points(name, np.float32, 1_000_000)
    check(name, x, in_numpy(name, x, np.float64))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.skipif(not LONG_DOUBLE, reason="long double is no wider than double")
def test_float64(name):
    x = points(name, np.float64, 200_000)
    exact = in_numpy(name, x, np.longdouble)
    with np.errstate(over="ignore", invalid="ignore"):
        high = exact.astype(np.float64)
        rest = np.where(np.isfinite(high), (exact - high) / unit(name, high, np.float64), 0)
    check(name, x, high, rest.astype(np.float64))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.thread_unsafe(reason="sets the digits of mpmath, which are the process's")
def test_float64_against_mpmath(name):
    check(name, *in_mpmath(name, 1000))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.thread_unsafe(reason="sets the digits of mpmath, which are the process's")
def test_references_against_mpmath(name):
    x, high, rest = in_mpmath(name, 1000)
    keep = np.isfinite(high)
    for wide, limit in ((np.float64, 1e5), (np.longdouble, 0.1)):  # in ulp of float64
        if wide is np.longdouble and not LONG_DOUBLE:
            continue
        got = in_numpy(name, x[keep], wide)
        error = np.abs((got - high[keep]) / unit(name, high[keep], np.float64) - rest[keep])
        k = int(np.argmax(error))
        assert error[k] <= limit, f"{name}, {wide.__name__}: {error[k]:.3g} ulp at {x[keep][k]!r}"


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_float32_over_the_whole_domain(name):
    """2^27 floats, evenly spread over all bit patterns of the domain."""
    first, last = (int(order(v)) for v in domain(name, np.float32))
    if not np.isfinite(from_order(np.array([last], np.int32), np.float32))[0]:
        last -= 1
    if not np.isfinite(from_order(np.array([first], np.int32), np.float32))[0]:
        first += 1
    stride = max(1, (last - first) // 2**27)
    chunk = 1 << 17

    def run(start):
        k = np.arange(start, min(start + chunk * stride, last + 1), stride, dtype=np.int64)
        x = from_order(k.astype(np.int32), np.float32)
        exact = in_numpy(name, x, np.float64)
        return [worst(name, x, exact, 0.0, level) for level in LEVELS]

    bound = TABLE[name][2]
    with ThreadPoolExecutor(2) as pool:
        for errors in pool.map(run, range(first, last + 1, chunk * stride)):
            for level, (error, where) in zip(LEVELS, errors, strict=True):
                at = f"{name}, {level}: at {where!r} = {where.hex()}"
                assert error <= bound, f"{at}: {error:.3f} ulp, bound {bound}"


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.thread_unsafe(reason="sets the digits of mpmath, which are the process's")
def test_float64_against_mpmath_at_20000_points(name):
    x, high, rest = in_mpmath(name, 20_000)
    assert x.size >= 20_000
    check(name, x, high, rest)


INF, NAN = float("inf"), float("nan")
SPECIAL = {
    "exp": [(0.0, 1.0), (-0.0, 1.0), (INF, INF), (-INF, 0.0), (1e5, INF), (-1e5, 0.0)],
    "exp_nonpositive": [(0.0, 1.0), (-0.0, 1.0), (-INF, 0.0), (-1e5, 0.0)],
    "expm1": [(0.0, 0.0), (INF, INF), (-INF, -1.0), (-1e5, -1.0), (1e5, INF)],
    "log": [(0.0, -INF), (-0.0, -INF), (1.0, 0.0), (INF, INF), (-1.0, NAN), (-INF, NAN)],
    "log_normal": [(1.0, 0.0), (INF, INF)],
    "log1p": [(0.0, 0.0), (-1.0, -INF), (INF, INF), (-1.5, NAN), (-INF, NAN)],
    "log1p_unit": [(0.0, 0.0)],
    "log1pmx": [(0.0, 0.0), (-1.0, -INF), (INF, -INF), (-1.5, NAN)],
    "sigmoid": [(0.0, 0.5), (INF, 1.0), (-INF, 0.0)],
    "softplus": [(INF, INF), (-INF, 0.0), (-1e5, 0.0), (1e5, 1e5)],
    "log_softplus": [(INF, INF), (-INF, -INF), (-1e5, -1e5), (-1e30, -1e30)],
    "tanh": [(0.0, 0.0), (-0.0, -0.0), (INF, 1.0), (-INF, -1.0), (1e5, 1.0), (-1e5, -1.0)],
    "sech2": [(0.0, 1.0), (INF, 0.0), (-INF, 0.0), (1e5, 0.0)],
    "log_cosh": [(0.0, 0.0), (-0.0, 0.0), (INF, INF), (-INF, INF), (-1e30, 1e30)],
    "stirling_remainder": [],
    "digamma_minus_log": [],
    "trigamma_scaled": [(1e-30, 1.0)],
    "trigamma": [],
    "poisson_saturated": [(0.0, 0.0)],
    "student_normalizer": [(INF, 0.0)],
    "gamma_d2_log": [],
    "student_d1": [(INF, 0.0), (1e-30, -0.5)],
    "student_d2": [(INF, 0.0), (1e-30, 0.5)],
    "student_d2_log": [(INF, 0.0)],
}


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_special_values(name, dtype, level):
    """In every lane of a vector and in the tail."""
    for x, expected in SPECIAL[name]:
        got = _engine.vecmath(name, np.full(35, x, dtype), level)
        assert np.array_equal(got, np.full(35, expected, dtype), equal_nan=True), (x, got)
        if not np.isnan(expected):
            assert (np.signbit(got) == np.signbit(dtype(expected))).all(), (x, got)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_nan_stays_nan(name, dtype, level):
    """Whatever its sign and payload, and in its own lane only."""
    kind, size = (np.uint32, 32) if dtype is np.float32 else (np.uint64, 64)
    sign, quiet = 1 << (size - 1), int(np.array(np.nan, dtype).view(kind)) & ~(1 << (size - 1))
    for payload in (0, 1, 7, 0x7A2, 0x1FF, 0x2AAAA):
        for nan in (quiet | payload, quiet | payload | sign):
            low, high = domain(name, dtype)
            x = np.full(35, np.clip(dtype(0.5), low, high), dtype)
            plain = _engine.vecmath(name, x, level)
            x[::3] = np.array([nan], kind).view(dtype)
            got = _engine.vecmath(name, x, level)
            assert np.isnan(got[::3]).all()
            assert np.array_equal(np.delete(got, np.s_[::3]), np.delete(plain, np.s_[::3]))


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", NAMES)
def test_the_same_bits_in_a_vector_and_in_the_tail(name, level):
    for dtype in DTYPES:
        x = points(name, dtype, 400)[:67]
        whole = _engine.vecmath(name, x, level)
        for n in range(1, 35):
            assert np.array_equal(_engine.vecmath(name, x[:n], level), whole[:n], equal_nan=True)
