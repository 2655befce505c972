/* progress.c - norm and effective rank of each matrix through training, as a share of what they were first, and the
 * norm of all weights. */
#include "report/probes/probes.h"

#include <string.h>

/* A tensor's name without what all of them have in common. */
static hs_status short_name(hs_plot *plot, const char *tensor, const char **out, hs_error *err)
{
    static const char front[] = "transformer.", back[] = ".weight";
    tensor += strncmp(tensor, front, sizeof front - 1) == 0 ? sizeof front - 1 : 0;
    size_t len = strlen(tensor);
    if (len >= sizeof back && strcmp(tensor + len - (sizeof back - 1), back) == 0)
        len -= sizeof back - 1;
    return hs_plot_text(plot, out, err, "%.*s", (int)(len ? len : sizeof "all weights" - 1),
                        len ? tensor : "all weights");
}

static hs_status add_tensor(hs_plot *plot, hs_panel *panel, const hs_plot_where *where, size_t number, hs_error *err)
{
    const bool all = !*where->role;
    hs_series look = {.color = all ? 6 : hs_plot_color(number), .dashed = number >= 11, .width = all ? 2.6 : 1.5};
    HS_TRY(short_name(plot, where->role, &look.name, err));
    HS_TRY(hs_plot_through_training(plot, panel, where, look, err));
    const hs_plot_where start = {
        .step = &plot->first, .role = where->role, .measure = where->measure, .stage = HS_ANY_STAGE};
    const hs_probe_row *first = hs_plot_find(plot, &start);
    const hs_series *line = &panel->series[panel->n - 1];
    for (size_t i = 0; i < line->n; i++)
        ((double *)line->y)[i] /= first && first->value > 0 ? first->value : 1;
    return HS_OK;
}

hs_status hs_plot_progress(hs_plot *plot, hs_error *err)
{
    const hs_plot_where any = {.stage = HS_ANY_STAGE};
    hs_plot_names measures, roles;
    HS_TRY(hs_plot_names_of(plot, HS_KEY_MEASURE, &any, plot->measures, &measures, err));
    for (size_t m = 0; m < measures.n; m++) {
        hs_panel *panel;
        size_t number = 0;
        hs_plot_where where = {.measure = measures.name[m], .stage = HS_ANY_STAGE};
        HS_TRY(hs_plot_names_of(plot, HS_KEY_ROLE, &where, plot->roles, &roles, err));
        HS_TRY(hs_plot_panel(plot, NULL, 2 * roles.n, &panel, err));
        for (size_t r = 0; r < roles.n; r++) {
            where.role = roles.name[r];
            HS_TRY(add_tensor(plot, panel, &where, number, err));
            number += *roles.name[r] != 0;
        }
        HS_TRY(hs_plot_text(plot, &panel->y_label, err, "%s, step %llu = 1", measures.name[m],
                            (unsigned long long)plot->first));
    }
    plot->columns = 1;
    plot->width = 800;
    plot->height = 40 + 320 * (uint32_t)measures.n;
    return HS_OK;
}
