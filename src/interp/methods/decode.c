/* decode.c - immediate and full-run probing of facts (arXiv 2505.23653): decodable is not yet usable.
 *
 * The state at r of a fact's question (h, r):
 *     immediate  read through the head without the final norm, its top token is the tail
 *     full_run   put at the same stage and place into another fact's question and run to the end, it yields its own tail
 * The released notebook injects the state one block too late (at the output of the block above the one it was read from);
 * here it goes back to the stage it came from.
 *
 * Invariant: the question an item is put into is that of the item half the sample further on. */
#include "hopscope/tensor.h"
#include "interp/look.h"

#include <string.h>

typedef struct decode_job {
    const hs_sample *sample;
    hs_table *table;
    const uint32_t *immediate, *full_run; /* (stages) cells */
} decode_job;

static void decode_items(void *ctx, hs_forward *f, uint32_t first, uint32_t n)
{
    const decode_job *j = ctx;
    const hs_sample *s = j->sample;
    const uint32_t *tail = s->asked[s->target].token + first;
    const uint32_t column = s->T - 1;
    uint32_t host[HS_CHUNK * HS_MAX_PLACES];
    for (uint32_t b = 0; b < n; b++)
        memcpy(host + b * s->T, s->token + (size_t)((first + b + (s->n + 1) / 2) % s->n) * s->T, s->T * sizeof *host);
    hs_forward_run_below(f, 0, host, s->T, n, false);
    hs_forward_run(f, 1, s->token + (size_t)first * s->T, s->T, n);
    for (uint32_t stage = 0; stage <= f->S; stage++) {
        for (uint32_t b = 0; b < n; b++)
            memcpy(f->x + b * f->D, hs_forward_state(f, 1, stage, b, column), f->D * sizeof *f->x);
        hs_model_head(f->model, n, f->x, f->logits);
        float *value = hs_table_column(j->table, j->immediate[stage]);
        for (uint32_t b = 0; b < n; b++)
            value[first + b] = hs_forward_top(f, f->logits, b) == tail[b];
        if (stage == f->S)
            break;
        for (uint32_t b = 0; b < n; b++)
            hs_forward_put(f, stage, b, column, hs_forward_state(f, 1, stage, b, column));
        hs_forward_from(f, 0, stage, NULL);
        value = hs_table_column(j->table, j->full_run[stage]);
        for (uint32_t b = 0; b < n; b++)
            value[first + b] = hs_forward_top(f, f->logits, b) == tail[b];
    }
}

static hs_status run(const hs_look *look, hs_table *out, hs_error *err)
{
    const hs_sample *s = look->sample;
    const uint32_t S = look->model->n_stages;
    const char *position = s->place[s->T - 1].role;
    uint32_t *cells = hs_alloc((2 * (size_t)S + 2) * sizeof *cells);
    if (!cells)
        return hs_fail_memory(err, 2 * (size_t)S * sizeof *cells);
    hs_status status = HS_OK;
    for (uint32_t stage = 0; stage <= S && status == HS_OK; stage++) {
        status = hs_table_add(out, (int32_t)stage, position, "t", "immediate", HS_SUM_SHARE, &cells[stage], err);
        if (status == HS_OK && stage < S)
            status =
                hs_table_add(out, (int32_t)stage, position, "t", "full_run", HS_SUM_SHARE, &cells[S + 1 + stage], err);
    }
    decode_job j = {.sample = s, .table = out, .immediate = cells, .full_run = cells + S + 1};
    if (status == HS_OK)
        status = hs_look_each(look, s->n, s->T, decode_items, &j, err);
    hs_free(cells);
    return status;
}

static const char *unfit(const hs_model *model, const hs_dataset *data, const hs_split *split)
{
    (void)model;
    const bool fits = split && split->n > 1 && split->kind == HS_ITEM_FACT && data->tokens_per_entity == 1;
    return fits ? NULL : "a split of facts whose entities have one token";
}

const hs_method hs_method_decode = {.name = "decode",
                                    .help = "can a fact's tail be read from its state, and used from there",
                                    .paper = "arXiv 2505.23653, immediate and full-run probing",
                                    .cheap = true,
                                    .role = "t",
                                    .measure = "full_run",
                                    .unfit = unfit,
                                    .run = run};
