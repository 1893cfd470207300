# cython: language_level=3
"""What another Cython project would write: the kernels, without the GIL and without Python's layer."""

from libc.stdint cimport int64_t
from nllkern cimport (
    NLLK_GRADIENT,
    NLLK_SUM,
    nllk_call,
    nllk_close,
    nllk_cross_entropy_f32,
    nllk_cross_entropy_f32_open,
    nllk_default_options,
    nllk_empty_results,
    nllk_block,
    nllk_options,
    nllk_results,
    nllk_run,
)


def cross_entropy(const float[:, ::1] logits, const int64_t[::1] target, float[:, ::1] grad, bint by_blocks):
    """(status, sum of the losses)."""
    cdef nllk_options options
    cdef nllk_results results
    cdef nllk_call call
    cdef ptrdiff_t rows = logits.shape[0], begin = 0, block
    cdef int status
    with nogil:
        nllk_default_options(&options)
        nllk_empty_results(&results)
        options.want = NLLK_GRADIENT
        options.reduction = NLLK_SUM
        results.grad[0] = &grad[0, 0]
        if by_blocks:
            status = nllk_cross_entropy_f32_open(rows, logits.shape[1], &logits[0, 0], &target[0], &options, &results,
                                                 &call)
            if status == 0:
                block = nllk_block(&call)
                while begin < rows:
                    status |= nllk_run(&call, begin, min(begin + block, rows))
                    begin += block
                status |= nllk_close(&call, &results)
        else:
            status = nllk_cross_entropy_f32(rows, logits.shape[1], &logits[0, 0], &target[0], &options, &results)
    return status, results.value
