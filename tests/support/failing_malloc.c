/* Preloaded (glibc): the allocations made by code between two addresses are counted, one of them fails on demand, and
 * those that are not freed are known. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

enum { MOST = 4096 };
static struct {
    uintptr_t low, high;
    int made, fail_at, failed, lock;
    void *live[MOST];
} watched;

static void lock(void)
{
    while (__atomic_exchange_n(&watched.lock, 1, __ATOMIC_ACQUIRE)) {
    }
}

static void unlock(void) { __atomic_store_n(&watched.lock, 0, __ATOMIC_RELEASE); }

void failing_malloc_watch(uintptr_t low, uintptr_t high)
{
    watched.low = low;
    watched.high = high;
}

/* From now on the n-th allocation fails; 0: none. */
void failing_malloc_start(int n)
{
    lock();
    watched.made = watched.failed = 0;
    watched.fail_at = n;
    memset(watched.live, 0, sizeof watched.live);
    unlock();
}

int failing_malloc_made(void) { return watched.made; }

int failing_malloc_failed(void) { return watched.failed; }

int failing_malloc_live(void)
{
    int live = 0;
    for (int k = 0; k < MOST; k++)
        live += watched.live[k] != NULL;
    return live;
}

static void replace(void *old, void *new)
{
    lock();
    for (int k = 0; k < MOST; k++)
        if (watched.live[k] == old) {
            watched.live[k] = new;
            break;
        }
    unlock();
}

static int is_watched(void *caller) { return (uintptr_t)caller - watched.low < watched.high - watched.low; }

/* Whether the allocation that its caller asks for has to fail. */
static int fails(void *caller)
{
    if (!is_watched(caller) || __atomic_add_fetch(&watched.made, 1, __ATOMIC_RELAXED) != watched.fail_at)
        return 0;
    watched.failed = 1;
    return 1;
}

static void *found(void *caller, void *p)
{
    if (p && is_watched(caller))
        replace(NULL, p);
    return p;
}

#define CALLER __builtin_return_address(0)

void *malloc(size_t size) { return fails(CALLER) ? NULL : found(CALLER, __libc_malloc(size)); }

void *calloc(size_t n, size_t size) { return fails(CALLER) ? NULL : found(CALLER, __libc_calloc(n, size)); }

void *aligned_alloc(size_t alignment, size_t size)
{
    return fails(CALLER) ? NULL : found(CALLER, __libc_memalign(alignment, size));
}

int posix_memalign(void **p, size_t alignment, size_t size)
{
    *p = fails(CALLER) ? NULL : found(CALLER, __libc_memalign(alignment, size));
    return *p ? 0 : 12; /* ENOMEM */
}

void free(void *p)
{
    if (p && watched.high)
        replace(p, NULL);
    __libc_free(p);
}

void *realloc(void *p, size_t size)
{
    void *q = fails(CALLER) ? NULL : __libc_realloc(p, size);
    if (q && p && watched.high)
        replace(p, q); /* which does nothing for those that are not watched */
    else if (q)
        found(CALLER, q);
    return q;
}
