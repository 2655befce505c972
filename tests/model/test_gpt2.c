/* GPT-2 and shared GPT-2 against PyTorch autograd (tests/golden), and what must hold without a reference: pruning and
 * raggedness change nothing, a patch of nothing changes nothing, every switch has the gradient of its own loss. */
#include "../check.h"

#include "hopscope/model.h"
#include "hopscope/tensor.h"

typedef struct golden {
    hs_model model;
    hs_st_file *expect;
    uint32_t B, T, P;
    uint32_t *token, *start, *score_row, *target;
    float *weight;
    hs_batch batch;
    float *work, *grad;
} golden;

static void fill_batch(golden *g, const int32_t *ids, const int32_t *labels)
{
    const uint32_t N = g->B * g->T;
    g->token = hs_alloc(N * 4);
    g->start = hs_alloc((g->B + 1) * 4);
    g->score_row = hs_alloc(N * 4);
    g->target = hs_alloc(N * 4);
    g->weight = hs_alloc(N * 4);
    for (uint32_t i = 0; i < N; i++)
        g->token[i] = (uint32_t)ids[i];
    for (uint32_t b = 0; b <= g->B; b++)
        g->start[b] = b * g->T;
    g->P = 0;
    for (uint32_t b = 0; b < g->B; b++)
        for (uint32_t t = 0; t < g->T; t++) /* the golden labels stand where they are predicted */
            if (labels[b * g->T + t] >= 0) {
                g->score_row[g->P] = b * g->T + t;
                g->target[g->P++] = (uint32_t)labels[b * g->T + t];
            }
    for (uint32_t p = 0; p < g->P; p++)
        g->weight[p] = 1.0f / (float)g->P;
    g->batch = (hs_batch){.B = g->B, .N = N, .P = g->P, .token = g->token, .start = g->start,
                          .score_row = g->score_row, .target = g->target, .weight = g->weight};
}

static golden load(const char *name)
{
    golden g = {0};
    char path[512];
    snprintf(path, sizeof path, TEST_SOURCE_DIR "/tests/golden/%s.model.safetensors", name);
    assert_ok(hs_model_load(&g.model, path, err));
    snprintf(path, sizeof path, TEST_SOURCE_DIR "/tests/golden/%s.expect.safetensors", name);
    assert_ok(hs_st_open(&g.expect, path, err));
    const hs_st_tensor *ids = hs_st_find(g.expect, "input_ids"), *labels = hs_st_find(g.expect, "labels");
    g.B = (uint32_t)ids->shape[0];
    g.T = (uint32_t)ids->shape[1];
    fill_batch(&g, ids->data, labels->data);
    g.work = hs_alloc(4 * hs_model_work_size(&g.model, g.B, g.B * g.T, g.B * g.T, true));
    g.grad = hs_calloc(g.model.n_params, 4);
    return g;
}

static void unload(golden *g)
{
    hs_st_close(g->expect);
    hs_model_free(&g->model);
    hs_free(g->token);
    hs_free(g->start);
    hs_free(g->score_row);
    hs_free(g->target);
    hs_free(g->weight);
    hs_free(g->work);
    hs_free(g->grad);
}

static const float *expected(const golden *g, const char *name)
{
    const hs_st_tensor *t = hs_st_find(g->expect, name);
    if (!t)
        fail_msg("golden file lacks %s", name);
    return t->data;
}

/* Every row scored, so that all logits can be compared. */
static hs_batch all_rows(golden *g, uint32_t *rows)
{
    hs_batch all = g->batch;
    for (uint32_t n = 0; n < all.N; n++)
        rows[n] = n;
    all.P = all.N;
    all.score_row = rows;
    all.weight = NULL;
    return all;
}

static void states_and_logits(const char *name)
{
    golden g = load(name);
    const size_t V = g.model.config.vocab, ND = (size_t)g.batch.N * g.model.config.n_embd;
    uint32_t *rows = hs_alloc(g.batch.N * 4);
    float *logits = hs_alloc(g.batch.N * V * 4), *states = hs_alloc((g.model.n_stages + 1) * ND * 4);
    hs_batch all = all_rows(&g, rows);
    hs_model_logits(&g.model, &all, g.work, logits);
    assert_near("logits", logits, expected(&g, "logits"), g.batch.N * V, 1e-5);
    hs_model_states(&g.model, &all, g.work, states);
    for (uint32_t s = 0; s <= g.model.n_stages; s++) {
        char key[32];
        snprintf(key, sizeof key, "hidden.%u", s);
        assert_near(key, states + s * ND, expected(&g, key), ND, 1e-5);
        /* Running on from a state that was not touched gives the logits again. */
        float *again = hs_alloc(g.batch.N * V * 4);
        hs_model_logits_from(&g.model, &all, s, states + s * ND, g.work, again);
        assert_near("logits from a stage", again, logits, g.batch.N * V, 1e-6);
        hs_free(again);
    }
    hs_free(rows);
    hs_free(logits);
    hs_free(states);
    unload(&g);
}

static void gradients(const char *name, double loss)
{
    golden g = load(name);
    const hs_loss_result r = hs_model_backward(&g.model, &g.batch, HS_LOSS_CROSS_ENTROPY, g.work, g.grad);
    assert_true(fabs(r.loss - loss) < 1e-5);
    for (uint32_t i = 0; i < g.model.n_tensors; i++) {
        const hs_tensor *t = &g.model.tensor[i];
        char key[128];
        snprintf(key, sizeof key, "grad.%s", t->name);
        assert_near(key, g.grad + t->offset, expected(&g, key), t->size, 1e-4);
    }
    unload(&g);
}

/* Rank, at the last position, of the clean run's top token after patching state (stage, position) from another run. */
static void patches(const char *name, const int *want)
{
    golden g = load(name);
    const uint32_t N = g.batch.N, D = g.model.config.n_embd, V = g.model.config.vocab, S = g.model.n_stages;
    const size_t ND = (size_t)N * D;
    uint32_t *other = hs_alloc(N * 4), *last = hs_alloc(g.B * 4);
    const int32_t *ids = hs_st_find(g.expect, "patch_input_ids")->data;
    for (uint32_t i = 0; i < N; i++)
        other[i] = (uint32_t)ids[i];
    for (uint32_t b = 0; b < g.B; b++)
        last[b] = b * g.T + g.T - 1;
    hs_batch clean = g.batch, source = g.batch;
    clean.P = source.P = g.B;
    clean.score_row = source.score_row = last;
    source.token = other;
    float *a = hs_alloc((S + 1) * ND * 4), *b = hs_alloc((S + 1) * ND * 4), *x = hs_alloc(ND * 4);
    float *before = hs_alloc(g.B * V * 4), *after = hs_alloc(g.B * V * 4);
    hs_model_states(&g.model, &clean, g.work, a);
    hs_model_states(&g.model, &source, g.work, b);
    hs_model_logits(&g.model, &clean, g.work, before);
    for (uint32_t layer = 1; layer <= S; layer++)
        for (uint32_t pos = 0; pos < g.T; pos++) {
            memcpy(x, a + layer * ND, ND * 4);
            for (uint32_t q = 0; q < g.B; q++)
                memcpy(x + (q * g.T + pos) * D, b + layer * ND + (q * g.T + pos) * D, D * 4);
            hs_model_logits_from(&g.model, &clean, layer, x, g.work, after);
            for (uint32_t q = 0; q < g.B; q++) {
                const size_t top = hs_kernels_get()->argmax(V, before + q * V);
                int rank = 0;
                for (uint32_t v = 0; v < V; v++)
                    rank += after[q * V + v] > after[q * V + top];
                assert_int_equal(rank, want[((layer - 1) * g.T + pos) * g.B + q]);
            }
        }
    hs_free(other);
    hs_free(last);
    hs_free(a);
    hs_free(b);
    hs_free(x);
    hs_free(before);
    hs_free(after);
    unload(&g);
}

static void test_golden_states(void **state)
{
    (void)state;
    states_and_logits("gpt2");
    states_and_logits("gpt2_shared");
}

static void test_golden_gradients(void **state)
{
    (void)state;
    gradients("gpt2", 4.246414022870673);
    gradients("gpt2_shared", 3.6506596289544797);
}

static void test_golden_patches(void **state)
{
    (void)state;
    /* tests/golden/gpt2.json and gpt2_shared.json, patch_rank_of_clean_top1 */
    static const int gpt2[] = {
        0, 1, 0, 1, 0, 0, 0, 1, 1, 0, 4, 1, 0, 0, 0, 0, 1, 1, 0, 0, 0, 5, 2, 1, 1, 5, 2, 10,
        0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 13, 3, 1, 1, 4, 4, 12,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 12, 3, 1, 2, 7, 5, 10};
    static const int shared[] = {
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 20, 0, 5, 9, 1, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 22, 0, 7, 15, 1, 1,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 20, 0, 7, 16, 1, 1,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 22, 0, 7, 16, 1, 1};
    patches("gpt2", gpt2);
    patches("gpt2_shared", shared);
}

/* ---------------------------------------------------------------- without a reference */

typedef struct toy {
    uint32_t token[9], start[4], score_row[5], target[5];
    float weight[5];
    hs_batch batch;
} toy;

/* Three sequences of 4, 2 and 3 tokens, five rows scored. */
static void make_toy(toy *t)
{
    static const uint32_t token[9] = {1, 5, 3, 7, 2, 6, 4, 0, 8}, start[4] = {0, 4, 6, 9};
    static const uint32_t score_row[5] = {1, 3, 5, 7, 8}, target[5] = {2, 9, 1, 3, 10};
    memcpy(t->token, token, sizeof token);
    memcpy(t->start, start, sizeof start);
    memcpy(t->score_row, score_row, sizeof score_row);
    memcpy(t->target, target, sizeof target);
    for (int i = 0; i < 5; i++)
        t->weight[i] = 0.2f;
    t->batch = (hs_batch){.B = 3, .N = 9, .P = 5, .token = t->token, .start = t->start, .score_row = t->score_row,
                          .target = t->target, .weight = t->weight};
}

/* Answered after earlier passes too: two scored rows, and one that is not. */
static const uint32_t exit_row[3] = {3, 6, 8}, exit_target[3] = {9, 4, 10};
static const float exit_weight[3] = {0.5f, 0.25f, 0.5f};
static const hs_exits exits_of_toy = {.n = 3, .row = exit_row, .target = exit_target, .weight = exit_weight};

static hs_model_config small(void)
{
    hs_model_config c;
    hs_model_config_default(&c);
    c.vocab = 11;
    c.n_positions = 6;
    c.n_embd = 24; /* not a multiple of 16: tails are exercised */
    c.n_head = 3;
    c.n_layer = 2;
    c.init_std = 0.3f; /* far from linear, so that central differences see curvature */
    return c;
}

static double loss_of(const hs_model *m, const hs_batch *batch, hs_loss_kind kind, float *work, float *scratch)
{
    const hs_loss_result r = hs_model_backward(m, batch, kind, work, scratch);
    return r.loss + r.exit_loss;
}

/* Central differences on a sample of every tensor. float32 losses resolve about 1e-6; steps of 1e-2 keep noise and
 * curvature below the bound. */
static void check_gradient_of(const hs_model_config *c, hs_loss_kind kind, bool dropout, bool exits, float smoothing)
{
    hs_model m = {0};
    toy t;
    make_toy(&t);
    t.batch.dropout_seed = dropout ? 7 : 0;
    t.batch.exits = exits ? exits_of_toy : (hs_exits){0};
    t.batch.smoothing = smoothing;
    t.batch.step = 3;
    assert_ok(hs_model_create(&m, c, 5, err));
    float *work = hs_alloc(4 * hs_model_work_size(&m, 3, 9, 5, true));
    float *grad = hs_calloc(m.n_params, 4), *scratch = hs_calloc(m.n_params, 4);
    hs_model_backward(&m, &t.batch, kind, work, grad);
    for (uint32_t i = 0; i < m.n_tensors; i++) {
        const hs_tensor *tensor = &m.tensor[i];
        double difference = 0, norm = 0;
        for (size_t j = 0; j < tensor->size; j += 1 + tensor->size / 13) {
            float *w = m.param + tensor->offset + j, kept = *w;
            const double h = 4e-3;
            double d[2];
            for (int k = 0; k < 2; k++) { /* Richardson: steps h and 2h cancel the cubic term */
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
        if (sqrt(difference) > 2e-2 * sqrt(norm) + 2e-4)
            fail_msg("%s: analytic and numeric gradient differ by %.3g of %.3g", tensor->name, sqrt(difference), sqrt(norm));
    }
    hs_free(work);
    hs_free(grad);
    hs_free(scratch);
    hs_model_free(&m);
}

static void check_gradient(const hs_model_config *c, hs_loss_kind kind, bool dropout)
{
    check_gradient_of(c, kind, dropout, false, 0);
}

/* Rows that must be answered after earlier passes too: gradient of the sum of both losses; nothing for a model of one pass. */
static void test_gradient_of_exits(void **state)
{
    (void)state;
    hs_model_config c = small();
    c.passes = 3;
    c.inject = true;
    check_gradient_of(&c, HS_LOSS_CROSS_ENTROPY, false, true, 0);
    c.tied = false;
    c.n_layer = 1;
    check_gradient_of(&c, HS_LOSS_STABLEMAX, false, true, 0);
    check_gradient_of(&c, HS_LOSS_STABLEMAX, false, true, 0.2f);
    c.dropout = 0.2f;
    check_gradient_of(&c, HS_LOSS_CROSS_ENTROPY, true, true, 0.1f);
    /* the loss after a pass is that of the head on the state there */
    hs_model m = {0};
    toy t;
    make_toy(&t);
    t.batch.exits = exits_of_toy;
    c = small();
    c.passes = 3;
    assert_ok(hs_model_create(&m, &c, 5, err));
    float *work = hs_alloc(4 * hs_model_work_size(&m, 3, 9, 5, true)), *grad = hs_calloc(m.n_params, 4),
          *states = hs_alloc(4 * 7 * 9 * c.n_embd), *logits = hs_alloc(4 * 11), *rows = hs_alloc(4 * (c.n_embd + 80));
    hs_model_states(&m, &t.batch, work, states);
    double expected[3] = {0}; /* after passes 1 and 2; [0]: after both */
    for (size_t pass = 1; pass < 3; pass++)
        for (int i = 0; i < 3; i++) {
            hs_model_lens(&m, 1, states + (2 * pass * 9 + exit_row[i]) * c.n_embd, rows, logits);
            double total = 0;
            for (int v = 0; v < 11; v++)
                total += exp((double)logits[v] - (double)logits[exit_target[i]]);
            expected[pass] += (double)exit_weight[i] * log(total);
        }
    expected[0] = expected[1] + expected[2];
    expected[2] = expected[0]; /* exits.passes: 0 stands for all there are */
    for (uint32_t passes = 0; passes < 3; passes++) {
        t.batch.exits.passes = passes;
        const hs_loss_result r = hs_model_backward(&m, &t.batch, HS_LOSS_CROSS_ENTROPY, work, grad);
        assert_true(fabs(r.exit_loss - expected[passes]) < 1e-5);
    }
    hs_free(work);
    hs_free(grad);
    hs_free(states);
    hs_free(logits);
    hs_free(rows);
    hs_model_free(&m);
}

static void test_gradient_of_every_switch(void **state)
{
    (void)state;
    hs_model_config c = small();
    check_gradient(&c, HS_LOSS_CROSS_ENTROPY, false);
    check_gradient(&c, HS_LOSS_STABLEMAX, false);
    c.passes = 2;
    check_gradient(&c, HS_LOSS_CROSS_ENTROPY, false);
    c.inject = true;
    check_gradient(&c, HS_LOSS_CROSS_ENTROPY, false);
    c.re_embed = true;
    c.re_embed_temp = 0.7f;
    check_gradient(&c, HS_LOSS_CROSS_ENTROPY, false);
    c = small();
    c.share_mlp = true;
    c.memory_inner = 20;
    check_gradient(&c, HS_LOSS_CROSS_ENTROPY, false);
    c = small();
    c.no_ln = true;
    c.init_std = 0.15f;
    check_gradient(&c, HS_LOSS_CROSS_ENTROPY, false);
    c = small();
    c.no_mlp = true;
    c.tied = false;
    check_gradient(&c, HS_LOSS_CROSS_ENTROPY, false);
    c.positions = HS_POSITIONS_NONE;
    check_gradient(&c, HS_LOSS_CROSS_ENTROPY, false);
    c.positions = HS_POSITIONS_ANSWER;
    check_gradient(&c, HS_LOSS_CROSS_ENTROPY, false);
    c = small();
    c.dropout = 0.2f;
    check_gradient(&c, HS_LOSS_CROSS_ENTROPY, true);
    c.passes = 2;
    c.inject = true;
    check_gradient(&c, HS_LOSS_CROSS_ENTROPY, true);
}

/* Logits of the scored rows are the same when computed alone, with all rows, or a sequence at a time. */
static void test_pruning_and_raggedness(void **state)
{
    (void)state;
    hs_model_config c = small();
    c.passes = 2;
    hs_model m = {0};
    toy t;
    make_toy(&t);
    assert_ok(hs_model_create(&m, &c, 5, err));
    float *work = hs_alloc(4 * hs_model_work_size(&m, 3, 9, 9, true));
    float pruned[5 * 11], whole[9 * 11], alone[4 * 11];
    t.batch.weight = NULL;
    hs_model_logits(&m, &t.batch, work, pruned);
    uint32_t rows[9] = {0, 1, 2, 3, 4, 5, 6, 7, 8};
    hs_batch all = t.batch;
    all.P = 9;
    all.score_row = rows;
    hs_model_logits(&m, &all, work, whole);
    for (int p = 0; p < 5; p++)
        assert_near("pruned", pruned + p * 11, whole + t.score_row[p] * 11, 11, 1e-6);
    for (uint32_t b = 0; b < 3; b++) {
        const uint32_t n = t.start[b + 1] - t.start[b], start[2] = {0, n};
        hs_batch one = {.B = 1, .N = n, .P = n, .token = t.token + t.start[b], .start = start, .score_row = rows};
        hs_model_logits(&m, &one, work, alone);
        assert_near("alone", alone, whole + t.start[b] * 11, n * 11, 1e-6);
    }
    hs_free(work);
    hs_model_free(&m);
}

/* Patching the state at position p leaves the answers read before p alone (causality), and changes later ones. */
static void test_patch_is_causal(void **state)
{
    (void)state;
    hs_model_config c = small();
    hs_model m = {0};
    toy t;
    make_toy(&t);
    assert_ok(hs_model_create(&m, &c, 5, err));
    float *work = hs_alloc(4 * hs_model_work_size(&m, 3, 9, 9, true));
    float states[3 * 9 * 24], before[5 * 11], after[5 * 11];
    hs_model_states(&m, &t.batch, work, states);
    hs_model_logits(&m, &t.batch, work, before);
    float *x = states + 1 * 9 * 24;
    for (int i = 0; i < 24; i++)
        x[2 * 24 + i] += (i % 2 ? 1.0f : -1.0f); /* row 2: third token of the first sequence */
    hs_model_logits_from(&m, &t.batch, 1, x, work, after);
    assert_near("row 1, before the patch", after, before, 11, 1e-6);
    assert_true(check_relative_error(after + 11, before + 11, 11) > 1e-3);
    assert_near("another sequence", after + 22, before + 22, 33, 1e-6);
    hs_free(work);
    hs_model_free(&m);
}

/* A pass from every stage, with nothing written, with rows written at two stages, and read at rows that are not scored:
 * the same bits as running it all. */
static void from_every_stage(const hs_model_config *c)
{
    hs_model m = {0};
    toy t;
    make_toy(&t);
    assert_ok(hs_model_create(&m, c, 5, err));
    const uint32_t S = m.n_stages, ND = 9 * 24;
    float *work = hs_alloc(4 * hs_model_work_size(&m, 3, 9, 9, false));
    float *states = hs_alloc((S + 1) * ND * 4), *again = hs_alloc((S + 1) * ND * 4),
          *written = hs_alloc((S + 1) * ND * 4);
    float want[5 * 11], got[9 * 11], whole[9 * 11], x[2][24];
    assert_int_equal(hs_model_streams(&m), 1);
    assert_int_equal(hs_model_state_rows(&m, 3, 9), 9);
    hs_model_states(&m, &t.batch, work, states);
    hs_model_logits(&m, &t.batch, work, want);
    for (int i = 0; i < 24; i++) {
        x[0][i] = cosf((float)i);
        x[1][i] = sinf((float)i);
    }
    const hs_patch patch[] = {{.stage = 1, .row = 2, .x = x[0]},
                              {.stage = S, .row = t.score_row[0], .x = x[1]},
                              {.stage = S, .row = t.score_row[4], .x = x[0]}};
    const hs_pass all = {.n_patches = 3, .patch = patch, .logits = whole, .states_out = written};
    hs_model_run(&m, &t.batch, &all, work);
    assert_memory_equal(written + ND + 2 * 24, x[0], sizeof x[0]);
    assert_memory_equal(written + S * ND + t.score_row[0] * 24, x[1], sizeof x[1]);
    for (uint32_t s = 0; s <= S; s++) {
        hs_model_logits_from(&m, &t.batch, s, states + s * ND, work, got);
        if (s < S) /* the last stage is computed at all rows for `states`, at scored ones for logits: other products */
            assert_memory_equal(got, want, sizeof want);
        assert_near("from a stage", got, want, 5 * 11, 1e-6);
        memcpy(again, states, s * ND * sizeof *again);
        const hs_pass read = {.states = states, .from = s, .states_out = again};
        hs_model_run(&m, &t.batch, &read, work);
        assert_memory_equal(again, states, (S + 1) * ND * sizeof *again);
        const hs_pass patched = {
            .states = states, .from = s, .n_patches = s > 1 ? 2 : 3, .patch = patch + (s > 1), .logits = got};
        hs_model_run(&m, &t.batch, &patched, work);
        assert_near("patched", got, s > 1 ? whole + 0 : whole, 11, 1e-6); /* row 0: its state is x[1] anyway */
        if (s <= 1)
            assert_near("patched", got, whole, 5 * 11, 1e-6);
    }
    const uint32_t row[3] = {0, 4, 8};
    float some[3 * 11];
    const hs_pass rows = {.n_rows = 3, .row = row, .logits = some};
    hs_model_run(&m, &t.batch, &rows, work);
    hs_model_lens(&m, 9, states + S * ND, work, got);
    for (int i = 0; i < 3; i++)
        assert_near("any row", some + i * 11, got + row[i] * 11, 11, 1e-6);
    hs_free(work);
    hs_free(states);
    hs_free(again);
    hs_free(written);
    hs_model_free(&m);
}

static void test_from_every_stage(void **state)
{
    (void)state;
    hs_model_config c = small();
    from_every_stage(&c);
    c.passes = 2;
    from_every_stage(&c);
    c.inject = true;
    c.re_embed = true;
    from_every_stage(&c);
    c.inject = c.re_embed = false;
    c.kind = HS_MODEL_LLAMA;
    c.qk_norm = true;
    from_every_stage(&c);
}

/* Without a table of positions a token's embedding is the same everywhere; counted back from the answer, last tokens
 * share a row. */
static void test_positions(void **state)
{
    (void)state;
    toy t;
    make_toy(&t);
    for (int kind = HS_POSITIONS_LEARNED; kind <= HS_POSITIONS_ANSWER; kind++) {
        hs_model_config c = small();
        c.positions = (hs_positions)kind;
        hs_model m = {0};
        assert_ok(hs_model_create(&m, &c, 5, err));
        float *work = hs_alloc(4 * hs_model_work_size(&m, 3, 9, 9, false)), *states = hs_alloc(4 * 3 * 9 * c.n_embd);
        const hs_tensor *wpe = hs_model_tensor(&m, "transformer.wpe.weight");
        const float *wte = m.param + hs_model_tensor(&m, "transformer.wte.weight")->offset;
        assert_true((wpe == NULL) == (kind == HS_POSITIONS_NONE));
        hs_model_states(&m, &t.batch, work, states);
        for (uint32_t b = 0; b < 3; b++)
            for (uint32_t n = t.start[b]; n < t.start[b + 1]; n++)
                for (uint32_t i = 0; i < c.n_embd; i++) {
                    const uint32_t place = kind == HS_POSITIONS_ANSWER ? 6 - (t.start[b + 1] - n) : n - t.start[b];
                    const float at = wpe ? m.param[wpe->offset + place * c.n_embd + i] : 0;
                    assert_true(states[n * c.n_embd + i] == wte[t.token[n] * c.n_embd + i] + at);
                }
        hs_free(work);
        hs_free(states);
        hs_model_free(&m);
    }
}

static void test_stage_names(void **state)
{
    (void)state;
    hs_model_config c = small();
    hs_model m = {0};
    assert_ok(hs_model_create(&m, &c, 5, err));
    assert_string_equal(hs_model_stage(&m, 0).name, "embeddings");
    assert_string_equal(hs_model_stage(&m, 2).name, "block 2");
    assert_string_equal(hs_model_stream_name(&m, 0), "residual");
    assert_null(hs_model_stream_name(&m, 1));
    hs_model_free(&m);
    c.passes = 3;
    assert_ok(hs_model_create(&m, &c, 5, err));
    const hs_stage stage = hs_model_stage(&m, 2 * c.n_layer);
    assert_string_equal(stage.name, "pass 2 block 2");
    assert_true(stage.pass == 2 && stage.step == c.n_layer && stage.stream == 0);
    hs_model_free(&m);
}

/* Several right answers: the loss is -log of their total probability, and the gradient is its gradient. */
static void test_several_right_answers(void **state)
{
    (void)state;
    const hs_kernels *k = hs_kernels_get();
    const float logits[7] = {0.5f, -1.0f, 2.0f, 0.1f, 0.7f, -0.3f, 1.5f};
    const uint32_t target = 2, also[2] = {4, 6};
    const uint64_t also_start[2] = {0, 2};
    const float weight = 0.5f;
    for (int stable = 0; stable < 2; stable++) {
        double (*loss)(size_t, size_t, float *, const uint32_t *, const float *, float, const uint64_t *,
                       const uint32_t *, uint32_t *) = stable ? k->stablemax : k->cross_entropy;
        float x[7];
        uint32_t correct = 0;
        memcpy(x, logits, sizeof x);
        const double value = loss(1, 7, x, &target, &weight, 0, also_start, also, &correct);
        double s[7], total = 0;
        for (int i = 0; i < 7; i++) {
            const double l = (double)logits[i];
            total += s[i] = stable ? (l >= 0 ? l + 1 : 1 / (1 - l)) : exp(l);
        }
        assert_true(fabs(value - -0.5 * log((s[2] + s[4] + s[6]) / total)) < 1e-6);
        for (int i = 0; i < 7; i++) {
            float y[7];
            double d[2];
            for (int sign = 0; sign < 2; sign++) {
                memcpy(y, logits, sizeof y);
                y[i] += sign ? -1e-2f : 1e-2f;
                d[sign] = loss(1, 7, y, &target, NULL, 0, also_start, also, &correct);
            }
            assert_true(fabs(0.5 * (d[0] - d[1]) / 2e-2 - (double)x[i]) < 2e-4);
        }
    }
}

int main(void)
{
    hs_error err;
    if (hs_tensor_open(&err) != HS_OK) {
        fprintf(stderr, "%s\n", err.what);
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_states),
        cmocka_unit_test(test_from_every_stage),
        cmocka_unit_test(test_positions),
        cmocka_unit_test(test_stage_names),
        cmocka_unit_test(test_golden_gradients),
        cmocka_unit_test(test_golden_patches),
        cmocka_unit_test(test_gradient_of_every_switch),
        cmocka_unit_test(test_gradient_of_exits),
        cmocka_unit_test(test_pruning_and_raggedness),
        cmocka_unit_test(test_patch_is_causal),
        cmocka_unit_test(test_several_right_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
