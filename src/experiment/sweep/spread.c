/* spread.c - mean, range and interval of the mean over seeds.
 *
 * Student's t: its distribution for whole degrees of freedom has a finite series (Abramowitz & Stegun 26.7.3, 26.7.4),
 * whose quantile is found by halving. Tested against published tables in tests/report/test_sweep.c. */
#include "hopscope/experiment.h"

#include <math.h>

/* P(|T| < t) for `df` degrees of freedom. */
static double within(double t, uint32_t df)
{
    const double pi = 3.14159265358979323846, theta = atan(t / sqrt(df)), c2 = cos(theta) * cos(theta);
    double term = df % 2 ? cos(theta) : 1, sum = df > 1 ? term : 0;
    for (uint32_t k = df % 2 ? 3 : 2; k + 2 <= df; k += 2) { /* factors 2/3, 4/5 ... or 1/2, 3/4 ... */
        term *= (double)(k - 1) / k * c2;
        sum += term;
    }
    return df % 2 ? 2 / pi * (theta + sin(theta) * sum) : sin(theta) * sum;
}

static double quantile(uint32_t df)
{
    double low = 0, high = 1e3;
    for (int i = 0; i < 100; i++) {
        const double mid = 0.5 * (low + high);
        *(within(mid, df) < 0.95 ? &low : &high) = mid;
    }
    return high;
}

hs_spread hs_spread_of(uint32_t n, const double *value)
{
    hs_spread s = {0, (double)NAN, (double)NAN, (double)NAN, (double)NAN, (double)NAN};
    double sum = 0, squares = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (!isfinite(value[i]))
            continue;
        s.min = s.n && s.min < value[i] ? s.min : value[i];
        s.max = s.n && s.max > value[i] ? s.max : value[i];
        sum += value[i];
        s.n++;
    }
    if (s.n)
        s.mean = sum / s.n;
    for (uint32_t i = 0; i < n; i++)
        squares += isfinite(value[i]) ? (value[i] - s.mean) * (value[i] - s.mean) : 0;
    if (s.n > 1) {
        const double half = quantile(s.n - 1) * sqrt(squares / (s.n - 1) / s.n);
        s.low = s.mean - half;
        s.high = s.mean + half;
    }
    return s;
}
