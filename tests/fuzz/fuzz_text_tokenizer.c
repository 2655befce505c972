/* tokenizer.json: any bytes are refused or become a tokenizer that reads text and is written as it was read. */
#include "hopscope/text.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static const char text[] = "It's  Z\xc3\xbcrich 1957, \xe6\x9d\xb1!\n x";
    hs_tokenizer *t, *again;
    hs_error err;
    if (hs_tokenizer_read(&t, (const char *)bytes, size, "fuzz", &err) != HS_OK) {
        if (t)
            abort();
        return 0;
    }
    hs_ids ids = {0};
    hs_str out = {0}, file = {0};
    if (hs_tokenizer_encode(t, text, sizeof text - 1, &ids, &err) != HS_OK)
        abort();
    hs_tokenizer_decode(t, ids.id, ids.n, &out);
    if (hs_tokenizer_kind_of(t) == HS_TOKENIZER_BPE && (out.len != sizeof text - 1 || memcmp(out.s, text, out.len) != 0))
        abort();
    hs_tokenizer_write(t, &file);
    if (hs_tokenizer_read(&again, file.s, file.len, "again", &err) == HS_OK)
        hs_tokenizer_free(again);
    hs_str_free(&out);
    hs_str_free(&file);
    hs_ids_free(&ids);
    hs_tokenizer_free(t);
    return 0;
}
