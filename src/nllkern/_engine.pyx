# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Calls of the kernels on threads, how many there are, and the choice of the SIMD level: Python's side of c/call.h."""

cimport numpy as cnp
from cpython.pycapsule cimport PyCapsule_New
from cython.parallel cimport prange
from libc.stdint cimport int64_t

import os
import threading
from contextlib import contextmanager

import numpy as np

from ._threads import default_num_threads

cnp.import_array()


cdef extern from "build_config.h":
    const char *NLLK_VERSION
    const char *NLLK_COMPILER
    const char *NLLK_KERNEL_FLAGS

cdef extern from "os_threads.h" nogil:
    int64_t nllk_now()


cdef const nllk_level *levels = NULL
cdef int level_count = nllk_available_levels(&levels)
if level_count == 0:
    raise ImportError("nllkern was built with -Dlevels= for other processors than this one")


cdef const nllk_table *table(bint is_double) noexcept nogil:
    return nllk_table_in_use(is_double)


cdef void spread(void *context, int count, void (*work)(void *, int) noexcept nogil, void *task) noexcept nogil:
    """Call work(task, k) for each k from 0 to `count`, each on a thread of OpenMP's."""
    cdef int k
    for k in prange(count, num_threads=count, schedule="static", chunksize=1):
        work(task, k)


cdef extern from "Python.h":
    int PyErr_CheckSignals()  # without "except": the exception waits in the thread until the call has returned


cdef nllk_parallel parallel() noexcept nogil:
    """Who sets workers to work; NULL: the pool of the library."""
    if nllk_get_threading() == NLLK_OPENMP:
        return spread
    return NULL


cdef enum:
    SHORT = 4096  # elements: a shorter call is not worth releasing the GIL
    LONG = 262144  # elements: a shorter call is over before anybody wants to interrupt it
    PATIENCE = 100_000_000  # nanoseconds between looks for signals: another thread may keep the GIL for 5 ms each time


cdef int handle_signals() noexcept with gil:
    return PyErr_CheckSignals()


cdef int interrupted(void *looked) noexcept nogil:
    """Run Python's signal handlers now and then; whether one of them has raised.  `looked`: when that was last."""
    cdef int64_t now = nllk_now()
    if now - (<int64_t *> looked)[0] < PATIENCE:
        return 0
    (<int64_t *> looked)[0] = now
    return handle_signals()


cdef bint can_be_interrupted(ptrdiff_t elements):
    """Whether a call is long, and made by the thread that handles signals."""
    return elements >= LONG and threading.get_ident() == threading.main_thread().ident


cdef int raise_for(int status) except -1:
    """Raise what a status of the machine, not of the arguments, stands for; a handler has raised already."""
    if status == NLLK_NO_MEMORY:
        raise MemoryError("nllkern could not allocate its buffers")
    return -1 if status == NLLK_INTERRUPTED else status


cdef int run(nllk_kernel kernel, const void *arguments, ptrdiff_t samples, ptrdiff_t sample_size, int threads,
             nllk_sums *total) except -1:
    """Run a kernel over `samples` samples of `sample_size` elements each and add up what its blocks report.

    On so many threads at most (0: as many as there may be).
    """
    cdef nllk_batch batch
    cdef nllk_team team
    cdef int64_t looked
    cdef int status
    team.threads, team.parallel, team.context = nllk_thread_count(threads), parallel(), &looked
    team.interrupted = NULL
    if can_be_interrupted(samples * sample_size):
        looked = nllk_now()
        team.interrupted = interrupted
    raise_for(nllk_batch_open(&batch, kernel, arguments, samples, sample_size, 0))
    with nogil:
        nllk_batch_run(&batch, &team)
        status = nllk_batch_close(&batch, total)
    return raise_for(status)


cdef int compute(int loss, bint is_double, ptrdiff_t samples, ptrdiff_t size, const void **inputs, nllk_options *o,
                 nllk_results *r) except -1:
    """Run a loss, on as many threads as o.num_threads says (0: as many as there may be), and return its status."""
    cdef int status
    cdef int64_t looked
    o.parallel, o.num_threads = parallel(), nllk_thread_count(o.num_threads)
    if samples * max(size, 1) < SHORT:
        return raise_for(nllk_compute(loss, is_double, samples, size, inputs, o, r))
    if can_be_interrupted(samples * max(size, 1)):
        looked = nllk_now()
        o.interrupted, o.context = interrupted, &looked
    with nogil:
        status = nllk_compute(loss, is_double, samples, size, inputs, o, r)
    return raise_for(status)


cdef void *data(x):
    return NULL if x is None else cnp.PyArray_DATA(<cnp.ndarray> x)


def thread_count(int asked):
    """Threads for a call that asked for so many (0: for none in particular)."""
    return nllk_thread_count(asked)


@contextmanager
def pool_only():
    """Calls of this thread have the pool's threads, whoever was asked for."""
    cdef int before = nllk_use_pool_only(1)
    try:
        yield
    finally:
        nllk_use_pool_only(before)


def run_columns(bint softmax, cnp.ndarray rows, ptrdiff_t first, top, others, scale, result, int threads):
    """A kernel of nllk_columns over C-contiguous arrays; `others` is float64."""
    cdef nllk_columns c
    cdef nllk_sums unused
    cdef nllk_kernel kernel = table(cnp.PyArray_TYPE(rows) == cnp.NPY_DOUBLE).columns[
        NLLK_COLUMN_SOFTMAX if softmax else NLLK_ADD_COLUMNS]
    c.rows, c.row_count, c.columns, c.first = data(rows), cnp.PyArray_DIM(rows, 0), cnp.PyArray_DIM(rows, 1), first
    c.top, c.others, c.scale, c.result = data(top), <double *> data(others), data(scale), data(result)
    run(kernel, &c, c.columns, c.row_count, threads, &unused)


cdef int run_units(int which, cnp.ndarray rows, cnp.ndarray result, norm, scale, factor, double one_factor,
                   double divisor, int threads) except -1:
    """A kernel of nllk_units over C-contiguous matrices; the vectors are float64 or None."""
    cdef nllk_units u
    cdef nllk_sums unused
    cdef nllk_kernel kernel = table(cnp.PyArray_TYPE(rows) == cnp.NPY_DOUBLE).units[which]
    u.rows, u.result, u.columns = data(rows), data(result), cnp.PyArray_DIM(rows, 1)
    u.norm, u.scale, u.factor = <double *> data(norm), <double *> data(scale), <double *> data(factor)
    u.one_factor, u.divisor = one_factor, divisor
    run(kernel, &u, cnp.PyArray_DIM(rows, 0), u.columns, threads, &unused)
    return 0


def unit_rows(rows, result, int threads):
    """Each row over its Euclidean norm, into `result`; a row of zeros stays one.

    Returns (norm, scale): of the row times `scale`, a power of two, so that no square over- or
    underflows.  Of a row of zeros the scale is 0.
    """
    norm, scale = np.empty(len(rows)), np.empty(len(rows))
    run_units(NLLK_UNIT_ROWS, rows, result, norm, scale, None, 1, 1, threads)
    return norm, scale


def unit_gradients(units, grad, norms, factor, double one_factor, int threads):
    """Gradients by unit vectors made those by the rows that they came from, in place, times factors."""
    norm, scale = norms
    run_units(NLLK_UNIT_GRADIENTS, units, grad, norm, scale, factor, one_factor, 1, threads)


def scale_rows(rows, result, factor, double one_factor, double divisor, int threads):
    """Rows times factor (one a row, or None) times one_factor / divisor, in float64 and rounded once."""
    run_units(NLLK_SCALE_ROWS, rows, result, None, None, factor, one_factor, divisor, threads)


def c_functions():
    """(name, C type, address) of each function of nllkern.h."""
    cdef const nllk_api *api = nllk_get_api()
    return [
        (api.functions[k].name.decode(), api.functions[k].type.decode(), <size_t> <void *> api.functions[k].address)
        for k in range(api.count)
    ]


_C_API = PyCapsule_New(<void *> nllk_get_api(), "nllkern._C_API", NULL)  # as PyCapsule_Import finds it


def vecmath_table():
    """Name, domain, and largest error in ulp (float32, float64) of each function of functions.inc."""
    return [
        (nllk_vecfns[k].name.decode(), nllk_vecfns[k].low, nllk_vecfns[k].high, nllk_vecfns[k].ulp_f32,
         nllk_vecfns[k].ulp_f64)
        for k in range(NLLK_VECFN_COUNT)
    ]


def vecmath(str name, x, str level=None, int repeat=1):
    """A function of functions.inc over a float32 or float64 array, for the tests; `repeat`edly, to be timed."""
    cdef cnp.ndarray source = np.ascontiguousarray(x)
    cdef cnp.ndarray result = np.empty_like(source)
    cdef int which = [row[0] for row in vecmath_table()].index(name)
    cdef int k = nllk_level_in_use() if level is None else _level_index(level)
    cdef bint is_double = source.dtype == np.float64
    if not is_double and source.dtype != np.float32:
        raise TypeError(f"x: got dtype {source.dtype}, expected float32 or float64")
    cdef const nllk_table *kernels = levels[k].f64 if is_double else levels[k].f32
    cdef const void *read = cnp.PyArray_DATA(source)
    cdef void *written = cnp.PyArray_DATA(result)
    cdef Py_ssize_t size = source.size
    with nogil:
        for _ in range(repeat):
            kernels.vector[which](read, written, size)
    return result


def simd_levels():
    """Names of the SIMD levels that this machine can run, the most basic first."""
    return tuple(levels[k].name.decode() for k in range(level_count))


def simd_level():
    """Name of the SIMD level in use."""
    return levels[nllk_level_in_use()].name.decode()


def _level_index(name):
    if name not in simd_levels():
        raise ValueError(f"SIMD level: got {name!r}, expected one of {', '.join(simd_levels())}")
    return simd_levels().index(name)


@contextmanager
def use_simd_level(str name):
    """Use another SIMD level for a while, in all threads: for tests and measurements."""
    before = nllk_level_in_use()
    nllk_use_level(_level_index(name))
    try:
        yield
    finally:
        nllk_use_level(before)


def _checked_threads(k):
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)):
        raise TypeError(f"number of threads: got {k!r}, expected a positive int")
    if not 1 <= k <= 1024:
        raise ValueError(f"number of threads: got {k}, expected 1 to 1024")
    return int(k)


def set_num_threads(k):
    """Set how many threads a call may use that does not say so itself.

    Parameters
    ----------
    k : int
        1 to 1024.  It holds for the whole process.
    """
    nllk_set_num_threads(_checked_threads(k))


def get_num_threads():
    """How many threads a call made here and now may use (small calls use one)."""
    return nllk_thread_count(0)


@contextmanager
def num_threads(k):
    """Limit the calls that this thread makes inside the ``with`` block to `k` threads."""
    before = nllk_limit_threads(_checked_threads(k))
    try:
        yield
    finally:
        nllk_limit_threads(before)


cdef dict THREADING = {"pool": NLLK_POOL, "openmp": NLLK_OPENMP}


def threading_ways():
    """What set_threading takes in this build."""
    return tuple(THREADING) if nllk_openmp_version() else ("pool",)


def set_threading(way):
    """Choose whose threads compute.  Results have the same bits.

    Parameters
    ----------
    way : {"pool", "openmp"} or None
        ``"pool"``: the library's own threads.  A call never waits for one that has not begun, so
        that a machine which is busy with other programs does not hold it up.  ``"openmp"``: those of
        OpenMP, all of which a call waits for; a forked child has the pool all the same.  None: what
        measurements chose, which is the pool, but OpenMP in ``nllkern.torch``, whose threads PyTorch has
        woken already.  The choice holds for the whole process; at first it is ``NLLKERN_THREADING``.
    """
    if way is None:
        nllk_set_threading(NLLK_THREADING_DEFAULT)
        return
    if way not in threading_ways():
        built_without = way in THREADING
        expected = "which this nllkern was built without" if built_without else "expected 'pool', 'openmp' or None"
        raise ValueError(f"threading: got {way!r}, {expected}")
    nllk_set_threading(THREADING[way])


def get_threading():
    """Whose threads compute in a call made here and now: ``"pool"`` or ``"openmp"``."""
    return "openmp" if nllk_get_threading() == NLLK_OPENMP else "pool"


def prefer_openmp(bint want):
    """Whether calls of this thread use OpenMP where nobody has chosen; returns what it was before."""
    return nllk_prefer_threading(NLLK_OPENMP if want else NLLK_POOL) == NLLK_OPENMP


def build_info():
    """What was decided when the library was built."""
    return {
        "version": NLLK_VERSION.decode(),
        "compiler": NLLK_COMPILER.decode(),
        "kernel flags": NLLK_KERNEL_FLAGS.decode(),
        "openmp": nllk_openmp_version(),
        "threads": bool(nllk_has_threads()),
    }


nllk_set_num_threads(default_num_threads())
if os.environ.get("NLLKERN_THREADING"):
    set_threading(os.environ["NLLKERN_THREADING"])
if "NLLKERN_SIMD" in os.environ:
    nllk_use_level(_level_index(os.environ["NLLKERN_SIMD"]))
