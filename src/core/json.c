/* json.c - text as a JSON string (RFC 8259). Reading JSON is jansson's; this is for writing without building a tree. */
#include "hopscope/core.h"

void hs_str_add_json(hs_str *str, const char *s, size_t len)
{
    hs_str_add(str, "\"", 1);
    if (len == 0)
        s = "";
    size_t plain = 0; /* start of the run not yet copied */
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        hs_str_add(str, s + plain, i - plain);
        plain = i + 1;
        if (c == '"' || c == '\\')
            hs_str_addf(str, "\\%c", c);
        else
            hs_str_addf(str, "\\u%04x", c);
    }
    hs_str_add(str, s + plain, len - plain);
    hs_str_add(str, "\"", 1);
}
