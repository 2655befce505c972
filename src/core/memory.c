/* memory.c - the only place that calls malloc: 64-byte aligned blocks, failure injection, arenas.
 *
 * Invariant: every block comes from aligned_alloc and is released by free. */
#include "hopscope/core.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 64 };

static atomic_uint_fast64_t allocations;
static atomic_uint_fast64_t fail_from; /* allocations numbered from here fail; 0 = none */

void hs_alloc_fail_after(uint64_t n)
{
    atomic_store(&fail_from, n == 0 ? 0 : atomic_load(&allocations) + n);
}

uint64_t hs_alloc_count(void)
{
    return atomic_load(&allocations);
}

void *hs_alloc(size_t size)
{
    uint64_t number = atomic_fetch_add(&allocations, 1) + 1;
    uint64_t from = atomic_load(&fail_from);
    if ((from != 0 && number >= from) || size > SIZE_MAX / 2)
        return NULL;
    size_t rounded = (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    return aligned_alloc(ALIGNMENT, rounded ? rounded : ALIGNMENT);
}

void *hs_calloc(size_t n, size_t size)
{
    if (size != 0 && n > SIZE_MAX / size)
        return NULL;
    void *p = hs_alloc(n * size);
    if (p)
        memset(p, 0, n * size);
    return p;
}

void *hs_realloc(void *p, size_t old_size, size_t new_size)
{
    void *q = hs_alloc(new_size);
    if (q && p) {
        memcpy(q, p, old_size < new_size ? old_size : new_size);
        free(p);
    }
    return q;
}

void hs_free(void *p)
{
    free(p);
}

char *hs_strdup(const char *s)
{
    size_t size = strlen(s) + 1;
    char *copy = hs_alloc(size);
    if (copy)
        memcpy(copy, s, size);
    return copy;
}

hs_status hs_fail_memory(hs_error *err, size_t size)
{
    return hs_fail(err, HS_ERR_MEMORY, "out of memory: %zu bytes could not be had", size);
}

hs_status hs_grow(void **p, size_t *cap, size_t need, size_t elem, hs_error *err)
{
    if (need <= *cap)
        return HS_OK;
    size_t grown = *cap < 16 ? 16 : *cap;
    while (grown < need) {
        if (grown > SIZE_MAX / 2 / elem)
            return hs_fail_memory(err, SIZE_MAX);
        grown *= 2;
    }
    void *q = hs_realloc(*p, *cap * elem, grown * elem);
    if (!q)
        return hs_fail_memory(err, grown * elem);
    *p = q;
    *cap = grown;
    return HS_OK;
}

/* ---------------------------------------------------------------- arena */

typedef struct block {
    struct block *next;
    size_t size, used; /* of the bytes after the header */
} block;

struct hs_arena {
    size_t block_size;
    block *first, *current;
};

enum { HEADER = ALIGNMENT };
_Static_assert(sizeof(block) <= HEADER, "the block header fits before the first aligned byte");

hs_arena *hs_arena_create(size_t block_size)
{
    hs_arena *arena = hs_calloc(1, sizeof *arena);
    if (arena)
        arena->block_size = block_size ? block_size : (size_t)1 << 20;
    return arena;
}

void *hs_arena_alloc(hs_arena *arena, size_t size)
{
    if (size > SIZE_MAX / 4)
        return NULL;
    size_t rounded = (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    while (arena->current && arena->current->size - arena->current->used < rounded && arena->current->next)
        arena->current = arena->current->next;
    block *b = arena->current;
    if (!b || b->size - b->used < rounded) {
        size_t payload = rounded > arena->block_size ? rounded : arena->block_size;
        block *fresh = hs_alloc(HEADER + payload);
        if (!fresh)
            return NULL;
        *fresh = (block){.next = NULL, .size = payload, .used = 0};
        if (b)
            b->next = fresh;
        else
            arena->first = fresh;
        arena->current = b = fresh;
    }
    void *p = (char *)b + HEADER + b->used;
    b->used += rounded;
    return p;
}

char *hs_arena_strdup(hs_arena *arena, const char *s, size_t len)
{
    char *copy = len < SIZE_MAX ? hs_arena_alloc(arena, len + 1) : NULL;
    if (copy) {
        memcpy(copy, s, len);
        copy[len] = 0;
    }
    return copy;
}

void hs_arena_reset(hs_arena *arena)
{
    for (block *b = arena->first; b; b = b->next)
        b->used = 0;
    arena->current = arena->first;
}

void hs_arena_free(hs_arena *arena)
{
    if (!arena)
        return;
    for (block *b = arena->first; b;) {
        block *next = b->next;
        hs_free(b);
        b = next;
    }
    hs_free(arena);
}
