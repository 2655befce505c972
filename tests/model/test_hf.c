/* Hugging Face folders without Python: what is written is read back as the same function, the tokenizer's text is what
 * the format asks for, and damaged or foreign folders are refused in one clear sentence. tests/interop judges the same
 * files with transformers itself. */
#include "../check.h"

#include "hopscope/model.h"
#include "hopscope/tensor.h"

#include <dirent.h>
#include <unistd.h>

static char folder[512];

static void path_in(char *out, size_t size, const char *name)
{
    snprintf(out, size, "%s/%s", folder, name);
}

static void empty_folder(void)
{
    DIR *d = opendir(folder);
    for (struct dirent *e; d && (e = readdir(d));) {
        char path[1024];
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        unlink(path);
    }
    if (d)
        closedir(d);
    rmdir(folder);
}

static int make_folder_name(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "%s/hf-%ld", TEST_BINARY_DIR, (long)getpid());
    empty_folder();
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    empty_folder();
    return 0;
}

static hs_model_config config_of(hs_model_kind kind)
{
    hs_model_config c;
    hs_model_config_default(&c);
    c.kind = kind;
    c.vocab = 9;
    c.n_positions = 6;
    c.n_embd = 16;
    c.n_head = 2;
    c.n_inner = 24;
    c.init_std = 0.3f;
    return c;
}

static hs_names names_of(const char *const *list, size_t n)
{
    hs_names names = {0};
    uint32_t id;
    for (size_t i = 0; i < n; i++)
        assert_ok(hs_names_add(&names, list[i], strlen(list[i]), &id, err));
    return names;
}

static void logits_of(const hs_model *m, float *logits)
{
    static const uint32_t token[7] = {1, 5, 3, 7, 2, 6, 0}, start[3] = {0, 4, 7}, row[3] = {1, 3, 6};
    const hs_batch batch = {.B = 2, .N = 7, .P = 3, .token = token, .start = start, .score_row = row};
    float *work = hs_alloc(4 * hs_model_work_size(m, 2, 7, 3, false));
    hs_model_logits(m, &batch, work, logits);
    hs_free(work);
}

/* ---------------------------------------------------------------- round trips */

static void round_trip(const hs_model_config *c)
{
    hs_model a = {0}, b = {0};
    float before[27], after[27];
    assert_ok(hs_model_create(&a, c, 3, err));
    assert_ok(hs_export_hf(&a, NULL, folder, err));
    assert_ok(hs_import_hf(&b, folder, err));
    assert_int_equal(b.config.n_layer, c->n_layer * c->passes);
    assert_int_equal(b.config.passes, 1);
    logits_of(&a, before);
    logits_of(&b, after);
    assert_near("unrolled", after, before, 27, 1e-6);
    hs_model_free(&a);
    hs_model_free(&b);
    empty_folder();
}

static void test_export_and_import_are_the_same_function(void **state)
{
    (void)state;
    hs_model_config c = config_of(HS_MODEL_GPT2);
    round_trip(&c);
    c.passes = 3;
    c.tied = false;
    c.eps = 1e-3f;
    round_trip(&c);
    c.share_mlp = true;
    round_trip(&c);
    c.n_layer = 12; /* two-digit block numbers */
    c.passes = 2;
    round_trip(&c);
    c = config_of(HS_MODEL_LLAMA);
    round_trip(&c);
    c.qk_norm = true;
    c.passes = 2;
    c.rope_theta = 77;
    c.tied = false;
    round_trip(&c);
}

static void test_what_has_no_form_is_refused(void **state)
{
    (void)state;
    for (int i = 0; i < 7; i++) {
        hs_model_config c = config_of(i == 0 ? HS_MODEL_TRM : HS_MODEL_GPT2);
        c.passes = i == 1 || i == 2 ? 2 : 1;
        c.re_embed = i == 1;
        c.inject = i == 2;
        c.memory_inner = i == 3 ? 8 : 0;
        c.no_ln = i == 4;
        c.no_mlp = i == 5;
        c.positions = i == 6 ? HS_POSITIONS_ANSWER : HS_POSITIONS_LEARNED;
        static const char *where[] = {"",
                                      "model.re_embed",
                                      "model.inject",
                                      "model.memory_inner",
                                      "model.no_ln",
                                      "model.no_mlp",
                                      "model.positions"};
        hs_model m = {0};
        hs_error e = {0};
        assert_ok(hs_model_create(&m, &c, 3, err));
        assert_int_equal(hs_export_hf(&m, NULL, folder, &e), HS_ERR_USAGE);
        assert_string_equal(e.where, where[i]);
        assert_false(hs_file_exists(folder));
        hs_model_free(&m);
    }
}

/* ---------------------------------------------------------------- tokenizer */

static void test_tokenizer_text(void **state)
{
    (void)state;
    const char *bracketed[] = {"<e_0>", "<r_\"1\">", "</a>"}, *plain[] = {"Ada Lovelace", "born in", "</a>", "[UNK]"};
    const char *bad[] = {"two\tparts"}, *half[] = {"<e_0>", "<<r>"};
    hs_names names = names_of(bracketed, 3);
    hs_str text = {0};
    bool separated;
    assert_ok(hs_hf_tokenizer(&names, 5, &text, &separated, err));
    assert_false(separated);
    assert_non_null(strstr(text.s, "{\"Regex\": \"<[^<>]*>\"}, \"behavior\": \"Isolated\""));
    assert_non_null(strstr(text.s, "\"<r_\\\"1\\\">\": 1"));
    assert_non_null(strstr(text.s, "\"[UNK]\": 5"));
    assert_non_null(strstr(text.s, "{\"id\": 2, \"content\": \"</a>\""));
    hs_names_free(&names);
    hs_str_free(&text);
    names = names_of(plain, 4);
    assert_ok(hs_hf_tokenizer(&names, 9, &text, &separated, err));
    assert_true(separated);
    assert_non_null(strstr(text.s, "{\"Regex\": \"[\\\\t\\\\r\\\\n]\"}, \"behavior\": \"Removed\""));
    assert_non_null(strstr(text.s, "\"[UNK]\": 3"));
    assert_non_null(strstr(text.s, "\"unk_token\": \"[UNK 2]\"")); /* the other is somebody's name */
    hs_names_free(&names);
    hs_str_free(&text);
    names = names_of(half, 2);
    assert_ok(hs_hf_tokenizer(&names, 2, &text, &separated, err));
    assert_true(separated);
    hs_names_free(&names);
    hs_str_free(&text);
    names = names_of(bad, 1);
    hs_error err;
    assert_int_equal(hs_hf_tokenizer(&names, 1, &text, &separated, &err), HS_ERR_DATA);
    assert_non_null(strstr(err.value, "parts"));
    hs_names_free(&names);
    hs_str_free(&text);
}

static void test_more_names_than_tokens_is_an_error(void **state)
{
    (void)state;
    const char *list[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"};
    hs_names names = names_of(list, 10);
    hs_model_config c = config_of(HS_MODEL_GPT2);
    hs_model m = {0};
    hs_error e;
    assert_ok(hs_model_create(&m, &c, 3, err));
    assert_int_equal(hs_export_hf(&m, &names, folder, &e), HS_ERR_DATA);
    char path[600];
    path_in(path, sizeof path, "config.json");
    assert_false(hs_file_exists(path));
    hs_model_free(&m);
    hs_names_free(&names);
    empty_folder();
}

/* ---------------------------------------------------------------- damaged and foreign folders */

static void write_file(const char *name, const char *text)
{
    char path[600];
    path_in(path, sizeof path, name);
    assert_ok(hs_file_write(path, text, strlen(text), err));
}

static void expect_refused(const char *says)
{
    hs_model m;
    hs_error err = {0};
    const hs_status status = hs_import_hf(&m, folder, &err);
    if ((status != HS_ERR_DATA && status != HS_ERR_IO) ||
        (!strstr(err.what, says) && !strstr(err.value, says) && !strstr(err.where, says)))
        fail_msg("wanted '%s', got %d: '%s' at '%s'", says, (int)status, err.what, err.where);
    assert_null(m.param);
    assert_null(m.tensor);
}

static const char good[] = "\"model_type\": \"gpt2\", \"n_layer\": 1, \"n_head\": 1, \"n_embd\": 2, \"n_inner\": 3,"
                           "\"n_positions\": 4, \"vocab_size\": 5";

static void expect_config_refused(const char *more, const char *says)
{
    char text[2048];
    snprintf(text, sizeof text, "{%s%s}", more, good);
    write_file("config.json", text);
    expect_refused(says);
}

static void test_foreign_configurations_are_refused(void **state)
{
    (void)state;
    assert_ok(hs_make_dirs(folder, err));
    expect_refused("config.json");
    write_file("config.json", "{\"model_type\": ");
    expect_refused("not a JSON object");
    write_file("config.json", "[]");
    expect_refused("not a JSON object");
    write_file("config.json", "{\"model_type\": \"bert\", \"vocab_size\": 5}");
    expect_refused("bert");
    write_file("config.json", "{\"vocab_size\": 5}");
    expect_refused("model_type");
    write_file("config.json", "{\"model_type\": \"gpt2\"}");
    expect_refused("vocab_size");
    write_file("config.json", "{\"model_type\": \"gpt2\", \"vocab_size\": \"many\"}");
    expect_refused("vocab_size");
    expect_config_refused("\"activation_function\": \"relu\", ", "relu");
    expect_config_refused("\"scale_attn_by_inverse_layer_idx\": true, ", "scale_attn_by_inverse_layer_idx");
    expect_config_refused("\"add_cross_attention\": true, ", "add_cross_attention");
    expect_config_refused("\"scale_attn_weights\": false, ", "scale_attn_weights");
    expect_config_refused("\"resid_pdrop\": 7, ", "model.dropout");
    expect_config_refused("\"layer_norm_epsilon\": \"x\", ", "layer_norm_epsilon");
    expect_config_refused("\"vocab_size\": 6, ", "not a JSON object"); /* a key twice */
    static const char llama[] = "{\"model_type\": \"llama\", \"vocab_size\": 5, \"num_hidden_layers\": 1, "
                                "\"num_attention_heads\": 2, \"hidden_size\": 8, \"intermediate_size\": 8, %s}";
    static const struct {
        const char *more, *says;
    } cases[] = {{"\"rope_scaling\": {\"rope_type\": \"yarn\"}", "yarn"},
                 {"\"rope_scaling\": {\"type\": \"linear\", \"factor\": 2}", "linear"},
                 {"\"rope_parameters\": {\"partial_rotary_factor\": 0.5}", "partial_rotary_factor"},
                 {"\"hidden_act\": \"gelu\"", "gelu"},
                 {"\"attention_bias\": true", "attention_bias"},
                 {"\"mlp_bias\": true", "mlp_bias"},
                 {"\"head_dim\": 64", "head_dim"},
                 {"\"num_key_value_heads\": 3", "num_key_value_heads"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[1024];
        snprintf(text, sizeof text, llama, cases[i].more);
        write_file("config.json", text);
        expect_refused(cases[i].says);
    }
    expect_config_refused("", "neither model.safetensors");
    empty_folder();
}

static void test_damaged_weights_name_the_tensor(void **state)
{
    (void)state;
    hs_model_config c = config_of(HS_MODEL_GPT2);
    hs_model m = {0};
    char path[600], shard[600];
    assert_ok(hs_model_create(&m, &c, 3, err));
    assert_ok(hs_export_hf(&m, NULL, folder, err));
    hs_model_free(&m);
    path_in(path, sizeof path, "model.safetensors");
    path_in(shard, sizeof shard, "part.safetensors");
    char *bytes;
    size_t size;
    assert_ok(hs_file_read(path, 1 << 20, &bytes, &size, err));
    assert_ok(hs_file_write(path, bytes, size - 4, err));
    expect_refused("the data lies outside");
    static const struct {
        const char *from, *to, *says;
    } cases[] = {{"ln_f.bias", "ln_x.bias", "tensor transformer.ln_f.bias is missing"},
                 {"\"F32\",\"shape\":[9,16]", "\"I32\",\"shape\":[9,16]", "tensor transformer.wte.weight has type I32"},
                 {"[9,16]", "[16,9]", "tensor transformer.wte.weight has shape (16, 9)"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *at = NULL;
        for (size_t j = 8; !at && j < 8000; j++)
            if (memcmp(bytes + j, cases[i].from, strlen(cases[i].from)) == 0)
                at = bytes + j;
        assert_non_null(at);
        memcpy(at, cases[i].to, strlen(cases[i].to));
        assert_ok(hs_file_write(path, bytes, size, err));
        expect_refused(cases[i].says);
        memcpy(at, cases[i].from, strlen(cases[i].from));
    }
    /* shards: the same bytes under an index */
    assert_ok(hs_file_write(shard, bytes, size, err));
    unlink(path);
    write_file("model.safetensors.index.json", "{\"weight_map\": {\"transformer.wte.weight\": \"part.safetensors\"}}");
    assert_ok(hs_import_hf(&m, folder, err));
    hs_model_free(&m);
    write_file("model.safetensors.index.json", "{\"weight_map\": {\"a\": \"../part.safetensors\"}}");
    expect_refused("weight_map");
    write_file("model.safetensors.index.json", "{\"weight_map\": {\"a\": 1}}");
    expect_refused("weight_map");
    write_file("model.safetensors.index.json", "{\"weight_map\": []}");
    expect_refused("weight_map");
    write_file("model.safetensors.index.json", "{\"weight_map\": {\"a\": \"absent.safetensors\"}}");
    expect_refused("absent.safetensors");
    write_file("model.safetensors.index.json", "{\"weight_map\": {}}");
    expect_refused("tensor transformer.wte.weight is missing");
    hs_free(bytes);
    empty_folder();
}

static void test_failing_memory_and_disk(void **state)
{
    (void)state;
    const char *list[] = {"Ada Lovelace", "born in", "</a>"};
    hs_names names = names_of(list, 3);
    const hs_model_config c = config_of(HS_MODEL_GPT2);
    hs_model m = {0}, back;
    assert_ok(hs_model_create(&m, &c, 3, err));
    char config[600];
    path_in(config, sizeof config, "config.json");
    for (uint64_t n = 1;; n++) {
        hs_io_fail_after(n);
        const hs_status status = hs_export_hf(&m, &names, folder, NULL);
        hs_io_fail_after(0);
        if (status == HS_OK)
            break;
        assert_int_equal(status, HS_ERR_IO);
        assert_false(hs_file_exists(config));
    }
    for (uint64_t n = 1;; n++) {
        hs_alloc_fail_after(n);
        hs_status status = hs_export_hf(&m, &names, folder, NULL);
        if (status == HS_OK) {
            status = hs_import_hf(&back, folder, NULL);
            hs_alloc_fail_after(0);
            if (status == HS_OK) {
                assert_true(n > 20);
                hs_model_free(&back);
                break;
            }
            assert_null(back.param);
        }
        hs_alloc_fail_after(0);
        assert_int_equal(status, HS_ERR_MEMORY);
    }
    hs_model_free(&m);
    hs_names_free(&names);
    empty_folder();
}

int main(void)
{
    hs_error err;
    if (hs_tensor_open(&err) != HS_OK) {
        fprintf(stderr, "%s\n", err.what);
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_export_and_import_are_the_same_function),
        cmocka_unit_test(test_what_has_no_form_is_refused),
        cmocka_unit_test(test_tokenizer_text),
        cmocka_unit_test(test_more_names_than_tokens_is_an_error),
        cmocka_unit_test(test_foreign_configurations_are_refused),
        cmocka_unit_test(test_damaged_weights_name_the_tensor),
        cmocka_unit_test(test_failing_memory_and_disk),
    };
    return cmocka_run_group_tests(tests, make_folder_name, remove_folder);
}
