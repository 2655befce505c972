/* Tables of wordings: any bytes are refused or become a table whose wordings can be filled. */
#include "hopscope/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    hs_templates *t;
    hs_error err;
    if (hs_templates_read(&t, (const char *)bytes, size, "fuzz", &err) != HS_OK)
        return 0;
    hs_str out = {0};
    for (int what = 0; what < HS_N_WORDINGS; what++) {
        size_t n;
        const char *const *w = hs_templates_of(t, NULL, (hs_wording_kind)what, &n);
        for (size_t i = 0; i < n; i++)
            hs_template_fill(w[i], "htxabqr", (const char *const[]){"h", "t", "x", "a", "b", "q", "r"}, &out);
    }
    hs_str_free(&out);
    hs_templates_free(t);
    return 0;
}
