/* The lens and tracing on every task: comparisons of a table and of a graph, three and four hops, two-token entities, complex
 * reasoning; one item at a time by hand. */
#include "interp_test.h"

#include "interp/look.h"

enum { STAGE = 1 };

static hs_model_config decoder(hs_model_kind kind)
{
    hs_data_config d;
    hs_model_config m;
    world_config(&d, &m, kind, 2);
    m.passes = 1;
    m.inject = false;
    m.n_positions = 12;
    return m;
}

/* Every probability that the lens gives at STAGE is that of the state of the item run alone, for every role and position; returns how
 * many numbers were compared. */
static uint32_t lens_by_hand(const world *w, const char *name)
{
    const hs_split *split = hs_dataset_split(&w->data, name);
    assert_non_null(split);
    readings all;
    look(w, "lens", name, 3, NULL, &all);
    const uint32_t T = split->answer, D = w->model.config.n_embd, V = w->model.config.vocab;
    float *states =
              hs_alloc((w->model.n_stages + 1) * (size_t)hs_model_state_rows(&w->model, 1, T) * D * sizeof *states),
          *logits = hs_alloc(V * sizeof *logits), *work = hs_alloc((D + 66) * sizeof *work);
    hs_sample sample;
    assert_ok(hs_sample_create(&w->data, split, &w->model, 3, &sample, err));
    uint32_t compared = 0;
    for (uint32_t i = 0; i < sample.n; i++) {
        const uint32_t *item = split->tokens + sample.item[i] * split->width;
        run_alone(&w->model, item, T, states, NULL, NULL, 0, 0, NULL);
        for (uint32_t p = 0; p < sample.n_places; p++) {
            double total = 0;
            hs_model_lens(&w->model, 1, state_alone(&w->model, states, T, STAGE, sample.place[p].column), work, logits);
            for (uint32_t v = 0; v < V; v++)
                total += exp((double)logits[v]);
            for (uint32_t a = 0; a < sample.n_asked; a++) {
                char role[16];
                uint32_t tokens[2], second = 0;
                snprintf(role, sizeof role, "%s", sample.asked[a].role);
                if (role[strlen(role) - 1] == '\'') {
                    role[strlen(role) - 1] = 0;
                    second = 1;
                }
                const double value =
                    item_value(&all, sample.item[i], STAGE, sample.place[p].role, sample.asked[a].role, "probability");
                if (hs_item_role(&w->data, split, sample.item[i], role, tokens) <= second) {
                    assert_true(strncmp(role, "label", 5) == 0 || isnan(value));
                    continue;
                }
                assert_true(fabs(value - exp((double)logits[tokens[second]]) / total) < 1e-5);
                compared++;
            }
        }
    }
    hs_sample_free(&sample);
    hs_free(states);
    hs_free(logits);
    hs_free(work);
    readings_free(&all);
    return compared;
}

static uint32_t value_of(const hs_dataset *data, uint32_t entity, uint32_t attribute)
{
    const uint64_t fact = hs_only_fact(data, entity, attribute);
    return fact == HS_NO_FACT ? HS_NO_ID : data->facts[fact].tail;
}

/* The fall of the logit difference when columns first..last of `other` at a stage replace those of `item`. */
static double effect(const world *w, const uint32_t *item, const uint32_t *other, uint32_t T, uint32_t answer,
                     uint32_t stage, uint32_t first, uint32_t last)
{
    const hs_model *m = &w->model;
    const uint32_t D = m->config.n_embd, V = m->config.vocab, start[2] = {0, T}, row = T - 1;
    const size_t size = (size_t)(m->n_stages + 1) * T * D;
    float *states = hs_alloc(2 * size * sizeof *states), *x = hs_alloc(3 * V * sizeof *x);
    float *work = hs_alloc(hs_model_work_size(m, 1, T, 1, false) * sizeof *work);
    run_alone(m, item, T, states, x, NULL, 0, 0, NULL);
    run_alone(m, other, T, states + size, x + V, NULL, 0, 0, NULL);
    uint32_t rival = answer == 0 ? 1 : 0;
    for (uint32_t v = 0; v < V; v++)
        if (v != answer && x[V + v] > x[V + rival])
            rival = v;
    hs_patch patch[2];
    for (uint32_t c = first; c <= last; c++)
        patch[c - first] = (hs_patch){.stage = stage, .row = c, .x = states + size + ((size_t)stage * T + c) * D};
    const hs_batch batch = {.B = 1, .N = T, .P = 1, .token = item, .start = start, .score_row = &row};
    const hs_pass pass = {
        .states = states, .from = stage, .n_patches = last - first + 1, .patch = patch, .logits = x + 2 * V};
    hs_model_run(m, &batch, &pass, work);
    const double fall = (double)(x[answer] - x[rival]) - (double)(x[2 * V + answer] - x[2 * V + rival]);
    hs_free(states);
    hs_free(x);
    hs_free(work);
    return fall;
}

/* Tracing of a comparison: some replacement that the published rule allows, and none that it forbids, explains the effects of
 * both stages. The columns of an entity and of its separator are patched together. */
static void trace_comparison(const world *w, const char *name, bool ordered)
{
    const hs_split *split = hs_dataset_split(&w->data, name);
    readings all;
    look(w, "trace", name, 5, NULL, &all);
    static const struct {
        const char *role;
        uint32_t first;
    } groups[3] = {{"attribute", 0}, {"e1", 2}, {"e2", 4}};
    uint32_t seen = 0;
    for (size_t i = 0; i < all.n_items; i++) {
        const kept *k = &all.item[i];
        if (k->stage != 0 || strcmp(k->measure, "effect") || strcmp(k->role, k->position))
            continue;
        const uint32_t *item = split->tokens + k->item * split->width;
        uint32_t g = 0;
        while (strcmp(groups[g].role, k->role) != 0)
            g++;
        const uint32_t column = groups[g].first, last = column + 1 < split->answer ? column + 1 : column;
        const uint32_t own = value_of(&w->data, item[column ? column : 2], item[0]),
                       fixed = value_of(&w->data, item[column == 2 ? 4 : 2], item[0]);
        bool explained = false;
        const uint32_t n = column ? w->data.n_entities : w->data.n_relations;
        for (uint32_t c = 0; c < n && !explained; c++) {
            uint32_t other[16];
            memcpy(other, item, split->width * sizeof *other);
            other[column] = column ? c : w->data.n_entities + c;
            if (column) {
                const uint32_t value = value_of(&w->data, c, item[0]);
                const bool neighbour = value + 1 == fixed || value == fixed + 1;
                if (value == HS_NO_ID || value == own || (own != fixed ? value != fixed : ordered && !neighbour))
                    continue;
            } else if (other[0] == item[0] || value_of(&w->data, item[2], other[0]) == HS_NO_ID ||
                       value_of(&w->data, item[4], other[0]) == HS_NO_ID) {
                continue;
            }
            explained = true;
            for (uint32_t s = 0; s < 2 && explained; s++) {
                const double by_hand = effect(w, item, other, split->answer, item[split->answer], s, column, last);
                explained =
                    fabs(item_value(&all, k->item, (int32_t)s, k->position, k->role, "effect") - by_hand) < 1e-4;
            }
        }
        assert_true(explained);
        seen++;
    }
    assert_true(seen >= 12); /* three groups of five items; some have no replacement */
    readings_free(&all);
}

static void test_table(void **state)
{
    (void)state;
    static const char *const tasks[2] = {"comparison", "complex"};
    for (int task = 0; task < 2; task++) {
        world w;
        hs_data_config d;
        assert_ok(hs_data_config_for_task(&d, tasks[task], err));
        d.entities = 30;
        d.attributes = 3;
        d.values = 5;
        d.ood_fraction = 0.3;
        d.phi = 0;
        d.test_max = 50;
        d.trained_fraction = 0.5;
        d.hard_per_label = 2;
        world_build(&w, &d, NULL, decoder(task ? HS_MODEL_LLAMA : HS_MODEL_GPT2), 20);
        uint32_t compared = 0, traced = 0;
        for (uint32_t s = 0; s < w.data.n_splits; s++) {
            const hs_split *split = &w.data.splits[s];
            if (split->n < 5 || (split->kind != HS_ITEM_COMPARE && compared))
                continue;
            compared += lens_by_hand(&w, split->name);
            if (split->kind == HS_ITEM_COMPARE && traced++ == 0)
                trace_comparison(&w, split->name, true);
        }
        assert_true(compared > 100 && traced > 0);
        world_free(&w);
    }
}

static void test_graph_comparison(void **state)
{
    (void)state;
    world w;
    hs_graph g = {0};
    hs_data_config d;
    for (uint32_t i = 0; i < 30; i++) {
        char person[16], year[16], place[16];
        snprintf(person, sizeof person, "p%u", i);
        snprintf(year, sizeof year, "%u", 1950 + i % 10);
        snprintf(place, sizeof place, "c%u", i % 4);
        assert_ok(hs_graph_add(&g, person, "year", year, err));
        assert_ok(hs_graph_add(&g, person, "born", place, err));
    }
    assert_ok(hs_graph_index(&g, err));
    assert_ok(hs_data_config_for_task(&d, "comparison", err));
    snprintf(d.attribute_list, sizeof d.attribute_list, "year,born");
    d.phi = 0;
    world_build(&w, &d, &g, decoder(HS_MODEL_GPT2), 20);
    const char *name = NULL;
    for (uint32_t s = 0; s < w.data.n_splits && !name; s++)
        if (w.data.splits[s].kind == HS_ITEM_COMPARE && w.data.splits[s].n >= 5)
            name = w.data.splits[s].name;
    assert_non_null(name);
    assert_true(lens_by_hand(&w, name) > 50);
    trace_comparison(&w, name, false);
    hs_graph_free(&g);
    world_free(&w);
}

/* Longer chains: every bridge has its role, every relation its place; what needs two hops says so. */
static void test_hops(void **state)
{
    (void)state;
    for (uint32_t hops = 3; hops <= HS_MAX_HOPS; hops++) {
        world w;
        hs_data_config d;
        hs_model_config m;
        readings all;
        world_config(&d, &m, HS_MODEL_GPT2, hops);
        d.entities = 12;
        d.relations = 4;
        d.out_degree = 2;
        world_build(&w, &d, NULL, decoder(hops == 3 ? HS_MODEL_LLAMA : HS_MODEL_GPT2), 10);
        assert_true(lens_by_hand(&w, "train_inferred") == 3 * (hops + 1) * (2 * hops + 1));
        look(&w, "lens,trace,linear,paths", "train_inferred", 20, NULL, &all);
        char last[8], bridge[8];
        snprintf(last, sizeof last, "r%u", hops);
        snprintf(bridge, sizeof bridge, "b%u", hops - 1);
        assert_non_null(find(&all, HS_ALL_STAGES, "", bridge, "found_strict"));
        assert_non_null(find(&all, 1, last, bridge, "selectivity"));
        assert_non_null(find(&all, 1, last, "h", "strength"));
        assert_non_null(find(&all, 1, last, last, "strength"));
        assert_non_null(find(&all, HS_ALL_STAGES, "", "circuit", "faithfulness"));
        assert_non_null(hs_method_find("cross")->unfit(&w.model, &w.data, hs_dataset_split(&w.data, "train_inferred")));
        assert_non_null(
            hs_method_find("realign")->unfit(&w.model, &w.data, hs_dataset_split(&w.data, "train_inferred")));
        readings_free(&all);
        world_free(&w);
    }
}

/* Two-token entities: both tokens are looked for, under a role of their own; what needs one token says so. */
static void test_two_tokens(void **state)
{
    (void)state;
    static const hs_model_kind kinds[] = {HS_MODEL_GPT2, HS_MODEL_TRM};
    for (size_t k = 0; k < 2; k++) {
        world w;
        hs_data_config d;
        hs_model_config m;
        readings all;
        world_config(&d, &m, kinds[k], 2);
        d.token_multiplicity = 5;
        m.n_positions = 8;
        world_build(&w, &d, NULL, m, 10);
        const hs_split *split = hs_dataset_split(&w.data, "train_inferred");
        assert_true(w.data.tokens_per_entity == 2);
        assert_true(lens_by_hand(&w, "train_inferred") >= 3 * 4 * 8);
        assert_true(lens_by_hand(&w, "id_atomic") >= 3 * 3 * 5);
        look(&w, "lens,linear,paths", "train_inferred", 30, NULL, &all);
        assert_non_null(find(&all, 1, "h'", "b'", "mrr"));
        assert_non_null(find(&all, 1, "r1", "b'", "selectivity"));
        assert_non_null(find(&all, 1, "r2", "t'", "top1"));
        static const char *const refused[] = {"trace", "cross", "realign", "cohesion"};
        for (size_t i = 0; i < 4; i++)
            assert_non_null(hs_method_find(refused[i])->unfit(&w.model, &w.data, i < 3 ? split : NULL));
        assert_non_null(hs_method_find("decode")->unfit(&w.model, &w.data, hs_dataset_split(&w.data, "id_atomic")));
        readings_free(&all);
        world_free(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_graph_comparison),
        cmocka_unit_test(test_hops),
        cmocka_unit_test(test_two_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
