/* The page's data: text that is JSON whatever comes in, queries that follow from the dataset alone, and looks against
 * the same done one question and one state at a time. */
#include "interp/interp_test.h"

#include "interp/look.h"
#include "report/page/page.h"

#include <jansson.h>

/* ---------------------------------------------------------------- JSON */

static void test_json(void **state)
{
    (void)state;
    hs_str out = {0};
    hs_page_open(&out, '{');
    hs_page_key(&out, "a\"b");
    hs_page_text(&out, "\xff<script>\xe2\x80\xa8&\xc3");
    hs_page_key(&out, "list");
    hs_page_open(&out, '[');
    hs_page_number(&out, 0.1);
    hs_page_number(&out, 1.0 / 3);
    hs_page_number(&out, (double)NAN);
    hs_page_token(&out, HS_NO_ID);
    hs_page_bool(&out, true);
    hs_page_text(&out, NULL);
    hs_page_text(&out, "ends with {");
    hs_page_whole(&out, 1ull << 53);
    hs_page_close(&out, ']');
    hs_page_key(&out, "empty");
    hs_page_open(&out, '[');
    hs_page_close(&out, ']');
    hs_page_close(&out, '}');
    assert_string_equal(out.s,
                        "{\"a\\\"b\":\"\xef\xbf\xbd<script>\xe2\x80\xa8&\xef\xbf\xbd\",\"list\":[0.1,"
                        "0.3333333333333333,null,null,true,null,\"ends with {\",9007199254740992],\"empty\":[]}");
    hs_str safe = {0};
    hs_page_escape(&safe, out.s, out.len);
    assert_null(strpbrk(safe.s, "<>&"));
    assert_non_null(strstr(safe.s, "\\u003cscript\\u003e\\u2028\\u0026"));
    json_t *a = json_loads(safe.s, 0, NULL);
    assert_non_null(a);
    assert_string_equal(json_string_value(json_object_get(a, "a\"b")), "\xef\xbf\xbd<script>\xe2\x80\xa8&\xef\xbf\xbd");
    json_decref(a);
    hs_str_free(&safe);
    hs_str_free(&out);
}

/* Every double reads back. */
static void test_numbers(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 20000; i++) {
        hs_rng rng;
        union {
            uint64_t bits;
            double value;
        } x;
        hs_rng_init(&rng, 7, HS_PURPOSE('t', 'e', 's', 't'), 0, i);
        x.bits = hs_rng_u64(&rng);
        hs_str out = {0};
        hs_page_number(&out, x.value);
        if (isfinite(x.value))
            assert_true(strtod(out.s, NULL) == x.value);
        else
            assert_string_equal(out.s, "null");
        hs_str_free(&out);
    }
}

/* ---------------------------------------------------------------- looks */

typedef struct seen {
    const world *w;
    const hs_page_query *q;
    float *states[2], *logits, *work;
    json_t *look;
} seen;

static double number(const json_t *list, size_t i)
{
    assert_true(json_is_number(json_array_get(list, i)));
    return json_number_value(json_array_get(list, i));
}

static json_t *cell(const json_t *grid, size_t row, size_t column)
{
    return json_array_get(json_array_get(grid, row), column);
}

/* Are values [first, first + 2n) of `list` the n most probable tokens of these logits? Near ties may stand either way.
 */
static void assert_top(const json_t *list, size_t first, uint32_t n, const float *logits, uint32_t V)
{
    double total = 0, last = 2;
    for (uint32_t v = 0; v < V; v++)
        total += exp((double)logits[v]);
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t token = (uint32_t)number(list, first + 2 * i);
        const double p = number(list, first + 2 * i + 1), real = exp((double)logits[token]) / total;
        uint32_t above = 0;
        for (uint32_t v = 0; v < V; v++)
            above += exp((double)logits[v]) / total > real * (1 + 1e-4);
        assert_true(above <= i);
        if (fabs(p - real) > 7e-4 * real + 1e-5)
            fail_msg("a probability of %.9g, expected %.9g", p, real);
        assert_true(p <= last);
        last = p;
    }
}

static void assert_rank(const json_t *list, size_t at, uint32_t token, const float *logits, uint32_t V)
{
    double least = 0, most = 0;
    if (token == HS_NO_ID) {
        assert_true(number(list, at) == -1 && number(list, at + 1) == 0);
        return;
    }
    for (uint32_t v = 0; v < V; v++) {
        least += logits[v] > logits[token] + 1e-4f;
        most += v != token && logits[v] > logits[token] - 1e-4f;
    }
    assert_true(number(list, at) >= least && number(list, at) <= most);
}

static void check_lens(const seen *s)
{
    const uint32_t V = s->w->model.config.vocab, bridge = s->q->n_bridges ? s->q->bridge[0] : HS_NO_ID;
    assert_top(json_object_get(s->look, "answer"), 0, 5, s->logits, V);
    float *logits = hs_alloc(V * sizeof *logits);
    for (uint32_t stage = 0; stage <= s->w->model.n_stages; stage++)
        for (uint32_t p = 0; p < s->q->n_places; p++) {
            const json_t *c = cell(json_object_get(s->look, "lens"), stage, p);
            hs_model_lens(&s->w->model, 1,
                          state_alone(&s->w->model, s->states[0], s->q->n, stage, s->q->place[p].column), s->work,
                          logits);
            assert_int_equal(json_array_size(c), 10);
            assert_top(c, 0, 3, logits, V);
            assert_rank(c, 6, bridge, logits, V);
            assert_rank(c, 8, s->q->target, logits, V);
        }
    hs_free(logits);
}

static uint32_t best_but(const float *logits, uint32_t V, uint32_t target)
{
    uint32_t best = target == 0;
    for (uint32_t v = 0; v < V; v++)
        if (v != target && logits[v] > logits[best])
            best = v;
    return best;
}

static void check_trace(const seen *s)
{
    const hs_model *m = &s->w->model;
    const hs_page_query *q = s->q;
    const uint32_t V = m->config.vocab;
    uint32_t tokens[HS_PAGE_WORDS];
    const json_t *grid = json_object_get(s->look, "trace");
    if (json_is_null(grid))
        return;
    memcpy(tokens, q->token, sizeof tokens);
    tokens[0] = (uint32_t)json_integer_value(json_object_get(s->look, "replaced"));
    assert_int_not_equal(tokens[0], q->token[0]);
    float *other = hs_alloc(V * sizeof *other), *mixed = hs_alloc(V * sizeof *mixed);
    run_alone(m, tokens, q->n, s->states[1], other, NULL, 0, 0, NULL);
    const uint32_t t = q->target, rival = best_but(other, V, t);
    const double before = (double)s->logits[t] - (double)s->logits[rival],
                 whole = before - ((double)other[t] - (double)other[rival]);
    for (uint32_t stage = 1; stage <= m->n_stages; stage++)
        for (uint32_t p = 0; p < q->n_places; p++) {
            const json_t *c = cell(grid, stage - 1, p);
            const uint32_t column = q->place[p].column;
            const bool answers = column == q->n - 1 + hs_model_traits_of(m)->in_place;
            const float *expected = stage < m->n_stages ? mixed : answers ? other : s->logits;
            if (stage < m->n_stages)
                run_alone(m, q->token, q->n, NULL, mixed, s->states[0], stage, column,
                          state_alone(m, s->states[1], q->n, stage, column));
            assert_top(c, 1, 3, expected, V);
            if (fabs(whole) > 0.05)
                assert_true(fabs(number(c, 0) - (before - ((double)expected[t] - (double)expected[rival])) / whole) <
                            2e-3);
        }
    hs_free(other);
    hs_free(mixed);
}

static void check_alpha(const seen *s)
{
    const hs_model *m = &s->w->model;
    const json_t *grid = json_object_get(s->look, "alpha");
    const bool fits = !hs_model_traits_of(m)->in_place && s->q->hops > 1;
    assert_int_equal(json_is_array(grid), fits);
    float x[64], logits[512];
    assert_true(m->config.n_embd <= 64 && m->config.vocab <= 512);
    for (uint32_t stage = 1; fits && stage < m->n_stages; stage++)
        for (uint32_t a = 0; a < HS_PAGE_ALPHAS; a++) {
            const float *w = hs_model_embedding(m, s->q->bridge[0]), alpha = hs_page_alphas[a];
            const float *h = state_alone(m, s->states[0], s->q->n, stage, 1);
            for (uint32_t d = 0; d < m->config.n_embd; d++)
                x[d] = (1 - alpha) * h[d] + alpha * w[d];
            run_alone(m, s->q->token, s->q->n, NULL, logits, s->states[0], stage, 1, x);
            assert_top(cell(grid, stage - 1, a), 0, 3, logits, m->config.vocab);
        }
    for (uint32_t a = 0; fits && a < HS_PAGE_ALPHAS; a++)
        assert_top(cell(grid, m->n_stages - 1, a), 0, 3, s->logits, m->config.vocab);
}

static void check_look(const world *w, const hs_page_query *q, const char *json)
{
    const hs_model *m = &w->model;
    seen s = {.w = w, .q = q, .look = json_loads(json, 0, NULL)};
    assert_non_null(s.look);
    for (int i = 0; i < 2; i++)
        s.states[i] =
            hs_alloc((m->n_stages + 1) * (size_t)hs_model_state_rows(m, 1, q->n) * m->config.n_embd * sizeof(float));
    s.logits = hs_alloc(m->config.vocab * sizeof *s.logits);
    s.work = hs_alloc((m->config.n_embd + 2 + 64) * sizeof *s.work);
    run_alone(m, q->token, q->n, s.states[0], s.logits, NULL, 0, 0, NULL);
    check_lens(&s);
    check_trace(&s);
    check_alpha(&s);
    for (int i = 0; i < 2; i++)
        hs_free(s.states[i]);
    hs_free(s.logits);
    hs_free(s.work);
    json_decref(s.look);
}

static void look_at(const world *w, uint32_t wanted, hs_page_query **q, uint32_t *n, hs_str **json, hs_pool *pool)
{
    hs_scope *scope;
    assert_ok(hs_scope_create(&scope, &w->data, err));
    assert_ok(hs_page_queries(&w->data, wanted, q, n, err));
    for (uint32_t i = 0; i < *n; i++)
        assert_ok(hs_page_query_place(&w->data, &w->model, scope, &(*q)[i], err));
    *json = hs_calloc(*n, sizeof **json);
    assert_ok(hs_page_look(&w->model, &w->data, *q, *n, pool, NULL, *json, err));
    hs_scope_free(scope);
}

static void test_looks(void **state)
{
    (void)state;
    static const struct {
        hs_model_kind kind;
        uint32_t hops, wanted;
    } cases[] = {{HS_MODEL_GPT2, 2, 90}, {HS_MODEL_LLAMA, 3, 40}, {HS_MODEL_TRM, 2, 30}};
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        world w;
        hs_page_query *q, *q2;
        hs_str *json, *again;
        uint32_t n, n2, traced = 0;
        world_make(&w, cases[k].kind, cases[k].hops, 40);
        look_at(&w, cases[k].wanted, &q, &n, &json, NULL);
        assert_true(n > 20 && n <= cases[k].wanted);
        for (uint32_t i = 0; i < n; i += 3)
            check_look(&w, &q[i], json[i].s);
        hs_pool *pool = hs_pool_create(3);
        look_at(&w, cases[k].wanted, &q2, &n2, &again, pool);
        assert_int_equal(n2, n);
        for (uint32_t i = 0; i < n; i++) { /* any number of threads, any company */
            hs_str one = {0};
            assert_string_equal(json[i].s, again[i].s);
            assert_ok(hs_page_look(&w.model, &w.data, &q[i], 1, NULL, NULL, &one, err));
            assert_string_equal(json[i].s, one.s);
            hs_str_free(&one);
            hs_str_free(&json[i]);
            hs_str_free(&again[i]);
            traced += q[i].replacement != HS_NO_ID;
        }
        assert_true(traced > n / 2);
        hs_pool_free(pool);
        hs_free(json);
        hs_free(again);
        hs_free(q);
        hs_free(q2);
        world_free(&w);
    }
}

/* ---------------------------------------------------------------- questions */

/* A question that is asked is the one that was chosen; another one is followed through the facts. */
static void test_questions(void **state)
{
    (void)state;
    world w;
    hs_page_query *q, asked;
    uint32_t n;
    world_make(&w, HS_MODEL_GPT2, 2, 0);
    assert_ok(hs_page_queries(&w.data, 60, &q, &n, err));
    uint32_t of_split[64] = {0};
    for (uint32_t i = 0; i < n; i++) {
        of_split[q[i].split]++;
        assert_ok(hs_page_query_of(&w.data, q[i].token, q[i].n, &asked, err));
        assert_int_equal(asked.target, q[i].target);
        assert_int_equal(asked.trained, q[i].trained);
        assert_memory_equal(asked.ood, q[i].ood, sizeof asked.ood);
        assert_memory_equal(asked.bridge, q[i].bridge, sizeof asked.bridge);
        const char *name = w.data.splits[q[i].split].name;
        if (strncmp(name, "test_", 5) == 0 && strlen(name) == 7)
            for (int h = 0; h < 2; h++)
                assert_int_equal(q[i].ood[h], name[5 + h] == 'o');
    }
    for (uint32_t s = 0; s < w.data.n_splits; s++) /* none is forgotten while others have many */
        assert_true(of_split[s] >= (w.data.splits[s].n < 6 ? w.data.splits[s].n : 6));
    const hs_fact *f = &w.data.facts[0];
    uint32_t tokens[4] = {f->head, f->relation, f->relation, f->relation};
    assert_ok(hs_page_query_of(&w.data, tokens, 4, &asked, err));
    assert_int_equal(asked.split, HS_NO_ID);
    assert_int_equal(asked.bridge[0], f->tail);
    assert_int_equal(asked.hops, 3);
    hs_error err = {0};
    uint32_t many[HS_PAGE_WORDS + 1] = {0};
    assert_int_equal(hs_page_query_of(&w.data, many, 6, &asked, &err), HS_ERR_DATA);
    hs_free(q);
    world_free(&w);
}

/* ---------------------------------------------------------------- the files */

/* No script ends early, none loads anything; the template has its three places. */
static void test_assets(void **state)
{
    (void)state;
    size_t n;
    const hs_page_asset *asset = hs_page_assets(&n);
    assert_true(n >= 6);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(*asset[i].end, 0);
        assert_int_equal(strlen(asset[i].text), asset[i].end - asset[i].text);
        const size_t len = strlen(asset[i].name);
        if (strcmp(asset[i].name + len - 3, ".js") == 0)
            assert_null(strcasestr(asset[i].text, "</script"));
        if (strcmp(asset[i].name, "page.html") == 0)
            assert_true(strstr(asset[i].text, "{{style}}") && strstr(asset[i].text, "{{data}}") &&
                        strstr(asset[i].text, "{{scripts}}"));
    }
    hs_str live = {0};
    hs_page_live(&live);
    assert_non_null(strstr(live.s, "id=\"hs-live\""));
    assert_null(strstr(live.s, "id=\"hs-data\">"));
    assert_null(strstr(live.s, "{{style}}"));
    hs_str_free(&live);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json),  cmocka_unit_test(test_numbers),   cmocka_unit_test(test_assets),
        cmocka_unit_test(test_looks), cmocka_unit_test(test_questions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
