/* Knockouts against the same done to the weights, and what a pass reads out of its heads and MLPs against the states. */
#include "interp_test.h"

enum { T = 3, MAX = 40 };

/* A decoder that runs its blocks `passes` times. */
static void decoder(world *w, hs_model_kind kind, uint32_t passes)
{
    hs_data_config d;
    hs_model_config m;
    world_config(&d, &m, kind, 2);
    m.passes = passes;
    m.inject = false;
    world_build(w, &d, NULL, m, 40);
}

static void zero_tensor(world *w, const char *name)
{
    const hs_tensor *t = hs_model_tensor(&w->model, name);
    assert_non_null(t);
    memset(w->model.param + t->offset, 0, t->size * sizeof(float));
}

/* Head 2 of the second block, or its MLP, without effect by its weights. */
static void zero_part(world *w, bool mlp)
{
    const bool llama = w->model.config.kind == HS_MODEL_LLAMA;
    const uint32_t D = w->model.config.n_embd, width = D / w->model.config.n_head;
    if (mlp && llama) {
        zero_tensor(w, "model.layers.1.mlp.down_proj.weight");
    } else if (mlp) {
        zero_tensor(w, "transformer.h.1.mlp.c_proj.weight");
        zero_tensor(w, "transformer.h.1.mlp.c_proj.bias");
    } else {
        const hs_tensor *t = hs_model_tensor(&w->model, llama ? "model.layers.1.self_attn.o_proj.weight"
                                                              : "transformer.h.1.attn.c_proj.weight");
        assert_non_null(t);
        for (uint32_t i = width; i < 2 * width; i++) /* inputs of the projection: rows of GPT-2's, columns of Llama's */
            for (uint32_t o = 0; o < D; o++)
                w->model.param[t->offset + (llama ? o * D + i : i * D + o)] = 0;
    }
}

/* The share of the looked-at items that the model answers right, each run alone. */
static double accuracy_alone(const world *w, const readings *all, const hs_split *split)
{
    const uint32_t V = w->model.config.vocab;
    float *logits = hs_alloc(V * sizeof *logits);
    double right = 0, n = 0;
    for (size_t i = 0; i < all->n_items; i++) {
        const kept *k = &all->item[i];
        if (k->role[0])
            continue; /* role "": the whole model, once an item */
        const uint32_t *item = split->tokens + k->item * split->width;
        run_alone(&w->model, item, T, NULL, logits, NULL, 0, 0, NULL);
        right += hs_kernels_get()->argmax(V, logits) == item[split->answer];
        n++;
    }
    hs_free(logits);
    assert_true(n == MAX);
    return right / n;
}

/* Without sharing, a part out of action at its stage; with sharing, in both of its applications: as if its weights were 0. */
static void test_zero_is_zero_weights(void **state)
{
    (void)state;
    for (int c = 0; c < 8; c++) {
        world w;
        readings all;
        const uint32_t passes = c & 1 ? 2 : 1;
        const bool mlp = c & 2;
        decoder(&w, c & 4 ? HS_MODEL_LLAMA : HS_MODEL_GPT2, passes);
        const hs_split *split = hs_dataset_split(&w.data, "train_inferred");
        look(&w, "ablate", "train_inferred", MAX, NULL, &all);
        const kept *whole = find(&all, HS_ALL_STAGES, "", "", "accuracy"),
                   *out = passes == 1
                              ? find(&all, 2, "", mlp ? "mlp" : "head 2", "accuracy")
                              : find(&all, HS_ALL_STAGES, "", mlp ? "block 2 mlp" : "block 2 head 2", "accuracy");
        assert_true(whole && out);
        assert_true(fabs(whole->value - accuracy_alone(&w, &all, split)) < 1e-9);
        zero_part(&w, mlp);
        assert_true(fabs(out->value - accuracy_alone(&w, &all, split)) < 1e-9);
        readings_free(&all);
        world_free(&w);
    }
}

/* One question's mean is its own value: nothing is missed, whatever is put out of action. */
static void test_mean_of_one_is_the_model(void **state)
{
    (void)state;
    world w;
    readings all;
    decoder(&w, HS_MODEL_GPT2, 2);
    look(&w, "ablate", "train_inferred", 1, NULL, &all);
    const kept *whole = find(&all, HS_ALL_STAGES, "", "", "accuracy");
    uint32_t seen = 0;
    for (size_t i = 0; i < all.n; i++)
        if (strcmp(all.row[i].measure, "accuracy_mean") == 0) {
            assert_true(all.row[i].value == whole->value);
            seen++;
        }
    assert_int_equal(seen, (4 + 2) * 3); /* 4 stages and 2 blocks, 2 heads and an MLP each */
    readings_free(&all);
    world_free(&w);
}

/* What is read out adds up: a stage is the one below, the projected heads and the MLP; and a knockout by values read out of another
 * pass is that pass's part. */
static void test_parts_add_up(void **state)
{
    (void)state;
    world w;
    decoder(&w, HS_MODEL_GPT2, 1);
    const hs_model *m = &w.model;
    const hs_split *split = hs_dataset_split(&w.data, "train_inferred");
    const uint32_t D = m->config.n_embd, start[2] = {0, T}, row = T - 1, size = 3 * T * D;
    const hs_batch batch = {.B = 1, .N = T, .P = 1, .token = split->tokens, .start = start, .score_row = &row};
    float *states = hs_calloc(3 * (size_t)size, sizeof *states), *heads = states + size, *mlps = heads + size;
    float *work = hs_alloc(hs_model_work_size(m, 1, T, 1, false) * sizeof *work);
    const hs_pass pass = {.states_out = states, .heads_out = heads, .mlps_out = mlps};
    hs_model_run(m, &batch, &pass, work);
    const float *weight = m->param + hs_model_tensor(m, "transformer.h.1.attn.c_proj.weight")->offset,
                *bias = m->param + hs_model_tensor(m, "transformer.h.1.attn.c_proj.bias")->offset;
    for (uint32_t r = 0; r < T; r++)
        for (uint32_t d = 0; d < D; d++) {
            double sum = (double)states[(T + r) * D + d] + (double)mlps[(2 * T + r) * D + d] + (double)bias[d];
            for (uint32_t i = 0; i < D; i++)
                sum += (double)heads[(2 * T + r) * D + i] * (double)weight[i * D + d];
            assert_true(fabs(sum - (double)states[(2 * T + r) * D + d]) < 1e-4);
        }
    /* the MLP of block 2 replaced by ones everywhere */
    float *ones = hs_alloc(T * D * sizeof *ones), *changed = hs_calloc(size, sizeof *changed);
    for (uint32_t i = 0; i < T * D; i++)
        ones[i] = (float)(i + 1);
    const hs_knockout out = {.stage = 2, .part = HS_KNOCK_MLP, .x = ones};
    const hs_pass knocked = {.states_out = changed, .n_knockouts = 1, .knockout = &out};
    hs_model_run(m, &batch, &knocked, work);
    for (uint32_t i = 0; i < T * D; i++) {
        const uint32_t at = 2 * T * D + i;
        assert_true(fabsf(changed[at] - (states[at] - mlps[at] + ones[i])) < 1e-3f);
        assert_true(changed[T * D + i] == states[T * D + i]);
    }
    hs_free(ones);
    hs_free(changed);
    hs_free(states);
    hs_free(work);
    world_free(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_zero_is_zero_weights),
        cmocka_unit_test(test_mean_of_one_is_the_model),
        cmocka_unit_test(test_parts_add_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
