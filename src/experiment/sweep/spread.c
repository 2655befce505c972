/* spread.c - mean, range and interval of the mean over seeds; the difference of two means.
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

/* Number, mean and squared standard error of the finite values. */
static uint32_t moments(uint32_t n, const double *value, double *mean, double *variance)
{
    const hs_spread s = hs_spread_of(n, value);
    double squares = 0;
    for (uint32_t i = 0; i < n; i++)
        squares += isfinite(value[i]) ? (value[i] - s.mean) * (value[i] - s.mean) : 0;
    *mean = s.mean;
    *variance = s.n > 1 ? squares / (s.n - 1) / s.n : (double)NAN;
    return s.n;
}

hs_spread hs_spread_difference(uint32_t n_a, const double *a, uint32_t n_b, const double *b)
{
    hs_spread s = {0, (double)NAN, (double)NAN, (double)NAN, (double)NAN, (double)NAN};
    double mean_a, mean_b, v_a, v_b;
    const uint32_t m_a = moments(n_a, a, &mean_a, &v_a), m_b = moments(n_b, b, &mean_b, &v_b);
    s.n = m_a + m_b;
    s.mean = mean_a - mean_b;
    if (m_a < 2 || m_b < 2)
        return s;
    double half = 0;
    if (v_a + v_b > 0) {
        const double df = (v_a + v_b) * (v_a + v_b) / (v_a * v_a / (m_a - 1) + v_b * v_b / (m_b - 1));
        half = quantile(df < 1 ? 1 : (uint32_t)(df + 1e-9)) * sqrt(v_a + v_b);
    }
    s.low = s.mean - half;
    s.high = s.mean + half;
    return s;
}
