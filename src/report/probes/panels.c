/* panels.c - panels, series and points of the microscope's figures: memory that goes with the plot, and the curves that
 * several kinds of figures share. */
#include "report/probes/probes.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

enum { BLACK = 6 };

hs_status hs_plot_own(hs_plot *plot, size_t bytes, void **out, hs_error *err)
{
    void *list = plot->owned;
    HS_TRY(hs_grow(&list, &plot->cap_owned, plot->n_owned + 1, sizeof *plot->owned, err));
    plot->owned = list;
    *out = hs_calloc(1, bytes ? bytes : 1);
    if (!*out)
        return hs_fail_memory(err, bytes);
    plot->owned[plot->n_owned++] = *out;
    return HS_OK;
}

hs_status hs_plot_text(hs_plot *plot, const char **out, hs_error *err, const char *fmt, ...)
{
    char text[400];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    void *copy;
    HS_TRY(hs_plot_own(plot, strlen(text) + 1, &copy, err));
    memcpy(copy, text, strlen(text) + 1);
    *out = copy;
    return HS_OK;
}

hs_status hs_plot_panel(hs_plot *plot, const char *title, size_t series, hs_panel **out, hs_error *err)
{
    if (plot->n_panels == HS_PLOT_PANELS) {
        hs_fail(err, HS_ERR_USAGE, "more than %d panels", HS_PLOT_PANELS);
        return hs_error_hint(err, "choose with --split, --role or --measure");
    }
    void *room;
    HS_TRY(hs_plot_own(plot, series * sizeof(hs_series), &room, err));
    *out = &plot->panel[plot->n_panels++];
    **out = (hs_panel){.title = title, .series = room};
    return HS_OK;
}

hs_status hs_plot_series(hs_plot *plot, hs_panel *panel, hs_series look, size_t points, hs_plot_points *out,
                         hs_error *err)
{
    void *room;
    HS_TRY(hs_plot_own(plot, 5 * points * sizeof(double), &room, err));
    double *x = room;
    *out = (hs_plot_points){
        x, x + points, x + 2 * points, x + 3 * points, x + 4 * points, (hs_series *)panel->series + panel->n++};
    *out->series = look;
    out->series->n = 0;
    out->series->x = out->x;
    out->series->y = out->y;
    out->series->low = out->low;
    out->series->high = out->high;
    out->series->value = out->value;
    return HS_OK;
}

void hs_plot_point(hs_plot_points *points, double x, double y, double low, double high, double value)
{
    const size_t i = points->series->n++;
    points->x[i] = x;
    points->y[i] = y;
    points->low[i] = low;
    points->high[i] = high;
    points->value[i] = value;
}

hs_status hs_plot_numbers(hs_plot *plot, size_t n, const char *const **out, hs_error *err)
{
    void *room;
    HS_TRY(hs_plot_own(plot, n * sizeof(const char *), &room, err));
    const char **names = room;
    for (size_t i = 0; i < n; i++)
        HS_TRY(hs_plot_text(plot, &names[i], err, "%zu", i));
    *out = names;
    return HS_OK;
}

/* Rows that fit as a line against step or stage, with a band of their intervals beneath it. */
static hs_status add_curve(hs_plot *plot, hs_panel *panel, const hs_plot_where *where, bool over_stages, hs_series look,
                           hs_error *err)
{
    size_t n = 0;
    bool interval = false;
    for (size_t i = 0; i < plot->n; i++)
        if (hs_plot_fits(&plot->row[i], where)) {
            n++;
            interval |= isfinite(plot->row[i].low);
        }
    if (n == 0)
        return HS_OK;
    hs_plot_points band = {0}, line;
    if (interval)
        HS_TRY(hs_plot_series(plot, panel, (hs_series){.mark = HS_MARK_BAND, .color = look.color}, n, &band, err));
    HS_TRY(hs_plot_series(plot, panel, look, n, &line, err));
    for (size_t i = 0; i < plot->n; i++) {
        const hs_probe_row *row = &plot->row[i];
        if (!hs_plot_fits(row, where) || (over_stages ? row->stage < 0 : row->step == 0))
            continue;
        const double x = over_stages ? row->stage : (double)row->step;
        hs_plot_point(&line, x, row->value, row->low, row->high, 0);
        if (interval)
            hs_plot_point(&band, x, row->value, row->low, row->high, 0);
    }
    return HS_OK;
}

uint32_t hs_plot_color(size_t i)
{
    return (uint32_t)(i % 11 < 6 ? i % 11 : i % 11 + 1);
}

hs_status hs_plot_through_training(hs_plot *plot, hs_panel *panel, const hs_plot_where *where, hs_series look,
                                   hs_error *err)
{
    panel->log_x = true;
    panel->x_label = "step";
    panel->legend = true;
    panel->x_high = (double)plot->row[plot->n - 1].step;
    for (size_t i = plot->n; i-- > 0 && plot->row[i].step > 0;)
        panel->x_low = (double)plot->row[i].step;
    panel->x_low *= panel->x_low < panel->x_high ? 1 : 0.1; /* an axis has a length */
    return add_curve(plot, panel, where, false, look, err);
}

hs_status hs_plot_over_stages(hs_plot *plot, hs_panel *panel, const hs_plot_where *where, hs_series look, hs_error *err)
{
    panel->x_label = "stage";
    panel->legend = true;
    panel->n_x_names = (size_t)hs_plot_stages(plot);
    HS_TRY(hs_plot_numbers(plot, panel->n_x_names, &panel->x_names, err));
    return add_curve(plot, panel, where, true, look, err);
}

hs_status hs_plot_accuracy(hs_plot *plot, hs_panel *panel, const char *split, hs_error *err)
{
    hs_plot_points line;
    const hs_series look = {.name = "right answers", .color = BLACK, .dashed = true};
    size_t n = 0;
    for (size_t i = 0; i < plot->run.n_evals; i++)
        n += strcmp(plot->run.eval[i].eval.split, split) == 0;
    if (n == 0)
        return HS_OK;
    HS_TRY(hs_plot_series(plot, panel, look, n, &line, err));
    for (size_t i = 0; i < plot->run.n_evals; i++)
        if (strcmp(plot->run.eval[i].eval.split, split) == 0)
            hs_plot_point(&line, (double)plot->run.eval[i].step, plot->run.eval[i].eval.accuracy, 0, 0, 0);
    return HS_OK;
}
