/* What fuzz_c_interface.c makes of bytes: numbers, and arrays that end, or begin, where memory ends. */
#include <float.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define EXPECT(condition)                                                                                              \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "line %d: not %s\n", __LINE__, #condition);                                                \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

/* ---- what the bytes say ---- */

static const uint8_t *next, *end;
static uint64_t mixed; /* what random numbers come from */

/* A number from 0 to n - 1; 0 after the last byte. */
static int take(int n)
{
    unsigned x = 0;
    for (int bytes = n > 256 ? 2 : 1; bytes > 0 && next < end; bytes--)
        x = x << 8 | *next++;
    return (int)(x % (unsigned)n);
}

/* Whether something unusual is done: 1 time in n. */
static int rarely(int n) { return take(n) == n - 1; }

static uint64_t mix(void)
{
    mixed ^= mixed << 13;
    mixed ^= mixed >> 7;
    mixed ^= mixed << 17;
    return mixed;
}

static double number(void)
{
    static const double special[] = {
        0,      -0.0, 1,    -1,  0.5,  -INFINITY, INFINITY, NAN,     1e-45,  -1e-45, 5e-324, 1e-310, 1e-38, 1e38, 1e308,
        -1e308, 88,   -104, 709, -746, DBL_MAX,   -DBL_MAX, 1 << 24, 4.5e15, 1e-8,   -1e-8,  3,      17,    1e5,  -40};
    switch (take(4)) {
    case 0: return special[take(sizeof special / sizeof *special)];
    case 1: return take(9) - 4;
    case 2: return (double)(mix() >> 11) * 0x1p-53;
    default: return ((double)(mix() >> 11) * 0x1p-53 - 0.5) * 20;
    }
}

static int integer(void)
{
    static const int special[] = {INT32_MIN, -2, -1, 0, 1, 2, 3, 4, 7, 8, 31, 32, 1 << 20, INT32_MAX};
    return special[take(sizeof special / sizeof *special)];
}

/* ---- arrays that end, or begin, where memory ends ---- */

enum { SLOTS = 16, SLOT = 1 << 20, GUARD = 1 << 16, SAMPLES = 3000 };

typedef struct {
    char *data, *copy; /* what is in it before a call */
    size_t bytes;
} array;

static char *memory;
static array arrays[SLOTS];
static int used, at_end;

static void reserve(void)
{
    const size_t stride = SLOT + GUARD;
    memory = mmap(NULL, SLOTS * stride + GUARD, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    EXPECT(memory != MAP_FAILED);
    for (size_t k = 0; k <= SLOTS; k++)
        EXPECT(mprotect(memory + k * stride, GUARD, PROT_NONE) == 0);
    for (int k = 0; k < SLOTS; k++)
        EXPECT((arrays[k].copy = malloc(SLOT)) != NULL);
}

/* What is in it is unknown. */
static array *new_array(ptrdiff_t elements, size_t size)
{
    EXPECT(used < SLOTS);
    array *a = &arrays[used];
    a->bytes = (size_t)(elements > 0 ? elements : 0) * size;
    EXPECT(a->bytes <= SLOT);
    a->data = memory + (size_t)used++ * (SLOT + GUARD) + GUARD + (at_end ? SLOT - a->bytes : 0);
    return a;
}

/* From now on that is what is in it before a call. */
static void keep(array *a) { memcpy(a->copy, a->data, a->bytes); }

/* Numbers of a type: few different ones, and sometimes many. */
static array *new_numbers(ptrdiff_t elements, int is_double)
{
    array *a = new_array(elements, is_double ? 8 : 4);
    double some[4];
    for (int k = 0; k < 4; k++)
        some[k] = number();
    const int many = take(2), positive = take(3) > 0;
    for (ptrdiff_t i = 0; i < elements; i++) {
        double x = many ? ((double)(mix() >> 11) * 0x1p-53 - 0.5) * 8 : some[mix() >> 62];
        x = positive ? fabs(x) : x;
        if (is_double)
            ((double *)a->data)[i] = x;
        else
            ((float *)a->data)[i] = fabs(x) > FLT_MAX ? (float)copysign(INFINITY, x) : (float)x;
    }
    keep(a);
    return a;
}

/* Classes, one of which may be out of range. */
static array *new_indices(ptrdiff_t elements, ptrdiff_t classes, int is_64)
{
    array *a = new_array(elements, is_64 ? 8 : 4);
    const int wrong = rarely(16) ? integer() : 0, where = take(64);
    for (ptrdiff_t i = 0; i < elements; i++) {
        int64_t k = classes > 0 ? (int64_t)(mix() % (uint64_t)classes) : 0;
        if (wrong && i == where)
            k = wrong;
        if (is_64)
            ((int64_t *)a->data)[i] = k;
        else
            ((int32_t *)a->data)[i] = (int32_t)k;
    }
    keep(a);
    return a;
}

static void fill_outputs(int first, int byte)
{
    for (int k = first; k < used; k++)
        memset(arrays[k].data, byte, arrays[k].bytes);
}
