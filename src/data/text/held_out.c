/* held_out.c - does a sentence give a held-out question away? It does when it names both ends: the head and the answer,
 * or both that are compared. A name counts where it stands at the beginning of a word, so "Iran" is in "Iranian":
 * rather too many sentences are left out than one too few. */
#include "data/text/render.h"

#include "data/task.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

typedef struct two {
    uint32_t a, b;
} two;

static int by_both(const void *x, const void *y)
{
    const two *p = x, *q = y;
    return p->a != q->a ? (p->a < q->a ? -1 : 1) : p->b < q->b ? -1 : p->b > q->b;
}

/* Both ends of the item; comparisons both ways round. */
static size_t ends_of(const hs_dataset *d, const hs_split *s, uint64_t i, two out[2])
{
    hs_role roles[HS_MAX_ROLES];
    const uint32_t n = hs_split_roles(d, s, roles), *tokens = s->tokens + i * s->width;
    if (s->kind == HS_ITEM_COMPARE) {
        out[0] = (two){tokens[roles[0].column], tokens[roles[1].column]};
        out[1] = (two){out[0].b, out[0].a};
        return 2;
    }
    out[0] = (two){tokens[roles[0].column], tokens[roles[n - 1].column]};
    return 1;
}

hs_status hs_held_out_open(hs_held_out *held, const hs_dataset *d, hs_error *err)
{
    two *list = NULL;
    size_t n = 0, cap = 0;
    hs_status status = HS_OK;
    *held = (hs_held_out){.data = d, .n_names = d->vocab.n, .n_slots = 1 << 12};
    for (uint32_t k = 0; k < d->n_splits && status == HS_OK; k++) {
        const hs_split *s = &d->splits[k];
        if (s->role != HS_SPLIT_TEST || !hs_form_of(s->kind)->query)
            continue;
        if ((status = hs_grow((void **)&list, &cap, n + 2 * s->n + 1, sizeof *list, err)) == HS_OK)
            for (uint64_t i = 0; i < s->n; i++)
                n += ends_of(d, s, i, list + n);
    }
    held->start = hs_calloc((size_t)held->n_names + 2, sizeof *held->start);
    held->partner = hs_alloc((n + 1) * sizeof *held->partner);
    held->clean = hs_calloc(held->n_slots, sizeof *held->clean);
    if (status == HS_OK && (!held->start || !held->partner || !held->clean))
        status = hs_fail_memory(err, n * sizeof *list);
    if (status == HS_OK) {
        if (n)
            qsort(list, n, sizeof *list, by_both);
        for (size_t i = 0; i < n; i++) {
            held->start[list[i].a + 1]++;
            held->partner[i] = list[i].b;
        }
        for (uint32_t i = 0; i < held->n_names; i++)
            held->start[i + 1] += held->start[i];
    }
    hs_free(list);
    return status;
}

void hs_held_out_free(hs_held_out *held)
{
    hs_free(held->start);
    hs_free(held->partner);
    hs_free(held->clean);
    *held = (hs_held_out){0};
}

/* ---------------------------------------------------------------- names in text */

static bool names_text(const char *sentence, const char *name)
{
    for (const char *p = sentence; *name && (p = strstr(p, name)) != NULL; p++)
        if (p == sentence || !(isalnum((unsigned char)p[-1]) || (unsigned char)p[-1] >= 0x80))
            return true;
    return false;
}

/* The name, and "1957-08-09" also as "9 August 1957" and "August 9, 1957". */
static bool names(const char *sentence, const char *name)
{
    static const char *const MONTHS[] = {"January", "February", "March",     "April",   "May",      "June",
                                         "July",    "August",   "September", "October", "November", "December"};
    const hs_ordinal date = hs_ordinal_parse(name);
    char text[64];
    if (names_text(sentence, name))
        return true;
    if (!date.known || !date.date || date.parts < 3)
        return false;
    const char *month = MONTHS[date.date_part[1] - 1];
    snprintf(text, sizeof text, "%d %s %d", (int)date.date_part[2], month, (int)date.date_part[0]);
    if (names_text(sentence, text))
        return true;
    snprintf(text, sizeof text, "%s %d, %d", month, (int)date.date_part[2], (int)date.date_part[0]);
    return names_text(sentence, text);
}

static bool names_partner(const hs_held_out *held, const char *sentence, uint32_t of)
{
    for (uint64_t i = held->start[of]; i < held->start[of + 1]; i++)
        if (names(sentence, hs_names_get(&held->data->vocab, held->partner[i])))
            return true;
    return false;
}

/* ---------------------------------------------------------------- sentences seen before */

static uint64_t *slot_of(uint64_t *slots, size_t n, uint64_t hash)
{
    size_t i = (size_t)hash & (n - 1);
    while (slots[i] && slots[i] != hash)
        i = (i + 1) & (n - 1);
    return &slots[i];
}

static hs_status remember(hs_held_out *held, uint64_t hash, hs_error *err)
{
    if (2 * (held->n_clean + 1) > held->n_slots) {
        uint64_t *slots = hs_calloc(2 * held->n_slots, sizeof *slots);
        if (!slots)
            return hs_fail_memory(err, 2 * held->n_slots * sizeof *slots);
        for (size_t i = 0; i < held->n_slots; i++)
            if (held->clean[i])
                *slot_of(slots, 2 * held->n_slots, held->clean[i]) = held->clean[i];
        hs_free(held->clean);
        held->clean = slots;
        held->n_slots *= 2;
    }
    *slot_of(held->clean, held->n_slots, hash) = hash;
    held->n_clean++;
    return HS_OK;
}

hs_status hs_held_out_states(hs_held_out *held, const char *sentence, uint32_t subject, bool *states, hs_error *err)
{
    uint64_t hash = hs_hash(sentence, strlen(sentence), subject);
    hash += hash == 0;
    *states = false;
    if (*slot_of(held->clean, held->n_slots, hash))
        return HS_OK;
    *states = subject < held->n_names && names_partner(held, sentence, subject);
    for (uint32_t h = 0; h < held->n_names && !*states; h++)
        *states = held->start[h] < held->start[h + 1] && names(sentence, hs_names_get(&held->data->vocab, h)) &&
                  names_partner(held, sentence, h);
    return *states ? HS_OK : remember(held, hash, err);
}
