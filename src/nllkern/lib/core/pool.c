/* The pool.
 *
 * A call lists its job in a slot, wakes workers, computes, and closes the job when nothing is left to claim.  A worker takes a
 * seat of an open job, computes, and leaves.  So a worker that another process keeps from its core costs nothing
 * until it has taken a seat. */
#include "pool.h"

#ifdef NLLK_THREADS
#include "os_threads.h"

#define ALIGNED _Alignas(128) /* two cache lines, which processors fetch together */

/* Calls that share the workers at one time; further ones compute alone. */
enum { SLOTS = 4, MAX_WORKERS = 1023 };

/* The state of a slot: workers that have a seat, seats left of an open job (0: none, or closed), and whether the caller
 * sleeps until the workers have left. */
enum { WORKER = 1, SEAT = 1 << 10, ASLEEP = 1 << 20, WORKERS = SEAT - WORKER, SEATS = ASLEEP - SEAT };

/* Nanoseconds.  A worker spins for the next job, and a caller for the last worker, so long before it sleeps.  A worker that finds
 * itself on the processor of the caller looks again later.  When nobody came though workers were woken, the next wake is
 * put off.  Both at first for the least time, then for twice as long each time, until a worker has worked. */
enum {
    SPIN_FOR_JOB = 30000,
    SPIN_FOR_END = 50000,
    LEAST_ABSENCE = 1000000,
    LONGEST_ABSENCE = 16000000,
    LEAST_PAUSE = 50000,
    LONGEST_PAUSE = 8000000,
};

typedef struct {
    ALIGNED atomic_int state;
    atomic_int is_owned;
    atomic_int processor; /* of the caller */
    int seats;
    void (*work)(void *task, int k);
    void *task;
} slot;

static slot slots[SLOTS];
static ALIGNED atomic_int jobs; /* how many have been listed: workers sleep while it stays the same */
static ALIGNED atomic_int sleeping, waiting;
static ALIGNED atomic_int workers, is_starting;
static ALIGNED _Atomic int64_t pause_end;
static atomic_int pause_length;

static int get(atomic_int *x) { return atomic_load_explicit(x, memory_order_relaxed); }

/* ---- workers ---- */

enum { NO_JOB, DONE, STAY_AWAY };

static int work_in(slot *s)
{
    int state = atomic_load(&s->state);
    while (state & SEATS)
        if (atomic_compare_exchange_weak(&s->state, &state, state - SEAT + WORKER)) {
            s->work(s->task, s->seats - (state & SEATS) / SEAT + 1);
            const int before = atomic_fetch_sub(&s->state, WORKER);
            if ((before & WORKERS) == WORKER && before & ASLEEP)
                nllk_wake(&s->state, 1);
            return DONE;
        }
    return NO_JOB;
}

/* Work where there is a seat.  On the processor of a caller a worker would only keep the caller from it. */
static int work_somewhere(void)
{
    const int here = nllk_this_processor();
    int status = NO_JOB;
    for (slot *s = slots; s < slots + SLOTS; s++)
        if (here >= 0 && atomic_load(&s->is_owned) && here == atomic_load(&s->processor))
            status = STAY_AWAY;
        else if (work_in(s) == DONE)
            return DONE;
    return status;
}

/* Whether the number changes within so many nanoseconds. */
static int changes(atomic_int *number, int seen, int nanoseconds)
{
    const int64_t start = nllk_now();
    do
        for (int k = 0; k < 32; k++) {
            if (atomic_load_explicit(number, memory_order_acquire) != seen)
                return 1;
            nllk_pause();
        }
    while (nllk_now() - start < nanoseconds);
    return 0;
}

static void run_worker(void)
{
    for (int status = NO_JOB, absence = LEAST_ABSENCE;;) {
        const int seen = atomic_load(&jobs), was_away = status == STAY_AWAY;
        status = work_somewhere();
        if (status == DONE) {
            absence = LEAST_ABSENCE;
            continue;
        }
        if (status == NO_JOB && !was_away) { /* else it would spin on the processor of the caller, between two calls */
            atomic_fetch_add(&waiting, 1);
            const int has_job = changes(&jobs, seen, SPIN_FOR_JOB);
            atomic_fetch_sub(&waiting, 1);
            if (has_job)
                continue;
        }
        atomic_fetch_add(&sleeping, 1);
        nllk_sleep_while(&jobs, seen, status == STAY_AWAY ? absence : 0);
        atomic_fetch_sub(&sleeping, 1);
        if (status == STAY_AWAY && absence < LONGEST_ABSENCE)
            absence *= 2;
    }
}

static void start_workers(int count)
{
    if (get(&workers) >= count || atomic_exchange(&is_starting, 1))
        return;
    while (get(&workers) < count && nllk_start_thread(run_worker))
        atomic_fetch_add(&workers, 1);
    atomic_store(&is_starting, 0);
}

/* ---- callers ---- */

static slot *take_slot(void)
{
    for (slot *s = slots; s < slots + SLOTS; s++)
        if (!get(&s->is_owned) && !atomic_exchange(&s->is_owned, 1))
            return s;
    return 0;
}

/* Wake workers, if they are needed and may come; returns the time at which that was, or 0. */
static int64_t wake_workers(int count)
{
    count -= atomic_load(&waiting);
    if (count <= 0 || atomic_load(&sleeping) == 0)
        return 0;
    const int64_t now = nllk_now();
    if (now < atomic_load_explicit(&pause_end, memory_order_relaxed))
        return 0;
    nllk_wake(&jobs, count);
    return now;
}

static void set_pause(int somebody_came, int64_t woken)
{
    int length = 0;
    if (!somebody_came) {
        if (!woken)
            return;
        length = 2 * get(&pause_length);
        length = length < LEAST_PAUSE ? LEAST_PAUSE : length > LONGEST_PAUSE ? LONGEST_PAUSE : length;
        atomic_store_explicit(&pause_end, woken + length, memory_order_relaxed);
    }
    if (get(&pause_length) != length)
        atomic_store_explicit(&pause_length, length, memory_order_relaxed);
}

static void wait_for_workers(slot *s)
{
    for (int state = atomic_load(&s->state); state & WORKERS; state = atomic_load(&s->state))
        if (!changes(&s->state, state, SPIN_FOR_END)) {
            state = atomic_fetch_or(&s->state, ASLEEP) | ASLEEP;
            if (state & WORKERS)
                nllk_sleep_while(&s->state, state, 0);
        }
}

void nllk_pool_run(int count, void (*work)(void *task, int k), void *task)
{
    const int seats = count > MAX_WORKERS ? MAX_WORKERS : count - 1;
    slot *s = seats > 0 ? take_slot() : 0;
    if (!s) {
        work(task, 0);
        return;
    }
    start_workers(seats);
    s->work = work;
    s->task = task;
    s->seats = seats;
    atomic_store(&s->processor, nllk_this_processor());
    atomic_store(&s->state, seats * SEAT);
    atomic_fetch_add(&jobs, 1);
    const int64_t woken = wake_workers(seats);
    work(task, 0);
    const int seats_left = (atomic_fetch_and(&s->state, ~SEATS) & SEATS) / SEAT;
    set_pause(seats_left < seats, woken);
    wait_for_workers(s);
    atomic_store(&s->is_owned, 0);
}

void nllk_pool_forget(void)
{
    for (slot *s = slots; s < slots + SLOTS; s++) {
        atomic_store(&s->state, 0);
        atomic_store(&s->is_owned, 0);
    }
    atomic_store(&sleeping, 0);
    atomic_store(&waiting, 0);
    atomic_store(&workers, 0);
    atomic_store(&is_starting, 0);
    nllk_forget_sleepers();
}

#else

void nllk_pool_run(int count, void (*work)(void *task, int k), void *task)
{
    (void)count;
    work(task, 0);
}

void nllk_pool_forget(void) {}

#endif
