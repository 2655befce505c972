/* probes.c - hopscope plot --what: the table of figures, and choosing what is drawn.
 *
 * Invariant: the record is only read; every refusal names what there is, or the command that measures it. */
#include "report/probes/probes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const hs_plot_kind kinds[] = {
    {"lens", hs_plot_grid, "b,t", "mrr"},
    {"trace", hs_plot_grid, "", "strength"},
    {"cross", hs_plot_grid, "", "success"},
    {"paths", hs_plot_circuit, "", "edge,edges,faithfulness"},
    {"decode", hs_plot_by_stage, "", "full_run,immediate"},
    {"cohesion", hs_plot_by_stage, "", "id_cohesion,ood_alignment,ood_other"},
    {"linear", hs_plot_by_stage, "", "accuracy,control,selectivity"},
    {"realign", hs_plot_realign, "", ""},
    {"ablate", hs_plot_parts, "", "accuracy,accuracy_mean"},
    {"progress", hs_plot_progress, "", "norm,effective_rank"},
};
enum { N_KINDS = sizeof kinds / sizeof *kinds };

/* A method without a line: a grid of its main number, or everything by stage and through training. */
static hs_plot_kind kind_of(const char *method)
{
    for (size_t i = 0; i < N_KINDS; i++)
        if (strcmp(method, kinds[i].method) == 0)
            return kinds[i];
    const hs_method *known = hs_method_find(method);
    if (known && known->role)
        return (hs_plot_kind){method, hs_plot_grid, known->role, known->measure};
    return (hs_plot_kind){method, hs_plot_by_stage, "", ""};
}

static hs_status no_method(const char *method, hs_error *err)
{
    size_t n;
    const hs_method *const *methods = hs_methods(&n);
    const char *names[HS_PLOT_NAMES];
    n = n < HS_PLOT_NAMES ? n : HS_PLOT_NAMES;
    for (size_t i = 0; i < n; i++)
        names[i] = methods[i]->name;
    const char *near = hs_nearest(method, names, n);
    hs_fail(err, HS_ERR_USAGE, "there is no method of this name");
    hs_error_value(err, method, strlen(method));
    return near ? hs_error_hint(err, "did you mean '%s'?", near)
                : hs_error_hint(err, "hopscope interpret --list has them");
}

/* ---------------------------------------------------------------- rows */

static const char *key_of(const hs_probe_row *row, hs_plot_key key)
{
    switch (key) {
    case HS_KEY_SPLIT:
        return row->split;
    case HS_KEY_POSITION:
        return row->position;
    case HS_KEY_ROLE:
        return row->role;
    case HS_KEY_MEASURE:
        return row->measure;
    }
    return "";
}

static bool same(const char *wanted, const char *have)
{
    return !wanted || strcmp(wanted, have) == 0;
}

bool hs_plot_fits(const hs_probe_row *row, const hs_plot_where *where)
{
    return (!where->step || *where->step == row->step) &&
           (where->stage == HS_ANY_STAGE || where->stage == row->stage) && same(where->split, row->split) &&
           same(where->position, row->position) && same(where->role, row->role) && same(where->measure, row->measure);
}

const hs_probe_row *hs_plot_find(const hs_plot *plot, const hs_plot_where *where)
{
    for (size_t i = 0; i < plot->n; i++)
        if (hs_plot_fits(&plot->row[i], where))
            return &plot->row[i];
    return NULL;
}

static const char *name_in(const hs_plot_names *names, const char *name)
{
    for (size_t i = 0; i < names->n; i++)
        if (strcmp(names->name[i], name) == 0)
            return names->name[i];
    return NULL;
}

static hs_status none_of(const hs_plot *plot, const char *what, const char *value, const hs_plot_names *all,
                         hs_error *err)
{
    hs_str list = {0};
    for (size_t i = 0; i < all->n; i++)
        hs_str_addf(&list, "%s%s", i ? ", " : "", all->name[i]);
    hs_fail(err, HS_ERR_USAGE, "no reading of method %s has this %s", plot->kind.method, what);
    hs_error_value(err, value, strlen(value));
    hs_error_where(err, "%s", plot->run.dir);
    hs_error_hint(err, "there are %s", list.s ? list.s : "none");
    hs_str_free(&list);
    return HS_ERR_USAGE;
}

hs_status hs_plot_names_of(const hs_plot *plot, hs_plot_key key, const hs_plot_where *where, const char *list,
                           hs_plot_names *out, hs_error *err)
{
    static const char *const words[] = {"split", "position", "role", "measure"};
    hs_plot_names all = {.n = 0};
    for (size_t i = 0; i < plot->n; i++) {
        const char *name = key_of(&plot->row[i], key);
        if (hs_plot_fits(&plot->row[i], where) && !name_in(&all, name) && all.n < HS_PLOT_NAMES)
            all.name[all.n++] = name;
    }
    *out = (hs_plot_names){.n = 0};
    char element[96];
    for (size_t i = 0; list && out->n < HS_PLOT_NAMES && hs_list_get(list, i, element, sizeof element); i++) {
        const char *name = name_in(&all, element);
        if (name)
            out->name[out->n++] = name;
        else if (list == plot->options->role || list == plot->options->measure || list == plot->options->split)
            return none_of(plot, words[key], element, &all, err);
    }
    if (out->n == 0)
        *out = all;
    return HS_OK;
}

hs_status hs_plot_splits(const hs_plot *plot, size_t most, hs_plot_names *out, hs_error *err)
{
    const hs_plot_where shown = {.step = &plot->step, .stage = HS_ANY_STAGE};
    const char *asked = plot->options->split;
    if (asked && *asked)
        return hs_plot_names_of(plot, HS_KEY_SPLIT, &shown, asked, out, err);
    hs_plot_names all;
    HS_TRY(hs_plot_names_of(plot, HS_KEY_SPLIT, &shown, "", &all, err));
    static const char *const telling[] = {"test_ii", "test_oo"};
    *out = (hs_plot_names){.n = 0};
    for (size_t i = 0; i < 2; i++)
        if (name_in(&all, telling[i]))
            out->name[out->n++] = telling[i];
    for (int test = 1; test >= 0; test--)
        for (size_t i = 0; i < all.n; i++)
            if (!name_in(out, all.name[i]) && (strncmp(all.name[i], "test", 4) == 0) == (test == 1))
                out->name[out->n++] = all.name[i];
    out->n = out->n < most ? out->n : most;
    return HS_OK;
}

int32_t hs_plot_stages(const hs_plot *plot)
{
    int32_t last = -1;
    for (size_t i = 0; i < plot->n; i++)
        last = plot->row[i].stage > last ? plot->row[i].stage : last;
    return last + 1;
}

double hs_plot_movement(const hs_plot *plot, const hs_plot_where *where)
{
    double low = INFINITY, high = -INFINITY;
    for (size_t i = 0; i < plot->n; i++)
        if (hs_plot_fits(&plot->row[i], where)) {
            low = plot->row[i].value < low ? plot->row[i].value : low;
            high = plot->row[i].value > high ? plot->row[i].value : high;
        }
    return high < low ? -INFINITY : plot->first < plot->step ? high - low : high;
}

/* ---------------------------------------------------------------- opening */

static hs_status parse_step(const hs_plot *plot, const char *text, uint64_t *out, hs_error *err)
{
    char *end;
    *out = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end) {
        hs_fail(err, HS_ERR_USAGE, "a step is a whole number");
        return hs_error_value(err, text, strlen(text));
    }
    if (hs_plot_find(plot, &(hs_plot_where){.step = out, .stage = HS_ANY_STAGE}))
        return HS_OK;
    hs_fail(err, HS_ERR_DATA, "method %s has not looked at this step", plot->kind.method);
    hs_error_value(err, text, strlen(text));
    hs_error_where(err, "%s", plot->run.dir);
    return hs_error_hint(err, "hopscope interpret %s --method %s --steps %s looks at a stored checkpoint",
                         plot->run.dir, plot->kind.method, text);
}

static hs_status read_rows(hs_plot *plot, hs_error *err)
{
    const hs_probe_filter filter = {.method = plot->kind.method};
    HS_TRY(hs_run_reader_probes(&plot->run, &filter, &plot->row, &plot->n, err));
    if (plot->n == 0 && !hs_method_find(plot->kind.method))
        return no_method(plot->kind.method, err);
    if (plot->n == 0) {
        hs_fail(err, HS_ERR_DATA, "method %s has not looked at this run yet", plot->kind.method);
        hs_error_where(err, "%s", plot->run.dir);
        return hs_error_hint(err, "hopscope interpret %s --method %s --steps all", plot->run.dir, plot->kind.method);
    }
    plot->first = plot->row[0].step;
    plot->step = plot->row[plot->n - 1].step;
    if (plot->options->step)
        HS_TRY(parse_step(plot, plot->options->step, &plot->step, err));
    if (plot->options->from)
        HS_TRY(parse_step(plot, plot->options->from, &plot->first, err));
    plot->first = plot->first < plot->step ? plot->first : plot->step;
    uint64_t before = 0;
    for (size_t i = 0; i < plot->n; i++) {
        plot->curves |= before > 0 && plot->row[i].step > before;
        before = plot->row[i].step;
    }
    return HS_OK;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

static hs_status draw(hs_plot *plot, const char *path, hs_error *err)
{
    HS_TRY(read_rows(plot, err));
    HS_TRY(plot->kind.draw(plot, err));
    char title[512];
    const char *of = *plot->run.title ? plot->run.title : base_name(plot->run.dir);
    snprintf(title, sizeof title, "%.250s: %s, step %llu", of, plot->kind.method, (unsigned long long)plot->step);
    const hs_figure figure = {.title = plot->options->title ? plot->options->title : title,
                              .columns = plot->columns,
                              .width = plot->width,
                              .height = plot->height,
                              .n = plot->n_panels,
                              .panel = plot->panel};
    return hs_figure_draw(&figure, path, plot->options->keep_script, err);
}

hs_status hs_figure_probe(const char *run_dir, const char *method, const hs_figure_probe_options *options,
                          const char *path, hs_error *err)
{
    static const hs_figure_probe_options none = {0};
    const hs_plot_kind kind = kind_of(method);
    hs_plot *plot = hs_calloc(1, sizeof *plot);
    if (!plot)
        return hs_fail_memory(err, sizeof *plot);
    plot->kind = kind;
    plot->options = options ? options : &none;
    plot->roles = plot->options->role && *plot->options->role ? plot->options->role : kind.roles;
    plot->measures = plot->options->measure && *plot->options->measure ? plot->options->measure : kind.measures;
    hs_status status = hs_run_reader_open(&plot->run, run_dir, err);
    if (status == HS_OK) {
        status = draw(plot, path, err);
        hs_run_reader_close(&plot->run);
    }
    for (size_t i = 0; i < plot->n_owned; i++)
        hs_free(plot->owned[i]);
    hs_free(plot->owned);
    hs_free(plot->row);
    hs_free(plot);
    return status;
}
