/* Threads and sleep by futex (Linux), by mutex and condition variable (POSIX), and by Windows' own. */
#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif
#include "os_threads.h"

#ifdef _WIN32
#include <windows.h>

#ifdef NLLK_THREADS
static DWORD WINAPI run_thread(void *run)
{
    ((void (*)(void))run)();
    return 0;
}

int nllk_start_thread(void (*run)(void))
{
    HANDLE thread = CreateThread(NULL, 0, run_thread, (void *)run, 0, NULL);
    if (thread)
        CloseHandle(thread);
    return thread != NULL;
}
#endif

static SRWLOCK sleepers = SRWLOCK_INIT;
static CONDITION_VARIABLE changed = CONDITION_VARIABLE_INIT;

void nllk_sleep_while(atomic_int *number, int seen, int nanoseconds)
{
    AcquireSRWLockExclusive(&sleepers);
    if (atomic_load(number) == seen)
        SleepConditionVariableSRW(&changed, &sleepers, nanoseconds ? (DWORD)(nanoseconds / 1000000 + 1) : INFINITE, 0);
    ReleaseSRWLockExclusive(&sleepers);
}

void nllk_wake(atomic_int *number, int count)
{
    (void)number, (void)count;
    AcquireSRWLockExclusive(&sleepers);
    ReleaseSRWLockExclusive(&sleepers);
    WakeAllConditionVariable(&changed);
}

void nllk_forget_sleepers(void) {}

int nllk_watch_forks(void (*before)(void), void (*in_parent)(void), void (*in_child)(void))
{
    (void)before, (void)in_parent, (void)in_child;
    return 0;
}

int64_t nllk_now(void)
{
    LARGE_INTEGER ticks, rate;
    QueryPerformanceCounter(&ticks);
    QueryPerformanceFrequency(&rate);
    return (int64_t)((double)ticks.QuadPart / (double)rate.QuadPart * 1e9);
}

int64_t nllk_memory(void)
{
    MEMORYSTATUSEX status = {.dwLength = sizeof status};
    GlobalMemoryStatusEx(&status);
    return (int64_t)status.ullTotalPhys;
}

int nllk_processors(void) { return (int)GetActiveProcessorCount(ALL_PROCESSOR_GROUPS); }

int nllk_this_processor(void) { return (int)GetCurrentProcessorNumber(); }

#else
#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#ifdef NLLK_THREADS
static void *run_thread(void *run)
{
    ((void (*)(void))run)();
    return NULL;
}

/* Signals are for the threads of the program. */
int nllk_start_thread(void (*run)(void))
{
    pthread_t thread;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int status = pthread_create(&thread, NULL, run_thread, (void *)run);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (status == 0)
        pthread_detach(thread);
    return status == 0;
}
#endif

int nllk_watch_forks(void (*before)(void), void (*in_parent)(void), void (*in_child)(void))
{
    return pthread_atfork(before, in_parent, in_child);
}

int64_t nllk_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t nllk_memory(void) { return (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGE_SIZE); }

#if defined(__linux__) && !defined(NLLK_NO_FUTEX)
#include <linux/futex.h>
#include <sys/syscall.h>

void nllk_sleep_while(atomic_int *number, int seen, int nanoseconds)
{
    const struct timespec t = {.tv_nsec = nanoseconds};
    syscall(SYS_futex, number, FUTEX_WAIT_PRIVATE, seen, nanoseconds ? &t : NULL, NULL, 0);
}

void nllk_wake(atomic_int *number, int count) { syscall(SYS_futex, number, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0); }

void nllk_forget_sleepers(void) {}
#else
static pthread_mutex_t sleepers = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

void nllk_sleep_while(atomic_int *number, int seen, int nanoseconds)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t); /* that of condition variables */
    const long sum = t.tv_nsec + nanoseconds;
    t.tv_sec += sum / 1000000000;
    t.tv_nsec = sum % 1000000000;
    pthread_mutex_lock(&sleepers);
    if (atomic_load(number) == seen) {
        if (nanoseconds)
            pthread_cond_timedwait(&changed, &sleepers, &t);
        else
            pthread_cond_wait(&changed, &sleepers);
    }
    pthread_mutex_unlock(&sleepers);
}

void nllk_wake(atomic_int *number, int count)
{
    (void)number, (void)count;
    pthread_mutex_lock(&sleepers);
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&sleepers);
}

void nllk_forget_sleepers(void)
{
    pthread_mutex_init(&sleepers, NULL);
    pthread_cond_init(&changed, NULL);
}
#endif

#ifdef __linux__
#include <sched.h>

int nllk_processors(void)
{
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : (int)sysconf(_SC_NPROCESSORS_ONLN);
}

int nllk_this_processor(void) { return sched_getcpu(); }
#else
int nllk_processors(void) { return (int)sysconf(_SC_NPROCESSORS_ONLN); }

int nllk_this_processor(void) { return -1; }
#endif
#endif

/* 1: locked; 2: locked, and somebody may sleep until it is not. */
void nllk_lock(atomic_int *lock)
{
    int free = 0;
    if (!atomic_compare_exchange_strong(lock, &free, 1))
        while (atomic_exchange(lock, 2))
            nllk_sleep_while(lock, 2, 0);
}

void nllk_unlock(atomic_int *lock)
{
    if (atomic_exchange(lock, 0) == 2)
        nllk_wake(lock, 1);
}
