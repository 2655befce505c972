/* Packed splits: any bytes are refused or read without a fault; checksums are also made right, to reach what lies
 * behind. */
#include "hopscope/data.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void decode(const uint8_t *bytes, size_t size)
{
    hs_split s;
    size_t used;
    hs_error err;
    if (hs_split_decode(&s, bytes, size, 1000, &used, &err) != HS_OK)
        return;
    if (used > size || s.hash != hs_split_hash(&s))
        abort();
    hs_str again = {0};
    if (hs_split_encode(&s, &again, &err) != HS_OK || again.len != used)
        abort();
    hs_str_free(&again);
    hs_split_free(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    decode(bytes, size);
    if (size < 128)
        return 0;
    uint8_t *copy = malloc(size);
    memcpy(copy, bytes, size);
    memcpy(copy, "HSSPLIT", 8);
    memcpy(copy + 8, "\x01\x00\x00\x00", 4);
    uint64_t hash = hs_hash(copy + 128, size - 128, 0);
    memcpy(copy + 112, &hash, 8);
    hash = hs_hash(copy, 120, 0);
    memcpy(copy + 120, &hash, 8);
    decode(copy, size);
    free(copy);
    return 0;
}
