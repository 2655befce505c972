/* probes.h - figures of the microscope: what a drawing function gets, fills and may call.
 *
 * One file per kind of figure and one line per method in probes.c. Invariant: all that a figure points to belongs to
 * its hs_plot and goes with it. */
#ifndef HOPSCOPE_REPORT_PROBES_H
#define HOPSCOPE_REPORT_PROBES_H

#include "hopscope/interp.h"
#include "hopscope/report.h"

enum { HS_PLOT_PANELS = 48, HS_PLOT_NAMES = 64 };

typedef struct hs_plot hs_plot;
typedef struct hs_plot_kind {
    const char *method;
    hs_status (*draw)(hs_plot *plot, hs_error *err);
    const char *roles,
        *measures; /* lists shown unless asked otherwise, the most telling first; "" = all that there are */
} hs_plot_kind;

struct hs_plot {
    hs_plot_kind kind;
    const hs_figure_probe_options *options;
    hs_run_reader run;
    hs_probe_row *row; /* (n) of the method, in order of (step, split, stage, position, role, measure) */
    size_t n;
    uint64_t first, step;         /* `step` is shown and compared with `first`; equal: there is one step only */
    bool curves;                  /* two steps or more that a logarithmic axis has */
    const char *roles, *measures; /* lists, as asked or the kind's */
    void **owned;                 /* (n_owned) */
    size_t n_owned, cap_owned;
    /* The figure, filled by the drawing function. */
    hs_panel panel[HS_PLOT_PANELS];
    size_t n_panels;
    uint32_t columns, width, height;
};

/* Keys of a row that are text. */
typedef enum hs_plot_key { HS_KEY_SPLIT, HS_KEY_POSITION, HS_KEY_ROLE, HS_KEY_MEASURE } hs_plot_key;
/* Keys that fit; NULL and HS_ANY_STAGE: any. */
enum { HS_ANY_STAGE = -2 };
typedef struct hs_plot_where {
    const uint64_t *step;
    const char *split, *position, *role, *measure;
    int32_t stage;
} hs_plot_where;
typedef struct hs_plot_names {
    const char *name[HS_PLOT_NAMES];
    size_t n;
} hs_plot_names;

bool hs_plot_fits(const hs_probe_row *row, const hs_plot_where *where);
/* The first row that fits, or NULL. */
const hs_probe_row *hs_plot_find(const hs_plot *plot, const hs_plot_where *where);
/* Different values of a key in rows that fit, in order of appearance; those in `list` only, in its order, where it is
 * not empty. HS_ERR_USAGE names an element of an option's list that no row has. */
hs_status hs_plot_names_of(const hs_plot *plot, hs_plot_key key, const hs_plot_where *where, const char *list,
                           hs_plot_names *out, hs_error *err);
int32_t hs_plot_stages(const hs_plot *plot); /* the last stage that a row has + 1 */
/* Splits to be drawn: those asked for, or the first `most` of: test_ii, test_oo, other tests, the rest. */
hs_status hs_plot_splits(const hs_plot *plot, size_t most, hs_plot_names *out, hs_error *err);

/* Zeroed memory that goes with the plot. */
hs_status hs_plot_own(hs_plot *plot, size_t bytes, void **out, hs_error *err);
hs_status hs_plot_text(hs_plot *plot, const char **out, hs_error *err, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* A panel with room for so many series. */
hs_status hs_plot_panel(hs_plot *plot, const char *title, size_t series, hs_panel **out, hs_error *err);
/* The next series of a panel, with room for so many points in all arrays; *x and so on may be written. */
typedef struct hs_plot_points {
    double *x, *y, *low, *high, *value;
    hs_series *series; /* n counts the points written */
} hs_plot_points;
hs_status hs_plot_series(hs_plot *plot, hs_panel *panel, hs_series look, size_t points, hs_plot_points *out,
                         hs_error *err);
void hs_plot_point(hs_plot_points *points, double x, double y, double low, double high, double value);
/* Names "0" to n-1, for an axis. */
hs_status hs_plot_numbers(hs_plot *plot, size_t n, const char *const **out, hs_error *err);
/* What fits, against the step: a line, and a band where there are intervals. Step 0 cannot stand on a logarithmic axis
 * and is left out. Two series. */
hs_status hs_plot_through_training(hs_plot *plot, hs_panel *panel, const hs_plot_where *where, hs_series look,
                                   hs_error *err);
/* The accuracy of a split against the step, black and dashed. One series. */
hs_status hs_plot_accuracy(hs_plot *plot, hs_panel *panel, const char *split, hs_error *err);
/* What fits at the shown step, against the stage: line and band. Two series. */
hs_status hs_plot_over_stages(hs_plot *plot, hs_panel *panel, const hs_plot_where *where, hs_series look,
                              hs_error *err);
/* Color of line i: all of the palette but black, which is the accuracy's. */
uint32_t hs_plot_color(size_t i);
/* How much the rows that fit change through training (highest - lowest); with one step, their highest value. -INFINITY
 * where nothing fits. */
double hs_plot_movement(const hs_plot *plot, const hs_plot_where *where);

hs_status hs_plot_grid(hs_plot *plot, hs_error *err);  /* heat maps stage by position, their change, through training */
hs_status hs_plot_parts(hs_plot *plot, hs_error *err); /* the same stage by role: heads and MLPs */
hs_status hs_plot_by_stage(hs_plot *plot, hs_error *err); /* measures against the stage, and through training */
hs_status hs_plot_realign(hs_plot *plot, hs_error *err);  /* accuracy against alpha */
hs_status hs_plot_progress(hs_plot *plot, hs_error *err); /* weights through training */
hs_status hs_plot_circuit(hs_plot *plot, hs_error *err);  /* graph of states */

#endif
