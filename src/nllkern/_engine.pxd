from libc.stdint cimport int64_t

from nllkern._capi_types cimport nllk_api, nllk_parallel


cdef extern from "kernels.h" nogil:
    enum:
        NLLK_LOSS_COUNT
        NLLK_VECFN_COUNT
        WANT_VALUE
        WANT_GRAD
        WANT_HESS

    ctypedef struct nllk_sums:
        double value
        double[3] grad
        double[3] hess
        double weight
        ptrdiff_t bad

    ctypedef struct nllk_pointwise:
        int want
        int link[3]
        const void *parameter[3]
        int parameter_stride[3]
        const void *target
        int target_stride
        const void *weight
        const void *extra
        ptrdiff_t extra_period
        double extra_value
        int full
        void *loss
        void *grad[3]
        void *hess[3]

    ctypedef struct nllk_rowwise:
        int want
        const void *logits
        ptrdiff_t row_stride
        ptrdiff_t classes
        const void *index
        int index_is_64
        const void *prob
        const void *class_weight
        const void *weight
        int has_ignore
        int64_t ignore_index
        double smoothing
        double z_loss
        double softcap
        double margin
        int variant
        void *loss
        void *grad
        void *hess

    enum:
        NLLK_ENCODE
        NLLK_EXPECTATION
        NLLK_QUANTILE

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

    enum:
        NLLK_VECTOR_MAX

    ctypedef struct nllk_vectors:
        int want
        int link
        int full
        ptrdiff_t samples
        ptrdiff_t dimension
        const void *input[3]
        const void *target
        const void *weight
        double margin
        double norm
        void *loss
        void *grad[3]
        void *hess[3]
        const double *factor
        double log_sum

    ctypedef void (*nllk_kernel)(const void *, ptrdiff_t, ptrdiff_t, void *, nllk_sums *) noexcept nogil
    ctypedef void (*nllk_vector_function)(const void *, void *, ptrdiff_t) noexcept nogil

    ctypedef struct nllk_loss_info:
        const char *name
        const char *kind
        const char *parameters
        const char *links
        const char *own
        const char *extra
        const char *support
        int linked
    const nllk_loss_info nllk_losses[]

    ctypedef struct nllk_vecfn_info:
        const char *name
        double low
        double high
        double ulp_f32
        double ulp_f64
    const nllk_vecfn_info nllk_vecfns[]

    ctypedef struct nllk_table:
        nllk_kernel loss[1]
        nllk_kernel survey[2]
        nllk_kernel bins[3]
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

    ctypedef struct nllk_batch:
        pass
    int nllk_batch_open(nllk_batch *, nllk_kernel, const void *, ptrdiff_t samples, ptrdiff_t sample_size, size_t)
    void nllk_batch_run(nllk_batch *, const nllk_team *)
    void nllk_batch_close(nllk_batch *, nllk_sums *total)

    ctypedef union nllk_arguments:
        nllk_rowwise rows
        nllk_pointwise points
        nllk_vectors vectors

    ctypedef struct nllk_work:
        int loss
        int is_double
        int reduction
        double normalizer
        int indices_known
        int shared_factor
        ptrdiff_t samples
        nllk_arguments a
        double denominator
        ptrdiff_t bad
    int nllk_open_call(nllk_work *, const nllk_team *)
    void nllk_run_call(nllk_work *, const nllk_team *)
    void nllk_close_call(nllk_work *, nllk_sums *)
    bint nllk_is_short(const nllk_work *)

    double nllk_least_width(double low, double high)

    const nllk_table *nllk_table_in_use(int is_double)
    int nllk_level_in_use()
    void nllk_use_level(int level)
    int nllk_thread_count(int asked)
    int nllk_limit_threads(int limit)
    int nllk_openmp_version()
    void nllk_set_num_threads(int count)

    const nllk_api *nllk_get_api()


# What a loss object needs: the table of a precision, how many threads a call may use, and the run itself.
cdef const nllk_table *table(bint is_double) noexcept nogil
cdef int thread_count(int asked) noexcept nogil
cdef int run(nllk_kernel kernel, const void *arguments, ptrdiff_t samples, ptrdiff_t sample_size, int threads,
             nllk_sums *total) except -1
cdef int run_call(nllk_work *c, int threads, nllk_sums *sums) except -1
