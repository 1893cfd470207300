"""The structs of nllkern.h."""

from libc.stdint cimport int64_t, uint64_t


cdef extern from "nllkern/nllkern.h" nogil:
    enum:
        NLLK_OK
        NLLK_BAD_OPTIONS
        NLLK_BAD_SIZE
        NLLK_NULL_POINTER
        NLLK_BAD_REDUCTION
        NLLK_BAD_WANT
        NLLK_BAD_LINK
        NLLK_BAD_TARGET
        NLLK_BAD_OPTION
        NLLK_BAD_INDEX
        NLLK_BAD_RANGE
        NLLK_NO_MEMORY

    enum:
        NLLK_MEAN
        NLLK_SUM
        NLLK_NONE
        NLLK_VALUE
        NLLK_GRADIENT
        NLLK_HESSIAN
        NLLK_IDENTITY
        NLLK_SOFTPLUS
        NLLK_LOG
        NLLK_VARIANCE
        NLLK_LOG_VARIANCE
        NLLK_TARGET_DEFAULT
        NLLK_TARGET_INT64
        NLLK_TARGET_INT32
        NLLK_TARGET_PROBABILITIES
        NLLK_FROM_SOFTMAX
        NLLK_FROM_LOG
        NLLK_CRAMMER_SINGER
        NLLK_WESTON_WATKINS

    ctypedef void (*nllk_work)(void *task, int k) noexcept nogil
    ctypedef void (*nllk_parallel)(void *context, int count, nllk_work work, void *task) noexcept nogil

    ctypedef struct nllk_options:
        size_t size
        int want
        int reduction
        int link
        int own_link
        int target
        int variant
        int shared
        int num_threads
        int drop_constants
        int has_ignore_index
        int64_t ignore_index
        double normalizer
        const void *sample_weight
        const void *class_weight
        const void *extra
        ptrdiff_t extra_period
        ptrdiff_t row_stride
        double label_smoothing
        double z_loss
        double softcap
        double margin
        double p
        nllk_parallel parallel
        void *context

    ctypedef struct nllk_results:
        size_t size
        void *loss
        void *grad[3]
        void *hess[3]
        double value
        double denominator
        double grad_sum[3]
        double hess_sum[3]
        ptrdiff_t bad

    ctypedef struct nllk_call:
        uint64_t room[96]

    ctypedef struct nllk_function:
        const char *name
        const char *type
        void (*address)()

    ctypedef struct nllk_api:
        int abi
        size_t size
        ptrdiff_t count
        const nllk_function *functions
