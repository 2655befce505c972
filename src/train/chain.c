/* chain.c - the hashes of a run: of weights, and the links that tie each recorded evaluation to all before it.
 *
 * XXH3 finds damage, mistakes and hands that slip. It is no signature: who rewrites the whole record can rewrite the links. */
#include "hopscope/train.h"

#include <math.h>
#include <string.h>

uint64_t hs_model_hash(const hs_model *model)
{
    return hs_hash(model->param, model->n_params * sizeof *model->param, 0);
}

/* As the record stores it: what is not finite is one and the same, and 0 has no sign. */
static double stored(double value)
{
    return isfinite(value) ? value + 0.0 : -1e308;
}

static uint64_t hash_of_eval(const hs_eval *e)
{
    const double number[] = {(double)e->n, stored(e->accuracy), stored(e->loss)};
    return hs_hash(number, sizeof number, hs_hash(e->split, strlen(e->split), 0));
}

uint64_t hs_chain_link(uint64_t previous, uint64_t step, uint64_t weights, uint32_t n, const hs_eval *eval,
                       const hs_step_stats *stats)
{
    uint64_t sum = n; /* a sum: the record gives the splits in another order */
    for (uint32_t i = 0; i < n; i++)
        sum += hash_of_eval(&eval[i]);
    uint64_t metrics = 0;
    if (stats) {
        const double number[] = {stored(stats->loss), stored(stats->accuracy), stored(stats->grad_norm),
                                 stored(stats->lr)};
        metrics = hs_hash(number, sizeof number, 1);
    }
    const uint64_t all[] = {previous, step, weights, sum, metrics};
    return hs_hash(all, sizeof all, 0);
}
