/* table.h - what a method measured: one column of numbers (one an item) for each cell, and its summary with intervals.
 *
 * A method fills columns; summaries, intervals, rows of run.db and --items files follow from them in one place (table.c).
 * NaN = this item has no such value. */
#ifndef HOPSCOPE_INTERP_TABLE_H
#define HOPSCOPE_INTERP_TABLE_H

#include "hopscope/interp.h"
#include "interp/sample.h"

/* How the values of a cell become one number. */
typedef enum hs_summary {
    HS_SUM_SHARE, /* values 0 or 1: their share, Wilson interval */
    HS_SUM_MEAN,  /* mean, bootstrap interval */
    HS_SUM_RATIO, /* sum of this cell over the sum of cell `base`, bootstrap interval */
    HS_SUM_HIDDEN /* base of a ratio: no row of its own */
} hs_summary;

typedef struct hs_cell {
    int32_t stage;               /* HS_ALL_STAGES = over all */
    char position[HS_ROLE_SIZE]; /* "" = over all */
    char role[96];               /* "" = none; or the name of a tensor */
    char measure[2 * HS_ROLE_SIZE];
    hs_summary summary;
    uint32_t base; /* of a ratio */
} hs_cell;

struct hs_table {
    uint32_t n;     /* items */
    uint64_t *item; /* (n) their indices in the split, where they are not the look's sample; owned, or NULL */
    uint32_t n_cells, cap_cells;
    hs_cell *cell;
    size_t cap_values;
    float *value; /* (n_cells, n) */
};

/* A new cell, its values NaN; *index names it. The table's n is fixed before the first cell. */
hs_status hs_table_add(hs_table *table, int32_t stage, const char *position, const char *role, const char *measure,
                       hs_summary summary, uint32_t *index, hs_error *err);
float *hs_table_column(hs_table *table, uint32_t cell); /* (n); valid until the next cell is added */
void hs_table_free(hs_table *table);

/* Every cell as a reading: in order, with interval. Deterministic in the table's values. */
hs_status hs_table_report(const hs_table *table, hs_reading base, const hs_sink *sink, hs_error *err);
/* Every single value as an item. */
hs_status hs_table_items(const hs_table *table, hs_reading base, const uint64_t *item, const hs_sink *sink,
                         hs_error *err);

#endif
