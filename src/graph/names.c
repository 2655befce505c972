/* names.c - interned strings.
 *
 * Names live one after the other in `text`, each followed by a 0 byte; start[id] is where name `id` begins. `slots` is
 * an open-addressed table (linear probing, XXH3) of id + 1, at most 2/3 full. Ids are dense and given in order of first
 * appearance, so two graphs read from the same bytes have the same ids. A failed add leaves the object as it was.
 */
#include "hopscope/graph.h"

#include <assert.h>
#include <string.h>

static size_t name_len(const hs_names *names, uint32_t id)
{
    return (size_t)(names->start[id + 1] - names->start[id] - 1);
}

/* The slot that holds the name, or the empty slot where it would go. n_slots > 0. */
static uint32_t find_slot(const hs_names *names, const char *s, size_t len)
{
    uint32_t mask = names->n_slots - 1;
    uint32_t i = (uint32_t)hs_hash(s, len, 0) & mask;
    while (names->slots[i] != 0) {
        uint32_t id = names->slots[i] - 1;
        if (name_len(names, id) == len && memcmp(names->text + names->start[id], s, len) == 0)
            return i;
        i = (i + 1) & mask;
    }
    return i;
}

static hs_status grow_slots(hs_names *names, hs_error *err)
{
    uint32_t n_slots = names->n_slots == 0 ? 64 : names->n_slots * 2;
    uint32_t *slots = hs_calloc(n_slots, sizeof *slots);
    if (slots == NULL)
        return hs_fail_memory(err, n_slots * sizeof *slots);
    for (uint32_t id = 0; id < names->n; id++) {
        uint32_t i = (uint32_t)hs_hash(names->text + names->start[id], name_len(names, id), 0) & (n_slots - 1);
        while (slots[i] != 0)
            i = (i + 1) & (n_slots - 1);
        slots[i] = id + 1;
    }
    hs_free(names->slots);
    names->slots = slots;
    names->n_slots = n_slots;
    return HS_OK;
}

static hs_status grow_start(hs_names *names, hs_error *err)
{
    uint32_t cap = names->cap == 0 ? 32 : names->cap * 2;
    size_t old_size = names->start == NULL ? 0 : ((size_t)names->cap + 1) * sizeof *names->start;
    size_t new_size = ((size_t)cap + 1) * sizeof *names->start;
    uint64_t *start = hs_realloc(names->start, old_size, new_size);
    if (start == NULL)
        return hs_fail_memory(err, new_size);
    if (names->start == NULL)
        start[0] = 0;
    names->start = start;
    names->cap = cap;
    return HS_OK;
}

hs_status hs_names_add(hs_names *names, const char *s, size_t len, uint32_t *id, hs_error *err)
{
    if (names->n_slots > 0) {
        uint32_t slot = names->slots[find_slot(names, s, len)];
        if (slot != 0) {
            *id = slot - 1;
            return HS_OK;
        }
    }
    /* 2^30 names keep cap * 2 and n_slots * 2 within 32 bits. */
    if (names->n >= UINT32_C(1) << 30)
        return hs_fail(err, HS_ERR_DATA, "more than %u different names", names->n);
    if ((uint64_t)(names->n + 1) * 3 > (uint64_t)names->n_slots * 2)
        HS_TRY(grow_slots(names, err));
    if (names->n == names->cap)
        HS_TRY(grow_start(names, err));
    uint64_t at = names->start[names->n];
    /* hs_grow moves the text; `s` may point into it, so remember where. */
    bool inside = names->text != NULL && s >= names->text && s < names->text + at;
    size_t offset = inside ? (size_t)(s - names->text) : 0;
    void *text = names->text;
    hs_status status = hs_grow(&text, &names->text_cap, (size_t)at + len + 1, 1, err);
    names->text = text;
    if (status != HS_OK)
        return status;
    if (inside)
        s = names->text + offset;
    if (len > 0)
        memmove(names->text + at, s, len);
    names->text[at + len] = '\0';
    uint32_t slot = find_slot(names, names->text + at, len);
    names->start[names->n + 1] = at + len + 1;
    names->slots[slot] = names->n + 1;
    *id = names->n++;
    return HS_OK;
}

uint32_t hs_names_find(const hs_names *names, const char *s, size_t len)
{
    if (names->n_slots == 0)
        return HS_NO_ID;
    uint32_t slot = names->slots[find_slot(names, s, len)];
    return slot == 0 ? HS_NO_ID : slot - 1;
}

const char *hs_names_get(const hs_names *names, uint32_t id)
{
    assert(id < names->n);
    return names->text + names->start[id];
}

void hs_names_free(hs_names *names)
{
    if (names == NULL)
        return;
    hs_free(names->start);
    hs_free(names->text);
    hs_free(names->slots);
    *names = (hs_names){0};
}
