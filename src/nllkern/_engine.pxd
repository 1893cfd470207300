from libc.stdint cimport int64_t


cdef extern from "nllkern/nllkern.h" nogil:
    enum:
        NLLK_OK
        NLLK_BAD_SIZE
        NLLK_BAD_REDUCTION
        NLLK_BAD_OPTION
        NLLK_BAD_INDEX
        NLLK_BAD_VALUE
        NLLK_BAD_WEIGHT
        NLLK_NO_MEMORY
        NLLK_INTERRUPTED
        NLLK_MAX_PARAMETERS
        NLLK_MEAN
        NLLK_SUM
        NLLK_NONE
        NLLK_VALUE
        NLLK_GRADIENT
        NLLK_HESSIAN
        NLLK_TARGET_INT64
        NLLK_TARGET_INT32
        NLLK_TARGET_PROBABILITIES
        NLLK_THREADING_DEFAULT
        NLLK_POOL
        NLLK_OPENMP

    ctypedef void (*nllk_parallel)(void *, int, void (*)(void *, int) noexcept nogil, void *) noexcept nogil

    ctypedef int (*nllk_interrupt)(void *) noexcept nogil

    # What Python's layer sets itself; the options of the rows it sets by their offsets.
    ctypedef struct nllk_options:
        int want
        int reduction
        int link[3]
        int target
        int shared
        int num_threads
        int check
        int drop_constants
        int has_ignore_index
        int64_t ignore_index
        const void *sample_weight
        const void *class_weight
        const void *extra
        ptrdiff_t extra_period
        double extra_value
        ptrdiff_t row_stride
        const double *factor
        nllk_parallel parallel
        void *context
        nllk_interrupt interrupted

    ctypedef struct nllk_results:
        void *loss
        void *grad[3]
        void *hess[3]
        double value
        double grad_sum[3]
        double hess_sum[3]
        const char *argument
        ptrdiff_t bad

    ctypedef struct nllk_function:
        const char *name
        const char *type
        void (*address)()

    ctypedef struct nllk_api:
        ptrdiff_t count
        const nllk_function *functions

    void nllk_default_options(nllk_options *)
    void nllk_empty_results(nllk_results *)
    const char *nllk_message(int status)
    int nllk_compute(int loss, int is_double, ptrdiff_t samples, ptrdiff_t size, const void *const *inputs,
                     const nllk_options *, nllk_results *)
    const nllk_api *nllk_get_api()
    void nllk_set_num_threads(int count)
    int nllk_set_threading(int way)
    int nllk_get_threading()


cdef extern from "kernels.h" nogil:
    enum:
        NLLK_VECFN_COUNT
        NLLK_VECTOR_MAX
        NLLK_ENCODE
        NLLK_EXPECTATION
        NLLK_QUANTILE
        NLLK_ADD_COLUMNS
        NLLK_COLUMN_SOFTMAX
        NLLK_UNIT_ROWS
        NLLK_UNIT_GRADIENTS
        NLLK_SCALE_ROWS

    ctypedef struct nllk_sums:
        ptrdiff_t bad

    ctypedef struct nllk_bins:
        const void *values
        ptrdiff_t row_stride
        ptrdiff_t bins
        const double *edges
        double low
        double high
        double step
        bint raise_outside "raise"
        const void *weight
        int64_t *index
        const double *points
        ptrdiff_t point_count
        ptrdiff_t result_stride
        void *result

    ctypedef struct nllk_columns:
        const void *rows
        ptrdiff_t row_count
        ptrdiff_t columns
        ptrdiff_t first
        void *top
        double *others
        const void *scale
        void *result

    ctypedef struct nllk_units:
        const void *rows
        void *result
        ptrdiff_t columns
        double *norm
        double *scale
        const double *factor
        double one_factor
        double divisor

    ctypedef void (*nllk_kernel)(const void *, ptrdiff_t, ptrdiff_t, void *, nllk_sums *) noexcept nogil
    ctypedef void (*nllk_vector_function)(const void *, void *, ptrdiff_t) noexcept nogil

    ctypedef struct nllk_vecfn_info:
        const char *name
        double low
        double high
        double ulp_f32
        double ulp_f64
    const nllk_vecfn_info nllk_vecfns[]

    ctypedef struct nllk_table:
        nllk_kernel bins[3]
        nllk_kernel columns[2]
        nllk_kernel units[3]
        nllk_vector_function vector[1]

    ctypedef struct nllk_level:
        const char *name
        const nllk_table *f32
        const nllk_table *f64
    int nllk_available_levels(const nllk_level **levels)


cdef extern from "call.h" nogil:
    ctypedef struct nllk_team:
        int threads
        nllk_parallel parallel
        void *context
        nllk_interrupt interrupted

    ctypedef struct nllk_batch:
        pass
    int nllk_batch_open(nllk_batch *, nllk_kernel, const void *, ptrdiff_t samples, ptrdiff_t sample_size, size_t)
    void nllk_batch_run(nllk_batch *, const nllk_team *)
    int nllk_batch_close(nllk_batch *, nllk_sums *total)

    double nllk_least_width(double low, double high)

    const nllk_table *nllk_table_in_use(int is_double)
    int nllk_level_in_use()
    void nllk_use_level(int level)
    int nllk_thread_count(int asked)
    int nllk_limit_threads(int limit)
    int nllk_prefer_threading(int way)
    int nllk_use_pool_only(int want)
    int nllk_openmp_version()
    int nllk_has_threads()


# What a loss object needs: the kernels of a precision, and the run itself.
cdef const nllk_table *table(bint is_double) noexcept nogil
cdef int run(nllk_kernel kernel, const void *arguments, ptrdiff_t samples, ptrdiff_t sample_size, int threads,
             nllk_sums *total) except -1
cdef int compute(int loss, bint is_double, ptrdiff_t samples, ptrdiff_t size, const void **inputs, nllk_options *o,
                 nllk_results *r) except -1
