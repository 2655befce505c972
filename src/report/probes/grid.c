/* grid.c - one number for each state: a heat map stage by position, its change since another step, and the column that
 * moved most through training with the split's accuracy (arXiv 2405.15071, Fig. 4). A row of panels for each role. */
#include "report/probes/probes.h"

#include <math.h>
#include <string.h>

typedef struct grid {
    hs_plot *plot;
    const char *split, *measure;
    const char *role;        /* NULL: the position's own, what stands there was replaced there */
    bool parts;              /* roles stand left to right in place of positions */
    hs_plot_names positions; /* left to right */
    int32_t stages;
} grid;

static hs_plot_where shown(const grid *g, const uint64_t *step, const char *position, int32_t stage)
{
    return (hs_plot_where){.step = step,
                           .split = g->split,
                           .position = g->parts ? NULL : position,
                           .role = g->role ? g->role : position,
                           .measure = g->measure,
                           .stage = stage};
}

static hs_status add_map(const grid *g, hs_mark mark, const char *title, hs_error *err)
{
    hs_plot *plot = g->plot;
    hs_panel *panel;
    hs_plot_points cells;
    double lowest = 0;
    HS_TRY(hs_plot_panel(plot, title, 1, &panel, err));
    HS_TRY(hs_plot_series(plot, panel, (hs_series){.mark = mark}, g->positions.n * (size_t)g->stages, &cells, err));
    for (int32_t s = 0; s < g->stages; s++)
        for (size_t p = 0; p < g->positions.n; p++) {
            const hs_plot_where now = shown(g, &plot->step, g->positions.name[p], s);
            const hs_plot_where then = shown(g, &plot->first, g->positions.name[p], s);
            const hs_probe_row *a = hs_plot_find(plot, &now), *b = hs_plot_find(plot, &then);
            if (a && mark == HS_MARK_HEAT)
                hs_plot_point(&cells, (double)p, s, 0, 0, a->value);
            else if (a && b)
                hs_plot_point(&cells, (double)p, s, 0, 0, a->value - b->value);
        }
    for (size_t i = 0; i < cells.series->n; i++)
        lowest = i == 0 || cells.y[i] < lowest ? cells.y[i] : lowest;
    panel->x_label = g->parts ? "without" : "position";
    panel->y_label = "stage";
    panel->x_low = -0.5;
    panel->y_low = lowest - 0.5;
    panel->x_high = (double)g->positions.n - 0.5;
    panel->y_high = g->stages - 0.5;
    void *names;
    HS_TRY(hs_plot_own(plot, g->positions.n * sizeof(const char *), &names, err));
    memcpy(names, g->positions.name, g->positions.n * sizeof(const char *));
    panel->x_names = names;
    panel->n_x_names = g->positions.n;
    panel->n_y_names = (size_t)g->stages;
    return hs_plot_numbers(plot, panel->n_y_names, &panel->y_names, err);
}

/* The position some stage of which moved most. */
static const char *moving_position(const grid *g)
{
    double most = -INFINITY;
    const char *best = g->positions.name[0];
    for (size_t p = 0; p < g->positions.n; p++)
        for (int32_t s = 0; s < g->stages; s++) {
            const hs_plot_where cell = shown(g, NULL, g->positions.name[p], s);
            const double moved = hs_plot_movement(g->plot, &cell);
            if (moved > most + 1e-9) {
                most = moved;
                best = g->positions.name[p];
            }
        }
    return best;
}

static hs_status add_curves(const grid *g, hs_error *err)
{
    hs_plot *plot = g->plot;
    hs_panel *panel;
    const char *title, *position = moving_position(g);
    for (size_t p = 0; p < g->positions.n && !g->role && !g->parts; p++)
        if (strcmp(g->positions.name[p], "r1") == 0) /* where the first hop ends */
            position = g->positions.name[p];
    HS_TRY(hs_plot_text(plot, &title, err, "%s %s %s, %s", g->role ? g->role : g->measure, g->parts ? "without" : "at",
                        position, g->split));
    HS_TRY(hs_plot_panel(plot, title, 2 * (size_t)g->stages + 1, &panel, err));
    for (int32_t s = 0; s < g->stages; s++) {
        const hs_plot_where cell = shown(g, NULL, position, s);
        hs_series look = {.color = hs_plot_color((size_t)s), .width = 1.8};
        HS_TRY(hs_plot_text(plot, &look.name, err, "stage %d", (int)s));
        HS_TRY(hs_plot_through_training(plot, panel, &cell, look, err));
    }
    panel->y_label = g->measure;
    panel->y_low = -0.02;
    panel->y_high = 1.02;
    return hs_plot_accuracy(plot, panel, g->split, err);
}

static hs_status add_role(const grid *g, hs_error *err)
{
    hs_plot *plot = g->plot;
    const char *title;
    if (g->role)
        HS_TRY(hs_plot_text(plot, &title, err, "%s of %s, %s", g->measure, g->role, g->split));
    else
        HS_TRY(hs_plot_text(plot, &title, err, "%s%s, %s", g->measure, g->parts ? "" : " at its own place", g->split));
    HS_TRY(add_map(g, HS_MARK_HEAT, title, err));
    if (plot->first == plot->step)
        return HS_OK;
    HS_TRY(hs_plot_text(plot, &title, err, "change since step %llu", (unsigned long long)plot->first));
    HS_TRY(add_map(g, HS_MARK_CHANGE, title, err));
    return plot->curves ? add_curves(g, err) : HS_OK;
}

/* Roles that are only looked at where they stand share one map (tracing at the published places): its role is NULL. */
static hs_status split_roles(grid *g, const hs_plot_names *roles, hs_plot_names *own, hs_plot_names *wide,
                             hs_error *err)
{
    *own = *wide = (hs_plot_names){.n = 0};
    for (size_t r = 0; r < roles->n; r++) {
        const hs_plot_where of = {.step = &g->plot->step,
                                  .split = g->split,
                                  .role = roles->name[r],
                                  .measure = g->measure,
                                  .stage = HS_ANY_STAGE};
        HS_TRY(hs_plot_names_of(g->plot, HS_KEY_POSITION, &of, "", &g->positions, err));
        bool stands = false;
        for (size_t p = 0; p < g->positions.n; p++)
            stands |= strcmp(g->positions.name[p], roles->name[r]) == 0;
        if (stands)
            own->name[own->n++] = roles->name[r];
        if (!stands || g->positions.n > 1)
            wide->name[wide->n++] = roles->name[r];
    }
    return HS_OK;
}

/* Positions stand in order of name, which is the question's but for the bare columns p1, p3 of a comparison. */
static hs_status add_split(hs_plot *plot, const char *split, uint32_t *rows, hs_error *err)
{
    const hs_plot_where of = {.step = &plot->step, .split = split, .stage = HS_ANY_STAGE};
    hs_plot_names measures, roles, own, wide;
    HS_TRY(hs_plot_names_of(plot, HS_KEY_MEASURE, &of, plot->measures, &measures, err));
    grid g = {.plot = plot, .split = split, .measure = measures.name[0], .stages = hs_plot_stages(plot)};
    hs_plot_where in = {.step = &plot->step, .split = split, .measure = g.measure, .stage = HS_ANY_STAGE};
    HS_TRY(hs_plot_names_of(plot, HS_KEY_ROLE, &in, plot->roles, &roles, err));
    HS_TRY(split_roles(&g, &roles, &own, &wide, err));
    if (own.n > 1) {
        g.positions = own;
        HS_TRY(add_role(&g, err));
        ++*rows;
    } else {
        wide = roles;
    }
    for (size_t r = 0; r < wide.n; r++) {
        g.role = in.role = wide.name[r];
        HS_TRY(hs_plot_names_of(plot, HS_KEY_POSITION, &in, "", &g.positions, err));
        HS_TRY(add_role(&g, err));
        ++*rows;
    }
    return HS_OK;
}

static void set_size(hs_plot *plot, uint32_t rows)
{
    if (plot->first < plot->step) {
        plot->columns = plot->curves ? 3 : 2;
        plot->width = plot->curves ? 1300 : 800;
        plot->height = 40 + 270 * rows;
    } else {
        plot->columns = rows < 3 ? rows : 3;
        plot->width = plot->columns > 1 ? 60 + 340 * plot->columns : 560; /* room for the title */
        plot->height = 40 + 300 * ((rows + 2) / 3);
    }
}

/* Is the measure one of states, not one over all stages (lens: found)? */
static hs_status has_stages(const hs_plot *plot, const char *split, bool *out, hs_error *err)
{
    hs_plot_names measures;
    const hs_plot_where of = {.step = &plot->step, .split = split, .stage = HS_ANY_STAGE};
    HS_TRY(hs_plot_names_of(plot, HS_KEY_MEASURE, &of, plot->measures, &measures, err));
    *out = false;
    for (size_t i = 0; i < plot->n && !*out; i++)
        *out = plot->row[i].stage >= 0 && strcmp(plot->row[i].measure, measures.name[0]) == 0;
    return HS_OK;
}

hs_status hs_plot_grid(hs_plot *plot, hs_error *err)
{
    hs_plot_names splits;
    uint32_t rows = 0;
    bool stages = true;
    HS_TRY(hs_plot_splits(plot, 1, &splits, err));
    if (splits.n)
        HS_TRY(has_stages(plot, splits.name[0], &stages, err));
    if (!stages)
        return hs_plot_by_stage(plot, err);
    for (size_t s = 0; s < splits.n; s++)
        HS_TRY(add_split(plot, splits.name[s], &rows, err));
    set_size(plot, rows);
    return HS_OK;
}

hs_status hs_plot_parts(hs_plot *plot, hs_error *err)
{
    hs_plot_names splits, measures;
    uint32_t rows = 0;
    HS_TRY(hs_plot_splits(plot, 1, &splits, err));
    for (size_t s = 0; s < splits.n; s++) {
        grid g = {.plot = plot, .split = splits.name[s], .parts = true, .stages = hs_plot_stages(plot)};
        hs_plot_where of = {.step = &plot->step, .split = g.split, .stage = g.stages - 1};
        HS_TRY(hs_plot_names_of(plot, HS_KEY_MEASURE, &of, plot->measures, &measures, err));
        HS_TRY(hs_plot_names_of(plot, HS_KEY_ROLE, &of, plot->roles, &g.positions, err));
        for (size_t m = 0; m < measures.n; m++, rows++) {
            g.measure = measures.name[m];
            HS_TRY(add_role(&g, err));
        }
    }
    set_size(plot, rows);
    return HS_OK;
}
