/* stages.c - measures against the stage they were taken at, and through training at the stage where the first one moved
 * most. A row of panels for each split and role. */
#include "report/probes/probes.h"

#include <math.h>
#include <string.h>

/* Place of the largest movement (or value, with one step) of a measure. */
static void choose_cell(const hs_plot *plot, hs_plot_where *where, const hs_plot_names *positions, int32_t *stage)
{
    double most = -INFINITY;
    const char *best = positions->name[0];
    *stage = HS_ALL_STAGES; /* where no stage has rows */
    for (size_t p = 0; p < positions->n; p++)
        for (int32_t s = 0; s < hs_plot_stages(plot); s++) {
            where->position = positions->name[p];
            where->stage = s;
            const double moved = hs_plot_movement(plot, where);
            if (moved > most + 1e-9) {
                most = moved;
                best = positions->name[p];
                *stage = s;
            }
        }
    where->position = best;
}

/* Shares; cosines and selectivities may be negative, numbers of other kinds above 1. */
static void set_range(hs_panel *panel)
{
    panel->y_low = -0.02;
    panel->y_high = 1.02;
    for (size_t s = 0; s < panel->n; s++)
        for (size_t i = 0; i < panel->series[s].n; i++) {
            const double y = panel->series[s].mark == HS_MARK_BAND ? panel->series[s].low[i] : panel->series[s].y[i];
            panel->y_low = y - 0.02 < panel->y_low ? y - 0.02 : panel->y_low;
            panel->y_high = y > 1 && y * 1.02 > panel->y_high ? y * 1.02 : panel->y_high;
        }
}

static hs_status add_row(hs_plot *plot, const char *split, const char *role, hs_error *err)
{
    hs_plot_where where = {.step = &plot->step, .split = split, .role = role, .stage = HS_ANY_STAGE};
    hs_plot_names measures, positions;
    HS_TRY(hs_plot_names_of(plot, HS_KEY_MEASURE, &where, plot->measures, &measures, err));
    HS_TRY(hs_plot_names_of(plot, HS_KEY_POSITION, &where, "", &positions, err));
    int32_t stage;
    where.step = NULL;
    where.measure = measures.name[0];
    choose_cell(plot, &where, &positions, &stage);
    const char *title;
    hs_panel *panel;
    HS_TRY(hs_plot_text(plot, &title, err, "%s%s%s%s%s", role, *where.position ? " at " : "", where.position,
                        *split ? ", " : "", split));
    const bool trained = stage < 0 || plot->curves;
    for (int through = stage < 0; through < (trained ? 2 : 1); through++) {
        if (through && stage >= 0)
            HS_TRY(hs_plot_text(plot, &title, err, "through training, stage %d", (int)stage));
        HS_TRY(hs_plot_panel(plot, title, 2 * measures.n + 1, &panel, err));
        for (size_t m = 0; m < measures.n; m++) {
            const hs_series look = {.name = measures.name[m], .color = hs_plot_color(m), .width = 1.8};
            where.measure = measures.name[m];
            where.step = through ? NULL : &plot->step;
            where.stage = through ? stage : HS_ANY_STAGE;
            HS_TRY(through ? hs_plot_through_training(plot, panel, &where, look, err)
                           : hs_plot_over_stages(plot, panel, &where, look, err));
        }
        set_range(panel);
        if (through)
            HS_TRY(hs_plot_accuracy(plot, panel, split, err));
    }
    return HS_OK;
}

hs_status hs_plot_by_stage(hs_plot *plot, hs_error *err)
{
    hs_plot_names splits, roles;
    HS_TRY(hs_plot_splits(plot, 2, &splits, err));
    for (size_t s = 0; s < splits.n; s++) {
        const hs_plot_where of = {.step = &plot->step, .split = splits.name[s], .stage = HS_ANY_STAGE};
        HS_TRY(hs_plot_names_of(plot, HS_KEY_ROLE, &of, plot->roles, &roles, err));
        for (size_t r = 0; r < roles.n; r++)
            HS_TRY(add_row(plot, splits.name[s], roles.name[r], err));
    }
    const uint32_t panels = (uint32_t)plot->n_panels;
    plot->columns = panels > 1 ? 2 : 1;
    plot->width = 560 * plot->columns;
    plot->height = 40 + 280 * ((panels + plot->columns - 1) / plot->columns);
    return HS_OK;
}
