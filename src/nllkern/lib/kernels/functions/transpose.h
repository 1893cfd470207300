/* Squares of 4 x 4 numbers, transposed. */
#ifndef NLLK_TRANSPOSE_H
#define NLLK_TRANSPOSE_H

#include "real.h"

/* Four numbers side by side, at any address.  GCC makes scalar moves of a plain transposing loop; 4 x 4 squares
 * made of shuffles halve the time of a 10-class row (0.6 against 1.2 ns an element, GCC 12, AVX-512). */
typedef REAL quad __attribute__((vector_size(4 * sizeof(REAL)), aligned(sizeof(REAL)), may_alias));
typedef double double_quad __attribute__((vector_size(4 * sizeof(double)), aligned(sizeof(double)), may_alias));

#if defined(__clang__) || __GNUC__ >= 12
#define SHUFFLE(a, b, i, j, k, l) __builtin_shufflevector(a, b, i, j, k, l)
#else
typedef BITS quad_index __attribute__((vector_size(4 * sizeof(REAL))));
typedef int64_t double_quad_index __attribute__((vector_size(4 * sizeof(double))));
#define SHUFFLE(a, b, i, j, k, l)                                                                                      \
    __builtin_shuffle(                                                                                                 \
        a, b,                                                                                                          \
        __builtin_choose_expr(sizeof(a) == sizeof(quad), (quad_index){i, j, k, l}, (double_quad_index){i, j, k, l}))
#endif

/* to[j * to_stride + i] = from[i * from_stride + j] for i, j < 4. */
#define DEFINE_TRANSPOSE(NAME, TYPE, QUAD)                                                                             \
    NLLK_INLINE void NAME(const TYPE *from, ptrdiff_t from_stride, TYPE *to, ptrdiff_t to_stride)                      \
    {                                                                                                                  \
        QUAD a = *(const QUAD *)from, b = *(const QUAD *)(from + from_stride);                                         \
        QUAD c = *(const QUAD *)(from + 2 * from_stride), d = *(const QUAD *)(from + 3 * from_stride);                 \
        QUAD ac_low = SHUFFLE(a, c, 0, 4, 1, 5), ac_high = SHUFFLE(a, c, 2, 6, 3, 7);                                  \
        QUAD bd_low = SHUFFLE(b, d, 0, 4, 1, 5), bd_high = SHUFFLE(b, d, 2, 6, 3, 7);                                  \
        *(QUAD *)to = SHUFFLE(ac_low, bd_low, 0, 4, 1, 5);                                                             \
        *(QUAD *)(to + to_stride) = SHUFFLE(ac_low, bd_low, 2, 6, 3, 7);                                               \
        *(QUAD *)(to + 2 * to_stride) = SHUFFLE(ac_high, bd_high, 0, 4, 1, 5);                                         \
        *(QUAD *)(to + 3 * to_stride) = SHUFFLE(ac_high, bd_high, 2, 6, 3, 7);                                         \
    }
DEFINE_TRANSPOSE(transpose_square, REAL, quad)
DEFINE_TRANSPOSE(transpose_double_square, double, double_quad)

#endif
