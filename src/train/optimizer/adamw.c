/* adamw.c - AdamW (Loshchilov & Hutter, arXiv 1711.05101): Adam with decoupled weight decay. */
#include "train/optimizer/optimizer.h"

#include <math.h>

hs_adam hs_adam_of(const hs_update *u)
{
    const float beta1 = (float)u->config->beta1, beta2 = (float)u->config->beta2;
    return (hs_adam){.rate = u->rate,
                     .beta1 = beta1,
                     .beta2 = beta2,
                     .eps = (float)u->config->eps,
                     .decay = u->decay,
                     .correction1 = (float)(1.0 - pow((double)beta1, (double)u->t)),
                     .correction2 = (float)(1.0 - pow((double)beta2, (double)u->t))};
}

static void update(const hs_update *u)
{
    const hs_adam adam = hs_adam_of(u);
    hs_kernels_get()->adamw(u->n, &adam, u->gscale, u->g, u->state[0], u->state[1], u->w);
}

const hs_optimizer_rule hs_rule_adamw = {
    .name = "adamw", .settings = "beta1 beta2 eps", .state = {"exp_avg", "exp_avg_sq"}, .update = update};
