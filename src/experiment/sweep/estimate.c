/* estimate.c - what a sweep will take, before it starts: dry runs of its arms.
 *
 * Arms that differ only in numbers that change neither the size nor the time of a step share one dry run. */
#include "experiment/internal.h"

#include <math.h>
#include <string.h>
#include <sys/resource.h>

static bool costs_nothing(const char *key)
{
    static const char *const free_keys[] = {
        "data.seed",      "train.seed",          "augment.seed",     "train.lr",
        "train.beta1",    "train.beta2",         "train.eps",        "train.weight_decay",
        "train.warmup",   "train.muon_momentum", "train.prefix_lr",  "train.row_clip",
        "train.clip",     "train.stop_accuracy", "train.stop_split", "train.stop_patience",
        "train.fact_exit"};
    for (size_t i = 0; i < sizeof free_keys / sizeof *free_keys; i++)
        if (strcmp(key, free_keys[i]) == 0)
            return true;
    return strncmp(key, "report.", 7) == 0;
}

static bool cost_the_same(const hs_config *a, const hs_config *b)
{
    size_t n;
    const hs_config_key *keys = hs_config_keys(&n);
    for (size_t i = 0; i < n; i++) {
        const hs_setting *f = &keys[i].setting;
        const char *x = (const char *)a + f->offset, *y = (const char *)b + f->offset;
        const bool same = f->type == HS_SETTING_STRING ? strncmp(x, y, f->size) == 0 : memcmp(x, y, f->size) == 0;
        if (!same && !costs_nothing(keys[i].key))
            return false;
    }
    return true;
}

typedef struct arm_cost {
    uint32_t left;     /* members not finished */
    double done_share; /* steps that its members have done already, in members */
    hs_run_cost cost;
    bool known;
} arm_cost;

static hs_status dry_run(const hs_config *config, bool time, const hs_signals *signals, hs_run_cost *out, hs_error *err)
{
    hs_signals quiet = {0}; /* the estimate looks at a copy: a stop is seen between arms */
    const hs_experiment_options options = {.run_dir = "", .dry_run = true, .no_estimate = !time};
    hs_experiment_result result = {0};
    quiet.stop = signals ? signals->stop : 0;
    const hs_status status = hs_experiment_run(config, &options, &quiet, NULL, &result, err);
    *out = result.cost;
    hs_experiment_result_free(&result);
    return status;
}

static hs_status count_left(const hs_sweep *sweep, arm_cost *arm, hs_sweep_cost *out, hs_error *err)
{
    for (uint32_t m = 0; m < hs_sweep_size(sweep); m++) {
        arm_cost *a = &arm[m % sweep->n_arms];
        const double steps = (double)sweep->arm[m % sweep->n_arms].config.train.steps;
        hs_member now;
        HS_TRY(hs_sweep_look(sweep, m, &now, err));
        if (now.finished)
            continue;
        out->left++;
        a->left++;
        a->done_share += steps > 0 ? fmin((double)now.steps / steps, 1) : 0;
    }
    return HS_OK;
}

hs_status hs_sweep_estimate(const hs_sweep *sweep, bool time, const hs_signals *signals, const hs_events *events,
                            hs_sweep_cost *out, hs_error *err)
{
    *out = (hs_sweep_cost){.members = hs_sweep_size(sweep)};
    arm_cost *arm = hs_calloc(sweep->n_arms, sizeof *arm);
    hs_config *config = hs_alloc(sizeof *config);
    hs_status status = arm && config ? count_left(sweep, arm, out, err) : hs_fail_memory(err, sizeof *config);
    uint64_t largest = 0;
    for (uint32_t a = 0; a < sweep->n_arms && status == HS_OK; a++) {
        if (!arm[a].left)
            continue;
        for (uint32_t k = 0; k < a && !arm[a].known; k++)
            if (arm[k].known && cost_the_same(&sweep->arm[k].config, &sweep->arm[a].config)) {
                arm[a].cost = arm[k].cost;
                arm[a].known = true;
            }
        status = hs_signals_status(signals);
        if (status == HS_OK && !arm[a].known) {
            hs_sweep_config(sweep, a, config);
            hs_error why = {0};
            status = dry_run(config, time, signals, &arm[a].cost, &why);
            arm[a].known = true;
            if (status != HS_OK && !hs_status_stopped(status) && status != HS_ERR_MEMORY) {
                hs_event_send(events, HS_EVENT_WARNING, "sweep", "arm %s cannot be built: %s", sweep->arm[a].name,
                              why.what); /* its members will say so */
                status = HS_OK;
            } else if (status != HS_OK && err) {
                *err = why;
            }
        }
        out->seconds += arm[a].cost.seconds * (arm[a].left - arm[a].done_share);
        out->longest = fmax(out->longest, arm[a].cost.seconds);
        largest = arm[a].cost.memory > largest ? arm[a].cost.memory : largest;
    }
    hs_free(arm);
    hs_free(config);
    struct rusage use; /* this process has built every dataset that is left: its peak, beside the largest model */
    getrusage(RUSAGE_SELF, &use);
    out->memory = out->left ? largest + ((uint64_t)use.ru_maxrss << 10) : 0;
    return status;
}
