/* circuit.c - path patching as a graph: nodes are states (stage by position), edges are as wide as they are strong; the
 * circuit's are blue, the rest grey. Beside it, how much of the answer the circuit keeps, and as many random edges
 * keep. */
#include "report/probes/probes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTHS = 8, GREY = 10 };
static const double shown_from = 0.02; /* weaker edges would only hide the others */

typedef struct drawing {
    hs_plot *plot;
    const char *split;
    hs_plot_names positions;
    double cut; /* strength of the circuit's weakest edge */
} drawing;

static size_t position_index(const drawing *d, const char *name, size_t len)
{
    for (size_t p = 0; p < d->positions.n; p++)
        if (strlen(d->positions.name[p]) == len && strncmp(d->positions.name[p], name, len) == 0)
            return p;
    return d->positions.n;
}

/* An edge's row: from role "h@2" (position and stage of the sender) to (stage, position). False for another row. */
static bool edge_of(const drawing *d, const hs_probe_row *row, double from[2], double to[2])
{
    const hs_plot_where where = {.step = &d->plot->step, .split = d->split, .measure = "edge", .stage = HS_ANY_STAGE};
    const char *at = strchr(row->role, '@');
    if (!hs_plot_fits(row, &where) || !at || row->stage < 0)
        return false;
    from[0] = (double)position_index(d, row->role, (size_t)(at - row->role));
    from[1] = strtod(at + 1, NULL);
    to[0] = (double)position_index(d, row->position, strlen(row->position));
    to[1] = row->stage;
    return from[0] < (double)d->positions.n;
}

static int descending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

/* The circuit holds the strongest edges; their number is a reading. */
static hs_status find_cut(drawing *d, hs_error *err)
{
    const hs_plot_where where = {
        .step = &d->plot->step, .split = d->split, .role = "circuit", .measure = "edges", .stage = HS_ANY_STAGE};
    const hs_probe_row *size = hs_plot_find(d->plot, &where);
    double from[2], to[2];
    void *room;
    HS_TRY(hs_plot_own(d->plot, d->plot->n * sizeof(double), &room, err));
    double *strength = room;
    size_t n = 0;
    for (size_t i = 0; i < d->plot->n; i++)
        if (edge_of(d, &d->plot->row[i], from, to) && isfinite(d->plot->row[i].value))
            strength[n++] = d->plot->row[i].value;
    if (n)
        qsort(strength, n, sizeof *strength, descending);
    const size_t kept = size && size->value > 0 ? (size_t)(size->value + 0.5) : 0;
    d->cut = kept && n ? strength[(kept < n ? kept : n) - 1] : INFINITY;
    return HS_OK;
}

static hs_status add_nodes(const drawing *d, hs_panel *panel, hs_error *err)
{
    hs_plot_points nodes;
    double end[2][2];
    const hs_series look = {.mark = HS_MARK_NODE, .color = 6};
    HS_TRY(hs_plot_series(d->plot, panel, look, 2 * d->plot->n, &nodes, err));
    for (size_t i = 0; i < d->plot->n; i++)
        for (int e = 0; e < 2 && edge_of(d, &d->plot->row[i], end[0], end[1]); e++) {
            bool known = false;
            for (size_t k = 0; k < nodes.series->n && !known; k++)
                known = nodes.x[k] == end[e][0] && nodes.y[k] == end[e][1];
            if (!known)
                hs_plot_point(&nodes, end[e][0], end[e][1], 0, 0, 0);
        }
    return HS_OK;
}

/* Edges of one width: a series each, as the width belongs to the series. */
static hs_status add_edges(const drawing *d, hs_panel *panel, int width, bool circuit, hs_error *err)
{
    hs_plot_points arrows;
    const double low = (double)width / WIDTHS, high = width + 1 == WIDTHS ? 2 : (double)(width + 1) / WIDTHS;
    const hs_series look = {.mark = HS_MARK_ARROW, .color = circuit ? 0 : GREY, .width = 0.7 + 5.0 * low};
    double from[2], to[2];
    HS_TRY(hs_plot_series(d->plot, panel, look, d->plot->n, &arrows, err));
    for (size_t i = 0; i < d->plot->n; i++) {
        const double strength = d->plot->row[i].value;
        if (!edge_of(d, &d->plot->row[i], from, to) || strength < shown_from || (strength >= d->cut) != circuit ||
            strength < low || strength >= high)
            continue;
        const double margin = 0.13; /* arrows begin and end beside the circles */
        const double dx = to[0] - from[0], dy = to[1] - from[1], length = sqrt(dx * dx + dy * dy);
        hs_plot_point(&arrows, from[0] + margin * dx / length, from[1] + margin * dy / length,
                      to[0] - margin * dx / length, to[1] - margin * dy / length, 0);
    }
    return HS_OK;
}

static hs_status add_graph(const drawing *d, hs_error *err)
{
    const hs_plot_where size = {
        .step = &d->plot->step, .split = d->split, .role = "all", .measure = "edges", .stage = HS_ANY_STAGE};
    const hs_plot_where kept = {
        .step = &d->plot->step, .split = d->split, .role = "circuit", .measure = "edges", .stage = HS_ANY_STAGE};
    const hs_probe_row *all = hs_plot_find(d->plot, &size), *in = hs_plot_find(d->plot, &kept);
    const char *title;
    hs_panel *panel;
    HS_TRY(hs_plot_text(d->plot, &title, err, "%s: circuit of %.0f of %.0f edges", d->split, in ? in->value : 0,
                        all ? all->value : 0));
    HS_TRY(hs_plot_panel(d->plot, title, 2 * WIDTHS + 1, &panel, err));
    for (int circuit = 0; circuit < 2; circuit++)
        for (int w = 0; w < WIDTHS; w++)
            HS_TRY(add_edges(d, panel, w, circuit != 0, err));
    HS_TRY(add_nodes(d, panel, err));
    void *names;
    HS_TRY(hs_plot_own(d->plot, d->positions.n * sizeof(const char *), &names, err));
    memcpy(names, d->positions.name, d->positions.n * sizeof(const char *));
    panel->x_names = names;
    panel->n_x_names = d->positions.n;
    panel->n_y_names = (size_t)hs_plot_stages(d->plot);
    panel->x_low = panel->y_low = -0.4;
    panel->x_high = (double)d->positions.n - 0.6;
    panel->y_high = (double)panel->n_y_names - 0.6;
    panel->x_label = "position";
    panel->y_label = "stage";
    return hs_plot_numbers(d->plot, panel->n_y_names, &panel->y_names, err);
}

static hs_status add_faithfulness(const drawing *d, hs_error *err)
{
    static const char *const names[] = {"random edges", "circuit"};
    const hs_plot_where where = {
        .step = &d->plot->step, .split = d->split, .measure = "faithfulness", .stage = HS_ANY_STAGE};
    hs_panel *panel;
    hs_plot_points points[2];
    HS_TRY(hs_plot_panel(d->plot, "faithfulness", 2, &panel, err));
    for (int c = 0; c < 2; c++)
        HS_TRY(hs_plot_series(d->plot, panel,
                              (hs_series){.mark = c ? HS_MARK_RANGE : HS_MARK_POINT, .color = c ? 0 : GREY, .width = 2},
                              d->plot->n, &points[c], err));
    for (size_t i = 0; i < d->plot->n; i++) {
        const hs_probe_row *row = &d->plot->row[i];
        if (!hs_plot_fits(row, &where))
            continue;
        const int c = strcmp(row->role, "circuit") == 0;
        if (c || strncmp(row->role, "random", 6) == 0)
            hs_plot_point(&points[c], row->value, c, row->low, row->high, 0);
    }
    panel->x_label = "share of the normal answer's margin that is kept";
    panel->y_names = names;
    panel->n_y_names = 2;
    panel->y_low = -0.5;
    panel->y_high = 1.5;
    panel->x_low = -0.05;
    panel->x_high = 1.05;
    for (int c = 0; c < 2; c++)
        for (size_t i = 0; i < points[c].series->n; i++) {
            panel->x_low = fmin(panel->x_low, fmin(points[c].x[i], points[c].low[i]) - 0.05);
            panel->x_high = fmax(panel->x_high, fmax(points[c].x[i], points[c].high[i]) + 0.05);
        }
    return HS_OK;
}

hs_status hs_plot_circuit(hs_plot *plot, hs_error *err)
{
    hs_plot_names splits;
    HS_TRY(hs_plot_splits(plot, 1, &splits, err));
    for (size_t s = 0; s < splits.n; s++) {
        drawing d = {.plot = plot, .split = splits.name[s]};
        const hs_plot_where edges = {.step = &plot->step, .split = d.split, .measure = "edge", .stage = HS_ANY_STAGE};
        HS_TRY(hs_plot_names_of(plot, HS_KEY_POSITION, &edges, "", &d.positions, err));
        if (d.positions.n == 0) {
            hs_fail(err, HS_ERR_DATA, "no edge was measured: no answer was right at this step");
            hs_error_value(err, d.split, strlen(d.split));
            hs_error_where(err, "%s", plot->run.dir);
            return hs_error_hint(err, "--step and --split choose others");
        }
        HS_TRY(find_cut(&d, err));
        HS_TRY(add_graph(&d, err));
        HS_TRY(add_faithfulness(&d, err));
    }
    plot->columns = 2;
    plot->width = 1100;
    plot->height = 40 + 420 * (uint32_t)splits.n;
    return HS_OK;
}
