/* lion.c - Lion (Chen et al., arXiv 2302.06675, Algorithm 2): the sign of an interpolated momentum. */
#include "train/optimizer/optimizer.h"

static void update(const hs_update *u)
{
    const hs_adam adam = {
        .rate = u->rate, .beta1 = (float)u->config->beta1, .beta2 = (float)u->config->beta2, .decay = u->decay};
    hs_kernels_get()->lion(u->n, &adam, u->gscale, u->g, u->state[0], u->w);
}

const hs_optimizer_rule hs_rule_lion = {
    .name = "lion", .settings = "beta1 beta2", .state = {"exp_avg"}, .update = update};
