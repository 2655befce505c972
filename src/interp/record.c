/* record.c - readings as rows of run.db, and the methods as a probe of the training loop. */
#include "interp/look.h"

typedef struct target {
    hs_record *record;
    uint64_t step;
} target;

hs_status hs_interpret_row(hs_record *record, uint64_t step, const hs_reading *f, hs_error *err)
{
    hs_probe_row row = {.step = step, .stage = f->stage, .n = f->n, .value = f->value, .low = f->low, .high = f->high};
    snprintf(row.method, sizeof row.method, "%s", f->method);
    snprintf(row.split, sizeof row.split, "%s", f->split);
    snprintf(row.position, sizeof row.position, "%s", f->position);
    snprintf(row.role, sizeof row.role, "%s", f->role);
    snprintf(row.measure, sizeof row.measure, "%s", f->measure);
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

static hs_status probe_run(void *user, const hs_probe_context *at, hs_error *err)
{
    const hs_interpret_job *job = user;
    return hs_interpret_record(job->scope, at->model, job->config, at->pool, at->signals, at->record, at->step, err);
}

hs_probe hs_interpret_probe(hs_interpret_job *job)
{
    return (hs_probe){.name = "interpret", .run = probe_run, .user = job};
}
