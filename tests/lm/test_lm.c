/* The client without a network: names of questions, batch files, scores, completions, and memory that runs out on the way. */
#include "check.h"
#include "lm/lm.h"

#include "hopscope/experiment.h"

#include <unistd.h>

static char folder[256];

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "%s/lm_XXXXXX", TEST_BINARY_DIR);
    return mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    char command[400];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

static const char *path_of(const char *name)
{
    static char path[4][400];
    static int k;
    k = (k + 1) % 4;
    snprintf(path[k], sizeof path[k], "%s/%s", folder, name);
    return path[k];
}

static hs_lm_options plain(void)
{
    hs_lm_options o;
    hs_lm_options_default(&o);
    o.model = "m";
    return o;
}

static void name_with(hs_lm_options options, const hs_lm_question *question, char name[HS_LM_NAME_SIZE])
{
    hs_lm *lm;
    hs_str body = {0};
    options.cache = path_of("names.db");
    assert_ok(hs_lm_open(&lm, &options, NULL, err));
    assert_ok(hs_lm_request(lm, question, &body, name, err));
    hs_str_free(&body);
    hs_lm_close(lm);
}

/* All that is sent is part of the name; the server, the key and how often is tried are not. */
static void test_names(void **state)
{
    (void)state;
    char base[HS_LM_NAME_SIZE], other[HS_LM_NAME_SIZE];
    const hs_lm_question q = {.prompt = "why?", .seed = UINT64_MAX};
    name_with(plain(), &q, base);
    assert_int_equal(strlen(base), 32);
    hs_lm_options o = plain();
    o.key = "a-key-of-some-length";
    o.server = hs_lm_has_http() ? "http://127.0.0.1:9/v1" : NULL;
    o.retries = 9;
    o.timeout = 3;
    name_with(o, &q, other);
    assert_string_equal(base, other);
    for (int k = 0; k < 6; k++) {
        hs_lm_question p = q;
        o = plain();
        if (k == 0)
            o.model = "n";
        else if (k == 1)
            o.max_tokens = 7;
        else if (k == 2)
            o.temperature = 0.5;
        else if (k == 3)
            o.body = "{\"top_p\": 0.5, \"temperature\": null}";
        else if (k == 4)
            p.seed = 3;
        else
            p.prompt = "why";
        name_with(o, &p, other);
        assert_string_not_equal(base, other);
    }
}

static void assert_completion(const hs_lm *lm, const char *body, hs_lm_reason reason, const char *text)
{
    hs_lm_answer a = {0};
    assert_ok(hs_lm_read_completion(lm, body, strlen(body), &a, err));
    if (a.reason != reason || strcmp(a.text, text) != 0)
        fail_msg("%s: %s, '%s'", body, hs_lm_reason_name(a.reason), a.text);
    hs_free(a.text);
}

static void test_completions(void **state)
{
    (void)state;
    hs_lm *lm;
    hs_lm_options o = plain();
    o.key = "sk-0123456789";
    o.cache = path_of("c.db");
    assert_ok(hs_lm_open(&lm, &o, NULL, err));
    assert_completion(lm, "{\"choices\": [{\"message\": {\"content\": \"Paris\"}}]}", HS_LM_NONE, "Paris");
    assert_completion(lm, "{\"choices\": [{\"message\": {\"content\": \"sk-0123456789!\"}}]}", HS_LM_NONE, "*************!");
    assert_completion(lm, "{\"choices\": [{\"message\": {\"content\": \"\"}}]}", HS_LM_EMPTY, "");
    assert_completion(lm, "{\"choices\": [{\"message\": {\"content\": null, \"refusal\": \"No.\\nNo.\"}}]}", HS_LM_DECLINED, "No. No.");
    assert_completion(lm, "{\"choices\": []}", HS_LM_NO_COMPLETION, "{\"choices\": []}");
    assert_completion(lm, "{\"error\": {\"message\": \"sk-0123456789 is bad\"}}", HS_LM_NO_COMPLETION, "************* is bad");
    assert_completion(lm, "[1, 2]", HS_LM_NO_COMPLETION, "[1, 2]");
    assert_completion(lm, "<html>", HS_LM_NO_JSON, "<html>");
    assert_completion(lm, "cut \xc3", HS_LM_NO_JSON, "cut ");
    assert_completion(lm, "", HS_LM_NO_JSON, "");
    hs_lm_close(lm);
}

static void make_data(hs_dataset *d)
{
    hs_data_config c;
    hs_data_config_default(&c);
    c.entities = 30;
    c.relations = 6;
    c.out_degree = 4;
    c.phi = 2;
    c.holdout = 0.2;
    assert_ok(hs_dataset_build(d, &c, NULL, NULL, NULL, err));
}

/* The answers of a batch in which all say the same. */
static void write_answers(const char *from, const char *to, const char *text)
{
    hs_lines *lines;
    hs_str out = {0};
    const char *line;
    size_t len;
    assert_ok(hs_lines_open(&lines, from, 1 << 20, err));
    for (;;) {
        assert_ok(hs_lines_next(lines, &line, &len, err));
        if (!line)
            break;
        const char *id = strstr(line, "custom_id\": \"") + 13;
        hs_str_addf(&out,
                    "{\"custom_id\": \"%.32s\", \"error\": null, \"response\": {\"status_code\": 200, \"body\": {\"choices\": "
                    "[{\"message\": {\"content\": \"%s\"}}]}}}\n",
                    id, text);
    }
    hs_lines_close(lines);
    assert_ok(hs_file_write(to, out.s, out.len, err));
    hs_str_free(&out);
}

static hs_status score(const hs_dataset *d, const char *cache, const char *answers, double *match, hs_error *err)
{
    hs_baseline_options how;
    hs_baseline_options_default(&how);
    how.items = 8;
    how.facts[HS_LM_ALL_FACTS] = true;
    hs_lm_options o = plain();
    o.cache = cache;
    hs_baseline_job *job = NULL;
    hs_lm *lm = NULL;
    hs_lm_answer *a = NULL;
    hs_baseline_row *rows = NULL;
    size_t n = 0, n_rows = 0;
    uint64_t taken, failed;
    hs_status status = hs_baseline_open(&job, d, &how, err);
    if (status == HS_OK)
        status = hs_lm_open(&lm, &o, NULL, err);
    if (status == HS_OK && answers)
        status = hs_lm_import(lm, hs_baseline_size(job), hs_baseline_make, job, answers, &taken, &failed, err);
    if (status == HS_OK) {
        n = hs_baseline_size(job);
        a = hs_calloc(n + 1, sizeof *a);
        status = a ? hs_lm_ask(lm, n, hs_baseline_make, job, a, NULL, err) : hs_fail_memory(err, n);
    }
    if (status == HS_OK)
        status = hs_baseline_score(job, a, &rows, &n_rows, err);
    if (status == HS_OK)
        *match = rows[0].match;
    hs_free(rows);
    hs_lm_answers_free(a, n);
    hs_lm_close(lm);
    hs_baseline_close(job);
    return status;
}

/* Out and in again; without an answer it says so; every allocation may fail, and nothing leaks or breaks. */
static void test_batch_and_memory(void **state)
{
    (void)state;
    hs_dataset d = {0};
    make_data(&d);
    hs_baseline_options how;
    hs_baseline_options_default(&how);
    how.items = 8;
    how.facts[HS_LM_ALL_FACTS] = true;
    hs_baseline_job *job;
    hs_lm *lm;
    hs_lm_options o = plain();
    o.cache = path_of("b.db");
    uint64_t written;
    assert_ok(hs_baseline_open(&job, &d, &how, err));
    assert_ok(hs_lm_open(&lm, &o, NULL, err));
    assert_ok(hs_lm_export(lm, hs_baseline_size(job), hs_baseline_make, job, path_of("q.jsonl"), &written, err));
    assert_int_equal(written, hs_baseline_size(job));
    hs_lm_close(lm);
    hs_baseline_close(job);
    write_answers(path_of("q.jsonl"), path_of("a.jsonl"), "Answer: e_1");
    double match = -1;
    hs_error e = {0};
    assert_int_equal(score(&d, path_of("b.db"), NULL, &match, &e), HS_ERR_DATA);
    assert_non_null(strstr(e.what, "have no answer"));
    assert_ok(score(&d, path_of("b.db"), path_of("a.jsonl"), &match, err));
    assert_true(match >= 0 && match < 1);
    uint32_t failures = 0;
    for (uint64_t n = 1; n < 4000; n += n < 40 ? 1 : 37) {
        hs_alloc_fail_after(n);
        const hs_status status = score(&d, path_of("b.db"), path_of("a.jsonl"), &match, &e);
        hs_alloc_fail_after(0);
        assert_true(status == HS_OK || status == HS_ERR_MEMORY || status == HS_ERR_IO);
        failures += status != HS_OK;
    }
    assert_true(failures > 20);
    assert_ok(score(&d, path_of("b.db"), NULL, &match, err));
    hs_dataset_free(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(test_names, set_up, tear_down),
                                       cmocka_unit_test_setup_teardown(test_completions, set_up, tear_down),
                                       cmocka_unit_test_setup_teardown(test_batch_and_memory, set_up, tear_down)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
