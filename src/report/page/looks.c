/* looks.c - the looks of a run: its queries at its stored checkpoints, LOOKS of docs/page.md, compressed; and questions
 * to one run, one after another.
 *
 * Invariant: how many checkpoints and queries are looked at follows from the model and the settings, not from the
 * clock. */
#include "report/page/page.h"

#include "experiment/internal.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

/* ---------------------------------------------------------------- which */

enum { FEW_QUERIES = 20, LEAST_CHECKPOINTS = 4 };

/* Chosen anew: as many of each split again. */
static hs_status fewer_queries(hs_page_run *r, uint32_t wanted, hs_error *err)
{
    hs_free(r->query);
    HS_TRY(hs_page_queries(&r->run.data, wanted, &r->query, &r->n_queries, err));
    hs_status status = HS_OK;
    for (uint32_t i = 0; i < r->n_queries && status == HS_OK; i++)
        status = hs_page_query_place(&r->run.data, &r->run.model, NULL, &r->query[i], err);
    return status;
}

hs_status hs_page_afford(hs_page_run *r, const hs_page_options *options, hs_error *err)
{
    if (!r->has_model || r->n_queries == 0 || r->n_steps == 0)
        return HS_OK;
    double one = 0;
    for (uint32_t i = 0; i < r->n_queries; i++)
        one = fmax(one, hs_page_look_flop(&r->run.model, r->query[i].n));
    const double looks = (options->flop > 0 ? options->flop : HS_PAGE_FLOP) / one;
    const uint32_t least = r->n_queries < FEW_QUERIES ? r->n_queries : FEW_QUERIES;
    const double fit = looks / LEAST_CHECKPOINTS;
    if (fit < r->n_queries && !options->queries)
        HS_TRY(fewer_queries(r, fit < least ? least : (uint32_t)fit, err));
    const double steps = looks / r->n_queries;
    if (steps < (double)r->n_steps && !options->checkpoints)
        hs_page_thin(r->step, &r->n_steps, steps < 1 ? 1 : (size_t)steps);
    return HS_OK;
}

/* ---------------------------------------------------------------- looking */

static hs_status look_at_step(hs_page_run *r, hs_pool *pool, const hs_signals *signals, hs_str *text, hs_error *err)
{
    hs_str *json = hs_calloc(r->n_queries + 1, sizeof *json);
    if (!json)
        return hs_fail_memory(err, r->n_queries * sizeof *json);
    const hs_status status =
        hs_page_look(&r->run.model, &r->run.data, r->query, r->n_queries, pool, signals, json, err);
    hs_page_open(text, '[');
    for (uint32_t i = 0; i < r->n_queries; i++) {
        if (status == HS_OK)
            hs_page_raw(text, json[i].s);
        hs_str_free(&json[i]);
    }
    hs_page_close(text, ']');
    hs_free(json);
    return status == HS_OK && text->failed ? hs_fail_memory(err, text->len) : status;
}

static bool is_stop(hs_status status)
{
    return hs_status_stopped(status) || status == HS_ERR_MEMORY;
}

/* Every step that can be loaded; the others leave the list. */
static hs_status look_at_steps(hs_page_run *r, hs_pool *pool, const hs_signals *signals, const hs_events *events,
                               hs_page_looks *out, hs_error *err)
{
    size_t kept = 0;
    for (size_t i = 0; i < r->n_steps; i++) {
        hs_error why = {0};
        const hs_event event = {.kind = HS_EVENT_PROGRESS, .stage = "page", .done = i, .total = r->n_steps};
        if (events && events->fn)
            events->fn(events->user, &event);
        hs_status status = hs_run_load_step(&r->run, r->step[i], &why);
        if (status != HS_OK && !is_stop(status)) {
            hs_page_lacks(r, "A checkpoint cannot be read", &why);
            continue;
        }
        if (status == HS_OK)
            status = look_at_step(r, pool, signals, &out->text[kept], &why);
        if (status != HS_OK) {
            if (err)
                *err = why;
            return status;
        }
        r->step[kept++] = r->step[i];
    }
    r->n_steps = out->n = kept;
    return HS_OK;
}

hs_status hs_page_looks_make(hs_page_run *r, const hs_page_options *options, const hs_signals *signals,
                             const hs_events *events, hs_page_looks *out, hs_error *err)
{
    *out = (hs_page_looks){0};
    if (!r->has_data || !r->has_config || r->n_queries == 0)
        r->n_steps = 0;
    if (r->n_steps == 0)
        return HS_OK;
    hs_scope *scope = NULL;
    HS_TRY(hs_scope_create(&scope, &r->run.data, err));
    hs_status status = HS_OK;
    for (uint32_t i = 0; i < r->n_queries && status == HS_OK; i++)
        status = hs_page_query_place(&r->run.data, &r->run.model, scope, &r->query[i], err);
    hs_pool *pool = status == HS_OK ? hs_pool_create(options->threads) : NULL;
    if (status == HS_OK && !pool)
        status = hs_fail(err, HS_ERR_MEMORY, "worker threads cannot be started");
    out->text = hs_calloc(r->n_steps, sizeof *out->text);
    out->n = out->text ? r->n_steps : 0;
    if (status == HS_OK && !out->text)
        status = hs_fail_memory(err, r->n_steps * sizeof *out->text);
    if (status == HS_OK)
        status = look_at_steps(r, pool, signals, events, out, err);
    hs_pool_free(pool);
    hs_scope_free(scope);
    if (status != HS_OK)
        hs_page_looks_free(out);
    return status;
}

void hs_page_looks_halve(hs_page_run *r, hs_page_looks *looks)
{
    size_t kept = 0;
    for (size_t i = 0; i < looks->n; i++) {
        if ((looks->n - 1 - i) % 2 == 0) { /* the last stays */
            const hs_str moved = looks->text[i];
            looks->text[i] = (hs_str){0};
            looks->text[kept] = moved;
            r->step[kept++] = r->step[i];
        } else {
            hs_str_free(&looks->text[i]);
            looks->text[i] = (hs_str){0};
        }
    }
    looks->n = r->n_steps = kept;
}

void hs_page_looks_free(hs_page_looks *looks)
{
    for (size_t i = 0; i < looks->n; i++)
        hs_str_free(&looks->text[i]);
    hs_free(looks->text);
    *looks = (hs_page_looks){0};
}

/* ---------------------------------------------------------------- packing */

/* RFC 4648. */
static void add_base64(hs_str *out, const unsigned char *data, size_t size)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char line[4 * 1024];
    for (size_t i = 0; i < size;) {
        size_t n = 0;
        for (; i < size && n < sizeof line; i += 3, n += 4) {
            const size_t left = size - i;
            const uint32_t word =
                (uint32_t)data[i] << 16 | (left > 1 ? (uint32_t)data[i + 1] << 8 : 0) | (left > 2 ? data[i + 2] : 0);
            line[n] = digits[word >> 18];
            line[n + 1] = digits[word >> 12 & 63];
            line[n + 2] = left > 1 ? digits[word >> 6 & 63] : '=';
            line[n + 3] = left > 2 ? digits[word & 63] : '=';
        }
        hs_str_add(out, line, n);
    }
}

/* Without a time, so that the same text gives the same bytes. */
hs_status hs_page_pack(hs_str *out, const char *text, size_t len, hs_error *err)
{
    enum { GZIP = 15 + 16 };
    z_stream z = {0};
    if (len > UINT32_MAX || deflateInit2(&z, 6, Z_DEFLATED, GZIP, 9, Z_DEFAULT_STRATEGY) != Z_OK)
        return hs_fail(err, HS_ERR_MEMORY, "%zu bytes cannot be compressed", len);
    const size_t bound = deflateBound(&z, len);
    unsigned char *packed = hs_alloc(bound);
    hs_status status = packed ? HS_OK : hs_fail_memory(err, bound);
    if (packed) {
        z.next_in = (unsigned char *)(uintptr_t)text;
        z.avail_in = (unsigned)len;
        z.next_out = packed;
        z.avail_out = (unsigned)bound;
        if (deflate(&z, Z_FINISH) == Z_STREAM_END)
            add_base64(out, packed, z.total_out);
        else
            status = hs_fail(err, HS_ERR_FAILED, "%zu bytes cannot be compressed", len);
    }
    deflateEnd(&z);
    hs_free(packed);
    return status;
}

hs_status hs_page_looks_pack(const hs_page_run *r, const hs_page_looks *looks, hs_str *out, hs_error *err)
{
    hs_str text = {0};
    hs_page_open(&text, '{');
    hs_page_key(&text, "checkpoints");
    hs_page_open(&text, '[');
    for (size_t i = 0; i < r->n_steps; i++)
        hs_page_whole(&text, r->step[i]);
    hs_page_close(&text, ']');
    hs_page_key(&text, "alphas");
    hs_page_open(&text, '[');
    for (int a = 0; a < HS_PAGE_ALPHAS; a++)
        hs_page_number(&text, (double)hs_page_alphas[a]);
    hs_page_close(&text, ']');
    hs_page_key(&text, "looks");
    hs_page_open(&text, '[');
    for (size_t i = 0; i < looks->n; i++)
        hs_page_raw(&text, looks->text[i].s);
    hs_page_close(&text, ']');
    hs_page_close(&text, '}');
    const hs_status status = text.failed ? hs_fail_memory(err, text.len) : hs_page_pack(out, text.s, text.len, err);
    hs_str_free(&text);
    return status;
}

/* ---------------------------------------------------------------- asking one run */

struct hs_page_desk {
    hs_run run;
    hs_scope *scope;
    bool loaded;
};

hs_status hs_page_desk_open(hs_page_desk **out, const char *run_dir, hs_error *err)
{
    hs_page_desk *desk = hs_calloc(1, sizeof *desk);
    *out = NULL;
    if (!desk)
        return hs_fail_memory(err, sizeof *desk);
    hs_status status = hs_run_open(&desk->run, run_dir, HS_LATEST, err);
    if (status == HS_OK)
        status = hs_scope_create(&desk->scope, &desk->run.data, err);
    desk->loaded = status == HS_OK;
    if (status == HS_OK)
        *out = desk;
    else
        hs_page_desk_close(desk);
    return status;
}

/* Names, or "#12" where that is no name. */
static hs_status find_tokens(const hs_dataset *data, const char *const *word, uint32_t n, uint32_t *token,
                             hs_error *err)
{
    const char *name[HS_PAGE_WORDS];
    for (uint32_t i = 0; i < n; i++) {
        char *end = NULL;
        name[i] = word[i];
        if (word[i][0] != '#' || word[i][1] < '0' || word[i][1] > '9' ||
            hs_names_find(&data->vocab, word[i], strlen(word[i])) != HS_NO_ID)
            continue;
        const unsigned long id = strtoul(word[i] + 1, &end, 10);
        if (*end == 0 && id < data->vocab.n)
            name[i] = hs_names_get(&data->vocab, (uint32_t)id);
    }
    return hs_ask_words(data, name, n, token, err);
}

/* Other weights, where the step is not the one that is loaded. */
static hs_status load(hs_page_desk *desk, uint64_t step, hs_error *err)
{
    if (desk->loaded && (step == HS_LATEST || step == desk->run.step))
        return HS_OK;
    if (step != HS_LATEST)
        HS_TRY(hs_run_check_step(desk->run.dir, step, err));
    const hs_status status = hs_run_load_step(&desk->run, step, err);
    desk->loaded = status == HS_OK; /* after a failure there is no model */
    return status;
}

hs_status hs_page_desk_ask(hs_page_desk *desk, uint64_t step, const char *const *word, uint32_t n, hs_str *out,
                           hs_error *err)
{
    const hs_dataset *data = &desk->run.data;
    uint32_t token[HS_PAGE_WORDS];
    hs_page_query query;
    HS_TRY(load(desk, step, err));
    const uint32_t longest = hs_model_longest_prompt(&desk->run.model), least = data->tokens_per_entity + 1;
    if (n < least || n > longest || n > HS_PAGE_WORDS) {
        hs_fail(err, HS_ERR_DATA, "a question has %u to %u words, this one %u", least, longest, n);
        return hs_error_hint(err, "a head, and one relation after another");
    }
    HS_TRY(find_tokens(data, word, n, token, err));
    HS_TRY(hs_page_query_of(data, token, n, &query, err));
    HS_TRY(hs_page_query_place(data, &desk->run.model, desk->scope, &query, err));
    hs_str look = {0};
    const hs_status status = hs_page_look(&desk->run.model, data, &query, 1, NULL, NULL, &look, err);
    if (status == HS_OK) {
        hs_page_open(out, '{');
        hs_page_key(out, "query");
        hs_page_query_json(data, &query, out);
        hs_page_key_whole(out, "step", desk->run.step);
        hs_page_key(out, "look");
        hs_page_raw(out, look.s);
        hs_page_close(out, '}');
    }
    hs_str_free(&look);
    return status == HS_OK && out->failed ? hs_fail_memory(err, out->len) : status;
}

void hs_page_desk_close(hs_page_desk *desk)
{
    if (!desk)
        return;
    hs_scope_free(desk->scope);
    hs_run_close(&desk->run);
    hs_free(desk);
}
