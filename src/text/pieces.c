/* pieces.c - text into pieces, by GPT-2's regular expression.
 *
 * What is a letter, a number and white space is Unicode's and PCRE2's to know. White space is written out, since PCRE2's \s counts
 * U+180E, which Unicode has not counted since 6.3. Every character belongs to one alternative, so pieces follow each other
 * without a gap. */
#include "text/tokenizer.h"

#include <pthread.h>
#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#define SPACE "\\t-\\r\\x{85}\\p{Z}"
static const char PATTERN[] = "'(?:[sdmt]|re|ve|ll)| ?\\p{L}+| ?\\p{N}+| ?[^" SPACE "\\p{L}\\p{N}]+|[" SPACE "]+(?![^" SPACE
                              "])|[" SPACE "]+";

static struct {
    pthread_once_t once;
    pcre2_code *code;
} shared = {.once = PTHREAD_ONCE_INIT};

static void compile(void)
{
    int number;
    PCRE2_SIZE offset;
    shared.code = pcre2_compile((PCRE2_SPTR)PATTERN, sizeof PATTERN - 1, PCRE2_UTF | PCRE2_UCP, &number, &offset, NULL);
    if (shared.code)
        (void)pcre2_jit_compile(shared.code, PCRE2_JIT_COMPLETE); /* without, it is only slower */
}

hs_status hs_pieces_begin(hs_pieces *p, const char *text, size_t len, hs_error *err)
{
    *p = (hs_pieces){.text = text, .len = len};
    const size_t bad = hs_utf8_invalid(text, len);
    if (bad != SIZE_MAX) {
        hs_fail(err, HS_ERR_DATA, "the text is not UTF-8 from byte %zu on", bad + 1);
        hs_error_value(err, text + bad, len - bad < 8 ? len - bad : 8);
        return hs_error_hint(err, "was it cut in the middle of a character?");
    }
    pthread_once(&shared.once, compile);
    p->match = shared.code ? pcre2_match_data_create(1, NULL) : NULL;
    return p->match ? HS_OK : hs_fail_memory(err, len);
}

hs_status hs_pieces_next(hs_pieces *p, const char **piece, size_t *n, hs_error *err)
{
    *n = 0;
    if (p->at == p->len)
        return HS_OK;
    const int found = pcre2_match(shared.code, (PCRE2_SPTR)p->text, p->len, p->at, PCRE2_NO_UTF_CHECK | PCRE2_ANCHORED,
                                  p->match, NULL);
    if (found < 0)
        return found == PCRE2_ERROR_NOMEMORY ? hs_fail_memory(err, p->len)
                                             : hs_fail(err, HS_ERR_FAILED, "text cannot be cut into pieces (PCRE2 error %d)", found);
    const PCRE2_SIZE end = pcre2_get_ovector_pointer(p->match)[1];
    *piece = p->text + p->at;
    *n = end - p->at;
    p->at = end;
    return HS_OK;
}

void hs_pieces_end(hs_pieces *p)
{
    pcre2_match_data_free(p->match);
    p->match = NULL;
}
