/* The table of tensors, initialization, configuration checks, model files: save and load, and every kind of mismatch.
 */
#include "../check.h"

#include "hopscope/model.h"
#include "hopscope/tensor.h"

#include <unistd.h>

static hs_model_config config_of(hs_model_kind kind)
{
    hs_model_config c;
    hs_model_config_default(&c);
    c.kind = kind;
    c.vocab = 13;
    c.n_positions = 5;
    c.n_embd = 20; /* so that most tensors end in padding */
    c.n_head = 2;
    c.round_up = 4;
    return c;
}

static void path_of(char *out, size_t size, const char *name)
{
    snprintf(out, size, "%s/%s-%ld.safetensors", TEST_BINARY_DIR, name, (long)getpid());
}

/* ---------------------------------------------------------------- table and initialization */

static void test_table_is_aligned_and_padding_is_zero(void **state)
{
    (void)state;
    for (int kind = 0; kind < 3; kind++) {
        const hs_model_config c = config_of((hs_model_kind)kind);
        hs_model m = {0};
        assert_ok(hs_model_create(&m, &c, 3, err));
        size_t at = 0, weights = 0;
        for (uint32_t i = 0; i < m.n_tensors; i++) {
            const hs_tensor *t = &m.tensor[i];
            size_t size = 1;
            for (uint32_t d = 0; d < t->ndim; d++)
                size *= t->shape[d];
            assert_int_equal(t->size, size);
            assert_int_equal(t->offset, at);
            assert_int_equal(t->offset % 16, 0);
            at = (t->offset + t->size + 15) / 16 * 16;
            for (size_t j = t->offset + t->size; j < at; j++)
                assert_true(m.param[j] == 0);
            weights += t->group == HS_GROUP_BUFFER ? 0 : t->size;
            assert_ptr_equal(hs_model_tensor(&m, t->name), t);
        }
        assert_int_equal(m.n_params, at);
        assert_int_equal(m.n_weights, weights);
        assert_null(hs_model_tensor(&m, "nothing"));
        hs_model_free(&m);
        hs_model_free(&m);
    }
    hs_model_free(NULL);
}

static void test_initialization_depends_on_the_seed_only(void **state)
{
    (void)state;
    hs_model_config c = config_of(HS_MODEL_GPT2);
    hs_model a = {0}, b = {0}, other = {0}, longer = {0};
    assert_ok(hs_model_create(&a, &c, 3, err));
    assert_ok(hs_model_create(&b, &c, 3, err));
    assert_ok(hs_model_create(&other, &c, 4, err));
    assert_memory_equal(a.param, b.param, a.n_params * 4);
    const hs_tensor *t = hs_model_tensor(&a, "transformer.h.0.attn.c_attn.weight");
    assert_true(check_relative_error(other.param + t->offset, a.param + t->offset, t->size) > 1);
    c.n_layer = 3;
    c.init_std = 0.02f;
    assert_ok(hs_model_create(&longer, &c, 3, err));
    assert_memory_equal(longer.param + t->offset, a.param + t->offset, t->size * 4);
    /* N(0, 0.02); projections narrower by sqrt(2 * layers) (GPT-2; arXiv 2405.15071) */
    double squares = 0;
    for (size_t i = 0; i < t->size; i++)
        squares += pow((double)a.param[t->offset + i], 2);
    assert_true(fabs(sqrt(squares / (double)t->size) - 0.02) < 0.001);
    t = hs_model_tensor(&a, "transformer.h.1.mlp.c_proj.weight");
    squares = 0;
    for (size_t i = 0; i < t->size; i++)
        squares += pow((double)a.param[t->offset + i], 2);
    assert_true(fabs(sqrt(squares / (double)t->size) - 0.01) < 0.001);
    hs_model_free(&a);
    hs_model_free(&b);
    hs_model_free(&other);
    hs_model_free(&longer);
}

/* ---------------------------------------------------------------- configuration */

static void test_configuration_errors_name_the_field(void **state)
{
    (void)state;
#define BAD(kind, field, value)                                                                                        \
    do {                                                                                                               \
        hs_model_config c_ = config_of(kind);                                                                          \
        hs_error err_ = {0};                                                                                           \
        assert_int_equal(hs_model_config_check(&c_, &err_), HS_OK);                                                    \
        c_.field = value;                                                                                              \
        assert_int_equal(hs_model_config_check(&c_, &err_), HS_ERR_DATA);                                              \
        assert_string_equal(err_.where, "model." #field);                                                              \
        assert_true(err_.hint[0] != 0);                                                                                \
    } while (0)
    BAD(HS_MODEL_GPT2, vocab, 0);
    BAD(HS_MODEL_GPT2, vocab, UINT32_MAX);
    BAD(HS_MODEL_GPT2, n_head, 3);
    BAD(HS_MODEL_GPT2, n_head, 0);
    BAD(HS_MODEL_GPT2, n_layer, 0);
    BAD(HS_MODEL_GPT2, n_layer, 1u << 30);
    BAD(HS_MODEL_GPT2, passes, 0);
    BAD(HS_MODEL_GPT2, n_layer, 97); /* refused by the configuration, before a run directory is begun */
    BAD(HS_MODEL_LLAMA, passes, 1000);
    BAD(HS_MODEL_GPT2, dropout, 1.0f);
    BAD(HS_MODEL_GPT2, dropout, NAN);
    BAD(HS_MODEL_GPT2, eps, -1.0f);
    BAD(HS_MODEL_GPT2, qk_norm, true);
    BAD(HS_MODEL_LLAMA, n_head, 4); /* heads of width 5 cannot be turned in pairs */
    BAD(HS_MODEL_LLAMA, n_embd, 22);
    BAD(HS_MODEL_LLAMA, n_inner, 30);
    BAD(HS_MODEL_LLAMA, rope_theta, 0.5f);
    BAD(HS_MODEL_LLAMA, re_embed, true);
    BAD(HS_MODEL_LLAMA, share_mlp, true);
    BAD(HS_MODEL_LLAMA, dropout, 0.1f);
    BAD(HS_MODEL_TRM, passes, 2);
    BAD(HS_MODEL_TRM, h_cycles, 0);
    BAD(HS_MODEL_TRM, l_cycles, 0);
    BAD(HS_MODEL_TRM, round_up, 0);
    BAD(HS_MODEL_TRM, dropout, 0.1f);
    BAD(HS_MODEL_TRM, kind, (hs_model_kind)9);
#undef BAD
    hs_model_config c = config_of(HS_MODEL_GPT2);
    hs_error err;
    c.memory_inner = 8;
    c.n_layer = 3;
    assert_int_equal(hs_model_config_check(&c, &err), HS_ERR_DATA);
    assert_string_equal(err.where, "model.memory_inner");
    c = config_of(HS_MODEL_GPT2);
    c.re_embed = true;
    c.tied = false;
    assert_int_equal(hs_model_config_check(&c, &err), HS_ERR_DATA);
    c = config_of(HS_MODEL_GPT2); /* more stages than the passes are laid out for */
    c.n_layer = 90;
    c.passes = 90;
    hs_model m = {0};
    assert_int_equal(hs_model_create(&m, &c, 1, &err), HS_ERR_DATA);
    assert_null(m.param);
}

static void test_presets_fit_and_train(void **state)
{
    (void)state;
    static const uint32_t token[3] = {1, 2, 3}, start[2] = {0, 3}, row[1] = {2}, target[1] = {4};
    static const float weight[1] = {1};
    size_t n = 0;
    for (const char *name; (name = hs_model_preset_name(n)); n++) {
        hs_model_config c = {.vocab = 13, .n_positions = 5};
        hs_error e;
        assert_ok(hs_model_preset(&c, name, err));
        assert_int_equal(c.vocab, 13);
        assert_int_equal(c.n_positions, 5);
        assert_int_equal(hs_model_config_check(&c, &e), HS_OK);
        if (strstr(name, "paper"))
            continue;
        hs_model m = {0};
        assert_ok(hs_model_create(&m, &c, 1, err));
        float *work = hs_alloc(4 * hs_model_work_size(&m, 1, 3, 1, true)), *grad = hs_calloc(m.n_params, 4);
        const hs_batch batch = {.B = 1,
                                .N = 3,
                                .P = 1,
                                .token = token,
                                .start = start,
                                .score_row = row,
                                .target = target,
                                .weight = weight};
        const double before = hs_model_backward(&m, &batch, HS_LOSS_CROSS_ENTROPY, work, grad).loss;
        hs_kernels_get()->axpy(m.n_params, -1e-3f, grad, m.param);
        assert_true(hs_model_backward(&m, &batch, HS_LOSS_CROSS_ENTROPY, work, grad).loss < before);
        assert_true(hs_model_step_flop(&m, 512, 3, 1) > 512 * 3 * (double)m.n_weights / 100);
        hs_free(work);
        hs_free(grad);
        hs_model_free(&m);
    }
    assert_int_equal(n, 12);
    hs_model_config c;
    hs_error e;
    assert_int_equal(hs_model_preset(&c, "gpt2-tinny", &e), HS_ERR_USAGE);
    assert_non_null(strstr(e.hint, "gpt2-tiny"));
}

static void test_no_allocation_failure_leaks_or_crashes(void **state)
{
    (void)state;
    for (int kind = 0; kind < 3; kind++) {
        const hs_model_config c = config_of((hs_model_kind)kind);
        for (uint64_t n = 1;; n++) {
            hs_model m = {0};
            hs_alloc_fail_after(n);
            const hs_status status = hs_model_create(&m, &c, 1, NULL);
            hs_alloc_fail_after(0);
            if (status == HS_OK) {
                assert_true(n > 2);
                hs_model_free(&m);
                break;
            }
            assert_int_equal(status, HS_ERR_MEMORY);
            assert_null(m.param);
            assert_null(m.tensor);
        }
    }
}

/* ---------------------------------------------------------------- files */

static void round_trip(const hs_model_config *c)
{
    char path[512];
    path_of(path, sizeof path, "model");
    hs_model a = {0}, b = {0};
    hs_st_file *file;
    assert_ok(hs_model_create(&a, c, 9, err));
    const hs_st_meta meta[] = {{"step", "12"}};
    assert_ok(hs_model_save(&a, path, meta, 1, err));
    assert_ok(hs_model_load(&b, path, err));
    assert_int_equal(a.n_tensors, b.n_tensors);
    assert_int_equal(a.n_stages, b.n_stages);
    assert_memory_equal(a.param, b.param, a.n_params * 4);
#define SAME(field) assert_true(a.config.field == b.config.field)
    SAME(kind);
    SAME(vocab);
    SAME(n_positions);
    SAME(n_layer);
    SAME(passes);
    SAME(n_embd);
    SAME(n_inner);
    SAME(eps);
    SAME(tied);
    if (c->kind == HS_MODEL_GPT2) {
        SAME(n_head);
        SAME(dropout);
        SAME(re_embed);
        SAME(re_embed_temp);
        SAME(inject);
        SAME(share_mlp);
        SAME(memory_inner);
        SAME(no_ln);
        SAME(no_mlp);
        SAME(positions);
        SAME(init_std);
    } else if (c->kind == HS_MODEL_LLAMA) {
        SAME(n_head);
        SAME(rope_theta);
        SAME(qk_norm);
    } else {
        SAME(prefix);
        SAME(h_cycles);
        SAME(l_cycles);
        SAME(round_up);
        SAME(mix_attention);
        SAME(halt_head);
    }
#undef SAME
    assert_ok(hs_st_open(&file, path, err));
    assert_string_equal(hs_st_metadata(file, "format"), "pt");
    assert_string_equal(hs_st_metadata(file, "step"), "12");
    assert_true((hs_st_find(file, "lm_head.weight") == NULL) == a.config.tied);
    hs_st_close(file);
    const hs_st_meta own[] = {{"vocab_size", "1"}};
    hs_error err;
    assert_int_equal(hs_model_save(&a, path, own, 1, &err), HS_ERR_USAGE);
    hs_model_free(&a);
    hs_model_free(&b);
    unlink(path);
}

/* Another count of passes is the model that was made with it; what does not fit leaves the model alone. */
static void test_passes(void **state)
{
    (void)state;
    for (int kind = 0; kind < HS_MODEL_KINDS; kind++) {
        hs_model_config c = config_of((hs_model_kind)kind);
        const bool cycles = kind == HS_MODEL_TRM;
        uint32_t *passes = cycles ? &c.h_cycles : &c.passes;
        hs_model a = {0}, b = {0}, plain = {0};
        hs_error e = {0};
        *passes = 2;
        assert_ok(hs_model_create(&a, &c, 3, err));
        *passes = 4;
        assert_ok(hs_model_create(&b, &c, 3, err));
        assert_int_equal(hs_model_passes(&a), 2);
        assert_memory_equal(a.param, b.param, a.n_params * sizeof *a.param);
        assert_int_equal(hs_model_set_passes(&a, 10000, &e), HS_ERR_DATA);
        assert_int_equal(hs_model_set_passes(&a, 0, &e), HS_ERR_DATA);
        assert_int_equal(hs_model_passes(&a), 2);
        assert_ok(hs_model_set_passes(&a, 4, err));
        assert_int_equal(hs_model_passes(&a), 4);
        assert_int_equal(a.n_stages, b.n_stages);
        *passes = 1;
        assert_ok(hs_model_create(&plain, &c, 3, err));
        assert_int_equal(hs_model_set_passes(&plain, 1, &e), HS_OK);
        assert_int_equal(hs_model_set_passes(&plain, 2, &e), cycles ? HS_OK : HS_ERR_DATA);
        hs_model_free(&a);
        hs_model_free(&b);
        hs_model_free(&plain);
    }
}

static void test_files_bring_back_the_model(void **state)
{
    (void)state;
    hs_model_config c = config_of(HS_MODEL_GPT2);
    round_trip(&c);
    c.passes = 2;
    c.re_embed = true;
    c.re_embed_temp = 0.123456789f;
    c.inject = true;
    c.dropout = 0.1f;
    round_trip(&c);
    c = config_of(HS_MODEL_GPT2);
    c.share_mlp = true;
    c.memory_inner = 12;
    c.tied = false;
    round_trip(&c);
    c = config_of(HS_MODEL_GPT2);
    c.no_ln = c.no_mlp = true;
    c.positions = HS_POSITIONS_NONE;
    round_trip(&c);
    c = config_of(HS_MODEL_GPT2);
    c.positions = HS_POSITIONS_ANSWER;
    round_trip(&c);
    c = config_of(HS_MODEL_LLAMA);
    round_trip(&c);
    c.qk_norm = true;
    c.tied = false;
    c.passes = 3;
    c.rope_theta = 500;
    round_trip(&c);
    c = config_of(HS_MODEL_TRM);
    round_trip(&c);
    c.mix_attention = true;
    c.halt_head = false;
    c.prefix = 0;
    c.l_cycles = 3;
    round_trip(&c);
}

/* A model file changed in one place: status and what the message must say. */
static void expect_refused(const hs_st_tensor *tensor, size_t n, const hs_st_meta *meta, size_t n_meta,
                           const char *says)
{
    char path[512];
    path_of(path, sizeof path, "changed");
    assert_ok(hs_st_write(path, tensor, n, meta, n_meta, err));
    hs_model m;
    hs_error err = {0};
    const hs_status status = hs_model_load(&m, path, &err);
    if (status != HS_ERR_DATA || (!strstr(err.what, says) && !strstr(err.where, says)))
        fail_msg("wanted '%s', got %d: '%s' at '%s'", says, (int)status, err.what, err.where);
    assert_null(m.param);
    unlink(path);
}

static void test_mismatched_files_name_the_tensor(void **state)
{
    (void)state;
    static float zeros[64];
    hs_st_meta meta[] = {{"model_type", "gpt2"}, {"n_layer", "1"},    {"n_head", "1"},   {"n_embd", "2"},
                         {"n_positions", "3"},   {"vocab_size", "5"}, {"no_ln", "true"}, {"no_mlp", "true"}};
    const size_t n_meta = sizeof meta / sizeof meta[0];
#define T2(n, r, c) {.name = n, .dtype = "F32", .ndim = 2, .shape = {r, c}, .data = zeros, .bytes = 4 * (r) * (c)}
#define T1(n, r)                                                                                                       \
    {                                                                                                                  \
        .name = n, .dtype = "F32", .ndim = 1, .shape = {r}, .data = zeros, .bytes = 4 * (r)                            \
    }
    hs_st_tensor t[] = {T2("transformer.wte.weight", 5, 2),
                        T2("transformer.wpe.weight", 3, 2),
                        T2("transformer.h.0.attn.c_attn.weight", 2, 6),
                        T1("transformer.h.0.attn.c_attn.bias", 6),
                        T2("transformer.h.0.attn.c_proj.weight", 2, 2),
                        T1("transformer.h.0.attn.c_proj.bias", 2),
                        T1("extra.weight", 3)};
    char path[512];
    path_of(path, sizeof path, "changed");
    assert_ok(hs_st_write(path, t, 6, meta, n_meta, err));
    hs_model m;
    assert_ok(hs_model_load(&m, path, err));
    hs_model_free(&m);
    unlink(path);

    expect_refused(t, 7, meta, n_meta, "tensor extra.weight does not belong");
    expect_refused(t, 5, meta, n_meta, "tensor transformer.h.0.attn.c_proj.bias is missing");
    hs_st_tensor kept = t[2];
    t[2] = (hs_st_tensor)T2("transformer.h.0.attn.c_attn.weight", 6, 2);
    expect_refused(t, 6, meta, n_meta, "tensor transformer.h.0.attn.c_attn.weight has shape (6, 2)");
    t[2] = kept;
    t[3].dtype = "I32";
    expect_refused(t, 6, meta, n_meta, "tensor transformer.h.0.attn.c_attn.bias has type I32");
    t[3].dtype = "F32";
    static const struct {
        size_t which;
        const char *value, *says;
    } cases[] = {{0, "bert", "unknown model_type"},
                 {1, "2", "transformer.h.1.attn.c_attn.weight is missing"},
                 {1, "-1", "n_layer"},
                 {1, "1.5", "n_layer"},
                 {1, "4294967297", "n_layer"},
                 {1, "1024", "model.n_layer"},
                 {3, "99999999", "model.n_embd"},
                 {5, "0", "model.vocab"},
                 {6, "maybe", "no_ln"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *value = meta[cases[i].which].value;
        meta[cases[i].which].value = cases[i].value;
        expect_refused(t, 6, meta, n_meta, cases[i].says);
        meta[cases[i].which].value = value;
    }
    expect_refused(t, 6, meta + 1, n_meta - 1, "no model_type");
#undef T1
#undef T2
}

int main(void)
{
    hs_error err;
    if (hs_tensor_open(&err) != HS_OK) {
        fprintf(stderr, "%s\n", err.what);
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table_is_aligned_and_padding_is_zero),
        cmocka_unit_test(test_initialization_depends_on_the_seed_only),
        cmocka_unit_test(test_configuration_errors_name_the_field),
        cmocka_unit_test(test_presets_fit_and_train),
        cmocka_unit_test(test_no_allocation_failure_leaks_or_crashes),
        cmocka_unit_test(test_passes),
        cmocka_unit_test(test_files_bring_back_the_model),
        cmocka_unit_test(test_mismatched_files_name_the_tensor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
