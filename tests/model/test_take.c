/* Weights of one model into another with other tokens and positions, in every family. */
#include "hopscope/model.h"

#include "check.h"

static hs_error error;

static hs_model make(hs_model_kind kind, uint32_t vocab, uint32_t positions, uint32_t layers, uint64_t seed)
{
    hs_model_config c;
    hs_model_config_default(&c);
    c.kind = kind;
    c.vocab = vocab;
    c.n_positions = positions;
    c.n_layer = layers;
    c.n_embd = 16;
    c.n_head = 2;
    c.prefix = 1;
    c.round_up = 16;
    c.tied = false;
    hs_model model = {0};
    assert_ok(hs_model_create(&model, &c, seed, err));
    return model;
}

static const float *row(const hs_model *m, const char *tensor, uint32_t r)
{
    const hs_tensor *t = hs_model_tensor(m, tensor);
    assert_non_null(t);
    return m->param + t->offset + (size_t)r * t->shape[1];
}

static void assert_rows(const hs_model *a, uint32_t ra, const hs_model *b, uint32_t rb, const char *tensor, bool same)
{
    if ((memcmp(row(a, tensor, ra), row(b, tensor, rb), 16 * sizeof(float)) == 0) != same)
        fail_msg("%s: row %u and row %u should %sbe the same", tensor, ra, rb, same ? "" : "not ");
}

static const char *embedding(hs_model_kind kind)
{
    return kind == HS_MODEL_GPT2    ? "transformer.wte.weight"
           : kind == HS_MODEL_LLAMA ? "model.embed_tokens.weight"
                                    : "embed.weight";
}

/* Rows follow their tokens in embedding and head; a new token keeps its own; all else is the old model's. */
static void test_tokens(void **state)
{
    (void)state;
    for (int kind = 0; kind < HS_MODEL_KINDS; kind++) {
        hs_model from = make((hs_model_kind)kind, 7, 4, 2, 1), to = make((hs_model_kind)kind, 5, 4, 2, 2);
        hs_model drawn = make((hs_model_kind)kind, 5, 4, 2, 2);
        const uint32_t token[5] = {6, HS_NO_TARGET, 0, 3, HS_NO_TARGET};
        assert_ok(hs_model_take(&to, &from, token, err));
        const uint32_t before = kind == HS_MODEL_TRM; /* the padding's row */
        const char *const tables[] = {embedding((hs_model_kind)kind), "lm_head.weight"};
        for (int k = 0; k < 2; k++) {
            for (uint32_t t = 0; t < 5; t++)
                assert_rows(&to, before + t, token[t] == HS_NO_TARGET ? &drawn : &from,
                            before + (token[t] == HS_NO_TARGET ? t : token[t]), tables[k], true);
            if (before)
                assert_rows(&to, 0, &from, 0, tables[k], true);
        }
        for (uint32_t i = 0; i < to.n_tensors; i++) {
            const hs_tensor *t = &to.tensor[i], *o = &from.tensor[i];
            if (strcmp(t->name, tables[0]) != 0 && strcmp(t->name, tables[1]) != 0)
                assert_memory_equal(to.param + t->offset, from.param + o->offset, t->size * sizeof(float));
        }
        hs_model_free(&from);
        hs_model_free(&to);
        hs_model_free(&drawn);
    }
}

static void test_longer(void **state)
{
    (void)state;
    const uint32_t token[5] = {0, 1, 2, 3, 4};
    hs_model from = make(HS_MODEL_GPT2, 5, 3, 1, 1), to = make(HS_MODEL_GPT2, 5, 4, 1, 2);
    assert_ok(hs_model_take(&to, &from, token, err));
    for (uint32_t p = 0; p < 3; p++)
        assert_rows(&to, p, &from, p, "transformer.wpe.weight", true);
    hs_model_free(&from);
    hs_model_free(&to);
    /* TRM mixes a fixed number of positions */
    from = make(HS_MODEL_TRM, 5, 4, 1, 1);
    to = make(HS_MODEL_TRM, 5, 5, 1, 2);
    assert_int_equal(hs_model_take(&to, &from, token, &error), HS_ERR_DATA);
    assert_non_null(strstr(error.what, "mix."));
    assert_non_null(strstr(error.what, " x 5 in the weights to start from and "));
    hs_model_free(&from);
    hs_model_free(&to);
}

static void test_refused(void **state)
{
    (void)state;
    const uint32_t token[5] = {0, 1, 2, 3, 4};
    hs_model deep = make(HS_MODEL_GPT2, 5, 4, 2, 1), flat = make(HS_MODEL_GPT2, 5, 4, 1, 2);
    assert_int_equal(hs_model_take(&deep, &flat, token, &error), HS_ERR_DATA);
    assert_non_null(strstr(error.what, "have no tensor transformer.h.1."));
    assert_int_equal(hs_model_take(&flat, &deep, token, &error), HS_ERR_DATA);
    assert_non_null(strstr(error.what, "have a tensor transformer.h.1."));
    hs_model other = make(HS_MODEL_LLAMA, 5, 4, 1, 1);
    assert_int_equal(hs_model_take(&other, &flat, token, &error), HS_ERR_DATA);
    assert_non_null(strstr(error.what, "have no tensor model.embed_tokens.weight"));
    hs_model_free(&deep);
    hs_model_free(&flat);
    hs_model_free(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_longer),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests_name("model.take", tests, NULL, NULL);
}
