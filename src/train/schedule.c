/* schedule.c - the rate of a step as a share of lr: linear warm-up, then constant, linear or cosine. */
#include "hopscope/train.h"

#include <math.h>

double hs_schedule_factor(const hs_train_config *c, uint64_t step)
{
    if (step < c->warmup)
        return (double)(step + 1) / (double)c->warmup;
    if (c->schedule == HS_SCHEDULE_CONSTANT || c->steps <= c->warmup + 1)
        return 1.0;
    double done = (double)(step - c->warmup) / (double)(c->steps - c->warmup - 1);
    done = done > 1 ? 1 : done;
    const double shape =
        c->schedule == HS_SCHEDULE_LINEAR ? 1.0 - done : 0.5 * (1.0 + cos(3.14159265358979323846 * done));
    return c->lr_min + (1.0 - c->lr_min) * shape;
}
