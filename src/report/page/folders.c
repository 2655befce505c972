/* folders.c - the runs that folders stand for.
 *
 * Invariant: a folder with a run.db or an experiment.yaml is a run, whatever else it holds; no other folder is one. */
#include "report/page/page.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH = 2, MAX_RUNS = 4096 };

typedef struct found {
    hs_page_folder *run;
    size_t n, cap;
} found;

static bool is_run(const char *dir)
{
    char path[4096];
    static const char *const signs[] = {"run.db", "experiment.yaml"};
    for (int i = 0; i < 2; i++)
        if (hs_path_join(path, sizeof path, dir, signs[i], NULL) == HS_OK && hs_file_exists(path))
            return true;
    return false;
}

static hs_status add(found *f, const char *dir, hs_error *err)
{
    if (f->n == MAX_RUNS)
        return hs_fail(err, HS_ERR_USAGE, "more than %d runs", MAX_RUNS);
    void *p = f->run;
    HS_TRY(hs_grow(&p, &f->cap, f->n + 1, sizeof *f->run, err));
    f->run = p;
    snprintf(f->run[f->n].dir, sizeof f->run[f->n].dir, "%s", dir);
    f->run[f->n++].id[0] = 0;
    return HS_OK;
}

/* "seed-2" before "seed-10". */
static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strverscmp((*a)->d_name, (*b)->d_name);
}

static int is_visible(const struct dirent *e)
{
    return e->d_name[0] != '.';
}

static hs_status search(found *f, const char *dir, int depth, hs_error *err)
{
    if (is_run(dir))
        return add(f, dir, err);
    struct dirent **entry = NULL;
    const int n = depth > 0 ? scandir(dir, &entry, is_visible, by_name) : 0;
    hs_status status = HS_OK;
    for (int i = 0; i < n; i++) {
        char path[4096];
        if (status == HS_OK && entry[i]->d_type != DT_REG)
            status = hs_path_join(path, sizeof path, dir, entry[i]->d_name, err);
        if (status == HS_OK && entry[i]->d_type != DT_REG)
            status = search(f, path, depth - 1, err);
        free(entry[i]);
    }
    free(entry);
    return status;
}

/* ---------------------------------------------------------------- names */

/* The last `parts` parts of a path, without slashes at its end and dots in its middle. */
static void end_of(const char *dir, int parts, char *out, size_t size)
{
    size_t end = strlen(dir);
    while (end > 1 && dir[end - 1] == '/')
        end--;
    size_t start = end;
    for (; start > 0; start--)
        if (dir[start - 1] == '/' && start < end && --parts == 0)
            break;
    while (start < end && dir[start] == '/')
        start++;
    snprintf(out, size, "%.*s", (int)(end - start < size ? end - start : size - 1), dir + start);
}

static size_t twins(const found *f, size_t i)
{
    size_t n = 0;
    for (size_t k = 0; k < f->n; k++)
        n += k != i && strcmp(f->run[k].id, f->run[i].id) == 0;
    return n;
}

static bool named_before(const found *f, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (strcmp(f->run[k].id, f->run[i].id) == 0)
            return true;
    return false;
}

static void name_runs(found *f)
{
    for (size_t i = 0; i < f->n; i++) {
        char *real = realpath(f->run[i].dir, NULL); /* "." has a name too */
        const char *dir = real ? real : f->run[i].dir;
        end_of(dir, 1, f->run[i].id, sizeof f->run[i].id);
        free(real);
    }
    bool again = true;
    for (int parts = 2; again && parts < 8; parts++) {
        bool twin[MAX_RUNS];
        again = false;
        for (size_t i = 0; i < f->n; i++)
            again |= twin[i] = twins(f, i) > 0;
        for (size_t i = 0; i < f->n; i++)
            if (twin[i])
                end_of(f->run[i].dir, parts, f->run[i].id, sizeof f->run[i].id);
    }
    for (size_t i = 1; i < f->n; i++) /* the same folder twice */
        for (uint32_t k = 2; named_before(f, i); k++) {
            char name[200];
            snprintf(name, sizeof name, "%.199s", f->run[i].id);
            if (k > 2 && strrchr(name, ' '))
                *strrchr(name, ' ') = 0;
            snprintf(f->run[i].id, sizeof f->run[i].id, "%s (%u)", name, k);
        }
}

hs_status hs_page_folders(const char *const *dirs, size_t n, hs_page_folder **out, size_t *n_out, hs_error *err)
{
    found f = {0};
    *out = NULL;
    *n_out = 0;
    hs_status status = n ? HS_OK : hs_fail(err, HS_ERR_USAGE, "no run is named");
    for (size_t i = 0; i < n && status == HS_OK; i++) {
        const size_t before = f.n;
        status = search(&f, dirs[i], DEPTH, err);
        if (status == HS_OK && f.n == before) {
            status = hs_fail(err, HS_ERR_IO, "this is no run directory: run.db is not there");
            hs_error_where(err, "%s", dirs[i]);
            hs_error_hint(err, "a run directory is made by hopscope run FILE, under runs/");
        }
    }
    if (status != HS_OK) {
        hs_free(f.run);
        return status;
    }
    name_runs(&f);
    *out = f.run;
    *n_out = f.n;
    return HS_OK;
}
