/* realign.c - accuracy against how far the state was moved towards the bridge's embedding, a line a stage, a panel a
 * split; dashed: the control, how often a wrong entity's embedding gives that entity's answer. */
#include "report/probes/probes.h"

#include <stdlib.h>
#include <string.h>

static hs_status add_line(hs_plot *plot, hs_panel *panel, const char *split, int32_t stage, bool control, hs_error *err)
{
    const char *prefix = control ? "follow@" : "accuracy@";
    hs_series look = {.color = hs_plot_color((size_t)stage), .dashed = control, .width = 1.8};
    const hs_plot_where where = {.step = &plot->step, .split = split, .stage = stage};
    size_t n = 0;
    for (size_t i = 0; i < plot->n; i++)
        n += hs_plot_fits(&plot->row[i], &where) && strncmp(plot->row[i].measure, prefix, strlen(prefix)) == 0;
    if (n == 0)
        return HS_OK;
    hs_plot_points line, ends;
    if (!control)
        HS_TRY(hs_plot_text(plot, &look.name, err, "stage %d", (int)stage));
    HS_TRY(hs_plot_series(plot, panel, look, n, &line, err));
    look.mark = HS_MARK_POINT;
    look.name = NULL;
    look.dashed = false;
    HS_TRY(hs_plot_series(plot, panel, look, n, &ends, err));
    for (size_t i = 0; i < plot->n; i++)
        if (hs_plot_fits(&plot->row[i], &where) && strncmp(plot->row[i].measure, prefix, strlen(prefix)) == 0) {
            const double alpha = strtod(plot->row[i].measure + strlen(prefix), NULL);
            hs_plot_point(&line, alpha, plot->row[i].value, 0, 0, 0);
            hs_plot_point(&ends, alpha, plot->row[i].value, 0, 0, 0);
        }
    return HS_OK;
}

hs_status hs_plot_realign(hs_plot *plot, hs_error *err)
{
    hs_plot_names splits;
    const int32_t stages = hs_plot_stages(plot);
    HS_TRY(hs_plot_splits(plot, 4, &splits, err));
    for (size_t s = 0; s < splits.n; s++) {
        hs_panel *panel;
        const char *title;
        HS_TRY(hs_plot_text(plot, &title, err, "%s (dashed: a wrong entity gives its own answer)", splits.name[s]));
        HS_TRY(hs_plot_panel(plot, title, 4 * (size_t)stages, &panel, err));
        for (int32_t stage = 0; stage < stages; stage++)
            for (int control = 0; control < 2; control++)
                HS_TRY(add_line(plot, panel, splits.name[s], stage, control != 0, err));
        panel->x_label = "alpha: share of the bridge's embedding";
        panel->y_label = "share of items";
        panel->x_low = -0.03;
        panel->x_high = 1.03;
        panel->y_low = -0.02;
        panel->y_high = 1.02;
        panel->legend = true;
    }
    plot->columns = splits.n > 1 ? 2 : 1;
    plot->width = 600 * plot->columns;
    plot->height = 40 + 300 * (uint32_t)((splits.n + 1) / 2);
    return HS_OK;
}
