/* adam_atan2.c - Adam-atan2 (Everett et al., arXiv 2407.05872): atan2(m, sqrt(v)) in place of m / (sqrt(v) + eps).
 *
 * The paper's form is a * atan2(m, b * sqrt(v)) with free constants a and b. Here a = b = 1: no scale of its own, so that
 * train.lr is all there is to tune; an update then is at most pi/2 lr where AdamW's is about lr at its largest, and for
 * small |m| / sqrt(v) both are the same. */
#include "train/optimizer/optimizer.h"

static void update(const hs_update *u)
{
    const hs_adam adam = hs_adam_of(u);
    hs_kernels_get()->adam_atan2(u->n, &adam, u->gscale, u->g, u->state[0], u->state[1], u->w);
}

const hs_optimizer_rule hs_rule_adam_atan2 = {
    .name = "adam_atan2", .settings = "beta1 beta2", .state = {"exp_avg", "exp_avg_sq"}, .update = update};
