/* share.c - a trainer whose steps and evaluations are shared out over ranks.
 *
 * Each rank runs its shards and has the whole weights, optimizer state and summed gradient; rank 0 says what comes
 * next, and sends weights and state where it changed them outside of a step. */
#include "train/trainer.h"

/* Weights and optimizer state of rank 0 to all. */
static hs_status sync_ranks(hs_trainer *t, hs_error *err)
{
    const size_t bytes = t->model->n_params * sizeof(float);
    HS_TRY(hs_ranks_broadcast(t->ranks, t->model->param, bytes, err));
    for (size_t i = 0; i < t->n_state; i++)
        HS_TRY(hs_ranks_broadcast(t->ranks, t->state[i].data, bytes, err));
    return HS_OK;
}

hs_status hs_trainer_tell(hs_trainer *t, hs_command *c, hs_error *err)
{
    if (!t->ranks || t->ranks->rank > 0)
        return HS_OK;
    c->step = t->step;
    c->attempt = t->attempt;
    c->sync = !t->synced && c->what != HS_LEAVE;
    HS_TRY(hs_ranks_broadcast(t->ranks, c, sizeof *c, err));
    if (c->sync)
        HS_TRY(sync_ranks(t, err));
    t->synced |= c->sync;
    return HS_OK;
}

static hs_status join(hs_trainer *t, hs_ranks *ranks, hs_error *err)
{
    t->first_shard = hs_tree_first_shard(t->config.shards, ranks->rank, ranks->n);
    t->last_shard = hs_tree_first_shard(t->config.shards, ranks->rank + 1, ranks->n);
    for (uint32_t s = 1; s < t->config.shards; s++)
        if (s < t->first_shard || s >= t->last_shard) {
            hs_free(t->grad[s]);
            t->grad[s] = NULL;
        }
    HS_TRY(hs_optimizer_share(t->opt, ranks, err));
    hs_tree_free(t->tree);
    t->tree = NULL;
    return hs_tree_create(&t->tree, t->grad, t->config.shards, t->model->n_params, CHUNK, ranks, err);
}

hs_status hs_trainer_share(hs_trainer *t, hs_ranks *ranks, hs_error *err)
{
    if (hs_ranks_count(ranks) == 1)
        return HS_OK;
    HS_TRY(hs_ranks_agree(ranks, join(t, ranks, err), err));
    t->ranks = ranks;
    return HS_OK;
}

hs_probe_context hs_trainer_probe_context(hs_trainer *t, hs_model *view)
{
    *view = *t->model;
    view->param = (float *)(uintptr_t)hs_trainer_eval_param(t);
    return (hs_probe_context){.step = t->step, .model = view, .data = t->data, .pool = t->pool, .signals = t->signals};
}

hs_status hs_trainer_call_probe(hs_trainer *t, uint32_t number, hs_ranks **ranks, hs_error *err)
{
    *ranks = t->ranks;
    return hs_trainer_tell(t, &(hs_command){.what = HS_PROBE, .split = number}, err);
}

hs_status hs_trainer_end_probe(hs_trainer *t, hs_error *err)
{
    size_t start[HS_MOST_RANKS + 1];
    for (uint32_t r = 0; r <= t->ranks->n; r++)
        start[r] = r * sizeof *t->asked;
    hs_trainer_ask(t);
    HS_TRY(hs_ranks_share(t->ranks, t->asked, start, err));
    hs_trainer_heed(t);
    return HS_OK;
}

/* What becomes of it, rank 0 says. */
static hs_status take_probe(hs_trainer *t, const hs_probe *probe, hs_error *err)
{
    hs_model view;
    hs_probe_context at = hs_trainer_probe_context(t, &view);
    at.ranks = t->ranks;
    (void)probe->run(probe->user, &at, err);
    return hs_trainer_end_probe(t, err);
}

hs_status hs_trainer_serve(hs_trainer *t, const hs_probe *probes, uint32_t n_probes, hs_signals *signals, hs_error *err)
{
    t->signals = signals;
    for (;;) {
        hs_command c;
        hs_step_stats stats;
        hs_eval eval;
        HS_TRY(hs_ranks_broadcast(t->ranks, &c, sizeof c, err));
        if (c.what == HS_LEAVE)
            return HS_OK;
        if (c.sync)
            HS_TRY(sync_ranks(t, err));
        t->step = c.step;
        t->attempt = c.attempt;
        hs_status status = HS_OK;
        if (c.what == HS_STEP)
            status = hs_trainer_step(t, &stats, err);
        else if (c.what == HS_EVALUATE)
            status = hs_trainer_evaluate(t, c.split, c.max, &eval, err);
        else if (c.split < n_probes)
            status = take_probe(t, &probes[c.split], err);
        else
            status = hs_fail(err, HS_ERR_FAILED, "rank 0 has another probe");
        if (status != HS_OK && status != HS_ERR_DIVERGED && !hs_status_stopped(status)) /* rank 0 has those too */
            return status;
    }
}

void hs_trainer_heed(hs_trainer *t)
{
    for (uint32_t r = 1; r < t->ranks->n && t->ranks->rank == 0 && t->signals; r++) {
        if (t->asked[r].stop && !hs_signals_asked(t->signals))
            hs_signals_stop(t->signals, t->asked[r].stop);
        if (t->asked[r].save)
            t->signals->save = 1;
    }
}

void hs_trainer_ask(hs_trainer *t)
{
    hs_notice *own = &t->asked[t->ranks->rank];
    *own = (hs_notice){0};
    if (!t->signals)
        return;
    *own = (hs_notice){hs_signals_asked(t->signals), t->signals->save};
    if (t->ranks->rank > 0 && own->save)
        t->signals->save = 0;
}

hs_status hs_trainer_evaluate(hs_trainer *t, uint32_t split, uint32_t max, hs_eval *out, hs_error *err)
{
    HS_TRY(hs_trainer_tell(t, &(hs_command){.what = HS_EVALUATE, .split = split, .max = max}, err));
    return hs_evaluate_ranks(t->model, hs_trainer_eval_param(t), t->data, &t->data->splits[split], max, t->pool,
                             t->signals, t->ranks, out, err);
}

void hs_trainer_set_signals(hs_trainer *t, hs_signals *signals)
{
    t->signals = signals;
}

hs_step_times hs_trainer_times(const hs_trainer *t)
{
    hs_step_times times = t->times;
    times.ranks = hs_ranks_count(t->ranks);
    times.shared += hs_optimizer_block_seconds(t->opt);
    return times;
}
