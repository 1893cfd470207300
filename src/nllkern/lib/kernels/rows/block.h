/* A block of rows of few classes, transposed in L1: class by class, so that every step works on as many rows side by side
 * as the block has, and no row is ever summed across a register. */
#ifndef NLLK_BLOCK_H
#define NLLK_BLOCK_H

#include "functions/transpose.h"
#include "rows.h"

#define NARROW 48 /* rows of up to this many classes go in blocks */

/* block[k * rows + r] = z[r * stride + k].  The last square of a row overlaps the one before. */
NLLK_INLINE void transpose_in(const REAL *z, ptrdiff_t stride, ptrdiff_t classes, ptrdiff_t count, int rows,
                              REAL *block)
{
    if (count == rows && classes >= 4)
        for (ptrdiff_t r = 0; r < rows; r += 4)
            for (ptrdiff_t k = 0; k < classes; k += 4) {
                ptrdiff_t c = k + 4 <= classes ? k : classes - 4;
                transpose_square(z + r * stride + c, stride, block + c * rows + r, rows);
            }
    else
        for (ptrdiff_t r = 0; r < count; r++)
            for (ptrdiff_t k = 0; k < classes; k++)
                block[k * rows + r] = z[r * stride + k];
}

NLLK_INLINE void transpose_out(const REAL *block, ptrdiff_t classes, ptrdiff_t count, int rows, REAL *g)
{
    if (count == rows && classes >= 4)
        for (ptrdiff_t r = 0; r < rows; r += 4)
            for (ptrdiff_t k = 0; k < classes; k += 4) {
                ptrdiff_t c = k + 4 <= classes ? k : classes - 4;
                transpose_square(block + c * rows + r, rows, g + r * classes + c, classes);
            }
    else
        for (ptrdiff_t r = 0; r < count; r++)
            for (ptrdiff_t k = 0; k < classes; k++)
                g[r * classes + k] = block[k * rows + r];
}

/* Rows that do not count, whatever their data: zeros give them a finite softmax, and weight 0 a gradient of 0. */
NLLK_INLINE void clear_uncounted(const row_block *b, ptrdiff_t count, ptrdiff_t classes, int rows, REAL *block)
{
    for (ptrdiff_t r = 0; r < count; r++)
        if (b->weight[r] == 0)
            for (ptrdiff_t k = 0; k < classes; k++)
                block[k * rows + r] = 0;
}

NLLK_INLINE void block_max(const REAL *block, ptrdiff_t classes, int rows, REAL *top)
{
    ALIGNED REAL most[ROWS]; /* not `top`: its stores could not be delayed, as it might lie in the block */
    for (int r = 0; r < rows; r++)
        most[r] = block[r];
    for (ptrdiff_t k = 1; k < classes; k++) {
#pragma omp simd
        for (int r = 0; r < rows; r++)
            most[r] = max_(block[k * rows + r], most[r]);
    }
    memcpy(top, most, rows * sizeof *top);
}

/* Classes summed in REAL before the sum goes to a wider accumulator. */
#define GROUP 8

#endif
