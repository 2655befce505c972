/* record.c - readings as rows of run.db, and the methods as a probe of the training loop.
 *
 * Where several ranks train, each looks at some pieces, and rank 0 writes the rows of all in the order of the pieces:
 * the record is the same for any number of ranks. */
#include "interp/look.h"

#include <string.h>

typedef struct target {
    hs_record *record;
    uint64_t step;
} target;

static hs_probe_row row_of(uint64_t step, const hs_reading *f)
{
    hs_probe_row row = {.step = step, .stage = f->stage, .n = f->n, .value = f->value, .low = f->low, .high = f->high};
    snprintf(row.method, sizeof row.method, "%s", f->method);
    snprintf(row.split, sizeof row.split, "%s", f->split);
    snprintf(row.position, sizeof row.position, "%s", f->position);
    snprintf(row.role, sizeof row.role, "%s", f->role);
    snprintf(row.measure, sizeof row.measure, "%s", f->measure);
    return row;
}

hs_status hs_interpret_row(hs_record *record, uint64_t step, const hs_reading *f, hs_error *err)
{
    const hs_probe_row row = row_of(step, f);
    return hs_record_probe(record, &row, err);
}

static hs_status write_row(void *user, const hs_reading *f, hs_error *err)
{
    const target *to = user;
    return hs_interpret_row(to->record, to->step, f, err);
}

hs_status hs_interpret_record(hs_scope *scope, const hs_model *model, const hs_interpret_config *config, hs_pool *pool,
                              const hs_signals *signals, hs_record *record, uint64_t step, hs_error *err)
{
    target to = {.record = record, .step = step};
    const hs_sink sink = {.user = &to, .reading = write_row};
    return hs_interpret(scope, model, NULL, config, pool, signals, &sink, err);
}

/* ---------------------------------------------------------------- by several ranks */

typedef struct piece_row {
    uint32_t piece;
    hs_probe_row row;
} piece_row;

typedef struct collection {
    uint64_t step;
    hs_piece piece;
    piece_row *row; /* (n) */
    size_t n, cap;
} collection;

static hs_status collect(void *user, const hs_reading *f, hs_error *err)
{
    collection *c = user;
    HS_TRY(hs_grow((void **)&c->row, &c->cap, c->n + 1, sizeof *c->row, err));
    c->row[c->n++] = (piece_row){c->piece.now, row_of(c->step, f)};
    return HS_OK;
}

/* The rows of all ranks, rank after rank, in *all; start (ranks + 1) bytes. */
static hs_status gather(hs_ranks *ranks, const collection *own, piece_row **all, size_t *start, hs_error *err)
{
    size_t n[HS_MOST_RANKS], at[HS_MOST_RANKS + 1];
    for (uint32_t r = 0; r <= ranks->n; r++)
        at[r] = r * sizeof *n;
    n[ranks->rank] = own->n;
    HS_TRY(hs_ranks_share(ranks, n, at, err));
    start[0] = 0;
    for (uint32_t r = 0; r < ranks->n; r++)
        start[r + 1] = start[r] + n[r] * sizeof **all;
    *all = hs_alloc(start[ranks->n] + 1);
    HS_TRY(hs_ranks_agree(ranks, *all ? HS_OK : hs_fail_memory(err, start[ranks->n]), err));
    if (own->n)
        memcpy((char *)*all + start[ranks->rank], own->row, own->n * sizeof **all);
    return hs_ranks_share(ranks, *all, start, err);
}

/* A piece's rows stand together, at the rank whose it is. */
static hs_status write_rows(const hs_ranks *ranks, const piece_row *all, const size_t *start, hs_record *record,
                            hs_error *err)
{
    size_t next[HS_MOST_RANKS], left = start[ranks->n] / sizeof *all;
    for (uint32_t r = 0; r < ranks->n; r++)
        next[r] = start[r] / sizeof *all;
    for (uint32_t piece = 0; left > 0; piece++) {
        const uint32_t r = piece % ranks->n;
        for (; next[r] < start[r + 1] / sizeof *all && all[next[r]].piece == piece; next[r]++, left--)
            HS_TRY(hs_record_probe(record, &all[next[r]].row, err));
    }
    return HS_OK;
}

static hs_status probe_by_ranks(const hs_interpret_job *job, const hs_probe_context *at, hs_error *err)
{
    collection c = {.step = at->step, .piece = {.part = at->ranks->rank, .parts = at->ranks->n}};
    const hs_sink sink = {.user = &c, .reading = collect};
    piece_row *all = NULL;
    size_t start[HS_MOST_RANKS + 1];
    hs_status status =
        hs_interpret_part(job->scope, at->model, NULL, job->config, at->pool, at->signals, &sink, &c.piece, err);
    status = hs_ranks_agree(at->ranks, status, err);
    if (status == HS_OK)
        status = gather(at->ranks, &c, &all, start, err);
    if (status == HS_OK && at->record)
        status = write_rows(at->ranks, all, start, at->record, err);
    hs_free(all);
    hs_free(c.row);
    return status;
}

static hs_status probe_run(void *user, const hs_probe_context *at, hs_error *err)
{
    const hs_interpret_job *job = user;
    if (at->ranks)
        return probe_by_ranks(job, at, err);
    return hs_interpret_record(job->scope, at->model, job->config, at->pool, at->signals, at->record, at->step, err);
}

hs_probe hs_interpret_probe(hs_interpret_job *job)
{
    return (hs_probe){.name = "interpret", .run = probe_run, .user = job, .shared = true};
}
