/* pool.c - a worker pool for tasks whose results do not depend on the worker.
 *
 * Invariants: the caller is worker 0; tasks are handed out by one atomic counter; hs_pool_run returns only when every
 * worker has left the job, so a job's context may live on the caller's stack. */
#include "hopscope/core.h"

#include <pthread.h>
#include <stdatomic.h>

typedef struct worker {
    hs_pool *pool;
    uint32_t index;
    pthread_t thread;
} worker;

struct hs_pool {
    uint32_t threads;
    pthread_mutex_t lock;
    pthread_cond_t work, done;
    uint64_t job;     /* number of the current job; workers wait for it to change */
    uint32_t working; /* workers that have not finished the current job */
    bool quit;
    hs_task_fn fn;
    void *ctx;
    uint32_t n_tasks;
    atomic_uint next;
    atomic_uint_fast64_t posted; /* equals `job`; read while spinning */
    worker *workers;             /* (threads - 1) */
};

/* Training posts thousands of jobs a second: a worker spins this long before it sleeps, so that a step does not pay a
 * wake-up for each of its few jobs. */
enum { SPINS = 4000 };

static inline void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

static void run_tasks(hs_pool *pool, uint32_t index)
{
    for (;;) {
        uint32_t task = atomic_fetch_add_explicit(&pool->next, 1, memory_order_relaxed);
        if (task >= pool->n_tasks)
            return;
        pool->fn(pool->ctx, task, index);
    }
}

static void *worker_main(void *arg)
{
    worker *w = arg;
    hs_pool *pool = w->pool;
    uint64_t seen = 0;
    for (;;) {
        for (int i = 0; i < SPINS && atomic_load_explicit(&pool->posted, memory_order_acquire) == seen; i++)
            relax();
        pthread_mutex_lock(&pool->lock);
        while (pool->job == seen && !pool->quit)
            pthread_cond_wait(&pool->work, &pool->lock);
        bool quit = pool->quit;
        seen = pool->job;
        pthread_mutex_unlock(&pool->lock);
        if (quit)
            return NULL;
        run_tasks(pool, w->index);
        pthread_mutex_lock(&pool->lock);
        if (--pool->working == 0)
            pthread_cond_signal(&pool->done);
        pthread_mutex_unlock(&pool->lock);
    }
}

hs_pool *hs_pool_create(uint32_t threads)
{
    if (threads == 0)
        threads = hs_cores();
    hs_pool *pool = hs_calloc(1, sizeof *pool);
    if (!pool)
        return NULL;
    pool->workers = hs_calloc(threads, sizeof *pool->workers);
    if (!pool->workers) {
        hs_free(pool);
        return NULL;
    }
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->work, NULL);
    pthread_cond_init(&pool->done, NULL);
    pool->threads = 1;
    for (uint32_t i = 1; i < threads; i++) {
        worker *w = &pool->workers[i - 1];
        *w = (worker){.pool = pool, .index = i};
        if (pthread_create(&w->thread, NULL, worker_main, w) != 0) {
            hs_pool_free(pool);
            return NULL;
        }
        pool->threads++;
    }
    return pool;
}

uint32_t hs_pool_threads(const hs_pool *pool)
{
    return pool ? pool->threads : 1;
}

void hs_pool_run(hs_pool *pool, uint32_t n_tasks, hs_task_fn fn, void *ctx)
{
    if (!pool || pool->threads == 1 || n_tasks <= 1) {
        for (uint32_t task = 0; task < n_tasks; task++)
            fn(ctx, task, 0);
        return;
    }
    pthread_mutex_lock(&pool->lock);
    pool->fn = fn;
    pool->ctx = ctx;
    pool->n_tasks = n_tasks;
    pool->working = pool->threads - 1;
    atomic_store(&pool->next, 0);
    pool->job++;
    atomic_store_explicit(&pool->posted, pool->job, memory_order_release);
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->lock);
    run_tasks(pool, 0);
    pthread_mutex_lock(&pool->lock);
    while (pool->working != 0)
        pthread_cond_wait(&pool->done, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
}

void hs_pool_free(hs_pool *pool)
{
    if (!pool)
        return;
    pthread_mutex_lock(&pool->lock);
    pool->quit = true;
    atomic_store(&pool->posted, UINT64_MAX);
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->lock);
    for (uint32_t i = 1; i < pool->threads; i++)
        pthread_join(pool->workers[i - 1].thread, NULL);
    pthread_cond_destroy(&pool->work);
    pthread_cond_destroy(&pool->done);
    pthread_mutex_destroy(&pool->lock);
    hs_free(pool->workers);
    hs_free(pool);
}
