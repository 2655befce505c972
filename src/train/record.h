/* record.h - what the files of run.db share: record.c opens and writes, record_rows.c reads rows. */
#ifndef HOPSCOPE_TRAIN_RECORD_H
#define HOPSCOPE_TRAIN_RECORD_H

#include "hopscope/train.h"

#include <sqlite3.h>

typedef enum statement {
    ADD_METRIC,
    ADD_EVAL,
    ADD_WEIGHTS,
    ADD_CHECKPOINT,
    ADD_EVENT,
    ADD_PROBE,
    SET_INFO,
    GET_INFO,
    N_STATEMENTS
} statement;

/* One row on its way to the database. */
typedef struct row {
    statement which;
    uint64_t step;
    char name[64]; /* of a metric, split, key, kind */
    char *text;    /* owned; value of an info, text of an event */
    char when[32];
    uint64_t n;
    uint64_t hash[2];
    double number[3];
    hs_probe_row probe;
} row;

struct hs_record {
    sqlite3 *db;
    sqlite3_stmt *stmt[N_STATEMENTS];
    row *pending; /* (n_pending) since the last commit that succeeded */
    size_t n_pending, cap_pending;
    int64_t version; /* of the schema in the file */
    bool lost;       /* `pending` is not in the open transaction: a commit failed */
    char path[4096];
};

/* An error of SQLite as ours: HS_ERR_DATA for a file that is no sound record, HS_ERR_IO for a disk that fails, HS_ERR_MEMORY. `doing`
 * completes "cannot ... the record". */
hs_status hs_record_fail(const hs_record *r, int code, const char *doing, hs_error *err);

static inline void hs_record_bind_text(sqlite3_stmt *s, int i, const char *text)
{
    sqlite3_bind_text(s, i, text, -1, SQLITE_TRANSIENT);
}

/* "" for NULL; valid until the next step of the statement. */
static inline const char *hs_record_column_text(sqlite3_stmt *s, int i)
{
    const unsigned char *text = sqlite3_column_text(s, i);
    return text ? (const char *)text : "";
}

#endif
