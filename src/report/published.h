/* published.h - curves of papers, from the files that report.published names (docs/page.md). */
#ifndef HOPSCOPE_REPORT_PUBLISHED_H
#define HOPSCOPE_REPORT_PUBLISHED_H

#include "hopscope/core.h"

typedef struct hs_published_curve {
    char name[64], source[256], split[48];
    double *step, *accuracy; /* (n), steps ascending */
    size_t n, cap;
} hs_published_curve;

typedef struct hs_published {
    hs_published_curve *curve; /* (n) in the order of the file */
    size_t n, cap;
} hs_published;

/* Adds the curves of one file: a header line with the columns name, source, split, step and accuracy in any order, then
 * a point a line. HS_ERR_DATA at path:line for a column that is missing, an unknown one, an empty name or split, a step
 * that is no positive number or not beyond the one before, an accuracy that is not in 0 to 1; HS_ERR_IO where the file
 * is not there. After a failure `out` holds what it held before. */
hs_status hs_published_read(hs_published *out, const char *path, hs_error *err);
void hs_published_free(hs_published *published);

#endif
