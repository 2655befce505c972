/* record.c - run.db: the one record of what happened, in SQLite.
 *
 * Invariants: a transaction opens with the first write and ends in hs_record_commit, so a crash at any moment leaves what
 * the last commit left (write-ahead log, synced at each commit). The training loop commits before it saves a checkpoint:
 * the record reaches at least as far as any checkpoint, and hs_record_rewind cuts it back to the one that is resumed.
 * Step and hash are 64-bit; a hash is 16 hexadecimal digits, which every reader of the file can take. A value that is not
 * finite is NULL. */
#include "hopscope/train.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sqlite3.h>

enum { SCHEMA_VERSION = 1, APPLICATION_ID = 0x68736370, BUSY_MS = 5000 };

static const char schema[] =
    "CREATE TABLE metric(step INTEGER NOT NULL, name TEXT NOT NULL, value REAL, PRIMARY KEY(step, name)) WITHOUT ROWID;"
    "CREATE TABLE evaluation(step INTEGER NOT NULL, split TEXT NOT NULL, n INTEGER NOT NULL, accuracy REAL, loss REAL,"
    " seconds REAL, PRIMARY KEY(step, split)) WITHOUT ROWID;"
    "CREATE TABLE weights(step INTEGER PRIMARY KEY, hash TEXT NOT NULL);"
    "CREATE TABLE event(id INTEGER PRIMARY KEY, time TEXT NOT NULL, step INTEGER NOT NULL, kind TEXT NOT NULL,"
    " text TEXT NOT NULL);"
    "CREATE TABLE info(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;";

typedef enum statement { ADD_METRIC, ADD_EVAL, ADD_WEIGHTS, ADD_EVENT, SET_INFO, GET_INFO, N_STATEMENTS } statement;

static const char *const sql[N_STATEMENTS] = {
    [ADD_METRIC] = "INSERT OR REPLACE INTO metric VALUES(?1, ?2, ?3)",
    [ADD_EVAL] = "INSERT OR REPLACE INTO evaluation VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
    [ADD_WEIGHTS] = "INSERT OR REPLACE INTO weights VALUES(?1, ?2)",
    [ADD_EVENT] = "INSERT INTO event(time, step, kind, text) VALUES(?1, ?2, ?3, ?4)",
    [SET_INFO] = "INSERT OR REPLACE INTO info VALUES(?1, ?2)",
    [GET_INFO] = "SELECT value FROM info WHERE key = ?1",
};

struct hs_record {
    sqlite3 *db;
    sqlite3_stmt *stmt[N_STATEMENTS];
    char path[4096];
};

static hs_status fail_sql(const hs_record *r, int code, const char *doing, hs_error *err)
{
    hs_status status;
    switch (code & 0xff) {
    case SQLITE_NOMEM:
        return hs_fail_memory(err, 0);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_MISMATCH:
    case SQLITE_ERROR: /* a table or column is not there: not our file */
        status = HS_ERR_DATA;
        break;
    default:
        status = HS_ERR_IO;
        break;
    }
    hs_fail(err, status, "cannot %s the record: %s", doing, r->db ? sqlite3_errmsg(r->db) : sqlite3_errstr(code));
    hs_error_where(err, "%s", r->path);
    if ((code & 0xff) == SQLITE_FULL || (code & 0xff) == SQLITE_IOERR)
        return hs_error_hint(err, "is the disk full? free some space and run the same command again");
    if ((code & 0xff) == SQLITE_BUSY || (code & 0xff) == SQLITE_LOCKED)
        return hs_error_hint(err, "another program is writing to this file");
    if ((code & 0xff) == SQLITE_READONLY || (code & 0xff) == SQLITE_CANTOPEN)
        return hs_error_hint(err, "choose a folder you may write to");
    return status;
}

static hs_status exec(hs_record *r, const char *text, const char *doing, hs_error *err)
{
    int code = sqlite3_exec(r->db, text, NULL, NULL, NULL);
    return code == SQLITE_OK ? HS_OK : fail_sql(r, code, doing, err);
}

static hs_status pragma_number(hs_record *r, const char *text, int64_t *out, hs_error *err)
{
    sqlite3_stmt *s = NULL;
    int code = sqlite3_prepare_v2(r->db, text, -1, &s, NULL);
    if (code == SQLITE_OK && (code = sqlite3_step(s)) == SQLITE_ROW) {
        *out = sqlite3_column_int64(s, 0);
        code = SQLITE_OK;
    }
    hs_status status = code == SQLITE_OK ? HS_OK : fail_sql(r, code, "read", err);
    sqlite3_finalize(s);
    return status;
}

static hs_status open_schema(hs_record *r, hs_error *err)
{
    int64_t version = 0, application = 0;
    HS_TRY(pragma_number(r, "PRAGMA user_version", &version, err));
    HS_TRY(pragma_number(r, "PRAGMA application_id", &application, err));
    if (version > SCHEMA_VERSION || (version != 0 && application != APPLICATION_ID)) {
        hs_fail(err, HS_ERR_DATA, application == APPLICATION_ID ? "record was made by a newer hopscope"
                                                                : "this database is no record of a run");
        return hs_error_where(err, "%s", r->path);
    }
    HS_TRY(exec(r, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;", "open", err));
    if (version == 0) {
        char text[sizeof schema + 128];
        snprintf(text, sizeof text, "BEGIN IMMEDIATE; %s PRAGMA application_id=%d; PRAGMA user_version=%d; COMMIT;", schema,
                 APPLICATION_ID, SCHEMA_VERSION);
        hs_status status = exec(r, text, "create", err);
        if (status != HS_OK) {
            sqlite3_exec(r->db, "ROLLBACK", NULL, NULL, NULL);
            return status;
        }
    }
    for (int i = 0; i < N_STATEMENTS; i++) {
        int code = sqlite3_prepare_v3(r->db, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &r->stmt[i], NULL);
        if (code != SQLITE_OK)
            return fail_sql(r, code, "read", err);
    }
    return HS_OK;
}

hs_status hs_record_open(hs_record **out, const char *path, hs_error *err)
{
    *out = NULL;
    hs_record *r = hs_calloc(1, sizeof *r);
    if (!r)
        return hs_fail_memory(err, sizeof *r);
    snprintf(r->path, sizeof r->path, "%s", path);
    int code = sqlite3_open_v2(path, &r->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    hs_status status = HS_OK;
    if (code != SQLITE_OK)
        status = fail_sql(r, code, "open", err);
    else
        sqlite3_busy_timeout(r->db, BUSY_MS);
    if (status == HS_OK)
        status = open_schema(r, err);
    if (status != HS_OK) {
        hs_record_close(r);
        return status;
    }
    *out = r;
    return HS_OK;
}

void hs_record_close(hs_record *r)
{
    if (!r)
        return;
    if (r->db && !sqlite3_get_autocommit(r->db))
        sqlite3_exec(r->db, "COMMIT", NULL, NULL, NULL); /* what can still be kept; whoever needs it sure commits before */
    for (int i = 0; i < N_STATEMENTS; i++)
        sqlite3_finalize(r->stmt[i]);
    sqlite3_close(r->db);
    hs_free(r);
}

/* ---------------------------------------------------------------- writing */

static hs_status begin(hs_record *r, hs_error *err)
{
    return sqlite3_get_autocommit(r->db) ? exec(r, "BEGIN IMMEDIATE", "write", err) : HS_OK;
}

hs_status hs_record_commit(hs_record *r, hs_error *err)
{
    if (sqlite3_get_autocommit(r->db))
        return HS_OK;
    hs_status status = exec(r, "COMMIT", "write", err);
    if (status != HS_OK && !sqlite3_get_autocommit(r->db))
        sqlite3_exec(r->db, "ROLLBACK", NULL, NULL, NULL);
    return status;
}

/* Run a prepared insert whose parameters are bound; unbinds them. */
static hs_status insert(hs_record *r, statement which, hs_error *err)
{
    sqlite3_stmt *s = r->stmt[which];
    hs_status status = begin(r, err);
    if (status == HS_OK) {
        int code = sqlite3_step(s);
        if (code != SQLITE_DONE)
            status = fail_sql(r, code, "write", err);
    }
    sqlite3_reset(s);
    sqlite3_clear_bindings(s);
    return status;
}

static void bind_text(sqlite3_stmt *s, int i, const char *text)
{
    sqlite3_bind_text(s, i, text, -1, SQLITE_TRANSIENT);
}

static void bind_step(sqlite3_stmt *s, uint64_t step)
{
    sqlite3_bind_int64(s, 1, (sqlite3_int64)step);
}

static void bind_number(sqlite3_stmt *s, int i, double value)
{
    if (isfinite(value))
        sqlite3_bind_double(s, i, value);
    else
        sqlite3_bind_null(s, i);
}

hs_status hs_record_metric(hs_record *r, uint64_t step, const char *name, double value, hs_error *err)
{
    sqlite3_stmt *s = r->stmt[ADD_METRIC];
    bind_step(s, step);
    bind_text(s, 2, name);
    bind_number(s, 3, value);
    return insert(r, ADD_METRIC, err);
}

hs_status hs_record_eval(hs_record *r, uint64_t step, double seconds, const hs_eval *eval, hs_error *err)
{
    sqlite3_stmt *s = r->stmt[ADD_EVAL];
    bind_step(s, step);
    bind_text(s, 2, eval->split);
    sqlite3_bind_int64(s, 3, (sqlite3_int64)eval->n);
    bind_number(s, 4, eval->accuracy);
    bind_number(s, 5, eval->loss);
    bind_number(s, 6, seconds);
    return insert(r, ADD_EVAL, err);
}

hs_status hs_record_weights(hs_record *r, uint64_t step, uint64_t hash, hs_error *err)
{
    char text[17];
    snprintf(text, sizeof text, "%016llx", (unsigned long long)hash);
    bind_step(r->stmt[ADD_WEIGHTS], step);
    bind_text(r->stmt[ADD_WEIGHTS], 2, text);
    return insert(r, ADD_WEIGHTS, err);
}

hs_status hs_record_event(hs_record *r, uint64_t step, const char *kind, const char *text, hs_error *err)
{
    char when[32] = "";
    time_t now = time(NULL);
    struct tm utc;
    if (gmtime_r(&now, &utc))
        strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &utc);
    sqlite3_stmt *s = r->stmt[ADD_EVENT];
    bind_text(s, 1, when);
    sqlite3_bind_int64(s, 2, (sqlite3_int64)step);
    bind_text(s, 3, kind);
    bind_text(s, 4, text);
    return insert(r, ADD_EVENT, err);
}

hs_status hs_record_info(hs_record *r, const char *key, const char *value, hs_error *err)
{
    bind_text(r->stmt[SET_INFO], 1, key);
    bind_text(r->stmt[SET_INFO], 2, value);
    return insert(r, SET_INFO, err);
}

hs_status hs_record_rewind(hs_record *r, uint64_t step, hs_error *err)
{
    static const char *const tables[] = {"metric", "evaluation", "weights", "event"};
    HS_TRY(begin(r, err));
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        char text[96];
        snprintf(text, sizeof text, "DELETE FROM %s WHERE step > %lld", tables[i], (long long)step);
        HS_TRY(exec(r, text, "rewind", err));
    }
    return hs_record_commit(r, err);
}

/* ---------------------------------------------------------------- reading */

static double column_number(sqlite3_stmt *s, int i)
{
    return sqlite3_column_type(s, i) == SQLITE_NULL ? (double)NAN : sqlite3_column_double(s, i);
}

static const char *column_text(sqlite3_stmt *s, int i)
{
    const unsigned char *text = sqlite3_column_text(s, i);
    return text ? (const char *)text : "";
}

/* Every row of a query into a grown array; `take` fills one element. */
static hs_status read_rows(hs_record *r, const char *query, size_t elem, void (*take)(sqlite3_stmt *s, void *row),
                           void **rows, size_t *n, hs_error *err)
{
    *rows = NULL;
    *n = 0;
    size_t cap = 0;
    sqlite3_stmt *s = NULL;
    int code = sqlite3_prepare_v2(r->db, query, -1, &s, NULL);
    hs_status status = code == SQLITE_OK ? HS_OK : fail_sql(r, code, "read", err);
    while (status == HS_OK && (code = sqlite3_step(s)) == SQLITE_ROW) {
        status = hs_grow(rows, &cap, *n + 1, elem, err);
        if (status == HS_OK)
            take(s, (char *)*rows + elem * (*n)++);
    }
    if (status == HS_OK && code != SQLITE_DONE)
        status = fail_sql(r, code, "read", err);
    sqlite3_finalize(s);
    if (status != HS_OK) {
        hs_free(*rows);
        *rows = NULL;
        *n = 0;
    }
    return status;
}

static void take_eval(sqlite3_stmt *s, void *row)
{
    hs_eval_row *e = row;
    *e = (hs_eval_row){.step = (uint64_t)sqlite3_column_int64(s, 0), .seconds = column_number(s, 5)};
    snprintf(e->eval.split, sizeof e->eval.split, "%s", column_text(s, 1));
    e->eval.n = (uint64_t)sqlite3_column_int64(s, 2);
    e->eval.accuracy = column_number(s, 3);
    e->eval.loss = column_number(s, 4);
}

hs_status hs_record_evals(hs_record *r, hs_eval_row **rows, size_t *n, hs_error *err)
{
    void *p;
    hs_status status = read_rows(r, "SELECT step, split, n, accuracy, loss, seconds FROM evaluation ORDER BY step, split",
                                 sizeof **rows, take_eval, &p, n, err);
    *rows = p;
    return status;
}

static void take_weights(sqlite3_stmt *s, void *row)
{
    *(hs_weights_row *)row = (hs_weights_row){.step = (uint64_t)sqlite3_column_int64(s, 0),
                                              .hash = strtoull(column_text(s, 1), NULL, 16)};
}

hs_status hs_record_weights_rows(hs_record *r, hs_weights_row **rows, size_t *n, hs_error *err)
{
    void *p;
    hs_status status =
        read_rows(r, "SELECT step, hash FROM weights ORDER BY step", sizeof **rows, take_weights, &p, n, err);
    *rows = p;
    return status;
}

hs_status hs_record_get_info(hs_record *r, const char *key, char *out, size_t size, hs_error *err)
{
    sqlite3_stmt *s = r->stmt[GET_INFO];
    if (size)
        out[0] = 0;
    bind_text(s, 1, key);
    int code = sqlite3_step(s);
    hs_status status = HS_OK;
    if (code == SQLITE_ROW)
        snprintf(out, size, "%s", column_text(s, 0));
    else if (code != SQLITE_DONE)
        status = fail_sql(r, code, "read", err);
    sqlite3_reset(s);
    sqlite3_clear_bindings(s);
    return status;
}
