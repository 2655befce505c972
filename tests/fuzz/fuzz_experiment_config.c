/* Any bytes as an experiment file: an error, or a configuration that reads back the same after it is written out. */
#include "hopscope/experiment.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static hs_config config, again;
    hs_error err;
    if (size > 1 << 16 || hs_config_parse(&config, "fuzz", (const char *)data, size, NULL, 0, &err) != HS_OK)
        return 0;
    hs_str text = {0};
    hs_config_write(&config, &text);
    if (text.failed || hs_config_parse(&again, "written", text.s, text.len, NULL, 0, &err) != HS_OK ||
        hs_config_diff(&config, &again, false))
        abort();
    hs_str_free(&text);
    return 0;
}
