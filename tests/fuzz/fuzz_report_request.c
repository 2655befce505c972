/* Any bytes as what a request says: a refusal, or a value that is whole. The first line is the Host, the second the id
 * of an event, the others KEY=VALUE of the query. */
#include "report/serve/request.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_id(const char *text)
{
    hs_event_id id, again;
    hs_str written = {0};
    if (!hs_event_id_parse(text, &id))
        return;
    hs_event_id_add(&written, &id);
    if (written.failed || !hs_event_id_parse(written.s, &again) || memcmp(&id, &again, sizeof id) != 0)
        abort();
    hs_str_free(&written);
}

static void check_host(const char *text)
{
    const hs_host_rule strict = {.port = 8787}, wide = {.port = 8787, .name = "box", .address = true};
    if (hs_host_allowed(text, &strict) && !hs_host_allowed(text, &wide))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 1 << 14)
        return 0;
    char *text = malloc(size + 1);
    memcpy(text, data, size);
    text[size] = 0;
    hs_request_params params = {0};
    hs_error err;
    size_t at = 0;
    for (int line = 0; at <= size; line++) {
        char *s = text + at, *end = memchr(s, '\n', size - at);
        const size_t len = end ? (size_t)(end - s) : size - at;
        s[len] = 0;
        char *value = strchr(s, '=');
        if (line == 0) {
            check_host(s);
        } else if (line == 1) {
            check_id(s);
        } else if (value) {
            *value++ = 0;
            hs_request_param(&params, s, value, (size_t)(s + len - value), &err);
        }
        at += len + 1;
    }
    hs_request_params_free(&params);
    free(text);
    return 0;
}
