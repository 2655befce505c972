/* batch.c - micro-batches from packed splits.
 *
 * An item of width w and prompt p (hs_dataset_item) becomes w-1 rows (its last token is only a target); rows p-1 .. w-2
 * are scored. */
#include "train/internal.h"

#include <string.h>

uint32_t hs_dataset_rows(const hs_dataset *data)
{
    uint32_t widest = data->text ? data->text->longest : 2;
    for (uint32_t s = 0; !data->text && s < data->n_splits; s++)
        if (data->splits[s].width > widest)
            widest = data->splits[s].width;
    return widest - 1;
}

hs_status hs_batch_memory_create(hs_batch_memory *m, const hs_dataset *data, uint32_t sequences, uint32_t full_width,
                                 hs_error *err)
{
    const size_t rows = (size_t)sequences * hs_dataset_rows(data);
    bool several = false;
    for (uint32_t s = 0; s < data->n_splits; s++)
        several |= data->splits[s].also_start != NULL;
    *m = (hs_batch_memory){.max_sequences = sequences, .max_width = hs_dataset_rows(data), .full_width = full_width};
    m->token = hs_alloc(rows * sizeof *m->token);
    m->start = hs_alloc((sequences + 1) * sizeof *m->start);
    m->score_row = hs_alloc(rows * sizeof *m->score_row);
    m->target = hs_alloc(rows * sizeof *m->target);
    m->weight = hs_alloc(rows * sizeof *m->weight);
    m->exit_row = hs_alloc(sequences * sizeof *m->exit_row);
    m->exit_target = hs_alloc(sequences * sizeof *m->exit_target);
    m->exit_weight = hs_alloc(sequences * sizeof *m->exit_weight);
    bool ok = m->token && m->start && m->score_row && m->target && m->weight && m->exit_row && m->exit_target &&
              m->exit_weight;
    if (full_width)
        ok &= (m->full = hs_alloc((size_t)sequences * full_width * sizeof *m->full)) != NULL;
    if (several) {
        size_t most = 0; /* of further right answers of one item */
        for (uint32_t s = 0; s < data->n_splits; s++)
            if (data->splits[s].also_start)
                for (uint64_t i = 0; i < data->splits[s].n; i++) {
                    uint64_t n = data->splits[s].also_start[i + 1] - data->splits[s].also_start[i];
                    most = n > most ? (size_t)n : most;
                }
        m->also_cap = most * sequences;
        ok &= (m->also_start = hs_alloc((rows + 1) * sizeof *m->also_start)) != NULL;
        ok &= (m->also = hs_alloc((m->also_cap + 1) * sizeof *m->also)) != NULL;
        ok &= (m->exit_also_start = hs_alloc((sequences + 1) * sizeof *m->exit_also_start)) != NULL;
        ok &= (m->exit_also = hs_alloc((m->also_cap + 1) * sizeof *m->exit_also)) != NULL;
    }
    if (!ok) {
        hs_batch_memory_free(m);
        return hs_fail_memory(err, rows * 5 * sizeof(uint32_t));
    }
    return HS_OK;
}

void hs_batch_memory_free(hs_batch_memory *m)
{
    hs_free(m->token);
    hs_free(m->start);
    hs_free(m->score_row);
    hs_free(m->target);
    hs_free(m->full);
    hs_free(m->weight);
    hs_free(m->exit_row);
    hs_free(m->exit_target);
    hs_free(m->exit_weight);
    hs_free(m->also_start);
    hs_free(m->also);
    hs_free(m->exit_also_start);
    hs_free(m->exit_also);
    *m = (hs_batch_memory){0};
}

uint32_t hs_items_within(const hs_dataset *data, const hs_item *items, uint32_t n, uint32_t rows)
{
    uint32_t used = 0, i = 0;
    for (; i < n; i++) {
        used += hs_dataset_item(data, &data->splits[items[i].split], items[i].index).width - 1;
        if (i > 0 && used > rows)
            break;
    }
    return i;
}

hs_batch hs_batch_fill(hs_batch_memory *m, const hs_dataset *data, const hs_item *items, uint32_t n, float weight)
{
    uint32_t row = 0, scored = 0;
    uint64_t also = 0;
    for (uint32_t b = 0; b < n; b++) {
        const hs_split *split = &data->splits[items[b].split];
        const hs_item_view item = hs_dataset_item(data, split, items[b].index);
        const uint32_t *tokens = item.tokens;
        m->start[b] = row;
        memcpy(m->token + row, tokens, (item.width - 1) * sizeof *tokens);
        for (uint32_t p = item.prompt - 1; p + 1 < item.width; p++) {
            m->score_row[scored] = row + p;
            m->target[scored] = tokens[p + 1];
            m->weight[scored] = weight;
            if (m->also_start) {
                m->also_start[scored] = also;
                if (split->also_start && p + 1 == split->answer)
                    for (uint64_t i = split->also_start[items[b].index]; i < split->also_start[items[b].index + 1]; i++)
                        m->also[also++] = split->also[i];
            }
            scored++;
        }
        for (uint32_t t = 0; t < m->full_width; t++)
            m->full[(size_t)b * m->full_width + t] = t < item.width ? tokens[t] : UINT32_MAX;
        row += item.width - 1;
    }
    m->start[n] = row;
    if (m->also_start)
        m->also_start[scored] = also;
    return (hs_batch){.B = n,
                      .N = row,
                      .P = scored,
                      .token = m->token,
                      .start = m->start,
                      .score_row = m->score_row,
                      .target = m->target,
                      .weight = weight > 0 ? m->weight : NULL,
                      .also_start = m->also_start,
                      .also = m->also,
                      .full = m->full};
}

void hs_batch_weigh_facts(hs_batch_memory *m, const hs_dataset *data, const hs_item *items, float factor,
                          const hs_batch *batch)
{
    uint32_t scored = 0;
    for (uint32_t b = 0; b < batch->B; b++) {
        const hs_split *split = &data->splits[items[b].split];
        const hs_item_view item = hs_dataset_item(data, split, items[b].index);
        const uint32_t end = scored + item.width - item.prompt;
        for (; scored < end; scored++)
            m->weight[scored] *= hs_split_is_facts(split) ? factor : 1;
    }
}

static void add_exit(hs_batch_memory *m, hs_exits *e, uint32_t row, uint32_t target, float weight)
{
    m->exit_row[e->n] = row;
    m->exit_target[e->n] = target;
    m->exit_weight[e->n++] = weight;
}

void hs_batch_exits(hs_batch_memory *m, const hs_dataset *data, const hs_item *items, float fact, float query,
                    hs_batch *batch)
{
    hs_exits e = {.row = m->exit_row,
                  .target = m->exit_target,
                  .weight = m->exit_weight,
                  .also_start = m->exit_also_start,
                  .also = m->exit_also};
    uint64_t also = 0;
    for (uint32_t b = 0; b < batch->B; b++) {
        const hs_split *split = &data->splits[items[b].split];
        const uint64_t i = items[b].index;
        if (m->exit_also_start)
            m->exit_also_start[e.n] = also;
        if (fact > 0 && hs_split_is_facts(split)) {
            if (split->also_start)
                for (uint64_t k = split->also_start[i]; k < split->also_start[i + 1]; k++)
                    m->exit_also[also++] = split->also[k];
            add_exit(m, &e, batch->start[b] + split->answer - 1, split->tokens[i * split->width + split->answer], fact);
        } else if (query > 0 && split->bridges > 0 && split->bridge[i * split->bridges] != HS_PAD) {
            add_exit(m, &e, batch->start[b] + data->tokens_per_entity, split->bridge[i * split->bridges], query);
        }
    }
    if (m->exit_also_start)
        m->exit_also_start[e.n] = also;
    batch->exits = e;
}
