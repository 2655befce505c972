/* cost.c - what a run will take, in under a second: floating point operations, the machine's measured roof, and, where a
 * step is short, a few real steps, which know best (Muon, small shapes).
 *
 * Evaluations count too: on a small model they are a good part of the time. */
#include "experiment/internal.h"

#include <math.h>

/* Of the roof: what training steps and evaluations reach where nothing was measured (docs/results/speed.md: 0.69 to 0.90). */
static const double step_share = 0.75, eval_share = 0.55;
static const double roof_seconds = 0.15, short_step = 0.05, steps_seconds = 0.35;

/* Newton-Schulz of Muon, five iterations of X' = aX + (bA + cA^2)X with A = XX^T on the smaller side (Jordan et al.). */
static double muon_flop(const hs_model *model)
{
    double flop = 0;
    for (uint32_t i = 0; i < model->n_tensors; i++) {
        const hs_tensor *t = &model->tensor[i];
        if (t->group != HS_GROUP_MATRIX || t->ndim < 2)
            continue;
        const double parts = t->splits ? t->splits : 1;
        const double rows = t->split_columns ? t->shape[0] : t->shape[0] / parts;
        const double columns = (double)t->size / parts / rows;
        const double m = fmin(rows, columns), n = fmax(rows, columns);
        flop += parts * 5 * (4 * m * m * n + 2 * m * m * m);
    }
    return flop;
}

/* Points of the grid up to `steps`: the k-th is round(10^(k / per_decade)). */
static double evaluations(const hs_train_config *c)
{
    double n = 1, last = 0;
    for (uint64_t k = 0; c->evals_per_decade > 0 && k < 100000; k++) {
        const double at = round(pow(10, (double)k / c->evals_per_decade));
        if (at > (double)c->steps)
            break;
        n += at > last;
        last = at;
    }
    return n + (c->eval_every ? (double)(c->steps / c->eval_every) : 0);
}

/* FLOP of the forward pass over `max` items (0: all) of every split; training splits never more than eval_max. */
static double eval_flop(const hs_model *model, const hs_dataset *data, const hs_train_config *c, bool last)
{
    double flop = 0;
    for (uint32_t i = 0; i < data->n_splits; i++) {
        const hs_split *s = &data->splits[i];
        const uint32_t max = last && s->role == HS_SPLIT_TEST ? 0 : c->eval_max;
        const double n = max && s->n > max ? max : (double)s->n;
        const hs_item_view item = hs_dataset_mean_item(data, s);
        flop += n * hs_model_step_flop(model, 1, item.width - 1, item.width - item.prompt) / 3; /* forward: a third */
    }
    return flop;
}

static void time_steps(hs_trainer *trainer, const hs_signals *signals, double *step_seconds)
{
    hs_step_stats stats;
    if (hs_trainer_step(trainer, &stats, NULL) != HS_OK) /* touches fresh memory */
        return;
    const double started = hs_now();
    int n = 0;
    while (hs_now() - started < steps_seconds && hs_signals_status(signals) == HS_OK &&
           hs_trainer_step(trainer, &stats, NULL) == HS_OK)
        n++;
    if (n)
        *step_seconds = (hs_now() - started) / n;
}

hs_status hs_run_estimate(hs_trainer *trainer, const hs_train_config *c, hs_pool *pool, const hs_signals *signals,
                          hs_run_cost *cost, bool *stepped, hs_error *err)
{
    const hs_model *model = hs_trainer_model(trainer);
    const hs_dataset *data = hs_trainer_data(trainer);
    double roof;
    HS_TRY(hs_bench_roof_in(pool, roof_seconds, &roof, err));
    roof *= hs_trainer_times(trainer).ranks;
    const double flop = cost->step_flop + (c->optimizer == HS_OPT_MUON ? muon_flop(model) : 0);
    double step = flop / (roof * step_share);
    *stepped = step < short_step;
    if (*stepped)
        time_steps(trainer, signals, &step);
    cost->seconds_per_1000 = 1000 * step;
    cost->eval_seconds =
        (evaluations(c) * eval_flop(model, data, c, false) + eval_flop(model, data, c, true)) / (roof * eval_share);
    cost->seconds = step * (double)c->steps + cost->eval_seconds;
    if (c->max_seconds > 0)
        cost->seconds = fmin(cost->seconds, c->max_seconds + eval_flop(model, data, c, true) / (roof * eval_share));
    return HS_OK;
}
