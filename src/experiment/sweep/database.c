/* database.c - the records of all members as one SQLite file: each table of run.db with the arm, the seed and the
 * settings that arms vary in front.
 *
 * Invariant: the file appears whole or not at all. */
#include "experiment/sweep/sweep.h"

#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sqlite3.h>

typedef struct base {
    const hs_sweep *sweep;
    sqlite3 *db;
    char path[4096]; /* the temporary */
} base;

typedef struct table {
    const char *name, *declared, *columns; /* what follows the settings */
} table;
static const table TABLES[] = {
    {"evaluation", "step INTEGER, split TEXT, n INTEGER, accuracy REAL, loss REAL, seconds REAL",
     "step, split, n, accuracy, loss, seconds"},
    {"metric", "step INTEGER, name TEXT, value REAL", "step, name, value"},
    {"probe",
     "step INTEGER, method TEXT, split TEXT, stage INTEGER, position TEXT, role TEXT, measure TEXT, n INTEGER, value "
     "REAL, "
     "low REAL, high REAL",
     "step, method, split, stage, position, role, measure, n, value, low, high"},
};
enum { N_TABLES = sizeof TABLES / sizeof *TABLES };
static const table MEMBER = {"member", "folder TEXT, state TEXT, steps INTEGER, seconds REAL, cpu_seconds REAL", NULL};

static hs_status fail(const base *b, const char *doing, hs_error *err)
{
    if (sqlite3_errcode(b->db) == SQLITE_NOMEM)
        return hs_fail_memory(err, 0);
    hs_fail(err, HS_ERR_IO, "cannot %s: %s", doing, sqlite3_errmsg(b->db));
    return hs_error_where(err, "%s", b->path);
}

static hs_status run(const base *b, const char *sql, const char *doing, hs_error *err)
{
    return sqlite3_exec(b->db, sql, NULL, NULL, NULL) == SQLITE_OK ? HS_OK : fail(b, doing, err);
}

static hs_status run_text(const base *b, hs_str *sql, const char *doing, hs_error *err)
{
    const hs_status status = sql->failed ? hs_fail_memory(err, sql->len) : run(b, sql->s, doing, err);
    hs_str_free(sql);
    return status;
}

static const char *type_of(const hs_config_key *key)
{
    switch (key->setting.type) {
    case HS_SETTING_FLOAT:
    case HS_SETTING_DOUBLE:
        return "REAL";
    case HS_SETTING_BOOL:
    case HS_SETTING_U32:
    case HS_SETTING_U64:
        return "INTEGER";
    case HS_SETTING_ENUM:
    case HS_SETTING_STRING:
        break;
    }
    return "TEXT";
}

static hs_status create(const base *b, const table *t, hs_error *err)
{
    hs_str sql = {0};
    hs_str_addf(&sql, "CREATE TABLE %s (arm TEXT, seed INTEGER", t->name);
    for (size_t k = 0; k < b->sweep->n_varied; k++) /* keys are letters, dots and underscores */
        hs_str_addf(&sql, ", \"%s\" %s", b->sweep->varied[k]->key, type_of(b->sweep->varied[k]));
    hs_str_addf(&sql, ", %s)", t->declared);
    return run_text(b, &sql, "make the tables", err);
}

/* Arm, seed and settings as the first parameters of a statement; returns the number of the next. */
static int bind_member(const base *b, sqlite3_stmt *s, uint32_t member, bool *failed)
{
    const hs_sweep *sweep = b->sweep;
    const hs_sweep_arm *arm = &sweep->arm[member % sweep->n_arms];
    int at = 1;
    sqlite3_bind_text(s, at++, arm->name, -1, SQLITE_TRANSIENT);
    sqlite3_bind_int64(s, at++, (sqlite3_int64)sweep->seed[member / sweep->n_arms]);
    for (size_t k = 0; k < sweep->n_varied; k++) {
        hs_str value = {0};
        hs_config_get(&arm->config, sweep->varied[k], &value);
        const char *text = value.s ? value.s : "";
        if (sweep->varied[k]->setting.type == HS_SETTING_BOOL)
            sqlite3_bind_int(s, at++, strcmp(text, "true") == 0);
        else
            sqlite3_bind_text(s, at++, text, -1, SQLITE_TRANSIENT); /* the column's type makes a number of it */
        *failed |= value.failed;
        hs_str_free(&value);
    }
    return at;
}

static void add_parameters(const base *b, hs_str *sql)
{
    for (size_t k = 0; k < 2 + b->sweep->n_varied; k++)
        hs_str_addf(sql, "%s?%zu", k ? ", " : "", k + 1);
}

static void bind_number(sqlite3_stmt *s, int at, double value)
{
    if (isfinite(value))
        sqlite3_bind_double(s, at, value);
}

static hs_status finish(const base *b, sqlite3_stmt *s, bool failed, hs_error *err)
{
    const bool done = !failed && sqlite3_step(s) == SQLITE_DONE;
    sqlite3_finalize(s);
    return failed ? hs_fail_memory(err, 0) : done ? HS_OK : fail(b, "copy a record", err);
}

static hs_status prepare(const base *b, hs_str *sql, sqlite3_stmt **s, hs_error *err)
{
    hs_status status = sql->failed ? hs_fail_memory(err, sql->len) : HS_OK;
    if (status == HS_OK && sqlite3_prepare_v2(b->db, sql->s, -1, s, NULL) != SQLITE_OK)
        status = fail(b, "copy a record", err);
    hs_str_free(sql);
    return status;
}

static hs_status add_member(const base *b, uint32_t member, const hs_member *m, const char *dir, hs_error *err)
{
    hs_str sql = {0};
    sqlite3_stmt *s;
    bool failed = false;
    hs_str_addf(&sql, "INSERT INTO member VALUES (");
    add_parameters(b, &sql);
    for (size_t k = 0; k < 5; k++)
        hs_str_addf(&sql, ", ?%zu", 3 + b->sweep->n_varied + k);
    hs_str_addf(&sql, ")");
    HS_TRY(prepare(b, &sql, &s, err));
    const int at = bind_member(b, s, member, &failed);
    sqlite3_bind_text(s, at, dir, -1, SQLITE_TRANSIENT);
    sqlite3_bind_text(s, at + 1, hs_member_state_text(m), -1, SQLITE_STATIC);
    sqlite3_bind_int64(s, at + 2, (sqlite3_int64)m->steps);
    bind_number(s, at + 3, m->seconds);
    bind_number(s, at + 4, m->cpu_seconds);
    return finish(b, s, failed, err);
}

static hs_status copy_table(const base *b, uint32_t member, const table *t, hs_error *err)
{
    hs_str sql = {0};
    sqlite3_stmt *s;
    bool failed = false;
    hs_str_addf(&sql, "INSERT INTO %s SELECT ", t->name);
    add_parameters(b, &sql);
    hs_str_addf(&sql, ", %s FROM run.%s", t->columns, t->name);
    HS_TRY(prepare(b, &sql, &s, err));
    (void)bind_member(b, s, member, &failed);
    return finish(b, s, failed, err);
}

/* run.db as the database `run`; one that may only be read is taken as it stands. */
static hs_status attach(const base *b, const char *path, hs_error *err)
{
    for (int fixed = 0; fixed < 2; fixed++) {
        sqlite3_stmt *s;
        hs_str sql = {0}, uri = {0};
        hs_str_addf(&sql, "ATTACH ?1 AS run");
        hs_str_addf(&uri, "file:");
        for (const char *c = path; *c; c++)
            hs_str_addf(&uri, strchr("?#%", *c) ? "%%%02X" : "%c", (unsigned char)*c);
        hs_str_addf(&uri, fixed ? "?immutable=1" : "?mode=rw");
        hs_status status = uri.failed ? hs_fail_memory(err, uri.len) : prepare(b, &sql, &s, err);
        if (uri.failed)
            hs_str_free(&sql);
        if (status == HS_OK) {
            sqlite3_bind_text(s, 1, uri.s, -1, SQLITE_TRANSIENT);
            status = finish(b, s, false, err);
        }
        hs_str_free(&uri);
        if (status == HS_OK &&
            sqlite3_exec(b->db, "SELECT 1 FROM run.evaluation LIMIT 1", NULL, NULL, NULL) == SQLITE_OK)
            return HS_OK;
        if (status == HS_OK)
            status = fail(b, "read a record", err);
        sqlite3_exec(b->db, "DETACH run", NULL, NULL, NULL);
        if (fixed || status == HS_ERR_MEMORY)
            return status;
    }
    return HS_OK;
}

static bool has_table(const base *b, const char *name)
{
    hs_str sql = {0};
    hs_str_addf(&sql, "SELECT 1 FROM run.%s LIMIT 1", name);
    const bool there = sql.failed || sqlite3_exec(b->db, sql.s, NULL, NULL, NULL) == SQLITE_OK;
    hs_str_free(&sql);
    return there;
}

static hs_status copy_member(const base *b, uint32_t member, hs_error *err)
{
    char dir[4096], path[4096];
    hs_member m;
    HS_TRY(hs_sweep_dir(b->sweep, member, dir, sizeof dir, err));
    HS_TRY(hs_path_join(path, sizeof path, dir, "run.db", err));
    HS_TRY(hs_sweep_look(b->sweep, member, &m, err));
    HS_TRY(add_member(b, member, &m, dir, err));
    if (!m.started)
        return HS_OK;
    HS_TRY(attach(b, path, err));
    hs_status status = run(b, "BEGIN", "copy a record", err);
    for (int t = 0; t < N_TABLES && status == HS_OK; t++)
        if (has_table(b, TABLES[t].name)) /* a record of an older version has no probes */
            status = copy_table(b, member, &TABLES[t], err);
    sqlite3_exec(b->db, "COMMIT", NULL, NULL, NULL);
    sqlite3_exec(b->db, "DETACH run", NULL, NULL, NULL);
    return status;
}

static hs_status fill(const base *b, hs_error *err)
{
    HS_TRY(run(b, "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF", "open the file", err));
    HS_TRY(create(b, &MEMBER, err));
    for (int t = 0; t < N_TABLES; t++)
        HS_TRY(create(b, &TABLES[t], err));
    for (uint32_t m = 0; m < hs_sweep_size(b->sweep); m++)
        HS_TRY(copy_member(b, m, err));
    return HS_OK;
}

/* The finished file in the place of an older one. */
static hs_status publish(const base *b, const char *path, hs_error *err)
{
    const int fd = open(b->path, O_RDONLY | O_CLOEXEC);
    const bool safe = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0)
        close(fd);
    return safe && rename(b->path, path) == 0 ? HS_OK : hs_fail_errno(err, path, "write");
}

hs_status hs_sweep_database(const hs_sweep *sweep, const char *path, hs_error *err)
{
    base b = {.sweep = sweep};
    const int n = snprintf(b.path, sizeof b.path, "%s.tmp-%ld", path, (long)getpid());
    if (n < 0 || (size_t)n >= sizeof b.path)
        return hs_fail(err, HS_ERR_USAGE, "path of %zu bytes is too long", strlen(path));
    (void)unlink(b.path);
    hs_status status = HS_OK;
    if (sqlite3_open_v2(b.path, &b.db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_URI, NULL) != SQLITE_OK)
        status = b.db ? fail(&b, "make the file", err) : hs_fail_memory(err, 0);
    if (status == HS_OK)
        status = fill(&b, err);
    sqlite3_close(b.db);
    if (status == HS_OK)
        status = publish(&b, path, err);
    if (status != HS_OK)
        (void)unlink(b.path);
    return status;
}
