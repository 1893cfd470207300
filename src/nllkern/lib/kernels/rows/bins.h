/* Bins over the real line: bin k is [edge_k, edge_{k+1}), the last one closed.
 *
 * encode       the bin of each number, exactly: by arithmetic and a correction against the true edges where they are
 *              low + k step, else by a binary search without branches
 * expectation  sum_k p_k c_k of p = softmax(logits) and the centres c_k
 * quantile     of the distribution that spreads p_k evenly over bin k: where its cumulative sum reaches q, linearly between
 *              the edges of the bin */
#ifndef NLLK_BINS_H
#define NLLK_BINS_H

#include "rows.h"

NLLK_INLINE double edge_of(const nllk_bins *b, ptrdiff_t k)
{
    return b->edges ? b->edges[k] : k == b->bins ? b->high : (double)k * b->step + b->low;
}

/* Numbers encoded together. */
#define ENCODED 64

/* The arithmetic bin of x; it may be one off where x is next to an edge, which the edges themselves decide.  Rounding the
 * quotient differs from their rounding by much less than a bin, as bins are not narrower than some of the numbers' spacing. */
NLLK_INLINE void encode_uniform(const nllk_bins *b, const REAL *x, int n, int32_t *bin)
{
    double low = b->low, step = b->step, last = (double)(b->bins - 1);
    double per_step = 1 / step;
#pragma omp simd
    for (int i = 0; i < n; i++) {
        double v = x[i], t = (v - low) * per_step;
        t = t > 0 ? t : 0;
        t = t < last ? t : last;
        double k = (double)(int32_t)t;
        k -= v < k * step + low ? 1 : 0;
        k += v >= (k + 1) * step + low ? 1 : 0;
        k = k > 0 ? k : 0;
        k = k < last ? k : last;
        bin[i] = (int32_t)k;
    }
}

NLLK_INLINE void encode_given(const nllk_bins *b, const REAL *x, int n, int32_t *bin)
{
    for (int i = 0; i < n; i++)
        bin[i] = 0;
    for (ptrdiff_t left = b->bins; left > 1;) { /* the bin is one of `left` from bin[i] on */
        ptrdiff_t half = left / 2;
        for (int i = 0; i < n; i++)
            bin[i] += x[i] >= b->edges[bin[i] + half] ? (int32_t)half : 0;
        left -= half;
    }
}

/* sums->bad: the first number that has no bin. */
static void encode(const nllk_bins *b, ptrdiff_t begin, ptrdiff_t end, nllk_sums *sums)
{
    const REAL *x = b->values, *weight = b->weight;
    double low = b->raise ? b->low : -REAL_INF, high = b->raise ? b->high : REAL_INF;
    int32_t bin[ENCODED];
    sums->bad = -1;
    for (ptrdiff_t i = begin; i < end; i += ENCODED) {
        int n = end - i < ENCODED ? (int)(end - i) : ENCODED;
        BITS inside = 1;
        if (b->edges)
            encode_given(b, x + i, n, bin);
        else
            encode_uniform(b, x + i, n, bin);
        for (int j = 0; j < n; j++) {
            b->index[i + j] = bin[j];
            inside &= (x[i + j] >= low) & (x[i + j] <= high);
        }
        for (int j = 0; j < n && !inside; j++)
            if (!(x[i + j] >= low && x[i + j] <= high)) {
                if (weight && weight[i + j] == 0)
                    b->index[i + j] = 0;
                else if (sums->bad < 0)
                    sums->bad = i + j;
            }
    }
}

/* exp(z - top), lifted, of columns [k, k + m) of a row. */
NLLK_INLINE void chunk_shares(const REAL *z, ptrdiff_t k, ptrdiff_t m, REAL top, REAL *restrict share)
{
    memcpy(share, z + k, m * sizeof *share);
    for (ptrdiff_t j = m; j < CHUNK && j % LANES; j++)
        share[j] = -REAL_INF;
    for (ptrdiff_t c = 0; c < m; c += LANES) {
#pragma omp simd
        for (int j = 0; j < LANES; j++)
            share[c + j] = exp_lifted_(share[c + j] - top);
    }
}

NLLK_INLINE REAL largest_logit(const REAL *z, ptrdiff_t n)
{
    REAL lanes[LANES], top = z[0];
    if (n >= LANES)
        row_max(z, n, lanes);
    for (int j = 0; j < LANES && n >= LANES; j++)
        top = max_(lanes[j], top);
    for (ptrdiff_t k = 0; k < n && n < LANES; k++)
        top = max_(z[k], top);
    return top;
}

static void expectations(const nllk_bins *b, ptrdiff_t begin, ptrdiff_t end)
{
    REAL *result = b->result, share[CHUNK];
    for (ptrdiff_t i = begin; i < end; i++) {
        const REAL *z = (const REAL *)b->values + i * b->row_stride;
        REAL top = largest_logit(z, b->bins);
        double total[LANES] = {0}, moment[LANES] = {0};
        for (ptrdiff_t k = 0; k < b->bins; k += CHUNK) {
            ptrdiff_t m = b->bins - k < CHUNK ? b->bins - k : CHUNK;
            chunk_shares(z, k, m, top, share);
            for (ptrdiff_t c = 0; c < m; c += LANES) {
                ptrdiff_t left = m - c < LANES ? m - c : LANES;
                for (int j = 0; j < left; j++) {
                    total[j] += share[c + j];
                    moment[j] += share[c + j] * b->points[k + c + j];
                }
            }
        }
        for (int j = 1; j < LANES; j++) {
            total[0] += total[j];
            moment[0] += moment[j];
        }
        result[i] = (REAL)(moment[0] / total[0]);
    }
}

/* The quantiles of a row whose shares sum to `total`, in that very order of additions. */
NLLK_INLINE void row_quantiles(const nllk_bins *b, const REAL *z, REAL top, double total, REAL *result)
{
    REAL share[CHUNK];
    double sum = 0;
    ptrdiff_t done = 0;
    for (ptrdiff_t k = 0; k < b->bins && done < b->point_count; k += CHUNK) {
        ptrdiff_t m = b->bins - k < CHUNK ? b->bins - k : CHUNK;
        chunk_shares(z, k, m, top, share);
        for (ptrdiff_t j = 0; j < m; j++) {
            double next = sum + share[j], low = edge_of(b, k + j), high = edge_of(b, k + j + 1);
            for (; share[j] > 0 && done < b->point_count && b->points[done] * total <= next; done++) {
                double part = (b->points[done] * total - sum) / share[j];
                part = part > 0 ? part < 1 ? part : 1 : 0;
                result[done * b->result_stride] =
                    (REAL)(part < 0.5 ? low + part * (high - low) : high - (1 - part) * (high - low));
            }
            sum = next;
        }
    }
}

static void quantiles(const nllk_bins *b, ptrdiff_t begin, ptrdiff_t end)
{
    REAL share[CHUNK];
    for (ptrdiff_t i = begin; i < end; i++) {
        const REAL *z = (const REAL *)b->values + i * b->row_stride;
        REAL *result = (REAL *)b->result + i, top = largest_logit(z, b->bins);
        double total = 0;
        for (ptrdiff_t k = 0; k < b->bins; k += CHUNK) {
            ptrdiff_t m = b->bins - k < CHUNK ? b->bins - k : CHUNK;
            chunk_shares(z, k, m, top, share);
            for (ptrdiff_t j = 0; j < m; j++)
                total += share[j];
        }
        for (ptrdiff_t q = 0; q < b->point_count; q++)
            result[q * b->result_stride] = REAL_NAN;
        if (total == total)
            row_quantiles(b, z, top, total, result);
    }
}

#endif
