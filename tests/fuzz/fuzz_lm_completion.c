/* What a server may send as a completion, and what a model may say as an answer: no bytes break the reading, and what is kept of
 * them is UTF-8 without the key. */
#include "lm/answer.h"
#include "lm/lm.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct hs_lm lm;
    lm.options.key = "sk-key";
    char *text = malloc(size + 1);
    require(text != NULL);
    memcpy(text, data, size);
    text[size] = 0;
    hs_lm_answer a = {0};
    require(hs_lm_read_completion(&lm, text, size, &a, NULL) == HS_OK && a.known && a.text);
    require(hs_utf8_invalid(a.text, strlen(a.text)) == SIZE_MAX && !strstr(a.text, "sk-key"));
    hs_str found = {0}, plain = {0}, again = {0};
    for (int direct = 0; direct < 2; direct++) {
        found.len = 0;
        if (hs_answer_find(text, direct != 0, &found))
            require(found.len > 0 && strlen(found.s) == found.len);
    }
    hs_answer_normalize(text, &plain);
    if (plain.s)
        hs_answer_normalize(plain.s, &again);
    require(again.len <= plain.len);
    hs_free(a.text);
    hs_str_free(&found);
    hs_str_free(&plain);
    hs_str_free(&again);
    free(text);
    return 0;
}
