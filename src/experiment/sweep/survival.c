/* survival.c - time to an event when some runs end before it: Kaplan-Meier.
 *
 * A run that never grokked is not a missing value: it says "longer than this". Tested in
 * tests/report/test_sweep.c against values worked out by hand and by an independent program. */
#include "hopscope/experiment.h"

#include <math.h>
#include <stdlib.h>

typedef struct observation {
    double time;
    bool event;
} observation;

/* By time; at the same time events come first: who is censored then was still at risk. */
static int by_time(const void *a, const void *b)
{
    const observation *x = a, *y = b;
    if (x->time != y->time)
        return x->time < y->time ? -1 : 1;
    return (int)y->event - (int)x->event;
}

hs_status hs_survival_estimate(uint32_t n, const double *time, const bool *event, hs_survival *out, hs_error *err)
{
    *out = (hs_survival){
        .n = n, .median = INFINITY, .low = INFINITY, .high = INFINITY, .first = (double)NAN, .last = (double)NAN};
    observation *o = hs_alloc((n ? n : 1) * sizeof *o);
    if (!o)
        return hs_fail_memory(err, n * sizeof *o);
    for (uint32_t i = 0; i < n; i++) {
        if (!(time[i] >= 0)) {
            hs_free(o);
            return hs_fail(err, HS_ERR_DATA, "time %u of %u is not a number of 0 or more", i + 1, n);
        }
        o[i] = (observation){time[i], event[i]};
    }
    qsort(o, n, sizeof *o, by_time);
    const double z = 1.959963984540054;
    double survival = 1, greenwood = 0; /* sum of d / (r (r - d)) */
    for (uint32_t i = 0; i < n;) {
        uint32_t next = i, d = 0;
        for (; next < n && o[next].time == o[i].time; next++)
            d += o[next].event;
        const double t = o[i].time, r = n - i;
        i = next;
        out->follow_up = t;
        if (d == 0)
            continue;
        out->events += d;
        out->first = isnan(out->first) ? t : out->first;
        out->last = t;
        survival *= (r - d) / r;
        if (isinf(out->median) && survival <= 0.5 + 1e-12)
            out->median = t;
        if (d == r) { /* nobody left: the variance has no meaning, only the lower end can still fall here */
            out->low = isinf(out->low) ? t : out->low;
            continue;
        }
        greenwood += d / (r * (r - d));
        const double se = sqrt(greenwood) / fabs(log(survival));
        if (isinf(out->low) && pow(survival, exp(z * se)) <= 0.5)
            out->low = t;
        if (isinf(out->high) && pow(survival, exp(-z * se)) <= 0.5)
            out->high = t;
    }
    hs_free(o);
    return HS_OK;
}
