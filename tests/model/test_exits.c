/* Rows answered after earlier passes, label smoothing: losses and gradients against PyTorch autograd
 * (tests/golden/exit_*, tools/make_golden_exit.py), GPT-2 with injection and the Llama form. */
#include "../check.h"

#include "hopscope/model.h"
#include "hopscope/tensor.h"

static const void *expected(const hs_st_file *file, const char *name, uint32_t *n)
{
    const hs_st_tensor *t = hs_st_find(file, name);
    if (!t)
        fail_msg("golden file lacks %s", name);
    if (n)
        *n = (uint32_t)t->shape[0];
    return t->data;
}

static void golden(const char *name)
{
    char path[512];
    hs_model m = {0};
    hs_st_file *file;
    snprintf(path, sizeof path, TEST_SOURCE_DIR "/tests/golden/%s.model.safetensors", name);
    assert_ok(hs_model_load(&m, path, err));
    snprintf(path, sizeof path, TEST_SOURCE_DIR "/tests/golden/%s.expect.safetensors", name);
    assert_ok(hs_st_open(&file, path, err));
    hs_batch batch = {.token = expected(file, "input_ids", &batch.B)};
    const uint32_t T = (uint32_t)hs_st_find(file, "input_ids")->shape[1];
    uint32_t *start = hs_alloc((batch.B + 1) * sizeof *start);
    for (uint32_t b = 0; b <= batch.B; b++)
        start[b] = b * T;
    batch.start = start;
    batch.N = batch.B * T;
    batch.score_row = expected(file, "score_row", &batch.P);
    batch.target = expected(file, "target", NULL);
    batch.weight = expected(file, "weight", NULL);
    batch.exits.row = expected(file, "exit_row", &batch.exits.n);
    batch.exits.target = expected(file, "exit_target", NULL);
    batch.exits.weight = expected(file, "exit_weight", NULL);
    batch.exits.passes = *(const uint32_t *)expected(file, "exit_passes", NULL);
    batch.smoothing = *(const float *)expected(file, "smoothing", NULL);
    float *work = hs_alloc(4 * hs_model_work_size(&m, batch.B, batch.N, batch.P, true));
    float *grad = hs_calloc(m.n_params, 4);
    const hs_loss_result r = hs_model_backward(&m, &batch, HS_LOSS_CROSS_ENTROPY, work, grad);
    const float got[2] = {(float)r.loss, (float)r.exit_loss};
    assert_near("loss", got, (const float *)expected(file, "loss", NULL), 1, 1e-6);
    assert_near("exit_loss", got + 1, (const float *)expected(file, "exit_loss", NULL), 1, 1e-6);
    for (uint32_t i = 0; i < m.n_tensors; i++) {
        char key[128];
        snprintf(key, sizeof key, "grad.%s", m.tensor[i].name);
        assert_near(key, grad + m.tensor[i].offset, (const float *)expected(file, key, NULL), m.tensor[i].size, 1e-4);
    }
    hs_free(work);
    hs_free(grad);
    hs_free(start);
    hs_st_close(file);
    hs_model_free(&m);
}

static void test_golden_gpt2(void **state)
{
    (void)state;
    golden("exit_gpt2");
    golden("exit_gpt2_smooth");
}

static void test_golden_llama(void **state)
{
    (void)state;
    golden("exit_llama");
}

int main(void)
{
    hs_error err;
    if (hs_tensor_open(&err) != HS_OK) {
        fprintf(stderr, "%s\n", err.what);
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_gpt2),
        cmocka_unit_test(test_golden_llama),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
