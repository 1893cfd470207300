# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Blocks, threads, ordered sums, and the choice of the SIMD level: the only file that knows threads.

The samples of a call are cut into blocks whose size depends on the call alone, never on the number of
threads; each block leaves its sums in a place of its own, and they are added in the order of the blocks.
So the bits are the same for any number of threads.
"""

cimport numpy as cnp
from cython.parallel cimport parallel, prange
from libc.stdlib cimport free, malloc
from libc.string cimport memset

import os
from collections import namedtuple
from contextlib import contextmanager

import numpy as np

from ._threads import default_num_threads

cnp.import_array()


cdef extern from "threads.h" nogil:
    int nllk_thread_limit
    int nllk_is_forked_child
    void nllk_watch_forks()
    int NLLK_OPENMP

cdef extern from "build_config.h":
    const char *NLLK_VERSION
    const char *NLLK_COMPILER
    const char *NLLK_KERNEL_FLAGS


# Elements in a block: at least about 30 us of work, enough to pay for handing it out, and more where BLOCKS are left
# all the same, since the kernels overlap what rows of one block do.  A long block is a whole number of the kernels'
# tiles, or of their row blocks.
cdef enum:
    BLOCK_ELEMENTS = 16384
    LONG_BLOCK_ELEMENTS = 262144
    BLOCKS = 128
    ROW_BLOCK = 32
    TILE = 128
    MAX_BLOCKS = 4096


cdef const nllk_level *levels = NULL
cdef int level_count = nllk_available_levels(&levels)
cdef int current_level = 0
cdef int default_threads = 1


cdef const nllk_table *table(bint is_double) noexcept nogil:
    return levels[current_level].f64 if is_double else levels[current_level].f32


cdef int thread_count(int asked) noexcept nogil:
    """Threads for a call that asked for so many (0: for none in particular)."""
    if NLLK_OPENMP == 0 or nllk_is_forked_child:
        return 1
    if asked > 0:
        return asked
    return nllk_thread_limit if nllk_thread_limit > 0 else default_threads


cdef void add_in_order(const nllk_sums *parts, ptrdiff_t count, nllk_sums *total) noexcept nogil:
    """The sums of the blocks, first to last, with what additions lose carried along (Neumaier)."""
    cdef double lost[8]
    cdef double *into
    cdef const double *part
    cdef double s
    cdef ptrdiff_t b
    cdef int k
    memset(lost, 0, sizeof(lost))
    memset(total, 0, sizeof(nllk_sums))
    total.bad = -1
    into = &total.value
    for b in range(count):
        part = &parts[b].value
        for k in range(8):
            s = into[k] + part[k]
            if s - s == 0:  # finite
                lost[k] += (into[k] - s) + part[k] if abs(into[k]) >= abs(part[k]) else (part[k] - s) + into[k]
            into[k] = s
        if total.bad < 0:
            total.bad = parts[b].bad
    for k in range(8):
        into[k] += lost[k]


cdef int run(nllk_kernel kernel, const void *arguments, ptrdiff_t samples, ptrdiff_t sample_size,
             size_t scratch_bytes, int threads, nllk_sums *total) except -1:
    """Run a kernel over `samples` samples of `sample_size` elements each and add up what its blocks report.

    Each thread lends it `scratch_bytes` of scratch.
    """
    cdef ptrdiff_t elements = min(max(samples * sample_size // BLOCKS, BLOCK_ELEMENTS), LONG_BLOCK_ELEMENTS)
    cdef ptrdiff_t block = max(elements // max(sample_size, 1), 1)
    cdef ptrdiff_t blocks, b
    cdef nllk_sums *parts
    cdef void *scratch = NULL
    block = max(block, (samples + MAX_BLOCKS - 1) // MAX_BLOCKS)
    if block >= TILE:
        block = (block + TILE - 1) // TILE * TILE
    elif block >= ROW_BLOCK:
        block = (block + ROW_BLOCK - 1) // ROW_BLOCK * ROW_BLOCK
    blocks = (samples + block - 1) // block
    if blocks <= 1 and samples * sample_size < BLOCK_ELEMENTS // 4:  # too short to let go of the GIL
        memset(total, 0, sizeof(nllk_sums))
        kernel(arguments, 0, samples, NULL, total)
        return 0
    parts = <nllk_sums *> malloc(blocks * sizeof(nllk_sums))
    if parts is NULL:
        raise MemoryError("nllkern could not allocate the sums of its blocks")
    with nogil:
        memset(parts, 0, blocks * sizeof(nllk_sums))
        if threads > 1 and blocks > 1:
            with parallel(num_threads=threads):
                scratch = malloc(scratch_bytes) if scratch_bytes else NULL
                for b in prange(blocks, schedule="dynamic"):
                    kernel(arguments, b * block, min((b + 1) * block, samples), scratch, &parts[b])
                free(scratch)
        else:  # even one thread costs a parallel region its 0.7 us
            scratch = malloc(scratch_bytes) if scratch_bytes else NULL
            for b in range(blocks):
                kernel(arguments, b * block, min((b + 1) * block, samples), scratch, &parts[b])
            free(scratch)
        add_in_order(parts, blocks, total)
        free(parts)
    return 0


# `own`: the last parameter has a link for itself; `extra`: the name of a further per-sample input;
# `linked`: the bit set of the parameters that go through a link.
# Of a row-wise loss `extra` holds the names of all its own keywords, `support` the kinds of target it takes.
LossInfo = namedtuple("LossInfo", "name kind parameters links own extra support linked")


def loss_table():
    """What there is to know of each loss: a ``LossInfo`` each."""
    return [
        LossInfo(
            nllk_losses[k].name.decode(),
            nllk_losses[k].kind.decode(),
            tuple(nllk_losses[k].parameters.decode().split()),
            tuple(nllk_losses[k].links.decode().split()),
            bool(nllk_losses[k].own[0]),
            nllk_losses[k].extra.decode(),
            nllk_losses[k].support.decode(),
            nllk_losses[k].linked if nllk_losses[k].links[0] else 0,
        )
        for k in range(NLLK_LOSS_COUNT)
    ]


def vecmath_table():
    """Name, domain, and largest error in ulp (float32, float64) of each function of vecmath.h and vecspecial.h."""
    return [
        (nllk_vecfns[k].name.decode(), nllk_vecfns[k].low, nllk_vecfns[k].high, nllk_vecfns[k].ulp_f32,
         nllk_vecfns[k].ulp_f64)
        for k in range(NLLK_VECFN_COUNT)
    ]


def vecmath(str name, x, str level=None):
    """A function of vecmath.h or vecspecial.h over a float32 or float64 array, for the tests."""
    cdef cnp.ndarray source = np.ascontiguousarray(x)
    cdef cnp.ndarray result = np.empty_like(source)
    cdef int which = [row[0] for row in vecmath_table()].index(name)
    cdef int k = current_level if level is None else _level_index(level)
    cdef bint is_double = source.dtype == np.float64
    if not is_double and source.dtype != np.float32:
        raise TypeError(f"x: got dtype {source.dtype}, expected float32 or float64")
    cdef const nllk_table *kernels = levels[k].f64 if is_double else levels[k].f32
    kernels.vector[which](cnp.PyArray_DATA(source), cnp.PyArray_DATA(result), source.size)
    return result


def simd_levels():
    """Names of the SIMD levels that this machine can run, the most basic first."""
    return tuple(levels[k].name.decode() for k in range(level_count))


def simd_level():
    """Name of the SIMD level in use."""
    return levels[current_level].name.decode()


def _level_index(name):
    if name not in simd_levels():
        raise ValueError(f"SIMD level: got {name!r}, expected one of {', '.join(simd_levels())}")
    return simd_levels().index(name)


@contextmanager
def use_simd_level(str name):
    """Use another SIMD level for a while, in all threads: for tests and measurements."""
    global current_level
    before = current_level
    current_level = _level_index(name)
    try:
        yield
    finally:
        current_level = before


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
    global default_threads
    default_threads = _checked_threads(k)


def get_num_threads():
    """How many threads a call made here and now may use (small calls use one)."""
    return thread_count(0)


@contextmanager
def num_threads(k):
    """Limit the calls that this thread makes inside the ``with`` block to `k` threads."""
    global nllk_thread_limit
    before = nllk_thread_limit
    nllk_thread_limit = _checked_threads(k)
    try:
        yield
    finally:
        nllk_thread_limit = before


def build_info():
    """What was decided when the library was built."""
    return {
        "version": NLLK_VERSION.decode(),
        "compiler": NLLK_COMPILER.decode(),
        "kernel flags": NLLK_KERNEL_FLAGS.decode(),
        "openmp": NLLK_OPENMP,
    }


nllk_watch_forks()
default_threads = default_num_threads()
current_level = _level_index(os.environ["NLLKERN_SIMD"]) if "NLLKERN_SIMD" in os.environ else level_count - 1
