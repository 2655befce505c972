/* batch.c - questions out and answers in as files in the batch form of OpenAI: one JSON object a line.
 *
 * Invariant: custom_id is the name of the question; an import takes all of a file or nothing. */
#include "lm/lm.h"

#include <stdlib.h>
#include <string.h>

enum { LONGEST_LINE = 64 << 20 };

hs_status hs_lm_export(hs_lm *lm, size_t n, hs_lm_make_fn make, void *user, const char *path, uint64_t *written,
                       hs_error *err)
{
    hs_writer *w;
    hs_str body = {0};
    *written = 0;
    HS_TRY(hs_writer_open(&w, path, err));
    hs_status status = HS_OK;
    for (size_t i = 0; status == HS_OK && i < n; i++) {
        hs_lm_question q = {.seed = UINT64_MAX};
        hs_lm_answer a = {0};
        body.len = 0;
        status = make(user, i, &q, err);
        if (status == HS_OK)
            status = hs_lm_request(lm, &q, &body, a.name, err);
        if (status == HS_OK)
            status = hs_lm_cache_get(lm->cache, &a, err);
        if (status == HS_OK && (!a.known || (lm->options.again && a.reason != HS_LM_NONE))) {
            static const char head[] = "{\"custom_id\": \"", middle[] = "\", \"method\": \"POST\", \"url\": "
                                                                        "\"/v1/chat/completions\", \"body\": ";
            status = hs_writer_printf(w, err, "%s%s%s", head, a.name, middle);
            if (status == HS_OK)
                status = hs_writer_write(w, body.s, body.len, err);
            if (status == HS_OK)
                status = hs_writer_write(w, "}\n", 2, err);
            ++*written;
        }
        hs_free(a.text);
    }
    hs_str_free(&body);
    if (status != HS_OK) {
        hs_writer_abort(w);
        return status;
    }
    return hs_writer_commit(w, err);
}

static hs_status name_questions(hs_lm *lm, size_t n, hs_lm_make_fn make, void *user, hs_names *names, hs_error *err)
{
    hs_str body = {0};
    hs_status status = HS_OK;
    for (size_t i = 0; status == HS_OK && i < n; i++) {
        hs_lm_question q = {.seed = UINT64_MAX};
        char name[HS_LM_NAME_SIZE];
        uint32_t id;
        body.len = 0;
        status = make(user, i, &q, err);
        if (status == HS_OK)
            status = hs_lm_request(lm, &q, &body, name, err);
        if (status == HS_OK)
            status = hs_names_add(names, name, strlen(name), &id, err);
    }
    hs_str_free(&body);
    return status;
}

/* One line, read: into the cache, or counted as failed. */
static hs_status take(hs_lm *lm, const json_t *line, const hs_names *names, uint64_t *taken, uint64_t *failed,
                      hs_error *err)
{
    const char *name = json_string_value(json_object_get(line, "custom_id"));
    const json_t *response = json_object_get(line, "response"), *body = json_object_get(response, "body");
    if (!name || (!json_is_object(response) && !json_is_object(json_object_get(line, "error"))))
        return hs_fail(err, HS_ERR_DATA, "no line of a batch's answers: custom_id, response and error are expected");
    if (hs_names_find(names, name, strlen(name)) == HS_NO_ID) {
        hs_fail(err, HS_ERR_DATA, "the answer to none of these questions");
        hs_error_value(err, name, strlen(name));
        return hs_error_hint(err, "import with the options (model, splits, items, seed ...) of the export");
    }
    if (!json_is_object(response) || json_integer_value(json_object_get(response, "status_code")) != 200) {
        ++*failed;
        return HS_OK;
    }
    hs_lm_answer a = {0};
    snprintf(a.name, sizeof a.name, "%s", name);
    hs_lm_time(a.time);
    char *text = json_dumps(body, JSON_COMPACT | JSON_ENCODE_ANY);
    hs_status status = text ? hs_lm_read_completion(lm, text, strlen(text), &a, err)
                            : hs_lm_refuse(lm, &a, HS_LM_NO_COMPLETION, "", 0, err);
    free(text);
    if (status == HS_OK)
        status = hs_lm_cache_put(lm->cache, lm->options.model, &a, err);
    *taken += status == HS_OK;
    hs_free(a.text);
    return status;
}

static hs_status take_lines(hs_lm *lm, hs_lines *lines, const hs_names *names, uint64_t *taken, uint64_t *failed,
                            hs_error *err)
{
    const char *text;
    size_t len;
    for (;;) {
        HS_TRY(hs_lines_next(lines, &text, &len, err));
        if (!text)
            return HS_OK;
        if (len == 0)
            continue;
        json_error_t error;
        json_t *line = json_loadb(text, len, 0, &error);
        const hs_status status =
            line ? take(lm, line, names, taken, failed, err) : hs_fail(err, HS_ERR_DATA, "no JSON: %s", error.text);
        json_decref(line);
        HS_TRY(status);
    }
}

hs_status hs_lm_import(hs_lm *lm, size_t n, hs_lm_make_fn make, void *user, const char *path, uint64_t *taken,
                       uint64_t *failed, hs_error *err)
{
    hs_names names = {0};
    hs_lines *lines = NULL;
    *taken = *failed = 0;
    hs_status status = name_questions(lm, n, make, user, &names, err);
    if (status == HS_OK)
        status = hs_lines_open(&lines, path, LONGEST_LINE, err);
    if (status == HS_OK) {
        status = take_lines(lm, lines, &names, taken, failed, err);
        if (status != HS_OK && err && err->where[0] == 0)
            hs_error_where(err, "%s:%llu", path, (unsigned long long)hs_lines_number(lines));
    }
    if (status == HS_OK)
        status = hs_lm_cache_commit(lm->cache, err);
    if (status != HS_OK)
        hs_lm_cache_rollback(lm->cache);
    hs_lines_close(lines);
    hs_names_free(&names);
    return status;
}
