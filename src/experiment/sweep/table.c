/* table.c - the table of a sweep for people (text, Markdown) and for programs (JSON, CSV).
 *
 * Invariant: a number that is not known is "-", null or empty, never left out. */
#include "experiment/internal.h"

#include <math.h>
#include <string.h>

enum { CELL = 160 };

/* Shares with three digits, small numbers with three that count, large ones as whole numbers. */
static const char *number_text(double v, char out[32])
{
    if (!isfinite(v))
        snprintf(out, 32, "-");
    else if (fabs(v) >= 1000)
        return v > 0 && v < 1e18 ? hs_format_count((uint64_t)llround(v), out) : (snprintf(out, 32, "%.3g", v), out);
    else if (fabs(v) >= 100)
        snprintf(out, 32, "%.0f", v);
    else if (fabs(v) >= 10)
        snprintf(out, 32, "%.1f", v);
    else
        snprintf(out, 32, fabs(v) < 0.001 && v != 0 ? "%.2g" : "%.3f", v);
    return out;
}

static const char *time_text(double v, char out[32])
{
    if (!isfinite(v))
        snprintf(out, 32, "-");
    else if (v < 10 && v != floor(v))
        snprintf(out, 32, "%.2g", v);
    else
        return hs_format_count((uint64_t)llround(v), out);
    return out;
}

/* "3/3 4,400 [4,300, -]", "0/3 > 6,000", and how many times faster than the baseline: a bound where one median was not
 * reached. */
static void time_cell(const hs_survival *s, const hs_survival *base, char out[CELL])
{
    char a[32], b[32], c[32];
    if (s->n == 0) {
        snprintf(out, CELL, "-");
        return;
    }
    int n = isinf(s->median) ? snprintf(out, CELL, "%u/%u > %s", s->events, s->n, time_text(s->follow_up, a))
                             : snprintf(out, CELL, "%u/%u %s [%s, %s]", s->events, s->n, time_text(s->median, a),
                                        time_text(s->low, b), time_text(s->high, c));
    if (!base || base->n == 0 || (isinf(base->median) && isinf(s->median)) || n < 0)
        return;
    const bool more = isinf(base->median), less = isinf(s->median);
    const double ratio = (more ? base->follow_up : base->median) / (less ? s->follow_up : s->median);
    snprintf(out + n, CELL - (size_t)n, "  %sx%.2f", more ? "> " : less ? "< " : "", ratio);
}

/* "0.988 [0.981, 0.995] (0.978 to 0.993)". */
static void value_cell(const hs_sweep_cell *cell, uint32_t seeds, char out[CELL])
{
    const hs_spread *s = &cell->spread;
    char a[32], b[32], c[32], d[32], e[32];
    int n = snprintf(out, CELL, "%s", number_text(s->mean, a));
    if (cell->items)
        n += snprintf(out + n, CELL - (size_t)n, " [%s, %s] of %s", number_text(s->low, b), number_text(s->high, c),
                      hs_format_count(cell->items, d));
    else if (s->n > 1)
        n += snprintf(out + n, CELL - (size_t)n, " [%s, %s] (%s to %s)", number_text(s->low, b),
                      number_text(s->high, c), number_text(s->min, d), number_text(s->max, e));
    if (s->n && s->n < seeds)
        n += snprintf(out + n, CELL - (size_t)n, " n=%u", s->n);
    if (isfinite(cell->paper))
        snprintf(out + n, CELL - (size_t)n, "; paper %s", number_text(cell->paper, a));
}

static void cell_text(const hs_sweep *sweep, const hs_sweep_table *t, uint32_t arm, size_t column, char out[CELL])
{
    const hs_sweep_cell *cell = &t->cell[arm * t->n_columns + column];
    const hs_sweep_cell *base =
        sweep->baseline >= 0 ? &t->cell[(uint32_t)sweep->baseline * t->n_columns + column] : NULL;
    if (t->column[column].timed)
        time_cell(&cell->time, base ? &base->time : NULL, out);
    else
        value_cell(cell, sweep->n_seeds, out);
}

/* ---------------------------------------------------------------- text and Markdown */

static void add_missing(const hs_sweep *sweep, const hs_sweep_table *t, hs_str *out)
{
    enum { SHOWN = 12 };
    uint32_t said = 0;
    if (t->missing == 0)
        return;
    hs_str_addf(out, "Missing: %u of %u members", t->missing, hs_sweep_size(sweep));
    for (uint32_t m = 0; m < hs_sweep_size(sweep) && said <= SHOWN; m++) {
        const hs_member *member = &t->member[m];
        char name[160], steps[32];
        if (member->finished)
            continue;
        hs_sweep_name(sweep, m, name);
        hs_str_addf(out, "%s", said ? ", " : ": ");
        if (said++ == SHOWN)
            hs_str_addf(out, "...");
        else if (member->problem[0])
            hs_str_addf(out, "%s (%s)", name, member->problem);
        else if (member->started)
            hs_str_addf(out, "%s (at step %s)", name, hs_format_count(member->steps, steps));
        else
            hs_str_addf(out, "%s (not started)", name);
    }
    hs_str_addf(out, ".\n");
}

static void add_notes(const hs_sweep *sweep, const hs_sweep_table *t, hs_str *out)
{
    bool timed = false, valued = false, pooled = false;
    for (size_t c = 0; c < t->n_columns; c++)
        *(t->column[c].timed ? &timed : t->column[c].source == HS_SWEEP_POOLED ? &pooled : &valued) = true;
    if (valued && sweep->n_seeds > 1)
        hs_str_addf(
            out,
            "%u seeds: mean [95%% interval of the mean, Student's t] (lowest to highest), at the last evaluation.\n",
            sweep->n_seeds);
    if (pooled)
        hs_str_addf(
            out, "\"of N\": the share of the N items of all seeds together, and Wilson's 95%% interval over them.\n");
    if (sweep->n_pairs)
        hs_str_addf(out, "A line \"a - b\": difference of the two means [Welch's 95%% interval over seeds].\n");
    if (timed)
        hs_str_addf(out,
                    "Times: members that got there, median [95%% interval] by Kaplan-Meier; the others are censored at "
                    "their end (Greenwood's\nvariance on the log-log scale; \"-\": open, too few members).%s%s%s\n",
                    sweep->baseline >= 0 ? " x: the median of " : "",
                    sweep->baseline >= 0 ? sweep->arm[sweep->baseline].name : "",
                    sweep->baseline >= 0 ? " by this one's." : "");
    if (t->diverged)
        hs_str_addf(out, "%u members diverged; they count as longer than the longest.\n", t->diverged);
    add_missing(sweep, t, out);
}

static void add_cell(hs_str *out, bool markdown, size_t width, const char *text)
{
    if (markdown)
        hs_str_addf(out, "| %s ", text);
    else
        hs_str_addf(out, "%-*s  ", (int)width, text);
}

/* A line of the table: -1 the titles, then the arms, then the pairs. */
static void line_name(const hs_sweep *sweep, int64_t line, char out[CELL])
{
    if (line < 0 || (uint64_t)line < sweep->n_arms) {
        snprintf(out, CELL, "%s", line < 0 ? "arm" : sweep->arm[line].name);
        return;
    }
    const hs_sweep_pair *p = &sweep->pair[(size_t)line - sweep->n_arms];
    snprintf(out, CELL, "%.76s - %.76s", sweep->arm[p->arm].name, sweep->arm[p->minus].name);
}

static void line_cell(const hs_sweep *sweep, const hs_sweep_table *t, int64_t line, size_t column, char out[CELL])
{
    if (line < 0) {
        snprintf(out, CELL, "%s", t->column[column].title);
        return;
    }
    if ((uint64_t)line < sweep->n_arms) {
        cell_text(sweep, t, (uint32_t)line, column, out);
        return;
    }
    const hs_spread *s = &t->difference[((size_t)line - sweep->n_arms) * t->n_columns + column];
    char a[32], b[32], c[32];
    if (isfinite(s->low))
        snprintf(out, CELL, "%s [%s, %s]", number_text(s->mean, a), number_text(s->low, b), number_text(s->high, c));
    else
        snprintf(out, CELL, "%s", number_text(s->mean, a));
}

void hs_sweep_table_text(const hs_sweep *sweep, const hs_sweep_table *t, hs_table_format format, hs_str *out)
{
    const bool markdown = format == HS_TABLE_MARKDOWN;
    const int64_t lines = (int64_t)sweep->n_arms + (int64_t)sweep->n_pairs;
    char cell[CELL];
    size_t width[65] = {0};
    for (int64_t l = -1; l < lines && !markdown; l++)
        for (size_t c = 0; c <= t->n_columns; c++) {
            c ? line_cell(sweep, t, l, c - 1, cell) : line_name(sweep, l, cell);
            width[c] = strlen(cell) > width[c] ? strlen(cell) : width[c];
        }
    for (int64_t l = -1; l < lines; l++) {
        for (size_t c = 0; c <= t->n_columns; c++) {
            c ? line_cell(sweep, t, l, c - 1, cell) : line_name(sweep, l, cell);
            add_cell(out, markdown, width[c], cell);
        }
        while (!markdown && out->len && out->s[out->len - 1] == ' ')
            out->s[--out->len] = 0;
        hs_str_addf(out, markdown ? "|\n" : "\n");
        if (l < 0 && markdown) {
            for (size_t c = 0; c <= t->n_columns; c++)
                hs_str_addf(out, "|---");
            hs_str_addf(out, "|\n");
        }
    }
    hs_str_add(out, "\n", markdown);
    add_notes(sweep, t, out);
}

/* ---------------------------------------------------------------- JSON, CSV */

static void add_number(hs_str *out, double value, const char *none)
{
    char text[32];
    if (value == floor(value) && fabs(value) < 1e15)
        snprintf(text, sizeof text, "%.0f", value);
    else if (isfinite(value))
        hs_number_text(value, false, text);
    hs_str_addf(out, "%s", isfinite(value) ? text : none);
}

static void json_text(hs_str *out, const char *before, const char *text)
{
    hs_str_addf(out, "%s", before);
    hs_str_add_json(out, text, strlen(text));
}

static void json_numbers(hs_str *out, const char *const *name, const double *value, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        hs_str_addf(out, ", \"%s\": ", name[i]);
        add_number(out, value[i], "null");
    }
}

static void json_cell(hs_str *out, const hs_sweep_column *c, const hs_sweep_cell *cell)
{
    json_text(out, "{\"column\": ", c->title);
    if (c->timed) {
        const hs_survival *s = &cell->time;
        hs_str_addf(out, ", \"n\": %u, \"events\": %u", s->n, s->events);
        json_numbers(out, (const char *const[]){"median", "low", "high", "first", "last", "follow_up"},
                     (const double[]){s->median, s->low, s->high, s->first, s->last, s->follow_up}, 6);
    } else {
        const hs_spread *s = &cell->spread;
        hs_str_addf(out, ", \"n\": %u", s->n);
        if (c->source == HS_SWEEP_POOLED)
            hs_str_addf(out, ", \"items\": %llu", (unsigned long long)cell->items);
        json_numbers(out, (const char *const[]){"mean", "low", "high", "min", "max", "paper"},
                     (const double[]){s->mean, s->low, s->high, s->min, s->max, cell->paper}, 6);
    }
    hs_str_add(out, "}", 1);
}

const char *hs_member_state_text(const hs_member *m)
{
    return m->finished     ? hs_stop_reason_text(m->ended_by)
           : m->problem[0] ? "no run of this plan"
           : m->started    ? "unfinished"
                           : "not started";
}

static void json_member(hs_str *out, const hs_sweep *sweep, const hs_sweep_table *t, uint32_t member)
{
    const hs_member *m = &t->member[member];
    json_text(out, "{\"arm\": ", sweep->arm[member % sweep->n_arms].name);
    hs_str_addf(out, ", \"seed\": %llu, \"state\": \"%s\", \"steps\": %llu",
                (unsigned long long)sweep->seed[member / sweep->n_arms], hs_member_state_text(m),
                (unsigned long long)m->steps);
    json_numbers(out, (const char *const[]){"seconds", "cpu_seconds"}, (const double[]){m->seconds, m->cpu_seconds}, 2);
    hs_str_addf(out, ", \"columns\": [");
    for (size_t c = 0; c < t->n_columns; c++) {
        const size_t at = member * t->n_columns + c;
        hs_str_addf(out, "%s{\"value\": ", c ? ", " : "");
        add_number(out, t->value[at], "null");
        if (t->column[c].timed)
            hs_str_addf(out, ", \"reached\": %s", t->reached[at] ? "true" : "false");
        hs_str_add(out, "}", 1);
    }
    hs_str_addf(out, "]}");
}

static void json_pair(hs_str *out, const hs_sweep *sweep, const hs_sweep_table *t, size_t pair)
{
    json_text(out, pair ? ", {\"arm\": " : "{\"arm\": ", sweep->arm[sweep->pair[pair].arm].name);
    json_text(out, ", \"minus\": ", sweep->arm[sweep->pair[pair].minus].name);
    hs_str_addf(out, ", \"columns\": [");
    for (size_t c = 0; c < t->n_columns; c++) {
        const hs_spread *s = &t->difference[pair * t->n_columns + c];
        json_text(out, c ? ", {\"column\": " : "{\"column\": ", t->column[c].title);
        json_numbers(out, (const char *const[]){"mean", "low", "high"}, (const double[]){s->mean, s->low, s->high}, 3);
        hs_str_add(out, "}", 1);
    }
    hs_str_addf(out, "]}");
}

void hs_sweep_table_json(const hs_sweep *sweep, const hs_sweep_table *t, hs_str *out)
{
    json_text(out, "{\"plan\": ", sweep->path);
    json_text(out, ", \"runs\": ", sweep->dir);
    hs_str_addf(out, ", \"members\": %u, \"missing\": %u, \"diverged\": %u, \"baseline\": ", hs_sweep_size(sweep),
                t->missing, t->diverged);
    if (sweep->baseline >= 0)
        json_text(out, "", sweep->arm[sweep->baseline].name);
    else
        hs_str_addf(out, "null");
    hs_str_addf(out, ", \"arms\": [");
    for (uint32_t a = 0; a < sweep->n_arms; a++) {
        json_text(out, a ? ", {\"arm\": " : "{\"arm\": ", sweep->arm[a].name);
        hs_str_addf(out, ", \"columns\": [");
        for (size_t c = 0; c < t->n_columns; c++) {
            hs_str_addf(out, "%s", c ? ", " : "");
            json_cell(out, &t->column[c], &t->cell[a * t->n_columns + c]);
        }
        hs_str_addf(out, "]}");
    }
    hs_str_addf(out, "], \"differences\": [");
    for (size_t p = 0; p < sweep->n_pairs; p++)
        json_pair(out, sweep, t, p);
    hs_str_addf(out, "], \"runs_of_arms\": [");
    for (uint32_t m = 0; m < hs_sweep_size(sweep); m++) {
        hs_str_addf(out, "%s", m ? ", " : "");
        json_member(out, sweep, t, m);
    }
    hs_str_addf(out, "]}");
}

/* What stands beside the value of a column, or NULL. */
static const char *second_field(const hs_sweep_column *c)
{
    return c->timed ? "reached" : c->source == HS_SWEEP_POOLED ? "items" : NULL;
}

void hs_sweep_table_csv(const hs_sweep *sweep, const hs_sweep_table *t, hs_str *out)
{
    hs_str_addf(out, "arm,seed");
    for (size_t k = 0; k < sweep->n_varied; k++)
        hs_str_addf(out, ",%s", sweep->varied[k]->key);
    hs_str_addf(out, ",state,steps,seconds,cpu_seconds");
    for (size_t c = 0; c < t->n_columns; c++) {
        hs_str_add(out, ",", 1);
        hs_str_add_csv(out, t->column[c].title);
        const char *second = second_field(&t->column[c]);
        if (second) {
            hs_str_add(out, ",", 1);
            hs_str title = {0};
            hs_str_addf(&title, "%s %s", t->column[c].title, second);
            hs_str_add_csv(out, title.s ? title.s : "");
            out->failed |= title.failed;
            hs_str_free(&title);
        }
    }
    hs_str_add(out, "\n", 1);
    for (uint32_t m = 0; m < hs_sweep_size(sweep); m++) {
        const hs_member *member = &t->member[m];
        const hs_sweep_arm *arm = &sweep->arm[m % sweep->n_arms];
        hs_str_addf(out, "%s,%llu", arm->name, (unsigned long long)sweep->seed[m / sweep->n_arms]);
        for (size_t k = 0; k < sweep->n_varied; k++) {
            hs_str value = {0};
            hs_config_get(&arm->config, sweep->varied[k], &value);
            hs_str_add(out, ",", 1);
            hs_str_add_csv(out, value.s ? value.s : "");
            out->failed |= value.failed;
            hs_str_free(&value);
        }
        hs_str_addf(out, ",%s,%llu,", hs_member_state_text(member), (unsigned long long)member->steps);
        add_number(out, member->seconds, "");
        hs_str_add(out, ",", 1);
        add_number(out, member->cpu_seconds, "");
        for (size_t c = 0; c < t->n_columns; c++) {
            const size_t at = m * t->n_columns + c;
            hs_str_add(out, ",", 1);
            add_number(out, t->value[at], "");
            if (t->column[c].timed)
                hs_str_addf(out, ",%d", t->reached[at]);
            else if (second_field(&t->column[c]))
                hs_str_addf(out, ",%llu", (unsigned long long)t->items[at]);
        }
        hs_str_add(out, "\n", 1);
    }
}
