/* text.c - growable text, the nearest word, counts for people. */
#include "hopscope/core.h"

#include <string.h>

/* Room for `need` bytes; not hs_grow, whose void ** makes gcc 12 see a dangling pointer once all this is inlined. */
static bool str_reserve(hs_str *str, size_t need)
{
    if (need <= str->cap)
        return true;
    size_t grown = str->cap < 64 ? 64 : str->cap;
    while (grown < need)
        grown *= 2;
    char *p = hs_realloc(str->s, str->cap, grown);
    if (!p)
        return false;
    str->s = p;
    str->cap = grown;
    return true;
}

void hs_str_add(hs_str *str, const char *s, size_t len)
{
    if (str->failed)
        return;
    if (len > SIZE_MAX / 4 || !str_reserve(str, str->len + len + 1)) {
        str->failed = true;
        return;
    }
    if (len > 0) /* memcpy from NULL is undefined even for nothing */
        memcpy(str->s + str->len, s, len);
    str->len += len;
    str->s[str->len] = 0;
}

void hs_str_addf(hs_str *str, const char *fmt, ...)
{
    char small[512];
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(small, sizeof small, fmt, ap);
    va_end(ap);
    if (n >= 0 && (size_t)n < sizeof small) {
        hs_str_add(str, small, (size_t)n);
    } else if (n < 0) {
        str->failed = true;
    } else {
        char *big = hs_alloc((size_t)n + 1);
        if (big) {
            vsnprintf(big, (size_t)n + 1, fmt, again);
            hs_str_add(str, big, (size_t)n);
        } else {
            str->failed = true;
        }
        hs_free(big);
    }
    va_end(again);
}

void hs_str_free(hs_str *str)
{
    hs_free(str->s);
    *str = (hs_str){0};
}

/* Edit distance with adjacent transpositions (optimal string alignment), words cut at 63 bytes. */
static size_t edit_distance(const char *a, const char *b)
{
    enum { MAX = 64 };
    size_t rows[3][MAX];
    size_t na = strnlen(a, MAX - 1), nb = strnlen(b, MAX - 1);
    for (size_t j = 0; j <= nb; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= na; i++) {
        size_t *now = rows[i % 3], *above = rows[(i + 2) % 3], *above2 = rows[(i + 1) % 3];
        now[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            size_t best = above[j - 1] + (a[i - 1] != b[j - 1]);
            if (above[j] + 1 < best)
                best = above[j] + 1;
            if (now[j - 1] + 1 < best)
                best = now[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && above2[j - 2] + 1 < best)
                best = above2[j - 2] + 1;
            now[j] = best;
        }
    }
    return rows[na % 3][nb];
}

const char *hs_nearest(const char *word, const char *const *names, size_t n)
{
    const char *nearest = NULL;
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < n; i++) {
        size_t d = edit_distance(word, names[i]);
        if (d < best) {
            best = d;
            nearest = names[i];
        }
    }
    size_t len = strlen(word);
    return best < len && best <= (len < 6 ? 2 : len / 3) ? nearest : NULL;
}

char *hs_format_count(uint64_t n, char out[32])
{
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%llu", (unsigned long long)n);
    int o = 0;
    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            out[o++] = ',';
        out[o++] = digits[i];
    }
    out[o] = 0;
    return out;
}
