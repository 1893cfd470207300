/* The SIMD level in use: at first the highest that the processor can run, or what NLLKERN_SIMD names. */
#include "call.h"

#include <stdlib.h>
#include <string.h>

static const nllk_level *levels;
static int count;
static atomic_int in_use;

__attribute__((constructor)) static void choose_level(void)
{
    const char *wanted = getenv("NLLKERN_SIMD");
    count = nllk_available_levels(&levels);
    in_use = count - 1;
    for (int k = 0; wanted && k < count; k++)
        if (strcmp(levels[k].name, wanted) == 0)
            in_use = k;
}

const nllk_table *nllk_table_in_use(int is_double) { return is_double ? levels[in_use].f64 : levels[in_use].f32; }

int nllk_level_in_use(void) { return in_use; }

void nllk_use_level(int level) { in_use = level; }
