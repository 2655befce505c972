/* json_each.c - JSON files: a list is parsed element by element, so that 700,000 items never exist as objects at once.
 */
#include "data/io/json_each.h"

#include <string.h>

#define MAX_FILE ((size_t)1 << 34)

static const char *skip_space(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r'))
        p++;
    return p;
}

static uint64_t line_of(const char *text, const char *at)
{
    uint64_t line = 1;
    for (const char *p = text; p < at; p++)
        line += *p == '\n';
    return line;
}

/* Nothing may follow the list: `p` is its "]". */
static hs_status check_end(const char *text, const char *p, const char *end, const char *path, hs_error *err)
{
    p = skip_space(p + 1, end);
    if (p == end)
        return HS_OK;
    hs_fail(err, HS_ERR_DATA, "something follows the JSON list");
    hs_error_value(err, p, (size_t)(end - p));
    return hs_error_where(err, "%s:%llu", path, (unsigned long long)line_of(text, p));
}

static hs_status each(const char *text, const char *end, const char *path, hs_json_fn fn, void *user, hs_error *err)
{
    const char *p = skip_space(text, end);
    if (p == end || *p != '[') {
        hs_fail(err, HS_ERR_DATA, "not a JSON list");
        return hs_error_where(err, "%s:%llu", path, (unsigned long long)line_of(text, p));
    }
    p = skip_space(p + 1, end);
    if (p < end && *p == ']')
        return check_end(text, p, end, path, err);
    for (uint64_t number = 1; p < end; number++) {
        json_error_t problem;
        json_t *element = json_loadb(p, (size_t)(end - p), JSON_DISABLE_EOF_CHECK | JSON_DECODE_ANY, &problem);
        hs_status status = HS_OK;
        if (element)
            status = fn(user, element, err);
        else
            status = hs_fail(err, HS_ERR_DATA, "not JSON: %s", problem.text);
        json_decref(element);
        if (status != HS_OK) {
            if (status == HS_ERR_DATA)
                hs_error_where(err, "%s:%llu, element %llu", path,
                               (unsigned long long)(line_of(text, p) +
                                                    (element || problem.line < 1 ? 0u : (unsigned)problem.line - 1u)),
                               (unsigned long long)number);
            return status;
        }
        p = skip_space(p + problem.position, end);
        if (p < end && *p == ']')
            return check_end(text, p, end, path, err);
        if (p == end || *p != ',')
            break;
        p = skip_space(p + 1, end);
    }
    hs_fail(err, HS_ERR_DATA, "the JSON list ends too early");
    return hs_error_where(err, "%s:%llu", path, (unsigned long long)line_of(text, p));
}

hs_status hs_json_each(const char *path, hs_json_fn fn, void *user, hs_error *err)
{
    char *text;
    size_t size;
    HS_TRY(hs_file_read(path, MAX_FILE, &text, &size, err));
    hs_status status = each(text, text + size, path, fn, user, err);
    hs_free(text);
    return status;
}

hs_status hs_json_load(const char *dir, const char *name, json_t **out, char *path, size_t path_size, hs_error *err)
{
    char *text;
    size_t size;
    HS_TRY(hs_path_join(path, path_size, dir, name, err));
    HS_TRY(hs_file_read(path, MAX_FILE, &text, &size, err));
    json_error_t problem;
    *out = json_loadb(text, size, 0, &problem);
    hs_free(text);
    if (*out)
        return HS_OK;
    hs_fail(err, HS_ERR_DATA, "not JSON: %s", problem.text);
    return hs_error_where(err, "%s:%d", path, problem.line);
}
