/* check.h - what tests share: comparing arrays by relative error, opening golden files, throw-away folders. */
#ifndef HOPSCOPE_TESTS_CHECK_H
#define HOPSCOPE_TESTS_CHECK_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hopscope/core.h"

/* ||x - ref|| / ||ref|| */
static inline double check_relative_error(const float *x, const float *ref, size_t n)
{
    double difference = 0, norm = 0;
    for (size_t i = 0; i < n; i++) {
        difference += ((double)x[i] - (double)ref[i]) * ((double)x[i] - (double)ref[i]);
        norm += (double)ref[i] * (double)ref[i];
    }
    return sqrt(difference) / (sqrt(norm) + 1e-30);
}

#define assert_near(name, x, ref, n, bound)                                              \
    do {                                                                                 \
        double check_error_ = check_relative_error(x, ref, n);                           \
        if (!(check_error_ <= (bound)))                                                  \
            fail_msg("%s: relative error %.3g, bound %.3g", name, check_error_, (double)(bound)); \
    } while (0)

#define assert_ok(expr)                                                  \
    do {                                                                 \
        hs_error check_err_ = {0};                                       \
        hs_error *err = &check_err_;                                     \
        hs_status check_status_ = (expr);                                \
        if (check_status_ != HS_OK) {                                    \
            char check_text_[1024];                                      \
            hs_error_format(err, check_text_, sizeof check_text_);       \
            fail_msg("%s: %s", #expr, check_text_);                      \
        }                                                                \
    } while (0)

#endif
