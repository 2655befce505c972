/* The Llama form against transformers (tests/golden/llama*, tools/make_golden_llama.py), and what must hold without a
 * reference: gradients with shared blocks by central differences, pruning and raggedness, patches. */
#include "../check.h"

#include "hopscope/model.h"
#include "hopscope/tensor.h"

/* ---------------------------------------------------------------- golden */

static void golden(const char *name)
{
    char path[512];
    hs_model m = {0};
    hs_st_file *expect;
    snprintf(path, sizeof path, TEST_SOURCE_DIR "/tests/golden/%s.model.safetensors", name);
    assert_ok(hs_model_load(&m, path, err));
    snprintf(path, sizeof path, TEST_SOURCE_DIR "/tests/golden/%s.expect.safetensors", name);
    assert_ok(hs_st_open(&expect, path, err));
    const hs_st_tensor *ids = hs_st_find(expect, "input_ids");
    const int32_t *labels = hs_st_find(expect, "labels")->data;
    const uint32_t B = (uint32_t)ids->shape[0], T = (uint32_t)ids->shape[1], N = B * T;
    const uint32_t D = m.config.n_embd, V = m.config.vocab, S = m.n_stages;
    uint32_t *start = hs_alloc((B + 1) * 4), *all = hs_alloc(N * 4), *row = hs_alloc(N * 4), *target = hs_alloc(N * 4);
    float *weight = hs_alloc(N * 4), *states = hs_alloc((S + 1) * N * D * 4), *grad = hs_calloc(m.n_params, 4);
    float *logits = hs_alloc(N * V * 4), *work = hs_alloc(4 * hs_model_work_size(&m, B, N, N, true));
    uint32_t P = 0;
    for (uint32_t b = 0; b <= B; b++)
        start[b] = b * T;
    for (uint32_t n = 0; n < N; n++) {
        all[n] = n;
        if (labels[n] >= 0) {
            row[P] = n;
            target[P++] = (uint32_t)labels[n];
        }
    }
    for (uint32_t p = 0; p < P; p++)
        weight[p] = 1.0f / (float)P;
    hs_batch every = {.B = B, .N = N, .P = N, .token = ids->data, .start = start, .score_row = all};
    hs_model_logits(&m, &every, work, logits);
    assert_near("logits", logits, (const float *)hs_st_find(expect, "logits")->data, N * V, 1e-5);
    hs_model_states(&m, &every, work, states);
    for (uint32_t s = 0; s <= S; s++) {
        char key[32];
        snprintf(key, sizeof key, "hidden.%u", s);
        assert_near(key, states + s * N * D, (const float *)hs_st_find(expect, key)->data, N * D, 1e-5);
        float *again = hs_alloc(N * V * 4);
        hs_model_logits_from(&m, &every, s, states + s * N * D, work, again);
        assert_near("logits from a stage", again, logits, N * V, 1e-6);
        hs_free(again);
    }
    float *lens_work = hs_alloc((N * (D + 2) + 16) * 4), *lens = hs_alloc(N * V * 4);
    hs_model_lens(&m, N, states + S * N * D, lens_work, lens);
    assert_near("lens at the last stage", lens, logits, N * V, 1e-6);
    hs_batch scored = {.B = B,
                       .N = N,
                       .P = P,
                       .token = ids->data,
                       .start = start,
                       .score_row = row,
                       .target = target,
                       .weight = weight};
    const hs_loss_result r = hs_model_backward(&m, &scored, HS_LOSS_CROSS_ENTROPY, work, grad);
    assert_near("loss", (const float[]){(float)r.loss}, (const float *)hs_st_find(expect, "loss")->data, 1, 1e-6);
    for (uint32_t i = 0; i < m.n_tensors; i++) {
        char key[128];
        snprintf(key, sizeof key, "grad.%s", m.tensor[i].name);
        const hs_st_tensor *want = hs_st_find(expect, key);
        assert_non_null(want);
        assert_near(key, grad + m.tensor[i].offset, (const float *)want->data, m.tensor[i].size, 1e-4);
    }
    hs_st_close(expect);
    hs_model_free(&m);
    void *all_memory[] = {start, all, row, target, weight, states, grad, logits, work, lens_work, lens};
    for (size_t i = 0; i < sizeof all_memory / sizeof all_memory[0]; i++)
        hs_free(all_memory[i]);
}

static void test_golden_llama(void **state)
{
    (void)state;
    golden("llama");
}

static void test_golden_llama_with_norms_on_queries_and_keys(void **state)
{
    (void)state;
    golden("llama_qk");
}

/* ---------------------------------------------------------------- without a reference */

static const uint32_t toy_token[9] = {1, 5, 3, 7, 2, 6, 4, 0, 8}, toy_start[4] = {0, 4, 6, 9};
static const uint32_t toy_row[5] = {1, 3, 5, 7, 8}, toy_target[5] = {2, 9, 1, 3, 10};
static const uint32_t toy_all[9] = {0, 1, 2, 3, 4, 5, 6, 7, 8};
static const float toy_weight[5] = {0.1f, 0.2f, 0.3f, 0.2f, 0.2f};
/* Answered after earlier passes too: two scored rows, and one that is not. */
static const uint32_t toy_exit_row[3] = {1, 6, 7}, toy_exit_target[3] = {2, 5, 3};
static const float toy_exit_weight[3] = {0.5f, 0.2f, 0.3f};

static hs_batch toy(void)
{
    return (hs_batch){.B = 3,
                      .N = 9,
                      .P = 5,
                      .token = toy_token,
                      .start = toy_start,
                      .score_row = toy_row,
                      .target = toy_target,
                      .weight = toy_weight,
                      .exits = {.n = 3, .row = toy_exit_row, .target = toy_exit_target, .weight = toy_exit_weight}};
}

static hs_model_config small(void)
{
    hs_model_config c;
    hs_model_config_default(&c);
    c.kind = HS_MODEL_LLAMA;
    c.vocab = 11;
    c.n_positions = 6;
    c.n_embd = 24;
    c.n_head = 3;
    c.n_inner = 20;
    c.init_std = 0.3f;
    return c;
}

static double loss_of(const hs_model *m, const hs_batch *batch, hs_loss_kind kind, float *work, float *scratch)
{
    const hs_loss_result r = hs_model_backward(m, batch, kind, work, scratch);
    return r.loss + r.exit_loss;
}

static void check_gradient(const hs_model_config *c, hs_loss_kind kind)
{
    hs_model m = {0};
    const hs_batch batch = toy();
    assert_ok(hs_model_create(&m, c, 5, err));
    float *work = hs_alloc(4 * hs_model_work_size(&m, 3, 9, 5, true));
    float *grad = hs_calloc(m.n_params, 4), *scratch = hs_calloc(m.n_params, 4);
    hs_model_backward(&m, &batch, kind, work, grad);
    for (uint32_t i = 0; i < m.n_tensors; i++) {
        const hs_tensor *tensor = &m.tensor[i];
        double difference = 0, norm = 0;
        for (size_t j = 0; j < tensor->size; j += 1 + tensor->size / 13) {
            float *w = m.param + tensor->offset + j, kept = *w;
            const double h = 4e-3;
            double d[2];
            for (int k = 0; k < 2; k++) {
                *w = kept + (float)(h * (k + 1));
                double up = loss_of(&m, &batch, kind, work, scratch);
                *w = kept - (float)(h * (k + 1));
                d[k] = (up - loss_of(&m, &batch, kind, work, scratch)) / (2 * h * (k + 1));
                *w = kept;
            }
            const double numeric = (4 * d[0] - d[1]) / 3;
            difference += pow(numeric - (double)grad[tensor->offset + j], 2);
            norm += numeric * numeric;
        }
        if (sqrt(difference) > 5e-3 * sqrt(norm) + 2e-4)
            fail_msg("%s: analytic and numeric gradient differ by %.3g of %.3g", tensor->name, sqrt(difference),
                     sqrt(norm));
    }
    hs_free(work);
    hs_free(grad);
    hs_free(scratch);
    hs_model_free(&m);
}

static void test_gradient_with_shared_blocks(void **state)
{
    (void)state;
    hs_model_config c = small();
    c.passes = 3;
    check_gradient(&c, HS_LOSS_CROSS_ENTROPY);
    c.qk_norm = true;
    c.passes = 2;
    check_gradient(&c, HS_LOSS_STABLEMAX);
    c.n_layer = 1;
    c.passes = 1;
    c.tied = false;
    check_gradient(&c, HS_LOSS_CROSS_ENTROPY);
}

/* Scored rows alone, all rows, or a sequence at a time: the same logits. */
static void test_pruning_and_raggedness(void **state)
{
    (void)state;
    hs_model_config c = small();
    c.passes = 2;
    c.qk_norm = true;
    hs_model m = {0};
    assert_ok(hs_model_create(&m, &c, 5, err));
    float *work = hs_alloc(4 * hs_model_work_size(&m, 3, 9, 9, true));
    float pruned[5 * 11], whole[9 * 11], alone[4 * 11], states[5 * 9 * 24];
    hs_batch batch = toy();
    hs_model_logits(&m, &batch, work, pruned);
    batch.P = 9;
    batch.score_row = toy_all;
    hs_model_logits(&m, &batch, work, whole);
    for (int p = 0; p < 5; p++)
        assert_near("pruned", pruned + p * 11, whole + toy_row[p] * 11, 11, 1e-6);
    for (uint32_t b = 0; b < 3; b++) {
        const uint32_t n = toy_start[b + 1] - toy_start[b], start[2] = {0, n};
        const hs_batch one = {
            .B = 1, .N = n, .P = n, .token = toy_token + toy_start[b], .start = start, .score_row = toy_all};
        hs_model_logits(&m, &one, work, alone);
        assert_near("alone", alone, whole + toy_start[b] * 11, n * 11, 1e-6);
    }
    batch = toy();
    hs_model_states(&m, &batch, work, states);
    for (uint32_t s = 0; s <= m.n_stages; s++) {
        hs_model_logits_from(&m, &batch, s, states + s * 9 * 24, work, whole);
        assert_near("from a stage, pruned", whole, pruned, 5 * 11, 1e-6);
    }
    /* a patch reaches later rows of its own sequence only */
    states[1 * 9 * 24 + 2 * 24] += 1;
    hs_model_logits_from(&m, &batch, 1, states + 9 * 24, work, whole);
    assert_near("before the patch", whole, pruned, 11, 1e-6);
    assert_true(check_relative_error(whole + 11, pruned + 11, 11) > 1e-3);
    assert_near("other sequences", whole + 22, pruned + 22, 33, 1e-6);
    hs_free(work);
    hs_model_free(&m);
}

int main(void)
{
    hs_error err;
    if (hs_tensor_open(&err) != HS_OK) {
        fprintf(stderr, "%s\n", err.what);
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_llama),
        cmocka_unit_test(test_golden_llama_with_norms_on_queries_and_keys),
        cmocka_unit_test(test_gradient_with_shared_blocks),
        cmocka_unit_test(test_pruning_and_raggedness),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
