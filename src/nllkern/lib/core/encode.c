/* Numbers into bins: the targets of binned_cross_entropy. */
#include "call.h"

#include <math.h>

static int are_increasing(const double *edges, ptrdiff_t bins)
{
    int good = isfinite(edges[0]) && isfinite(edges[bins]);
    for (ptrdiff_t k = 0; k < bins && good; k++)
        good = edges[k + 1] > edges[k];
    return good;
}

static int encode(int is_double, ptrdiff_t samples, const void *numbers, ptrdiff_t bins, const double *edges,
                  double low, double high, int64_t *index)
{
    const nllk_team team = {.threads = nllk_thread_count(0)};
    nllk_batch batch;
    nllk_sums sums;
    if (samples < 0 || bins < 1 || bins > INT32_MAX)
        return NLLK_BAD_SIZE;
    if (samples > 0 && (!numbers || !index))
        return NLLK_NULL_POINTER;
    const nllk_bins b = {.values = numbers,
                         .bins = bins,
                         .edges = edges,
                         .low = edges ? edges[0] : low,
                         .high = edges ? edges[bins] : high,
                         .step = (high - low) / (double)bins,
                         .index = index};
    if (edges ? !are_increasing(edges, bins) : !(isfinite(b.step) && b.step >= nllk_least_width(low, high)))
        return NLLK_BAD_EDGES;
    int status = nllk_batch_open(&batch, nllk_table_in_use(is_double)->bins[NLLK_ENCODE], &b, samples, 1, 0);
    if (status != NLLK_OK)
        return status;
    nllk_batch_run(&batch, &team);
    nllk_batch_close(&batch, &sums);                         /* nobody interrupts it */
    for (ptrdiff_t i = sums.bad; i >= 0 && i < samples; i++) /* from the first NaN on */
        if (isnan(is_double ? ((const double *)numbers)[i] : ((const float *)numbers)[i]))
            index[i] = -1;
    return NLLK_OK;
}

int nllk_encode_f32(ptrdiff_t samples, const float *numbers, ptrdiff_t bins, const double *edges, double low,
                    double high, int64_t *index)
{
    return encode(0, samples, numbers, bins, edges, low, high, index);
}

int nllk_encode_f64(ptrdiff_t samples, const double *numbers, ptrdiff_t bins, const double *edges, double low,
                    double high, int64_t *index)
{
    return encode(1, samples, numbers, bins, edges, low, high, index);
}
