/* The list of vector functions, and the SIMD levels that this processor can run, baseline first. */
#include <math.h>

#include "call.h"

#define NLLK_VECFN(NAME, LOW, HIGH, ULP_F32, ULP_F64) {#NAME, LOW, HIGH, ULP_F32, ULP_F64},
const nllk_vecfn_info nllk_vecfns[NLLK_VECFN_COUNT] = {
#include "functions.inc"
};

/* One row a level: name, suffix of its symbols, whether the processor has it. */
#if defined(__x86_64__)
#ifdef NLLK_HAVE_baseline
#define LEVEL_baseline(F) F("x86-64", baseline, 1)
#else
#define LEVEL_baseline(F)
#endif
#ifdef NLLK_HAVE_v3
#define LEVEL_v3(F)                                                                                                    \
    F("x86-64-v3", v3,                                                                                                 \
      __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&              \
          __builtin_cpu_supports("bmi2"))
#else
#define LEVEL_v3(F)
#endif
#ifdef NLLK_HAVE_v4
#define LEVEL_v4(F)                                                                                                    \
    F("x86-64-v4", v4,                                                                                                 \
      __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd") && \
          __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
#else
#define LEVEL_v4(F)
#endif
#define LEVELS(F) LEVEL_baseline(F) LEVEL_v3(F) LEVEL_v4(F)
#elif defined(__aarch64__)
#define LEVELS(F) F("aarch64", baseline, 1)
#else
#define LEVELS(F) F("generic", baseline, 1)
#endif

#define DECLARE(NAME, SUFFIX, HAS) extern const nllk_table nllk_table_f32_##SUFFIX, nllk_table_f64_##SUFFIX;
LEVELS(DECLARE)

int nllk_available_levels(const nllk_level **levels)
{
    static nllk_level found[3];
    int count = 0;
#ifdef __x86_64__
    __builtin_cpu_init();
#endif
#define ADD(NAME, SUFFIX, HAS)                                                                                         \
    if (HAS)                                                                                                           \
        found[count++] = (nllk_level){NAME, &nllk_table_f32_##SUFFIX, &nllk_table_f64_##SUFFIX};
    LEVELS(ADD)
    *levels = found;
    return count;
}
