/* signsgd.c - the sign of the gradient times the rate (Bernstein et al., arXiv 1802.04434), with decoupled weight decay. */
#include "train/optimizer/optimizer.h"

static void update(const hs_update *u)
{
    const hs_adam adam = {.rate = u->rate, .decay = u->decay};
    hs_kernels_get()->signsgd(u->n, &adam, u->gscale, u->g, u->w);
}

const hs_optimizer_rule hs_rule_signsgd = {.name = "signsgd", .settings = "", .update = update};
