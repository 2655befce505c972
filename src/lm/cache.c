/* cache.c - answers by the name of their question, in one SQLite file.
 *
 * Invariants: an answer that was committed survives a kill (write-ahead log, synced). One process has the file at a
 * time, so that two do not ask the same. A file that is no such cache, or a newer one, is not written to. There is no
 * key in it: a question is kept as its hash. */
#include "lm/lm.h"

#include <sqlite3.h>
#include <string.h>

enum { CACHE_VERSION = 1, CACHE_ID = 0x68736c6d };

static const char schema[] =
    "CREATE TABLE answer(name TEXT PRIMARY KEY, model TEXT NOT NULL, time TEXT NOT NULL, reason INTEGER NOT NULL,"
    " cut INTEGER NOT NULL, tokens_in INTEGER NOT NULL, tokens_out INTEGER NOT NULL, text TEXT NOT NULL) WITHOUT ROWID;"
    "PRAGMA application_id = 0x68736c6d; PRAGMA user_version = 1;";

struct hs_lm_cache {
    sqlite3 *db;
    sqlite3_stmt *get, *put;
    bool dirty; /* a transaction is open */
    char path[4096];
};

static hs_status fail(const hs_lm_cache *c, int code, const char *doing, hs_error *err)
{
    const bool foreign =
        (code & 0xff) == SQLITE_NOTADB || (code & 0xff) == SQLITE_CORRUPT || (code & 0xff) == SQLITE_ERROR;
    hs_fail(err, foreign ? HS_ERR_DATA : HS_ERR_IO, "cannot %s the cache of answers: %s", doing,
            c->db ? sqlite3_errmsg(c->db) : sqlite3_errstr(code));
    hs_error_where(err, "%s", c->path);
    if ((code & 0xff) == SQLITE_BUSY || (code & 0xff) == SQLITE_LOCKED)
        return hs_error_hint(err, "another process uses it: wait for it, or give another file");
    if ((code & 0xff) == SQLITE_FULL || (code & 0xff) == SQLITE_IOERR)
        return hs_error_hint(err, "is the disk full? free some space and run the same command again");
    if ((code & 0xff) == SQLITE_CANTOPEN || (code & 0xff) == SQLITE_READONLY)
        return hs_error_hint(err, "choose a folder you may write to");
    return foreign ? HS_ERR_DATA : HS_ERR_IO;
}

static hs_status exec(hs_lm_cache *c, const char *text, const char *doing, hs_error *err)
{
    const int code = sqlite3_exec(c->db, text, NULL, NULL, NULL);
    return code == SQLITE_OK ? HS_OK : fail(c, code, doing, err);
}

static hs_status number(hs_lm_cache *c, const char *text, int64_t *out, hs_error *err)
{
    sqlite3_stmt *s = NULL;
    int code = sqlite3_prepare_v2(c->db, text, -1, &s, NULL);
    if (code == SQLITE_OK && (code = sqlite3_step(s)) == SQLITE_ROW) {
        *out = sqlite3_column_int64(s, 0);
        code = SQLITE_OK;
    }
    const hs_status status = code == SQLITE_OK ? HS_OK : fail(c, code, "read", err);
    sqlite3_finalize(s);
    return status;
}

/* Ours, or empty? */
static hs_status check(hs_lm_cache *c, hs_error *err)
{
    int64_t id = 0, version = 0, tables = 0;
    HS_TRY(number(c, "PRAGMA application_id", &id, err));
    HS_TRY(number(c, "PRAGMA user_version", &version, err));
    HS_TRY(number(c, "SELECT count(*) FROM sqlite_master", &tables, err));
    if (tables == 0 && id == 0)
        return HS_OK;
    if (id == CACHE_ID && version == CACHE_VERSION)
        return HS_OK;
    hs_fail(err, HS_ERR_DATA,
            id == CACHE_ID ? "this cache was made by a newer hopscope" : "this file is no cache of answers");
    hs_error_where(err, "%s", c->path);
    return hs_error_hint(err, "give another file: --cache FILE");
}

static hs_status prepare(hs_lm_cache *c, hs_error *err)
{
    HS_TRY(check(c, err));
    /* Only now, since it writes to the file. An exclusive lock is kept from the first access on. */
    HS_TRY(exec(
        c, "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; BEGIN IMMEDIATE",
        "open", err));
    int64_t tables = 0;
    HS_TRY(number(c, "SELECT count(*) FROM sqlite_master", &tables, err));
    if (tables == 0)
        HS_TRY(exec(c, schema, "make", err));
    HS_TRY(exec(c, "COMMIT", "make", err));
    int code = sqlite3_prepare_v2(
        c->db, "SELECT time, reason, cut, tokens_in, tokens_out, text FROM answer WHERE name = ?1", -1, &c->get, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_prepare_v2(c->db, "INSERT OR REPLACE INTO answer VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)", -1,
                                  &c->put, NULL);
    return code == SQLITE_OK ? HS_OK : fail(c, code, "read", err);
}

hs_status hs_lm_cache_open(hs_lm_cache **out, const char *path, hs_error *err)
{
    *out = NULL;
    hs_lm_cache *c = hs_calloc(1, sizeof *c);
    if (!c)
        return hs_fail_memory(err, sizeof *c);
    snprintf(c->path, sizeof c->path, "%s", path);
    const int code = sqlite3_open_v2(path, &c->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL);
    const hs_status status = code == SQLITE_OK ? prepare(c, err) : fail(c, code, "open", err);
    if (status != HS_OK) {
        hs_lm_cache_close(c);
        return status;
    }
    *out = c;
    return HS_OK;
}

void hs_lm_cache_close(hs_lm_cache *c)
{
    if (!c)
        return;
    sqlite3_finalize(c->get);
    sqlite3_finalize(c->put);
    sqlite3_close(c->db);
    hs_free(c);
}

hs_status hs_lm_cache_get(hs_lm_cache *c, hs_lm_answer *out, hs_error *err)
{
    sqlite3_bind_text(c->get, 1, out->name, -1, SQLITE_STATIC);
    const int code = sqlite3_step(c->get);
    hs_status status = HS_OK;
    if (code == SQLITE_ROW) {
        const int64_t reason = sqlite3_column_int64(c->get, 1);
        const char *text = (const char *)sqlite3_column_text(c->get, 5),
                   *time = (const char *)sqlite3_column_text(c->get, 0);
        out->reason = reason >= 0 && reason < HS_LM_N_REASONS ? (hs_lm_reason)reason : HS_LM_HTTP;
        out->cut = sqlite3_column_int(c->get, 2) != 0;
        out->tokens_in = (uint64_t)sqlite3_column_int64(c->get, 3);
        out->tokens_out = (uint64_t)sqlite3_column_int64(c->get, 4);
        snprintf(out->time, sizeof out->time, "%s", time ? time : "");
        out->text = hs_strdup(text ? text : "");
        out->known = out->text != NULL;
        status = out->text ? HS_OK : hs_fail_memory(err, 0);
    } else if (code != SQLITE_DONE) {
        status = fail(c, code, "read", err);
    }
    sqlite3_reset(c->get);
    return status;
}

hs_status hs_lm_cache_put(hs_lm_cache *c, const char *model, const hs_lm_answer *a, hs_error *err)
{
    if (!c->dirty)
        HS_TRY(exec(c, "BEGIN", "write", err));
    c->dirty = true;
    sqlite3_bind_text(c->put, 1, a->name, -1, SQLITE_STATIC);
    sqlite3_bind_text(c->put, 2, model, -1, SQLITE_STATIC);
    sqlite3_bind_text(c->put, 3, a->time, -1, SQLITE_STATIC);
    sqlite3_bind_int(c->put, 4, (int)a->reason);
    sqlite3_bind_int(c->put, 5, a->cut);
    sqlite3_bind_int64(c->put, 6, (int64_t)a->tokens_in);
    sqlite3_bind_int64(c->put, 7, (int64_t)a->tokens_out);
    sqlite3_bind_text(c->put, 8, a->text ? a->text : "", -1, SQLITE_STATIC);
    const int code = sqlite3_step(c->put);
    sqlite3_reset(c->put);
    return code == SQLITE_DONE ? HS_OK : fail(c, code, "write", err);
}

hs_status hs_lm_cache_commit(hs_lm_cache *c, hs_error *err)
{
    if (!c->dirty)
        return HS_OK;
    HS_TRY(exec(c, "COMMIT", "write", err));
    c->dirty = false;
    return HS_OK;
}

void hs_lm_cache_rollback(hs_lm_cache *c)
{
    if (c->dirty)
        sqlite3_exec(c->db, "ROLLBACK", NULL, NULL, NULL);
    c->dirty = false;
}
