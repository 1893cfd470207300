/* The names of the kernels of one precision (NLLK_BITS) at one SIMD level (NLLK_LEVEL, a suffix). */
#ifndef NLLK_SYMBOL_H
#define NLLK_SYMBOL_H

#define CONCAT_(a, b, c, d) nllk_##a##_##b##c##_##d
#define CONCAT(a, b, c, d) CONCAT_(a, b, c, d)
#if NLLK_BITS == 32
#define SYMBOL(NAME) CONCAT(NAME, f, 32, NLLK_LEVEL)
#else
#define SYMBOL(NAME) CONCAT(NAME, f, 64, NLLK_LEVEL)
#endif

/* A kernel's head, as `nllk_kernel` has it. */
#define KERNEL(NAME)                                                                                                   \
    void SYMBOL(NAME)(const void *arguments, ptrdiff_t begin, ptrdiff_t end, void *scratch, nllk_sums *sums)

#endif
