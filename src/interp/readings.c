/* readings.c - readings kept in memory, and shown: a grid of stage by position for each method and split, or JSON. */
#include "hopscope/interp.h"

#include <math.h>
#include <string.h>

static hs_status keep(void *user, const hs_reading *r, hs_error *err)
{
    hs_readings *all = user;
    HS_TRY(hs_grow((void **)&all->row, &all->cap, all->n + 1, sizeof *all->row, err));
    hs_probe_row *row = &all->row[all->n++];
    memset(row, 0, sizeof *row);
    row->step = r->step;
    row->stage = r->stage;
    row->n = r->n;
    row->value = r->value;
    row->low = r->low;
    row->high = r->high;
    snprintf(row->method, sizeof row->method, "%s", r->method);
    snprintf(row->split, sizeof row->split, "%s", r->split);
    snprintf(row->position, sizeof row->position, "%s", r->position);
    snprintf(row->role, sizeof row->role, "%s", r->role);
    snprintf(row->measure, sizeof row->measure, "%s", r->measure);
    return HS_OK;
}

hs_sink hs_readings_sink(hs_readings *readings)
{
    return (hs_sink){.user = readings, .reading = keep};
}

void hs_readings_free(hs_readings *readings)
{
    hs_free(readings->row);
    *readings = (hs_readings){0};
}

static void number(hs_str *out, double x)
{
    if (isnan(x))
        hs_str_addf(out, "null");
    else
        hs_str_addf(out, "%.9g", x);
}

void hs_readings_json(const hs_readings *readings, hs_str *out)
{
    hs_str_addf(out, "[");
    for (size_t i = 0; i < readings->n; i++) {
        const hs_probe_row *r = &readings->row[i];
        hs_str_addf(
            out,
            "%s{\"step\": %llu, \"method\": \"%s\", \"split\": \"%s\", \"stage\": %d, \"position\": \"%s\", \"role\": ",
            i ? ",\n " : "", (unsigned long long)r->step, r->method, r->split, r->stage, r->position);
        hs_str_add_json(out, r->role, strlen(r->role));
        hs_str_addf(out, ", \"measure\": \"%s\", \"n\": %llu, \"value\": ", r->measure, (unsigned long long)r->n);
        number(out, r->value);
        hs_str_addf(out, ", \"low\": ");
        number(out, r->low);
        hs_str_addf(out, ", \"high\": ");
        number(out, r->high);
        hs_str_addf(out, "}");
    }
    hs_str_addf(out, "]\n");
}

/* ---------------------------------------------------------------- grids */

static bool same_look(const hs_probe_row *a, const hs_probe_row *b)
{
    return a->step == b->step && strcmp(a->method, b->method) == 0 && strcmp(a->split, b->split) == 0;
}

/* Is the row a number of the method's grid? A role of "" stands for the position's own; NULL: the columns are roles. */
static bool in_grid(const hs_probe_row *r, const hs_method *m)
{
    if (!m->measure || strcmp(r->measure, m->measure) != 0 || r->stage < 0)
        return false;
    if (!m->role)
        return r->position[0] == '\0';
    if (m->role[0])
        return strncmp(r->role, m->role, strlen(m->role)) == 0 && strchr(r->role, '\'') == NULL;
    return strcmp(r->role, r->position) == 0;
}

static const char *column_of(const hs_probe_row *r, const hs_method *m)
{
    return m->role ? r->position : r->role;
}

enum { MAX_COLUMNS = 16 };

static void grid(const hs_readings *all, size_t first, size_t last, const hs_method *method, hs_str *out)
{
    const char *column[MAX_COLUMNS];
    size_t n = 0;
    int32_t top = -1;
    for (size_t i = first; i < last; i++) {
        const hs_probe_row *r = &all->row[i];
        size_t c = 0;
        if (!in_grid(r, method))
            continue;
        top = r->stage > top ? r->stage : top;
        while (c < n && strcmp(column[c], column_of(r, method)) != 0)
            c++;
        if (c == n && n < MAX_COLUMNS)
            column[n++] = column_of(r, method);
    }
    if (n == 0)
        return;
    hs_str_addf(out, "  %-6s", "stage");
    for (size_t c = 0; c < n; c++)
        hs_str_addf(out, " %9s", column[c]);
    hs_str_addf(out, "\n");
    for (int32_t stage = 0; stage <= top; stage++) {
        hs_str line = {0};
        bool any = false;
        hs_str_addf(&line, "  %-6d", stage);
        for (size_t c = 0; c < n; c++) {
            const hs_probe_row *found = NULL;
            for (size_t i = first; i < last && !found; i++)
                if (in_grid(&all->row[i], method) && all->row[i].stage == stage &&
                    strcmp(column_of(&all->row[i], method), column[c]) == 0)
                    found = &all->row[i];
            any |= found != NULL;
            if (found)
                hs_str_addf(&line, " %9.3f", found->value);
            else
                hs_str_addf(&line, " %9s", "");
        }
        if (any)
            hs_str_addf(out, "%s\n", line.s ? line.s : "");
        hs_str_free(&line);
    }
}

/* The edges of a circuit that matter, a line each: sender, receiver, share of answers that change. */
static void edges(const hs_readings *all, size_t first, size_t last, hs_str *out)
{
    for (size_t i = first; i < last; i++) {
        const hs_probe_row *r = &all->row[i];
        if (strcmp(r->measure, "edge") == 0 && r->value >= 0.05)
            hs_str_addf(out, "  %s -> %s@%d: %.3f (%.3f to %.3f)\n", r->role, r->position, r->stage, r->value, r->low,
                        r->high);
    }
}

/* Numbers over all stages and positions, a line each. */
static void totals(const hs_readings *all, size_t first, size_t last, hs_str *out)
{
    for (size_t i = first; i < last; i++) {
        const hs_probe_row *r = &all->row[i];
        if (r->stage >= 0 || strncmp(r->role, "random", 6) == 0)
            continue;
        hs_str_addf(out, "  %s %s: %.3f", r->role, r->measure, r->value);
        if (!isnan(r->low))
            hs_str_addf(out, " (%.3f to %.3f)", r->low, r->high);
        hs_str_addf(out, "\n");
    }
}

/* The method with the role its grid has here: the target's where nothing was asked of the method's own (facts have no bridge). */
static hs_method shown(const hs_readings *all, size_t first, size_t last, const hs_method *method)
{
    hs_method m = *method;
    bool any = false;
    for (size_t i = first; i < last; i++)
        any |= in_grid(&all->row[i], method);
    if (!any && m.role && m.role[0])
        m.role = "t";
    return m;
}

void hs_readings_text(const hs_readings *readings, hs_str *out)
{
    for (size_t first = 0, last; first < readings->n; first = last) {
        const hs_probe_row *r = &readings->row[first];
        const hs_method *found = hs_method_find(r->method);
        for (last = first; last < readings->n && same_look(r, &readings->row[last]);)
            last++;
        const hs_method as_shown = found ? shown(readings, first, last, found) : (hs_method){0};
        const hs_method *method = found ? &as_shown : NULL;
        hs_str_addf(out, "%s%s at step %llu%s%s", first ? "\n" : "", r->method, (unsigned long long)r->step,
                    r->split[0] ? " on " : "", r->split);
        if (method && method->measure)
            hs_str_addf(out, ": %s%s%s", method->measure, method->role && method->role[0] ? " of " : "",
                        method->role ? method->role : "");
        hs_str_addf(out, "\n");
        if (method)
            grid(readings, first, last, method, out);
        edges(readings, first, last, out);
        totals(readings, first, last, out);
    }
}
