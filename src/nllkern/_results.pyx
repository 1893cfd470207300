# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""The memory of large results: blocks that are freed are kept for the next call, which then meets no page faults.

NumPy's allocator, through which it goes, is set for the moment in which a result is made (NEP 49).  So results are
arrays like any others: they own their data, they can be resized, and tracemalloc sees them until they are freed.
"""

cimport numpy as cnp
from cpython.object cimport PyObject
from cpython.pycapsule cimport PyCapsule_GetPointer, PyCapsule_New
from libc.stdint cimport int64_t, uint8_t
from libc.string cimport memmove, memset, strcpy

import os

cnp.import_array()


cdef extern from "numpy/arrayobject.h":
    ctypedef struct PyDataMemAllocator:
        void *ctx
        void *(*malloc)(void *, size_t) noexcept nogil
        void *(*calloc)(void *, size_t, size_t) noexcept nogil
        void *(*realloc)(void *, void *, size_t) noexcept nogil
        void (*free)(void *, void *, size_t) noexcept nogil

    ctypedef struct PyDataMem_Handler:
        char name[127]
        uint8_t version
        PyDataMemAllocator allocator

    PyObject *PyDataMem_DefaultHandler
    object PyDataMem_GetHandler()
    object PyDataMem_SetHandler(object)


cdef extern from "os_threads.h" nogil:
    ctypedef struct atomic_int:
        pass

    void nllk_lock(atomic_int *)
    void nllk_unlock(atomic_int *)
    int nllk_watch_forks(void (*before)() noexcept nogil, void (*in_parent)() noexcept nogil,
                         void (*in_child)() noexcept nogil)
    int64_t nllk_memory()


cdef enum:
    LEAST = 1 << 22  # bytes of a large result: malloc keeps what is smaller, and NumPy asks for huge pages from here on
    MOST_BLOCKS = 32

ctypedef struct Block:
    void *data
    size_t size

cdef Block kept[MOST_BLOCKS]  # the one freed first comes first
cdef int count = 0
cdef size_t total = 0  # bytes of them
cdef size_t limit = 0
cdef PyDataMemAllocator *numpys
cdef atomic_int changing


cdef void lock() noexcept nogil:
    nllk_lock(&changing)


cdef void unlock() noexcept nogil:
    nllk_unlock(&changing)


cdef size_t block_size(size_t size) noexcept nogil:
    """The bytes of the block for a result: up to an eighth more, so that batches of almost one size share blocks."""
    cdef size_t step = LEAST
    if size < LEAST or size > <size_t> -1 // 2:
        return size
    while step <= size // 2:
        step *= 2
    step //= 8
    return (size + step - 1) // step * step


cdef Block remove(int k) noexcept nogil:
    global count, total
    cdef Block block = kept[k]
    total -= block.size
    count -= 1
    memmove(&kept[k], &kept[k + 1], (count - k) * sizeof(Block))
    return block


cdef void *take(size_t size) noexcept nogil:
    """The block of that size that was freed last, or NULL."""
    cdef void *found = NULL
    cdef int k
    lock()
    for k in range(count - 1, -1, -1):
        if kept[k].size == size:
            found = remove(k).data
            break
    unlock()
    return found


cdef void trim(size_t bytes) noexcept nogil:
    """Free what was kept longest until no more is kept than so many bytes."""
    cdef Block block
    while True:
        block.data = NULL
        lock()
        if total > bytes:
            block = remove(0)
        unlock()
        if block.data == NULL:
            return
        numpys.free(numpys.ctx, block.data, block.size)


cdef void keep(void *data, size_t size) noexcept nogil:
    """Keep a block if the limit allows it, in place of older ones; else free it."""
    global count, total
    cdef Block oldest
    oldest.data, oldest.size = data, size
    if size <= limit:
        lock()
        if count == MOST_BLOCKS:
            oldest = remove(0)
        else:
            oldest.data = NULL
        kept[count].data, kept[count].size = data, size
        count += 1
        total += size
        unlock()
    if oldest.data != NULL:
        numpys.free(numpys.ctx, oldest.data, oldest.size)
    trim(limit)


# ---- what NumPy calls: it says the bytes of the result when it frees it, and so those of its block ----

cdef void *allocate(void *context, size_t size) noexcept nogil:
    cdef void *data = NULL
    size = block_size(size)
    if size >= LEAST:
        data = take(size)
    if data == NULL:
        data = numpys.malloc(numpys.ctx, size)
    if data == NULL:
        trim(0)
        data = numpys.malloc(numpys.ctx, size)
    return data


cdef void *allocate_zeros(void *context, size_t number, size_t size) noexcept nogil:
    return numpys.calloc(numpys.ctx, block_size(number * size), 1)


cdef void *reallocate(void *context, void *data, size_t size) noexcept nogil:
    return numpys.realloc(numpys.ctx, data, block_size(size))


cdef void deallocate(void *context, void *data, size_t size) noexcept nogil:
    if size < LEAST:
        numpys.free(numpys.ctx, data, size)
    else:
        keep(data, block_size(size))


# Arrays may live longer than this module's dictionary; they hold the capsule, and what it points to is static.
cdef PyDataMem_Handler own_handler
memset(&own_handler, 0, sizeof(own_handler))
strcpy(own_handler.name, b"nllkern")
own_handler.version = 1
own_handler.allocator.malloc, own_handler.allocator.calloc = allocate, allocate_zeros
own_handler.allocator.realloc, own_handler.allocator.free = reallocate, deallocate
cdef object own = PyCapsule_New(&own_handler, "mem_handler", NULL)
cdef object default = <object> PyDataMem_DefaultHandler
numpys = &(<PyDataMem_Handler *> PyCapsule_GetPointer(default, "mem_handler")).allocator


cdef cnp.ndarray new_array(int ndim, const cnp.npy_intp *shape, int t):
    cdef size_t size = sizeof(float) if t == cnp.NPY_FLOAT else sizeof(double)
    cdef int k
    for k in range(ndim):
        size *= shape[k]
    # Who has set an allocator of his own gets his own.
    if size < LEAST or limit == 0 or PyDataMem_GetHandler() is not default:
        return <cnp.ndarray> cnp.PyArray_EMPTY(ndim, <cnp.npy_intp *> shape, t, 0)
    PyDataMem_SetHandler(own)
    try:
        return <cnp.ndarray> cnp.PyArray_EMPTY(ndim, <cnp.npy_intp *> shape, t, 0)
    finally:
        PyDataMem_SetHandler(default)


cdef cnp.ndarray new_array_of(tuple shape, int t):
    cdef cnp.npy_intp sizes[64]  # NumPy's arrays have no more axes
    cdef int k
    for k in range(len(shape)):
        sizes[k] = shape[k]
    return new_array(<int> len(shape), sizes, t)


def empty_cache():
    """Free the memory that is kept for results to come.

    Results of 4 MiB and more come from blocks that earlier results have left, since fresh memory
    costs more than the loss itself: the system has to clear it, page by page.  At most
    ``NLLKERN_CACHE_BYTES`` of the environment are kept, which is read when nllkern is imported; 0
    keeps nothing.  By default they are 512 MiB, but no more than a sixteenth of the machine's
    memory: never more than the results of the process have held already, and little beside what a
    laptop has free.

    Arrays that are alive are not touched.
    """
    trim(0)


def kept_bytes():
    """Bytes of the blocks that are kept."""
    return total


def default_limit(environ=os.environ):
    """Bytes that may be kept, from NLLKERN_CACHE_BYTES or the machine's memory."""
    text = environ.get("NLLKERN_CACHE_BYTES", "")
    if text:
        if not text.isdecimal():
            raise ValueError(f"NLLKERN_CACHE_BYTES: got {text!r}, expected a number of bytes, 0 to keep nothing")
        return min(int(text), 2**62)
    return min(512 << 20, nllk_memory() // 16)


limit = default_limit()
if nllk_watch_forks(lock, unlock, unlock) != 0:  # a forked child finds the blocks as they are between two changes
    limit = 0
