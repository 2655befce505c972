/* column.c - a column of a sweep's table, from its line in the plan.
 *
 * The words of a line: what is looked at, then a threshold (">= 0.9"), then an axis ("in cpu_seconds"). Invariant: only
 * a column with a threshold is timed; its axis is steps unless the line says otherwise. */
#include "experiment/internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_WORDS = 16 };

typedef struct words {
    char text[256];
    char *word[MAX_WORDS];
    size_t n;
    bool unit; /* an axis was named */
    hs_error *err;
} words;

static hs_status fail(words *w, const char *value, const char *what, const char *hint)
{
    hs_fail(w->err, HS_ERR_DATA, "%s", what);
    if (value)
        hs_error_value(w->err, value, strlen(value));
    if (hint)
        hs_error_hint(w->err, "%s", hint);
    return HS_ERR_DATA;
}

static hs_status cut(words *w, const char *text)
{
    if (strlen(text) >= sizeof w->text)
        return fail(w, text, "too long for a column", NULL);
    snprintf(w->text, sizeof w->text, "%s", text);
    char *save = NULL;
    for (char *s = strtok_r(w->text, " \t", &save); s; s = strtok_r(NULL, " \t", &save)) {
        if (w->n == MAX_WORDS)
            return fail(w, text, "too many words for a column", NULL);
        w->word[w->n++] = s;
    }
    return w->n ? HS_OK : fail(w, NULL, "an empty column", NULL);
}

static hs_status put(words *w, char *out, size_t size, const char *word)
{
    if (strlen(word) >= size)
        return fail(w, word, "this name is too long", NULL);
    snprintf(out, size, "%s", word);
    return HS_OK;
}

/* "in AXIS" at the end. */
static hs_status take_axis(words *w, hs_sweep_column *c)
{
    static const char *const names[] = {"steps", "seconds", "cpu_seconds"};
    if (w->n < 2 || strcmp(w->word[w->n - 2], "in") != 0)
        return HS_OK;
    for (int i = 0; i < 3; i++)
        if (strcmp(w->word[w->n - 1], names[i]) == 0) {
            c->axis = (hs_sweep_axis)i;
            w->unit = true;
            w->n -= 2;
            return HS_OK;
        }
    return fail(w, w->word[w->n - 1], "no such unit of time", "steps, seconds or cpu_seconds");
}

/* ">= NUMBER" or "<= NUMBER" at the end. */
static hs_status take_threshold(words *w, hs_sweep_column *c)
{
    if (w->n < 2 || (strcmp(w->word[w->n - 2], ">=") != 0 && strcmp(w->word[w->n - 2], "<=") != 0)) {
        if (w->unit)
            return fail(w, NULL, "only a time has a unit: a threshold is missing",
                        "for example: test_ii >= 0.9 in cpu_seconds");
        return HS_OK;
    }
    char *end;
    c->threshold = strtod(w->word[w->n - 1], &end);
    if (end == w->word[w->n - 1] || *end || !isfinite(c->threshold))
        return fail(w, w->word[w->n - 1], "not a number", "for example: test_ii >= 0.9");
    c->timed = true;
    c->below = w->word[w->n - 2][0] == '<';
    w->n -= 2;
    return HS_OK;
}

/* METHOD MEASURE [SPLIT] [role=..] [position=..] [stage=..] */
static hs_status take_probe(words *w, hs_sweep_column *c)
{
    c->source = HS_SWEEP_PROBE;
    if (w->n < 2)
        return fail(w, w->word[0], "which measure of this method?", "for example: lens found_strict test_ii");
    HS_TRY(put(w, c->name, sizeof c->name, w->word[0]));
    HS_TRY(put(w, c->measure, sizeof c->measure, w->word[1]));
    for (size_t i = 2; i < w->n; i++) {
        char *word = w->word[i], *end;
        if (strncmp(word, "role=", 5) == 0) {
            HS_TRY(put(w, c->role, sizeof c->role, word + 5));
        } else if (strncmp(word, "position=", 9) == 0) {
            HS_TRY(put(w, c->position, sizeof c->position, word + 9));
        } else if (strncmp(word, "stage=", 6) == 0) {
            c->stage = (int32_t)strtol(word + 6, &end, 10);
            if (end == word + 6 || *end || c->stage < 0)
                return fail(w, word, "not the number of a stage", NULL);
        } else if (c->split[0] || strchr(word, '=')) {
            return fail(w, word, "not understood", "METHOD MEASURE [SPLIT] [role=ROLE] [position=PLACE] [stage=N]");
        } else {
            HS_TRY(put(w, c->split, sizeof c->split, word));
        }
    }
    return HS_OK;
}

static hs_status take_source(words *w, hs_sweep_column *c)
{
    static const struct {
        const char *word;
        hs_sweep_source source;
        bool named; /* a second word follows */
    } simple[] = {{"accuracy", HS_SWEEP_ACCURACY, true}, {"loss", HS_SWEEP_LOSS, true},
                  {"metric", HS_SWEEP_METRIC, true},     {"shortcut", HS_SWEEP_SHORTCUT, true},
                  {"majority", HS_SWEEP_MAJORITY, true}, {"pooled", HS_SWEEP_POOLED, true},
                  {"steps", HS_SWEEP_STEPS, false},      {"seconds", HS_SWEEP_SECONDS, false},
                  {"cpu_seconds", HS_SWEEP_CPU, false},  {"ms_per_step", HS_SWEEP_STEP_TIME, false}};
    if (w->n == 0)
        return fail(w, NULL, "what is to be past the threshold?", "for example: test_ii >= 0.9");
    for (size_t i = 0; i < sizeof simple / sizeof *simple; i++) {
        if (strcmp(w->word[0], simple[i].word) != 0)
            continue;
        c->source = simple[i].source;
        if (w->n != (simple[i].named ? 2 : 1))
            return fail(w, w->word[0], simple[i].named ? "takes one name after it" : "stands alone", NULL);
        if (c->timed && simple[i].source > HS_SWEEP_METRIC)
            return fail(w, w->word[0], "has no threshold", NULL);
        if (simple[i].source == HS_SWEEP_METRIC)
            return put(w, c->name, sizeof c->name, w->word[1]);
        return simple[i].named ? put(w, c->split, sizeof c->split, w->word[1]) : HS_OK;
    }
    if (hs_method_find(w->word[0]))
        return take_probe(w, c);
    if (w->n == 1)
        return put(w, c->split, sizeof c->split, w->word[0]);
    return fail(
        w, w->word[0], "not understood",
        "SPLIT, loss SPLIT, pooled SPLIT, shortcut SPLIT, majority SPLIT, metric NAME, steps, seconds, cpu_seconds, "
        "ms_per_step, or METHOD MEASURE [SPLIT]");
}

hs_status hs_sweep_column_parse(hs_sweep_column *out, const char *text, hs_error *err)
{
    hs_error local;
    words w = {.err = err ? err : &local};
    *out = (hs_sweep_column){.stage = HS_SWEEP_ANY_STAGE};
    HS_TRY(cut(&w, text));
    snprintf(out->title, sizeof out->title, "%.127s", text + strspn(text, " \t"));
    HS_TRY(take_axis(&w, out));
    HS_TRY(take_threshold(&w, out));
    return take_source(&w, out);
}
