"""Every function of vecmath.h and vecspecial.h, on its own, at every SIMD level, against its bound.

The bounds stand in lib/tables/functions.inc.  float32 is compared with the formulas below in float64;
float64 with the same formulas in long double, where that is wider, and with mpmath.  The formulas
themselves are compared with mpmath.
"""

from concurrent.futures import ThreadPoolExecutor
from functools import cache

import mpmath as mp
import numpy as np
import pytest

import nllkern as nk
from nllkern import _engine

TABLE = {name: (low, high, f32, f64) for name, low, high, f32, f64 in _engine.vecmath_table()}
NAMES = list(TABLE)
LEVELS = nk.simd_levels()
DTYPES = [np.float32, np.float64]
LONG_DOUBLE = np.finfo(np.longdouble).eps < 1e-18

# A likelihood adds these to terms of order one: their error is measured against max(|exact|, 1).
FLOOR_ONE = {"log_softplus", "stirling_remainder", "poisson_saturated", "student_normalizer"}

BERNOULLI = [(1, 6), (-1, 30), (1, 42), (-1, 30), (5, 66), (-691, 2730), (7, 6), (-3617, 510)]
SHIFT = 20  # from which on the expansions with these eight Bernoulli numbers are good for 70 bits
with mp.workdps(40):
    LOG_SCALE = mp.nstr(mp.log(mp.rf(SHIFT + 1, SHIFT - 1)), 30)  # (SHIFT + 1) ... (2 SHIFT - 1)


# ---- the functions in NumPy, for any float type ------------------------------------------------


def log1pmx(x):
    """log1p(x) - x; near 0 as 2 s^3 (1/3 + s^2/5 + ...) - x s with s = x / (2 + x)."""
    s = x / (2 + x)
    z = s * s
    series = sum_series(z, [x.dtype.type(1) / (2 * k + 3) for k in range(24)])
    far = np.where(x < np.inf, np.log1p(x) - x, -x)
    return np.where(np.abs(x) < 0.5, 2 * s * z * series - x * s, far)


def sum_series(z, coefficients):
    total = np.zeros_like(z)
    for c in reversed(coefficients):
        total = total * z + c
    return total


def sigmoid(x):
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1) / (1 + e)


def softplus(x):
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def log_softplus(x):
    e = np.exp(np.maximum(np.minimum(x, 0), -100))
    return np.where(x < 0, x + np.log(np.log1p(e) / e), np.log(softplus(np.maximum(x, 0))))


def sech2(x):
    e = np.exp(-2 * np.abs(x))
    return 4 * e / (1 + e) ** 2


def log_cosh(x):
    size = np.abs(x)
    far = size + np.log1p(np.exp(-2 * size)) - np.log(x.dtype.type(2))
    return np.where(size < 1, np.log1p(2 * np.sinh(np.minimum(size, 1) / 2) ** 2), far)


def shifted(a):
    """Where a < SHIFT: a + SHIFT, else a; and that condition."""
    small = a < SHIFT
    return np.where(small, a + SHIFT, a), small


def asymptotic(z, divide, times=lambda _: 1):
    """The expansions at infinity: sum over k of B_2k times(2k) / divide(2k) z^(1-2k)."""
    one = z.dtype.type(1)
    coefficients = [
        one * n * times(2 * k) / (d * divide(2 * k)) for k, (n, d) in enumerate(BERNOULLI, 1)
    ]
    return sum_series(1 / (z * z), coefficients) / z


def stirling(a, power):
    """lgamma(1 + a) - (a + power) log(a) + a - log(2 pi)/2."""
    z, small = shifted(a)
    log_a = np.log(np.where(a > 0, a, 1))
    far = asymptotic(z, lambda n: n * (n - 1))
    product = np.ones_like(a)
    for k in range(1, SHIFT):
        product = product * np.where(small, (a + k) / (SHIFT + k), 1)
    log_scale = a.dtype.type(LOG_SCALE)
    near = far + (z - 0.5) * np.log(z) - (a + power) * log_a - SHIFT
    near = near - (np.log(product) + log_scale)
    return np.where(small, near, far + (0.5 - power) * log_a)


def stirling_remainder(a):
    """lgamma(a) - (a - 1/2) log(a) + a - log(2 pi)/2."""
    return stirling(a, 0.5)


def poisson_saturated(y):
    """lgamma(1 + y) - y log(y) + y."""
    pi = np.arccos(y.dtype.type(-1))
    return stirling(y, 0.0) + np.log(2 * pi) / 2


def digamma_minus_log(a):
    z, small = shifted(a)
    far = -(0.5 + asymptotic(z, lambda n: n)) / z
    near = far + np.log(z / a)
    for k in range(SHIFT):
        near = near - 1 / (a + k)
    return np.where(small, near, far)


def trigamma_scaled(a):
    """a^2 trigamma(a)."""
    z, small = shifted(a)
    far = 0.5 + asymptotic(z, lambda n: 1)
    near = a * a * (1 / z + far / (z * z))
    for k in range(1, SHIFT):
        near = near + (a / (a + k)) ** 2
    return np.where(small, near + 1, a + far)


def trigamma(a):
    return trigamma_scaled(a) / a / a


# c(nu) = log(x)/2 - lgamma(x + 1/2) + lgamma(x), x = nu/2; steps from x to x + SHIFT are sums.


def expansion(z, divide):
    """B_2k - B_2k(1/2) takes the place of B_2k."""
    return asymptotic(z, divide, lambda n: 2 - 2.0 ** (1 - n))


def student_normalizer(nu):
    z, small = shifted(nu / 2)
    x, far = nu / 2, expansion(z, lambda n: n * (n - 1))
    product = x + 0.5
    for k in range(1, SHIFT):
        product = product * np.where(small, 1 + 0.5 / (x + k), 1)
    log_x = np.log(nu) - np.log(nu.dtype.type(2))
    near = far - (np.log(z) + log_x) / 2 + np.log(product)
    return np.where(small, near, far)


def student_slope(nu):
    """Nu c'(nu)."""
    z, small = shifted(nu / 2)
    x, far = nu / 2, expansion(z, lambda n: -n)
    near = 0.5 + x / z * (far - 0.5) - 0.5 / (x + 0.5)
    for k in range(1, SHIFT):
        near = near - 0.5 * x / ((x + k) * (x + k + 0.5))
    return np.where(small, near, far)


def student_curve(nu):
    """nu^2 c''(nu)."""
    z, small = shifted(nu / 2)
    x, far = nu / 2, expansion(z, lambda _: 1)
    near = (x / z) ** 2 * (far + 0.5) - 0.5 + (x + 0.25) / (x + 0.5) ** 2
    for k in range(1, SHIFT):
        near = near + x * x * (x + k + 0.25) / ((x + k) * (x + k + 0.5)) ** 2
    return np.where(small, near, far)


NUMPY = {
    "exp": np.exp,
    "exp_nonpositive": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log_normal": np.log,
    "log1p": np.log1p,
    "log1p_unit": np.log1p,
    "log1pmx": log1pmx,
    "sigmoid": sigmoid,
    "softplus": softplus,
    "log_softplus": log_softplus,
    "tanh": np.tanh,
    "sech2": sech2,
    "log_cosh": log_cosh,
    "stirling_remainder": stirling_remainder,
    "digamma_minus_log": digamma_minus_log,
    "trigamma_scaled": trigamma_scaled,
    "trigamma": trigamma,
    "poisson_saturated": poisson_saturated,
    "student_normalizer": student_normalizer,
    "student_slope": student_slope,
    "student_curve": student_curve,
}


# ---- and in mpmath -----------------------------------------------------------------------------


def tail(a, divide, terms=24):
    return sum(mp.bernoulli(2 * k) / divide(2 * k) * a ** (1 - 2 * k) for k in range(1, terms))


def mp_digamma_minus_log(a):
    if a > 30:
        return -(mp.mpf(1) / 2 + tail(a, lambda n: n)) / a
    return mp.digamma(a) - mp.log(a)


def mp_stirling_remainder(a):
    if a > 30:
        return tail(a, lambda n: n * (n - 1))
    return mp.loggamma(a) - (a - 0.5) * mp.log(a) + a - mp.log(2 * mp.pi) / 2


def mp_trigamma(a):
    return 1 / a + (mp.mpf(1) / 2 + tail(a, lambda n: 1)) / a**2 if a > 30 else mp.psi(1, a)


def mp_log1pmx(x):
    if x == -1:
        return -mp.inf
    if abs(x) < 1e-20:
        return -x * x / 2 + x**3 / 3
    with mp.workdps(80):
        return mp.log1p(x) - x


def mp_softplus(x):
    return max(x, mp.mpf(0)) + mp.log1p(mp.exp(-abs(x)))


def mp_log_cosh(x):
    if abs(x) < 1e-10:
        return x * x / 2 - x**4 / 12
    return abs(x) - mp.log(2) + mp.log1p(mp.exp(-2 * abs(x)))


def mp_poisson_saturated(y):
    if y > 30:
        return mp_stirling_remainder(y) + mp.log(2 * mp.pi * y) / 2
    return mp.loggamma(1 + y) - (y * mp.log(y) - y if y > 0 else 0)


def mp_student(nu, exact, divide):
    """The expansion at infinity where the definition cancels."""
    x = nu / 2
    return exact(x) if x < 30 else tail(x, lambda n: divide(n) / (2 - mp.mpf(2) ** (1 - n)))


def mp_student_normalizer(nu):
    def exact(x):
        return mp.log(x) / 2 - mp.loggamma(x + 0.5) + mp.loggamma(x)

    return mp_student(nu, exact, lambda n: n * (n - 1))


def mp_student_slope(nu):
    def exact(x):
        return mp.mpf(1) / 2 - x * (mp.digamma(x + 0.5) - mp.digamma(x))

    return mp_student(nu, exact, lambda n: -n)


def mp_student_curve(nu):
    def exact(x):
        return x * x * (mp.psi(1, x) - mp.psi(1, x + 0.5)) - mp.mpf(1) / 2

    return mp_student(nu, exact, lambda _: 1)


EXACT = {
    "exp": mp.exp,
    "exp_nonpositive": mp.exp,
    "expm1": mp.expm1,
    "log": mp.log,
    "log_normal": mp.log,
    "log1p": mp.log1p,
    "log1p_unit": mp.log1p,
    "log1pmx": mp_log1pmx,
    "sigmoid": lambda x: 1 / (1 + mp.exp(-x)),
    "softplus": mp_softplus,
    "log_softplus": lambda x: mp.log(mp_softplus(x)),
    "tanh": mp.tanh,
    "sech2": lambda x: mp.sech(x) ** 2,
    "log_cosh": mp_log_cosh,
    "stirling_remainder": mp_stirling_remainder,
    "digamma_minus_log": mp_digamma_minus_log,
    "trigamma_scaled": lambda a: a * a * mp_trigamma(a),
    "trigamma": mp_trigamma,
    "poisson_saturated": mp_poisson_saturated,
    "student_normalizer": mp_student_normalizer,
    "student_slope": mp_student_slope,
    "student_curve": mp_student_curve,
}


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
        # thresholds of vecmath.h and vecspecial.h
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
def test_float64_against_mpmath(name):
    check(name, *in_mpmath(name, 1000))


@pytest.mark.parametrize("name", NAMES)
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
    "student_slope": [(INF, 0.0), (1e-30, -0.5)],
    "student_curve": [(INF, 0.0), (1e-30, 0.5)],
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
