/* What losses.inc says of a loss, as kernel.h wants it. */
#define DIRECT_none 1
#define DIRECT_logit 1
#define DIRECT_positive 0
#define DIRECT_scale 0
#define DIRECT_third 0
#define NLLK_ROWWISE(...)
#define NLLK_VECTORS(...)
#define NLLK_POINTWISE(NAME, NAMES, HOW_MANY, LINKED_SET, LOG_SET, LINKS, EXTRA, SUPPORT)                              \
    enum {                                                                                                             \
        COUNT_##NAME = HOW_MANY,                                                                                       \
        LINKED_##NAME = LINKED_SET,                                                                                    \
        DIRECT_##NAME = DIRECT_##LINKS,                                                                                \
        TARGET_##NAME = TARGET_##SUPPORT                                                                               \
    };
#include "losses.inc"
#define COUNT ROW(COUNT)
#define LINKED ROW(LINKED)
#define DIRECT ROW(DIRECT)
#define TARGET ROW(TARGET)
