/* fuzz_model_safetensors.c - any bytes as a safetensors file and as a model: an error or a file that may be read. */
#include "model/ops.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    hs_error err = {0};
    hs_st_file *file;
    if (hs_st_open_memory(&file, data, size, "fuzz", &err) != HS_OK) {
        if (err.what[0] == 0 || file)
            __builtin_trap();
        return 0;
    }
    size_t n;
    const hs_st_tensor *list = hs_st_list(file, &n);
    unsigned sum = 0;
    for (size_t i = 0; i < n; i++) {
        const unsigned char *p = list[i].data;
        for (uint64_t j = 0; j < list[i].bytes; j++)
            sum += p[j];
        float out[64];
        for (uint64_t k = 0; k <= 64; k++)
            (void)hs_st_read_f32(file, list[i].name, out, k, &err);
    }
    hs_model model;
    if (hs_model_load_st(&model, file, "fuzz", &err) == HS_OK)
        hs_model_free(&model);
    hs_st_close(file);
    return sum == 0xffffffffu; /* keeps the reads */
}
