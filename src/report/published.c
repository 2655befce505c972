/* published.c - curves of papers as CSV: name, source, split, step, accuracy.
 *
 * Invariant: a file counts whole or not at all; the points of a curve stand in order of their steps. */
#include "report/published.h"

#include "core/csv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum column { NAME, SOURCE, SPLIT, STEP, ACCURACY, N_COLUMNS };
static const char *const columns[] = {"name", "source", "split", "step", "accuracy"};

typedef struct reader {
    const char *path;
    hs_published *out;
    size_t at[N_COLUMNS]; /* the field of each column */
    bool begun;
} reader;

static hs_status fail_line(const reader *r, uint64_t line, const char *what, const hs_field *field, hs_error *err)
{
    hs_fail(err, HS_ERR_DATA, "%s", what);
    hs_error_where(err, "%s:%llu", r->path, (unsigned long long)line);
    if (field)
        hs_error_value(err, field->s, field->len < 60 ? field->len : 60);
    return HS_ERR_DATA;
}

static hs_field trimmed(hs_field f)
{
    for (; f.len && (*f.s == ' ' || *f.s == '\t'); f.s++)
        f.len--;
    while (f.len && (f.s[f.len - 1] == ' ' || f.s[f.len - 1] == '\t'))
        f.len--;
    return f;
}

static hs_status take_header(reader *r, const hs_field *field, size_t n, uint64_t line, hs_error *err)
{
    bool seen[N_COLUMNS] = {false};
    for (size_t i = 0; i < n; i++) {
        hs_field f = trimmed(field[i]);
        if (i == 0 && f.len >= 3 && memcmp(f.s, "\xEF\xBB\xBF", 3) == 0)
            f = (hs_field){f.s + 3, f.len - 3};
        size_t c = 0;
        while (c < N_COLUMNS && (strlen(columns[c]) != f.len || memcmp(columns[c], f.s, f.len) != 0))
            c++;
        if (c == N_COLUMNS || seen[c]) {
            fail_line(r, line, c == N_COLUMNS ? "no such column" : "a column twice", &f, err);
            return hs_error_hint(err, "the first line names the columns: name,source,split,step,accuracy");
        }
        seen[c] = true;
        r->at[c] = i;
    }
    for (size_t c = 0; c < N_COLUMNS; c++)
        if (!seen[c]) {
            const hs_field absent = {columns[c], strlen(columns[c])};
            fail_line(r, line, "a column is missing", &absent, err);
            return hs_error_hint(err, "the first line names the columns: name,source,split,step,accuracy");
        }
    r->begun = true;
    return HS_OK;
}

static bool number_of(hs_field f, double *out)
{
    char text[64], *end;
    if (f.len == 0 || f.len >= sizeof text)
        return false;
    memcpy(text, f.s, f.len);
    text[f.len] = 0;
    *out = strtod(text, &end);
    return end == text + f.len && isfinite(*out) && !strpbrk(text, "xXpP");
}

static bool is_text(const char *text, hs_field f)
{
    return strlen(text) == f.len && memcmp(text, f.s, f.len) == 0;
}

static hs_status curve_of(hs_published *p, hs_field name, hs_field source, hs_field split, hs_published_curve **out,
                          hs_error *err)
{
    for (size_t i = 0; i < p->n; i++) {
        *out = &p->curve[i];
        if (is_text((*out)->name, name) && is_text((*out)->source, source) && is_text((*out)->split, split))
            return HS_OK;
    }
    void *grown = p->curve;
    HS_TRY(hs_grow(&grown, &p->cap, p->n + 1, sizeof *p->curve, err));
    p->curve = grown;
    *out = &p->curve[p->n++];
    **out = (hs_published_curve){0};
    memcpy((*out)->name, name.s, name.len);
    memcpy((*out)->source, source.s, source.len);
    memcpy((*out)->split, split.s, split.len);
    return HS_OK;
}

static hs_status add_point(hs_published_curve *c, double step, double accuracy, hs_error *err)
{
    size_t cap = c->cap;
    void *grown = c->step;
    hs_status status = hs_grow(&grown, &cap, c->n + 1, sizeof *c->step, err);
    c->step = grown;
    if (status == HS_OK) {
        cap = c->cap;
        grown = c->accuracy;
        status = hs_grow(&grown, &cap, c->n + 1, sizeof *c->accuracy, err);
        c->accuracy = grown;
    }
    if (status != HS_OK)
        return status;
    c->cap = cap;
    c->step[c->n] = step;
    c->accuracy[c->n++] = accuracy;
    return HS_OK;
}

static hs_status take_record(void *user, const hs_field *field, size_t n, uint64_t line, hs_error *err)
{
    reader *r = user;
    if (!r->begun)
        return take_header(r, field, n, line, err);
    if (n != N_COLUMNS) {
        fail_line(r, line, "a point has 5 fields", NULL, err);
        return hs_error_hint(err, "this line has %zu; a field with a comma in it stands in quotes", n);
    }
    hs_field f[N_COLUMNS];
    static const size_t room[N_COLUMNS] = {64, 256, 48, 64, 64};
    for (size_t c = 0; c < N_COLUMNS; c++) {
        f[c] = trimmed(field[r->at[c]]);
        if (f[c].len >= room[c])
            return fail_line(r, line, "a field is too long", &f[c], err);
        if (f[c].len == 0 && c != SOURCE)
            return fail_line(r, line, "a field is empty", &(hs_field){columns[c], strlen(columns[c])}, err);
    }
    double step, accuracy;
    if (!number_of(f[STEP], &step) || step <= 0)
        return fail_line(r, line, "step is not a number above 0", &f[STEP], err);
    if (!number_of(f[ACCURACY], &accuracy) || accuracy < 0 || accuracy > 1) {
        fail_line(r, line, "accuracy is not a share", &f[ACCURACY], err);
        return hs_error_hint(err, "from 0 to 1: 0.93, not 93");
    }
    hs_published_curve *c;
    HS_TRY(curve_of(r->out, f[NAME], f[SOURCE], f[SPLIT], &c, err));
    if (c->n && c->step[c->n - 1] >= step)
        return fail_line(r, line, "the steps of a curve must grow", &f[STEP], err);
    return add_point(c, step, accuracy, err);
}

hs_status hs_published_read(hs_published *out, const char *path, hs_error *err)
{
    hs_published file = {0};
    reader r = {.path = path, .out = &file};
    hs_lines *in;
    HS_TRY(hs_lines_open(&in, path, HS_CSV_RECORD, err));
    hs_status status = hs_csv_read(in, path, take_record, &r, err);
    hs_lines_close(in);
    if (status == HS_OK && !r.begun)
        status = fail_line(&r, 1, "the file is empty", NULL, err);
    void *grown = out->curve;
    if (status == HS_OK)
        status = hs_grow(&grown, &out->cap, out->n + file.n, sizeof *out->curve, err);
    out->curve = grown;
    if (status != HS_OK) {
        hs_published_free(&file);
        return status;
    }
    if (file.n)
        memcpy(out->curve + out->n, file.curve, file.n * sizeof *file.curve);
    out->n += file.n;
    hs_free(file.curve);
    return HS_OK;
}

void hs_published_free(hs_published *published)
{
    for (size_t i = 0; i < published->n; i++) {
        hs_free(published->curve[i].step);
        hs_free(published->curve[i].accuracy);
    }
    hs_free(published->curve);
    *published = (hs_published){0};
}
