/* schedule.c - what follows from the number of a step alone: its rate, and whether it stands on a grid of log time. */
#include "train/internal.h"

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

bool hs_on_log_grid(uint64_t step, double per_decade)
{
    if (per_decade <= 0 || step == 0)
        return false;
    const double k = floor(log10((double)step) * per_decade);
    for (int d = -1; d <= 1; d++)
        if ((uint64_t)llround(pow(10.0, (k + d) / per_decade)) == step)
            return true;
    return false;
}
