/* record.c - run.db: the one record of what happened, in SQLite.
 *
 * Invariants: a transaction opens with the first write and ends in hs_record_commit, so a crash at any moment leaves
 * what the last commit left (write-ahead log, synced at each commit). The training loop commits before it saves a
 * checkpoint: the record reaches at least as far as any checkpoint, and hs_record_rewind cuts it back to the one that
 * is resumed. A database that is damaged, of another program or of a newer version is not written to; one of an older
 * version is brought to this one when it is opened for writing, and read as it is otherwise. Step and hash are 64-bit; a hash is 16 hexadecimal digits, which every reader of the file can take. A
 * value that is not finite is NULL. */
#include "train/record.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <unistd.h>

enum { SCHEMA_VERSION = 2, APPLICATION_ID = 0x68736370, BUSY_MS = 5000 };

static const char schema[] =
    "CREATE TABLE metric(step INTEGER NOT NULL, name TEXT NOT NULL, value REAL, PRIMARY KEY(step, name)) WITHOUT ROWID;"
    "CREATE TABLE evaluation(step INTEGER NOT NULL, split TEXT NOT NULL, n INTEGER NOT NULL, accuracy REAL, loss REAL,"
    " seconds REAL, PRIMARY KEY(step, split)) WITHOUT ROWID;"
    "CREATE TABLE weights(step INTEGER PRIMARY KEY, hash TEXT NOT NULL);"
    "CREATE TABLE event(id INTEGER PRIMARY KEY, time TEXT NOT NULL, step INTEGER NOT NULL, kind TEXT NOT NULL,"
    " text TEXT NOT NULL);"
    "CREATE TABLE info(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;";
/* What version 2 added: links of the chain (NULL in older rows), hashes of checkpoints, measurements. Keys that a measure does
 * not have are "" (stage: -1): NULL would make rows of a primary key distinct. */
static const char schema_2[] =
    "ALTER TABLE weights ADD COLUMN chain TEXT;"
    "CREATE TABLE checkpoint(step INTEGER PRIMARY KEY, weights TEXT NOT NULL, state TEXT NOT NULL);"
    "CREATE TABLE probe(step INTEGER NOT NULL, method TEXT NOT NULL, split TEXT NOT NULL, stage INTEGER NOT NULL,"
    " position TEXT NOT NULL, role TEXT NOT NULL, measure TEXT NOT NULL, n INTEGER NOT NULL, value REAL, low REAL,"
    " high REAL, PRIMARY KEY(step, method, split, stage, position, role, measure)) WITHOUT ROWID;";

static const char *const sql[N_STATEMENTS] = {
    [ADD_METRIC] = "INSERT OR REPLACE INTO metric VALUES(?1, ?2, ?3)",
    [ADD_EVAL] = "INSERT OR REPLACE INTO evaluation VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
    [ADD_WEIGHTS] = "INSERT OR REPLACE INTO weights VALUES(?1, ?2, ?3)",
    [ADD_CHECKPOINT] = "INSERT OR REPLACE INTO checkpoint VALUES(?1, ?2, ?3)",
    [ADD_EVENT] = "INSERT INTO event(time, step, kind, text) VALUES(?1, ?2, ?3, ?4)",
    [ADD_PROBE] = "INSERT OR REPLACE INTO probe VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    [SET_INFO] = "INSERT OR REPLACE INTO info VALUES(?1, ?2)",
    [GET_INFO] = "SELECT value FROM info WHERE key = ?1",
};

static const char *const reasons[] = {[HS_STOP_NOT_YET] = "",
                                      [HS_STOP_BUDGET] = "budget",
                                      [HS_STOP_RULE] = "stop rule",
                                      [HS_STOP_SIGNAL] = "signal",
                                      [HS_STOP_NAN] = "not finite"};

hs_status hs_record_fail(const hs_record *r, int code, const char *doing, hs_error *err)
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
    return code == SQLITE_OK ? HS_OK : hs_record_fail(r, code, doing, err);
}

static hs_status pragma_number(hs_record *r, const char *text, int64_t *out, hs_error *err)
{
    sqlite3_stmt *s = NULL;
    int code = sqlite3_prepare_v2(r->db, text, -1, &s, NULL);
    if (code == SQLITE_OK && (code = sqlite3_step(s)) == SQLITE_ROW) {
        *out = sqlite3_column_int64(s, 0);
        code = SQLITE_OK;
    }
    hs_status status = code == SQLITE_OK ? HS_OK : hs_record_fail(r, code, "read", err);
    sqlite3_finalize(s);
    return status;
}

static hs_status fail_foreign(const hs_record *r, const char *what, hs_error *err)
{
    hs_fail(err, HS_ERR_DATA, "%s", what);
    return hs_error_where(err, "%s", r->path);
}

/* Whose database is it, and of which version? A file without tables is a new one: version 0. */
static hs_status read_version(hs_record *r, hs_error *err)
{
    int64_t application = 0, tables = 0, ours = 0;
    HS_TRY(pragma_number(r, "PRAGMA user_version", &r->version, err));
    HS_TRY(pragma_number(r, "PRAGMA application_id", &application, err));
    HS_TRY(pragma_number(r, "SELECT count(*) FROM sqlite_master WHERE type = 'table'", &tables, err));
    HS_TRY(pragma_number(r,
                         "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name IN "
                         "('metric', 'evaluation', 'weights', 'event', 'info')",
                         &ours, err));
    if ((r->version != 0 && application != APPLICATION_ID) || (tables > 0 && ours < 5))
        return fail_foreign(r, "this database is no record of a run", err);
    if (r->version > SCHEMA_VERSION) {
        char what[96];
        snprintf(what, sizeof what, "record was made by a newer hopscope: version %lld, this one knows up to %d",
                 (long long)r->version, SCHEMA_VERSION);
        fail_foreign(r, what, err);
        return hs_error_hint(err, "use the hopscope that made it, or a newer one");
    }
    if (tables > 0 && r->version == 0)
        r->version = 1; /* before versions were counted */
    return HS_OK;
}

/* Before the first write: a page that is damaged is found now, not built upon. */
static hs_status check_whole(hs_record *r, hs_error *err)
{
    sqlite3_stmt *s = NULL;
    int code = sqlite3_prepare_v2(r->db, "PRAGMA quick_check(1)", -1, &s, NULL);
    if (code == SQLITE_OK && (code = sqlite3_step(s)) == SQLITE_ROW)
        code = strcmp((const char *)sqlite3_column_text(s, 0), "ok") == 0 ? SQLITE_OK : SQLITE_CORRUPT;
    sqlite3_finalize(s);
    if (code == SQLITE_OK)
        return HS_OK;
    if ((code & 0xff) != SQLITE_CORRUPT)
        return hs_record_fail(r, code, "read", err);
    fail_foreign(r, "the record is damaged; nothing was written to it", err);
    return hs_error_hint(err, "bring back a copy of it, or move the run away and train it again");
}

/* Create the tables, or those that a newer version has: all or nothing. */
static hs_status upgrade(hs_record *r, hs_error *err)
{
    char text[sizeof schema + sizeof schema_2 + 128];
    snprintf(text, sizeof text, "BEGIN IMMEDIATE; %s %s PRAGMA application_id=%d; PRAGMA user_version=%d; COMMIT;",
             r->version < 1 ? schema : "", r->version < 2 ? schema_2 : "", APPLICATION_ID, SCHEMA_VERSION);
    const hs_status status = exec(r, text, r->version < 1 ? "create" : "upgrade", err);
    if (status == HS_OK)
        r->version = SCHEMA_VERSION;
    else
        sqlite3_exec(r->db, "ROLLBACK", NULL, NULL, NULL);
    return status;
}

static hs_status open_schema(hs_record *r, bool writer, hs_error *err)
{
    HS_TRY(read_version(r, err));
    if (writer) {
        HS_TRY(check_whole(r, err));
        HS_TRY(exec(r, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;", "open", err));
        if (r->version < SCHEMA_VERSION)
            HS_TRY(upgrade(r, err));
    }
    for (int i = 0; i < N_STATEMENTS; i++) {
        if ((i == ADD_PROBE || i == ADD_WEIGHTS || i == ADD_CHECKPOINT) && r->version < 2)
            continue; /* only read, from a file that has them not */
        int code = sqlite3_prepare_v3(r->db, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &r->stmt[i], NULL);
        if (code != SQLITE_OK)
            return hs_record_fail(r, code, "read", err);
    }
    return HS_OK;
}

/* Open `name` (a path, or a URI of one) and what every use of it needs. */
hs_status hs_record_check_path(const char *path, hs_error *err)
{
    char folder[4096] = "";
    sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
    if (path[0] != '/' && !getcwd(folder, sizeof folder))
        return hs_fail_errno(err, path, "find the current folder");
    const size_t len = strlen(path) + (folder[0] ? strlen(folder) + 1 : 0), suffix = strlen("-journal");
    if (!vfs || len + suffix <= (size_t)vfs->mxPathname)
        return HS_OK;
    hs_fail(err, HS_ERR_USAGE, "the record's path has %zu bytes; SQLite takes up to %zu", len,
            (size_t)vfs->mxPathname - suffix);
    hs_error_where(err, "%s", path);
    return hs_error_hint(err, "choose a run directory with a shorter path");
}

static hs_status open_as(hs_record **out, const char *path, const char *name, int flags, hs_error *err)
{
    *out = NULL;
    HS_TRY(hs_record_check_path(path, err));
    hs_record *r = hs_calloc(1, sizeof *r);
    if (!r)
        return hs_fail_memory(err, sizeof *r);
    snprintf(r->path, sizeof r->path, "%s", path);
    int code = sqlite3_open_v2(name, &r->db, flags | SQLITE_OPEN_NOMUTEX, NULL);
    hs_status status = HS_OK;
    if (code != SQLITE_OK)
        status = hs_record_fail(r, code, "open", err);
    else
        sqlite3_busy_timeout(r->db, BUSY_MS);
    if (status == HS_OK)
        status = open_schema(r, (flags & SQLITE_OPEN_CREATE) != 0, err);
    if (status != HS_OK) {
        hs_record_close(r);
        return status;
    }
    *out = r;
    return HS_OK;
}

hs_status hs_record_open(hs_record **out, const char *path, hs_error *err)
{
    return open_as(out, path, path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, err);
}

/* A write-ahead log needs its index file even for reading. Where that cannot be made, on a read-only disk, nobody
 * writes either, and the database can be read as it lies there. */
hs_status hs_record_open_read(hs_record **out, const char *path, hs_error *err)
{
    char uri[3 * 4096 + 32] = "file:", log[4096 + 8];
    size_t used = strlen(uri);
    *out = NULL;
    if (!hs_file_exists(path)) {
        hs_fail(err, HS_ERR_IO, "there is no record of a run here");
        hs_error_where(err, "%s", path);
        return hs_error_hint(err, "a run directory is made by hopscope run FILE, under runs/");
    }
    if (open_as(out, path, path, SQLITE_OPEN_READWRITE, err) == HS_OK) /* a file that may only be read is opened so */
        return HS_OK;
    snprintf(log, sizeof log, "%s-wal", path);
    if ((err && err->status != HS_ERR_IO) || hs_file_exists(log))
        return err ? err->status : HS_ERR_IO;
    for (const char *c = path; *c && used + 4 < sizeof uri; c++)
        used += (size_t)snprintf(uri + used, sizeof uri - used, strchr("?#%", *c) ? "%%%02X" : "%c", (unsigned char)*c);
    snprintf(uri + used, sizeof uri - used, "?immutable=1");
    return open_as(out, path, uri, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, err);
}

static void clear_pending(hs_record *r)
{
    for (size_t i = 0; i < r->n_pending; i++)
        hs_free(r->pending[i].text);
    r->n_pending = 0;
    r->lost = false;
}

static hs_status begin(hs_record *r, hs_error *err);

void hs_record_close(hs_record *r)
{
    if (!r)
        return;
    if (r->db && !sqlite3_get_autocommit(r->db))
        sqlite3_exec(r->db, "COMMIT", NULL, NULL,
                     NULL); /* what can still be kept; whoever needs it sure commits before */
    for (int i = 0; i < N_STATEMENTS; i++)
        sqlite3_finalize(r->stmt[i]);
    sqlite3_close(r->db);
    clear_pending(r);
    hs_free(r->pending);
    hs_free(r);
}

/* ---------------------------------------------------------------- writing */

static void bind_number(sqlite3_stmt *s, int i, double value)
{
    if (isfinite(value))
        sqlite3_bind_double(s, i, value);
    else
        sqlite3_bind_null(s, i);
}

static void bind_hash(sqlite3_stmt *s, int i, uint64_t hash)
{
    char text[32];
    snprintf(text, sizeof text, "%016" PRIx64, hash);
    hs_record_bind_text(s, i, text);
}

static void bind_probe(sqlite3_stmt *s, const row *w)
{
    sqlite3_bind_int64(s, 1, (sqlite3_int64)w->step);
    hs_record_bind_text(s, 2, w->probe.method);
    hs_record_bind_text(s, 3, w->probe.split);
    sqlite3_bind_int64(s, 4, w->probe.stage);
    hs_record_bind_text(s, 5, w->probe.position);
    hs_record_bind_text(s, 6, w->probe.role);
    hs_record_bind_text(s, 7, w->probe.measure);
    sqlite3_bind_int64(s, 8, (sqlite3_int64)w->probe.n);
    bind_number(s, 9, w->probe.value);
    bind_number(s, 10, w->probe.low);
    bind_number(s, 11, w->probe.high);
}

static void bind_row(sqlite3_stmt *s, const row *w)
{
    switch (w->which) {
    case ADD_METRIC:
        sqlite3_bind_int64(s, 1, (sqlite3_int64)w->step);
        hs_record_bind_text(s, 2, w->name);
        bind_number(s, 3, w->number[0]);
        break;
    case ADD_EVAL:
        sqlite3_bind_int64(s, 1, (sqlite3_int64)w->step);
        hs_record_bind_text(s, 2, w->name);
        sqlite3_bind_int64(s, 3, (sqlite3_int64)w->n);
        for (int i = 0; i < 3; i++)
            bind_number(s, 4 + i, w->number[i]);
        break;
    case ADD_WEIGHTS:
    case ADD_CHECKPOINT:
        sqlite3_bind_int64(s, 1, (sqlite3_int64)w->step);
        bind_hash(s, 2, w->hash[0]);
        bind_hash(s, 3, w->hash[1]);
        break;
    case ADD_EVENT:
        hs_record_bind_text(s, 1, w->when);
        sqlite3_bind_int64(s, 2, (sqlite3_int64)w->step);
        hs_record_bind_text(s, 3, w->name);
        hs_record_bind_text(s, 4, w->text);
        break;
    case ADD_PROBE:
        bind_probe(s, w);
        break;
    case SET_INFO:
        hs_record_bind_text(s, 1, w->name);
        hs_record_bind_text(s, 2, w->text);
        break;
    case GET_INFO:
    case N_STATEMENTS:
        break;
    }
}

static hs_status insert(hs_record *r, const row *w, hs_error *err)
{
    sqlite3_stmt *s = r->stmt[w->which];
    bind_row(s, w);
    const int code = sqlite3_step(s);
    const hs_status status = code == SQLITE_DONE ? HS_OK : hs_record_fail(r, code, "write", err);
    sqlite3_reset(s);
    sqlite3_clear_bindings(s);
    return status;
}

/* A transaction is open afterwards, with every pending row in it. */
static hs_status begin(hs_record *r, hs_error *err)
{
    if (!sqlite3_get_autocommit(r->db))
        return HS_OK;
    HS_TRY(exec(r, "BEGIN IMMEDIATE", "write", err));
    for (size_t i = 0; i < r->n_pending; i++)
        HS_TRY(insert(r, &r->pending[i], err));
    r->lost = false;
    return HS_OK;
}

static void roll_back(hs_record *r)
{
    if (!sqlite3_get_autocommit(r->db))
        sqlite3_exec(r->db, "ROLLBACK", NULL, NULL, NULL);
    r->lost = r->n_pending > 0;
}

hs_status hs_record_commit(hs_record *r, hs_error *err)
{
    hs_status status = HS_OK;
    if (r->lost)
        status = begin(r, err);
    if (status == HS_OK && !sqlite3_get_autocommit(r->db))
        status = exec(r, "COMMIT", "write", err);
    if (status == HS_OK)
        clear_pending(r);
    else
        roll_back(r);
    return status;
}

/* Takes w->text. The row is kept even when it cannot be written now; so are those after it, without an error. */
static hs_status add(hs_record *r, row w, hs_error *err)
{
    void *p = r->pending;
    hs_status status = w.text || (w.which != ADD_EVENT && w.which != SET_INFO) ? HS_OK : hs_fail_memory(err, 0);
    if (status == HS_OK)
        status = hs_grow(&p, &r->cap_pending, r->n_pending + 1, sizeof *r->pending, err);
    if (status != HS_OK) {
        hs_free(w.text);
        return status;
    }
    r->pending = p;
    const bool lost = r->lost; /* already said; the next commit tries again, not every row */
    if (!lost)
        status = begin(r, err);
    r->pending[r->n_pending++] = w;
    if (!lost && status == HS_OK)
        status = insert(r, &w, err);
    if (status != HS_OK)
        roll_back(r);
    return status;
}

static row row_of(statement which, uint64_t step, const char *name)
{
    row w = {.which = which, .step = step};
    snprintf(w.name, sizeof w.name, "%s", name);
    return w;
}

hs_status hs_record_metric(hs_record *r, uint64_t step, const char *name, double value, hs_error *err)
{
    row w = row_of(ADD_METRIC, step, name);
    w.number[0] = value;
    return add(r, w, err);
}

hs_status hs_record_eval(hs_record *r, uint64_t step, double seconds, const hs_eval *eval, hs_error *err)
{
    row w = row_of(ADD_EVAL, step, eval->split);
    w.n = eval->n;
    w.number[0] = eval->accuracy;
    w.number[1] = eval->loss;
    w.number[2] = seconds;
    return add(r, w, err);
}

static hs_status add_hashes(hs_record *r, statement which, uint64_t step, uint64_t first, uint64_t second,
                            hs_error *err)
{
    row w = row_of(which, step, "");
    w.hash[0] = first;
    w.hash[1] = second;
    return add(r, w, err);
}

hs_status hs_record_weights(hs_record *r, uint64_t step, uint64_t hash, uint64_t chain, hs_error *err)
{
    return add_hashes(r, ADD_WEIGHTS, step, hash, chain, err);
}

hs_status hs_record_checkpoint(hs_record *r, uint64_t step, uint64_t weights, uint64_t state, hs_error *err)
{
    return add_hashes(r, ADD_CHECKPOINT, step, weights, state, err);
}

hs_status hs_record_event(hs_record *r, uint64_t step, const char *kind, const char *text, hs_error *err)
{
    row w = row_of(ADD_EVENT, step, kind);
    time_t now = time(NULL);
    struct tm utc;
    if (gmtime_r(&now, &utc))
        strftime(w.when, sizeof w.when, "%Y-%m-%dT%H:%M:%SZ", &utc);
    w.text = hs_strdup(text);
    return add(r, w, err);
}

hs_status hs_record_probe(hs_record *r, const hs_probe_row *probe, hs_error *err)
{
    row w = row_of(ADD_PROBE, probe->step, "");
    w.probe = *probe;
    return add(r, w, err);
}

hs_status hs_record_info(hs_record *r, const char *key, const char *value, hs_error *err)
{
    row w = row_of(SET_INFO, 0, key);
    w.text = hs_strdup(value);
    return add(r, w, err);
}

/* Rows not yet committed are cut as well: they may be written again later. */
static void cut_pending(hs_record *r, uint64_t step)
{
    size_t kept = 0;
    for (size_t i = 0; i < r->n_pending; i++)
        if (r->pending[i].which == SET_INFO || r->pending[i].step <= step)
            r->pending[kept++] = r->pending[i];
        else
            hs_free(r->pending[i].text);
    r->n_pending = kept;
}

/* Rows of checkpoints stay: they say what this run saved, and a file newer than the one resumed may still lie there. */
hs_status hs_record_rewind(hs_record *r, uint64_t step, hs_error *err)
{
    static const char *const tables[] = {"metric", "evaluation", "weights", "event", "probe"};
    cut_pending(r, step);
    HS_TRY(begin(r, err));
    const size_t n = sizeof tables / sizeof *tables;
    for (size_t i = 0; i < n; i++) {
        char text[96];
        snprintf(text, sizeof text, "DELETE FROM %s WHERE step > %lld", tables[i], (long long)step);
        HS_TRY(exec(r, text, "rewind", err));
    }
    return hs_record_commit(r, err);
}

/* ---------------------------------------------------------------- what is noted once */

hs_status hs_record_get_info(hs_record *r, const char *key, char *out, size_t size, hs_error *err)
{
    sqlite3_stmt *s = r->stmt[GET_INFO];
    if (size)
        out[0] = 0;
    hs_record_bind_text(s, 1, key);
    int code = sqlite3_step(s);
    hs_status status = HS_OK;
    if (code == SQLITE_ROW)
        snprintf(out, size, "%s", hs_record_column_text(s, 0));
    else if (code != SQLITE_DONE)
        status = hs_record_fail(r, code, "read", err);
    sqlite3_reset(s);
    sqlite3_clear_bindings(s);
    return status;
}

bool hs_record_in_place(hs_record *r)
{
    int moved = 0;
    return sqlite3_file_control(r->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved) != SQLITE_OK || !moved;
}

hs_status hs_record_copy(hs_record *r, const char *path, hs_error *err)
{
    HS_TRY(hs_record_commit(r, err));
    char *text = sqlite3_mprintf("VACUUM INTO %Q", path);
    if (!text)
        return hs_fail_memory(err, strlen(path));
    const hs_status status = exec(r, text, "copy", err);
    sqlite3_free(text);
    return status;
}

const char *hs_stop_reason_text(hs_stop_reason reason)
{
    return reasons[reason];
}

hs_status hs_record_ended_by(hs_record *r, hs_stop_reason *out, hs_error *err)
{
    char text[32];
    *out = HS_STOP_NOT_YET;
    HS_TRY(hs_record_get_info(r, "ended_by", text, sizeof text, err));
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (strcmp(reasons[i], text) == 0)
            *out = (hs_stop_reason)i;
    return HS_OK;
}
