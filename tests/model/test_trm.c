/* The Tiny Recursive Model against PyTorch autograd (tests/golden/trm), and what must hold without a reference:
 * gradients of both mixers, both losses and the halting head by central differences, padding, patches, initialization.
 */
#include "../check.h"

#include "hopscope/model.h"
#include "hopscope/tensor.h"

/* ---------------------------------------------------------------- golden */

typedef struct golden {
    hs_model model;
    hs_st_file *expect;
    uint32_t B, T, N;
    uint32_t *token, *start, *full;
    hs_batch batch;
    float *work;
} golden;

static golden load(void)
{
    golden g = {0};
    assert_ok(hs_model_load(&g.model, TEST_SOURCE_DIR "/tests/golden/trm.model.safetensors", err));
    assert_ok(hs_st_open(&g.expect, TEST_SOURCE_DIR "/tests/golden/trm.expect.safetensors", err));
    const hs_st_tensor *ids = hs_st_find(g.expect, "input_ids");
    const int32_t *id = ids->data, *label = hs_st_find(g.expect, "labels")->data;
    g.B = (uint32_t)ids->shape[0];
    g.T = (uint32_t)ids->shape[1];
    g.N = g.B * g.T;
    g.token = hs_alloc(g.N * 4);
    g.full = hs_alloc(g.N * 4);
    g.start = hs_alloc((g.B + 1) * 4);
    for (uint32_t i = 0; i < g.N; i++) { /* the file's ids count padding as 0 */
        g.token[i] = id[i] == 0 ? UINT32_MAX : (uint32_t)id[i] - 1;
        g.full[i] = label[i] < 0 ? HS_NO_TARGET : (uint32_t)label[i] - 1;
    }
    for (uint32_t b = 0; b <= g.B; b++)
        g.start[b] = b * g.T;
    g.batch = (hs_batch){.B = g.B, .N = g.N, .token = g.token, .start = g.start, .full = g.full};
    g.work = hs_alloc(4 * hs_model_work_size(&g.model, g.B, g.N, g.N, true));
    return g;
}

static void unload(golden *g)
{
    hs_st_close(g->expect);
    hs_model_free(&g->model);
    hs_free(g->token);
    hs_free(g->full);
    hs_free(g->start);
    hs_free(g->work);
}

static const float *expected(const golden *g, const char *name)
{
    const hs_st_tensor *t = hs_st_find(g->expect, name);
    if (!t)
        fail_msg("golden file lacks %s", name);
    return t->data;
}

/* y (N,D) = the rows of a state that are tokens. */
static void last_tokens(const golden *g, const float *x, float *y)
{
    const size_t D = g->model.config.n_embd;
    for (uint32_t b = 0; b < g->B; b++)
        for (uint32_t p = 0; p < g->T; p++, y += D)
            memcpy(y, x + hs_model_state_row(&g->model, &g->batch, b, p) * D, D * sizeof *y);
}

static void test_golden_states_and_logits(void **state)
{
    (void)state;
    golden g = load();
    const uint32_t S = g.model.n_stages, D = g.model.config.n_embd, V = g.model.config.vocab,
                   prefix = g.model.config.prefix;
    assert_int_equal(S, 8);
    const uint32_t M = hs_model_state_rows(&g.model, g.B, g.N);
    assert_int_equal(M, g.B * (prefix + g.T));
    float *states = hs_alloc((S + 1) * M * D * 4), *last = hs_alloc(g.N * D * 4);
    hs_model_states(&g.model, &g.batch, g.work, states);
    for (uint32_t s = 0; s < S; s++) {
        char key[32];
        snprintf(key, sizeof key, "stage.%u", s);
        assert_near(key, states + (s + 1) * M * D, expected(&g, key), M * D, 1e-5); /* (B, prefix+T, D) */
    }
    float *logits = hs_alloc(g.N * V * 4), *want_logits = hs_alloc(g.N * V * 4);
    const float *all = expected(&g, "logits"); /* (B,T,V+1), padding first */
    for (uint32_t n = 0; n < g.N; n++)
        memcpy(want_logits + n * V, all + n * (V + 1) + 1, V * 4);
    last_tokens(&g, states + S * M * D, last);
    hs_model_lens(&g.model, g.N, last, g.work, logits);
    assert_near("logits", logits, want_logits, g.N * V, 1e-5);
    /* Logits of a scored row stand at the position after it; the last row cannot be scored, so take the one before. */
    uint32_t row[5];
    for (uint32_t b = 0; b < g.B; b++)
        row[b] = b * g.T + g.T - 2;
    for (uint32_t n = 0; n < g.N; n++) /* rows after the scored one are padding: make them so in both runs */
        if (n % g.T == g.T - 1)
            g.token[n] = UINT32_MAX;
    hs_model_states(&g.model, &g.batch, g.work, states);
    last_tokens(&g, states + S * M * D, last);
    hs_model_lens(&g.model, g.N, last, g.work, logits);
    hs_batch scored = g.batch;
    scored.P = g.B;
    scored.score_row = row;
    for (uint32_t b = 0; b < g.B; b++)
        g.token[b * g.T + g.T - 1] = 7; /* an answer token: must not be seen */
    hs_model_logits(&g.model, &scored, g.work, want_logits);
    for (uint32_t b = 0; b < g.B; b++)
        assert_near("scored", want_logits + b * V, logits + (b * g.T + g.T - 1) * V, V, 1e-6);
    hs_free(states);
    hs_free(last);
    hs_free(logits);
    hs_free(want_logits);
    unload(&g);
}

static void test_golden_gradients(void **state)
{
    (void)state;
    golden g = load();
    float *grad = hs_calloc(g.model.n_params, 4);
    const hs_loss_result r = hs_model_backward(&g.model, &g.batch, HS_LOSS_STABLEMAX, g.work, grad);
    assert_true(fabs(r.loss / g.B - 4.004145002178743) < 1e-5);
    hs_kernels_get()->scale(g.model.n_params, 1.0f / (float)g.B, grad); /* golden: mean over the batch */
    for (uint32_t i = 0; i < g.model.n_tensors; i++) {
        const hs_tensor *t = &g.model.tensor[i];
        if (t->group == HS_GROUP_BUFFER) {
            for (size_t j = 0; j < t->size; j++)
                assert_true(grad[t->offset + j] == 0);
            continue;
        }
        char key[128];
        snprintf(key, sizeof key, "grad.%s", t->name);
        assert_near(key, grad + t->offset, expected(&g, key), t->size, 1e-4);
    }
    hs_free(grad);
    unload(&g);
}

/* Facts answered after every H cycle, gradients through all cycles or the last, tied or not (tools/make_golden_trm.py).
 */
static void golden_exit(const char *name)
{
    char path[512];
    golden g = {0};
    snprintf(path, sizeof path, "%s/tests/golden/%s.model.safetensors", TEST_SOURCE_DIR, name);
    assert_ok(hs_model_load(&g.model, path, err));
    snprintf(path, sizeof path, "%s/tests/golden/%s.expect.safetensors", TEST_SOURCE_DIR, name);
    assert_ok(hs_st_open(&g.expect, path, err));
    const hs_st_tensor *ids = hs_st_find(g.expect, "input_ids");
    const int32_t *id = ids->data, *answer = hs_st_find(g.expect, "answer")->data,
                  *column = hs_st_find(g.expect, "column")->data;
    enum { B = 6, T = 4 };
    assert_int_equal(ids->shape[0], B);
    assert_int_equal(ids->shape[1], T);
    uint32_t token[B * T], start[B + 1], score_row[B], target[B];
    float weight[B];
    for (uint32_t b = 0; b <= B; b++)
        start[b] = b * T;
    for (uint32_t i = 0; i < B * T; i++)
        token[i] = id[i] == 0 ? UINT32_MAX : (uint32_t)id[i] - 1;
    for (uint32_t b = 0; b < B; b++) {
        score_row[b] = b * T + (uint32_t)column[b] - 1;
        target[b] = (uint32_t)answer[b];
        weight[b] = 1;
    }
    const hs_batch batch = {.B = B,
                            .N = B * T,
                            .P = B,
                            .token = token,
                            .start = start,
                            .score_row = score_row,
                            .target = target,
                            .weight = weight,
                            .exits = {.n = B, .row = score_row, .target = target, .weight = expected(&g, "exit")}};
    g.work = hs_alloc(4 * hs_model_work_size(&g.model, B, B * T, B, true));
    float *grad = hs_calloc(g.model.n_params, 4);
    const hs_loss_result r = hs_model_backward(&g.model, &batch, HS_LOSS_CROSS_ENTROPY, g.work, grad);
    const float got[2] = {(float)r.loss, (float)r.exit_loss},
                want[2] = {*expected(&g, "loss"), *expected(&g, "exit_loss")};
    assert_near(name, got, want, 2, 1e-5);
    for (uint32_t i = 0; i < g.model.n_tensors; i++) {
        const hs_tensor *t = &g.model.tensor[i];
        char key[128];
        snprintf(key, sizeof key, "grad.%s", t->name);
        if (t->group != HS_GROUP_BUFFER)
            assert_near(key, grad + t->offset, expected(&g, key), t->size, 1e-4);
    }
    hs_free(grad);
    unload(&g);
}

static void test_golden_exits(void **state)
{
    (void)state;
    golden_exit("trm_last");
    golden_exit("trm_full");
    golden_exit("trm_full_mlp");
}

/* ---------------------------------------------------------------- without a reference */

typedef struct toy {
    uint32_t token[9], start[4], score_row[4], target[4], full[18];
    float weight[4], exit[4];
    hs_batch batch;
} toy;

/* Three sequences of 4, 2 and 3 rows; the first has an answer token in its rows, the last two scored rows. */
static void make_toy(toy *t, bool full)
{
    static const uint32_t token[9] = {1, 5, 3, 7, 2, 6, 4, 0, 8}, start[4] = {0, 4, 6, 9};
    static const uint32_t score_row[4] = {2, 5, 7, 8}, target[4] = {7, 9, 8, 10};
    static const uint32_t labels[18] = {
        1, 5, 3, 7,  HS_NO_TARGET, HS_NO_TARGET, 2, 6, 9, HS_NO_TARGET, HS_NO_TARGET, HS_NO_TARGET,
        4, 0, 8, 10, HS_NO_TARGET, HS_NO_TARGET};
    memcpy(t->token, token, sizeof token);
    memcpy(t->start, start, sizeof start);
    memcpy(t->score_row, score_row, sizeof score_row);
    memcpy(t->target, target, sizeof target);
    memcpy(t->full, labels, sizeof labels);
    for (int i = 0; i < 4; i++) {
        t->weight[i] = 0.1f * (float)(i + 1);
        t->exit[i] = i % 2 ? 0.6f : 0; /* facts */
    }
    t->batch = (hs_batch){.B = 3,
                          .N = 9,
                          .P = 4,
                          .token = t->token,
                          .start = t->start,
                          .score_row = t->score_row,
                          .target = t->target,
                          .weight = t->weight,
                          .full = full ? t->full : NULL};
}

static hs_model_config small(void)
{
    hs_model_config c;
    hs_model_config_default(&c);
    c.kind = HS_MODEL_TRM;
    c.vocab = 11;
    c.n_positions = 6;
    c.n_embd = 24;
    c.n_head = 3;
    c.prefix = 3;
    c.h_cycles = 1; /* the gradient is exact only where no cycle is left out of it */
    c.l_cycles = 2;
    c.round_up = 4;
    c.halt_head = false;
    return c;
}

static double loss_of(const hs_model *m, const hs_batch *batch, hs_loss_kind kind, float *work, float *scratch)
{
    const hs_loss_result r = hs_model_backward(m, batch, kind, work, scratch);
    return r.loss + r.exit_loss;
}

/* `exits`: some rows are answered after every H cycle; exact where the gradient runs through all of them. */
static void check_gradient_of(const hs_model_config *c, hs_loss_kind kind, bool full, bool several, bool exits)
{
    static const uint64_t also_start[5] = {0, 1, 1, 3, 3};
    static const uint32_t also[3] = {2, 0, 1};
    hs_model m = {0};
    toy t;
    make_toy(&t, full);
    if (several) {
        t.batch.also_start = also_start;
        t.batch.also = also;
    }
    if (exits)
        t.batch.exits = (hs_exits){.n = 4,
                                   .row = t.score_row,
                                   .target = t.target,
                                   .weight = t.exit,
                                   .also_start = t.batch.also_start,
                                   .also = t.batch.also};
    t.batch.smoothing = exits ? 0.1f : 0;
    assert_ok(hs_model_create(&m, c, 5, err));
    for (uint32_t i = 0; i < m.n_tensors; i++) /* what starts at zero would hide errors behind it */
        if (m.tensor[i].init == HS_INIT_ZERO)
            for (size_t j = 0; j < m.tensor[i].size; j++)
                m.param[m.tensor[i].offset + j] = 0.3f * sinf((float)(j + i));
    float *work = hs_alloc(4 * hs_model_work_size(&m, 3, 9, 4, true));
    float *grad = hs_calloc(m.n_params, 4), *scratch = hs_calloc(m.n_params, 4);
    hs_model_backward(&m, &t.batch, kind, work, grad);
    for (uint32_t i = 0; i < m.n_tensors; i++) {
        const hs_tensor *tensor = &m.tensor[i];
        if (tensor->group == HS_GROUP_BUFFER)
            continue;
        double difference = 0, norm = 0;
        for (size_t j = 0; j < tensor->size; j += 1 + tensor->size / 13) {
            float *w = m.param + tensor->offset + j, kept = *w;
            const double h = 4e-3;
            double d[2];
            for (int k = 0; k < 2; k++) {
                *w = kept + (float)(h * (k + 1));
                double up = loss_of(&m, &t.batch, kind, work, scratch);
                *w = kept - (float)(h * (k + 1));
                d[k] = (up - loss_of(&m, &t.batch, kind, work, scratch)) / (2 * h * (k + 1));
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

static void check_gradient(const hs_model_config *c, hs_loss_kind kind, bool full, bool several)
{
    check_gradient_of(c, kind, full, several, false);
}

static void test_gradient_through_all_cycles(void **state)
{
    (void)state;
    hs_model_config c = small();
    c.h_cycles = 2;
    c.full_gradient = true;
    check_gradient_of(&c, HS_LOSS_CROSS_ENTROPY, true, true, true);
    c.tie_head = c.halt_head = true;
    check_gradient_of(&c, HS_LOSS_STABLEMAX, true, false, true);
    c.mix_attention = true;
    c.prefix = 0;
    c.n_layer = c.l_cycles = 1;
    c.h_cycles = 3;
    check_gradient_of(&c, HS_LOSS_CROSS_ENTROPY, false, true, true);
    c.init_scale = 0.5f;
    check_gradient_of(&c, HS_LOSS_CROSS_ENTROPY, false, false, false);
    c.next_token = true;
    check_gradient_of(&c, HS_LOSS_CROSS_ENTROPY, true, true, true);
}

static void test_gradient_of_every_switch(void **state)
{
    (void)state;
    hs_model_config c = small();
    check_gradient(&c, HS_LOSS_STABLEMAX, true, false);
    check_gradient(&c, HS_LOSS_CROSS_ENTROPY, false, false);
    check_gradient(&c, HS_LOSS_CROSS_ENTROPY, true, true);
    c.halt_head = true;
    check_gradient(&c, HS_LOSS_STABLEMAX, true, false);
    c.prefix = 0;
    check_gradient(&c, HS_LOSS_STABLEMAX, true, false);
    c.prefix = 2;
    c.mix_attention = true;
    check_gradient(&c, HS_LOSS_STABLEMAX, true, false);
    c.n_layer = 3;
    c.l_cycles = 1;
    c.halt_head = false;
    check_gradient(&c, HS_LOSS_CROSS_ENTROPY, false, true);
}

static void test_correct_counts_scored_rows(void **state)
{
    (void)state;
    hs_model_config c = small();
    hs_model m = {0};
    toy t;
    make_toy(&t, true);
    assert_ok(hs_model_create(&m, &c, 5, err));
    float *work = hs_alloc(4 * hs_model_work_size(&m, 3, 9, 4, true)), *grad = hs_calloc(m.n_params, 4);
    float logits[4 * 11];
    hs_model_logits(&m, &t.batch, work, logits);
    uint64_t also_start[5] = {0, 0, 0, 0, 1};
    uint32_t also[1];
    for (uint32_t p = 0; p < 4; p++) /* make rows 0 and 1 right, 2 wrong, 3 right by its further answer */
        t.target[p] = (uint32_t)hs_kernels_get()->argmax(11, logits + p * 11);
    also[0] = t.target[3];
    t.target[2] = (t.target[2] + 1) % 11;
    t.target[3] = (t.target[3] + 1) % 11;
    assert_int_equal(hs_model_backward(&m, &t.batch, HS_LOSS_STABLEMAX, work, grad).correct, 2);
    t.batch.also_start = also_start;
    t.batch.also = also;
    assert_int_equal(hs_model_backward(&m, &t.batch, HS_LOSS_STABLEMAX, work, grad).correct, 3);
    hs_free(work);
    hs_free(grad);
    hs_model_free(&m);
}

/* A sequence's result depends neither on its neighbours nor on tokens after its first scored row; missing rows and
 * padding tokens are the same. */
static void padding_and_neighbours(bool attention)
{
    hs_model_config c = small();
    c.h_cycles = 2;
    c.mix_attention = attention;
    hs_model m = {0};
    toy t;
    make_toy(&t, false);
    assert_ok(hs_model_create(&m, &c, 5, err));
    float *work = hs_alloc(4 * hs_model_work_size(&m, 3, 9, 4, false));
    float all[4 * 11], one[11];
    hs_model_logits(&m, &t.batch, work, all);
    for (uint32_t b = 0; b < 2; b++) {
        uint32_t token[6], start[2] = {0, 6}, row[1] = {t.score_row[b] - t.start[b]};
        for (uint32_t p = 0; p < 6; p++)
            token[p] = p <= row[0] ? t.token[t.start[b] + p] : UINT32_MAX;
        hs_batch alone = {.B = 1, .N = 6, .P = 1, .token = token, .start = start, .score_row = row};
        hs_model_logits(&m, &alone, work, one);
        assert_near("alone", one, all + b * 11, 11, 1e-5);
    }
    float changed[4 * 11];
    t.token[1] ^= 1; /* a prompt token does matter, to its sequence only */
    hs_model_logits(&m, &t.batch, work, changed);
    assert_true(check_relative_error(changed, all, 11) > 1e-3);
    assert_near("neighbours", changed + 11, all + 11, 33, 1e-6);
    hs_free(work);
    hs_model_free(&m);
}

static void test_padding_and_neighbours(void **state)
{
    (void)state;
    padding_and_neighbours(false);
    padding_and_neighbours(true);
}

/* Writing back what was read changes no bit at any stage; writing something else changes that sequence only. */
static void patches(bool attention)
{
    hs_model_config c = small();
    c.h_cycles = 2;
    c.mix_attention = attention;
    hs_model m = {0};
    toy t;
    make_toy(&t, false);
    assert_ok(hs_model_create(&m, &c, 5, err));
    const uint32_t S = m.n_stages, M = 3 * 9, MD = M * 24;
    assert_int_equal(S, 6);
    assert_int_equal(hs_model_state_rows(&m, 3, 9), M);
    float *work = hs_alloc(4 * hs_model_work_size(&m, 3, 9, 4, false));
    float *states = hs_alloc((S + 1) * MD * 4), *streams = hs_alloc(3 * MD * 4), *again = hs_alloc((S + 1) * MD * 4);
    float before[4 * 11], after[4 * 11];
    hs_model_states(&m, &t.batch, work, states);
    hs_model_logits(&m, &t.batch, work, before);
    for (uint32_t s = 0; s <= S; s++) {
        hs_model_streams_at(&m, &t.batch, states, s, streams);
        hs_model_logits_from(&m, &t.batch, s, streams, work, after);
        assert_memory_equal(after, before, sizeof after);
        memcpy(again, states, (S + 1) * MD * 4);
        memset(again + s * MD, 0, (S + 1 - s) * MD * 4);
        hs_pass pass = {.states = states, .from = s, .logits = after, .states_out = again};
        hs_model_run(&m, &t.batch, &pass, work);
        assert_memory_equal(after, before, sizeof after);
        assert_memory_equal(again, states, (S + 1) * MD * 4);
        for (uint32_t stream = 0; stream < 3; stream++) {
            const uint32_t row = hs_model_state_row(&m, &t.batch, 0, 1);
            float *x = streams + (stream * M + row) * 24;
            for (int i = 0; i < 24; i++)
                x[i] += (i % 2 ? 1.0f : -1.0f);
            float whole[4 * 11];
            hs_model_logits_from(&m, &t.batch, s, streams, work, whole);
            /* one row written in a pass is the same as a state with that row, and computes only what lies above */
            const hs_patch patch = {.stage = s, .stream = stream, .row = row, .x = x};
            pass = (hs_pass){.states = states, .from = s, .n_patches = 1, .patch = &patch, .logits = after};
            hs_model_run(&m, &t.batch, &pass, work);
            assert_memory_equal(after, whole, sizeof after);
            pass = (hs_pass){.n_patches = 1, .patch = &patch, .logits = after};
            hs_model_run(&m, &t.batch, &pass, work);
            assert_memory_equal(after, whole, sizeof after);
            assert_near("other sequences", after + 11, before + 11, 33, 1e-6);
            /* what is read later matters: z_H before the last H step or at the answer's row, z_L before the last H step,
             * X before the last L step */
            const bool read = s < S - 1 || (s < S && stream != 2);
            assert_true((check_relative_error(after, before, 11) > 1e-5) == read);
            for (int i = 0; i < 24; i++)
                x[i] -= (i % 2 ? 1.0f : -1.0f);
            hs_model_streams_at(&m, &t.batch, states, s, streams);
        }
    }
    hs_free(work);
    hs_free(states);
    hs_free(streams);
    hs_free(again);
    hs_model_free(&m);
}

/* Stages are named as published; the head can be asked at any row; the answer's row is the position after. */
static void test_stages_and_rows(void **state)
{
    (void)state;
    hs_model_config c = small();
    c.h_cycles = 2;
    hs_model m = {0};
    toy t;
    make_toy(&t, false);
    assert_ok(hs_model_create(&m, &c, 5, err));
    static const char *names[] = {"input", "H1 L1", "H1 L2", "H1", "H2 L1", "H2 L2", "H2"};
    static const uint32_t stream[] = {2, 1, 1, 0, 1, 1, 0};
    for (uint32_t s = 0; s <= m.n_stages; s++) {
        const hs_stage stage = hs_model_stage(&m, s);
        assert_string_equal(stage.name, names[s]);
        assert_int_equal(stage.stream, stream[s]);
    }
    assert_int_equal(hs_model_streams(&m), 3);
    assert_string_equal(hs_model_stream_name(&m, 0), "z_H");
    assert_string_equal(hs_model_stream_name(&m, 1), "z_L");
    const uint32_t M = 27, S = m.n_stages;
    float *work = hs_alloc(4 * hs_model_work_size(&m, 3, 9, M, false)), *states = hs_alloc((S + 1) * M * 24 * 4);
    float all[27 * 11], scored[4 * 11], lens[27 * 11];
    uint32_t row[27];
    for (uint32_t i = 0; i < M; i++)
        row[i] = i;
    const hs_pass pass = {.n_rows = M, .row = row, .logits = all, .states_out = states};
    hs_model_run(&m, &t.batch, &pass, work);
    hs_model_logits(&m, &t.batch, work, scored);
    for (uint32_t i = 0; i < 4; i++)
        assert_near("answer", all + hs_model_answer_row(&m, &t.batch, i) * 11, scored + i * 11, 11, 1e-6);
    hs_model_lens(&m, M, states + S * M * 24, work, lens);
    assert_near("lens", lens, all, 27 * 11, 1e-6);
    hs_model_streams_at(&m, &t.batch, states, 0, states + M * 24); /* z_H before any step is the buffer */
    assert_memory_equal(states + (M + 5) * 24, m.param + hs_model_tensor(&m, "z_H_init")->offset, 24 * 4);
    hs_free(work);
    hs_free(states);
    hs_model_free(&m);
}

static void test_patches(void **state)
{
    (void)state;
    patches(false);
    patches(true);
}

static void test_published_size_and_initialization(void **state)
{
    (void)state;
    hs_model_config c;
    hs_model_config_default(&c);
    c.kind = HS_MODEL_TRM;
    c.vocab = 2206;
    c.n_positions = 5;
    c.n_embd = 192;
    hs_model m = {0};
    assert_ok(hs_model_create(&m, &c, 1, err));
    const hs_tensor *t = hs_model_tensor(&m, "blocks.1.mix.gate_up.weight");
    assert_non_null(t);
    assert_int_equal(t->shape[0], 512);
    assert_int_equal(t->shape[1], 21);
    assert_int_equal(t->splits, 2);
    assert_true(t->decay);
    t = hs_model_tensor(&m, "embed.weight");
    assert_int_equal(t->shape[0], 2207);
    double sum = 0, squares = 0, most = 0;
    for (size_t i = 0; i < t->size; i++) {
        const double x = (double)m.param[t->offset + i] * sqrt(192);
        sum += x;
        squares += x * x;
        most = fmax(most, fabs(x));
    }
    assert_true(fabs(sum / (double)t->size) < 0.01);
    assert_true(fabs(squares / (double)t->size - 1) < 0.01);
    assert_true(most < 2.2737 && most > 2.2); /* cut at 2 / 0.8796 */
    assert_true(m.param[hs_model_tensor(&m, "q_head.bias")->offset] == -5.0f);
    assert_true(m.param[hs_model_tensor(&m, "prefix")->offset] == 0.0f);
    assert_int_equal(hs_model_tensor(&m, "prefix")->group, HS_GROUP_PREFIX);
    assert_int_equal(hs_model_tensor(&m, "z_H_init")->group, HS_GROUP_BUFFER);
    hs_model_free(&m);
    c.init_scale = 0.25f; /* the same numbers, smaller, but for buffers; a tied head is no tensor */
    c.tie_head = true;
    hs_model scaled = {0};
    assert_ok(hs_model_create(&m, &c, 1, err));
    c.init_scale = 0.5f;
    assert_ok(hs_model_create(&scaled, &c, 1, err));
    assert_null(hs_model_tensor(&m, "lm_head.weight"));
    for (uint32_t i = 0; i < m.n_tensors; i++)
        for (size_t j = m.tensor[i].offset; j < m.tensor[i].offset + m.tensor[i].size; j++)
            assert_true(scaled.param[j] ==
                        (m.tensor[i].init == HS_INIT_TRUNC_NORMAL && m.tensor[i].group != HS_GROUP_BUFFER ? 2 : 1) *
                            m.param[j]);
    hs_model_free(&m);
    hs_model_free(&scaled);
    c.tie_head = false;
    c.n_embd = 1536; /* arXiv 2601.09049: 44.56 million with 2,206 table rows; ours has one more for padding */
    c.vocab = 2205;
    assert_ok(hs_model_create(&m, &c, 1, err));
    assert_true(fabs((double)m.n_weights - 44.56e6) < 0.01e6);
    hs_model_free(&m);
}

static int open_tensor(void **state)
{
    (void)state;
    return hs_tensor_open(NULL) == HS_OK ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_states_and_logits),
        cmocka_unit_test(test_golden_gradients),
        cmocka_unit_test(test_golden_exits),
        cmocka_unit_test(test_gradient_through_all_cycles),
        cmocka_unit_test(test_gradient_of_every_switch),
        cmocka_unit_test(test_correct_counts_scored_rows),
        cmocka_unit_test(test_padding_and_neighbours),
        cmocka_unit_test(test_patches),
        cmocka_unit_test(test_stages_and_rows),
        cmocka_unit_test(test_published_size_and_initialization),
    };
    return cmocka_run_group_tests(tests, open_tensor, NULL);
}
