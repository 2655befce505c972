/* Patching and probing methods against the same done one item, one state at a time; and what they must say of states made for
 * the purpose. */
#include "interp_test.h"

#include "interp/look.h"

enum { T = 3 };

static uint32_t top(const float *x, uint32_t V)
{
    return (uint32_t)hs_kernels_get()->argmax(V, x);
}

/* States and logits of prompts run alone. */
typedef struct alone {
    const world *w;
    uint32_t T, V, D, S;
    float *states[2], *logits;
} alone;

static alone alone_make(const world *w, uint32_t columns)
{
    alone a = {.w = w, .T = columns, .V = w->model.config.vocab, .D = w->model.config.n_embd, .S = w->model.n_stages};
    for (int i = 0; i < 2; i++)
        a.states[i] = hs_alloc((a.S + 1) * (size_t)hs_model_state_rows(&w->model, 1, columns) * a.D * sizeof(float));
    a.logits = hs_alloc(a.V * sizeof(float));
    return a;
}

static void alone_free(alone *a)
{
    hs_free(a->states[0]);
    hs_free(a->states[1]);
    hs_free(a->logits);
}

/* The answer to `host` with x at (stage, column). */
static uint32_t patched(alone *a, const uint32_t *host, uint32_t stage, uint32_t column, const float *x)
{
    run_alone(&a->w->model, host, a->T, a->states[0], NULL, NULL, 0, 0, NULL);
    run_alone(&a->w->model, host, a->T, NULL, a->logits, a->states[0], stage, column, x);
    return top(a->logits, a->V);
}

static const float *state_of(alone *a, const uint32_t *prompt, uint32_t stage, uint32_t column)
{
    run_alone(&a->w->model, prompt, a->T, a->states[1], NULL, NULL, 0, 0, NULL);
    return state_alone(&a->w->model, a->states[1], a->T, stage, column);
}

/* cross: some source (a fact whose tail has r2, another last relation) explains all cells of an item. */
static void test_cross(void **state)
{
    (void)state;
    world w;
    readings all;
    world_make(&w, HS_MODEL_GPT2, 2, 60);
    look(&w, "cross", "train_inferred", 6, NULL, &all);
    const hs_split *split = hs_dataset_split(&w.data, "train_inferred");
    alone a = alone_make(&w, T);
    static const char *const places[T] = {"h", "r1", "r2"};
    uint32_t items = 0, explained = 0, hits = 0;
    for (size_t i = 0; i < all.n_items; i++)
        hits += all.item[i].value == 1;
    for (uint64_t item = 0; item < split->n; item++) {
        const uint32_t *question = split->tokens + item * split->width;
        if (isnan(item_value(&all, item, 0, "h", "b", "success")))
            continue;
        items++;
        bool found = false;
        for (uint64_t f = 0; f < w.data.n_facts && !found; f++) {
            const uint64_t second = hs_only_fact(&w.data, w.data.facts[f].tail, question[2]);
            if (second == HS_NO_FACT || w.data.facts[second].tail == question[split->answer])
                continue;
            const uint32_t wanted = w.data.facts[second].tail;
            for (uint32_t r = 0; r < w.data.n_relations && !found; r++) {
                const uint32_t source[T] = {w.data.facts[f].head, w.data.facts[f].relation, w.data.n_entities + r};
                found = source[2] != question[2];
                for (uint32_t s = 0; s < a.S && found; s++)
                    for (uint32_t c = 0; c < T && found; c++) {
                        if (c < 2 && r > 1)
                            continue; /* the last token cannot be seen there: two relations are enough */
                        const bool hit = patched(&a, question, s, c, state_of(&a, source, s, c)) == wanted;
                        found = item_value(&all, item, (int32_t)s, places[c], "b", "success") == hit;
                    }
            }
        }
        explained += found;
    }
    assert_true(items >= 5 && explained == items);
    assert_true(hits > 0);
    alone_free(&a);
    readings_free(&all);
    world_free(&w);
}

/* decode: both measures of every stage; the host of item i is the item half the sample further on. */
static void test_decode(void **state)
{
    (void)state;
    world w;
    readings all;
    world_make(&w, HS_MODEL_LLAMA, 2, 60);
    look(&w, "decode", "id_atomic", 12, NULL, &all);
    const hs_split *split = hs_dataset_split(&w.data, "id_atomic");
    alone a = alone_make(&w, 2);
    uint64_t item[12];
    uint32_t n = 0, hits = 0;
    for (uint64_t i = 0; i < split->n; i++)
        if (!isnan(item_value(&all, i, 0, "r", "t", "immediate")))
            item[n++] = i;
    assert_int_equal(n, 12);
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t s = 0; s <= a.S; s++) {
            const uint32_t *own = split->tokens + item[i] * split->width,
                           *host = split->tokens + item[(i + 6) % 12] * split->width;
            const float *x = state_of(&a, own, s, 1);
            hs_model_head(&w.model, 1, x, a.logits);
            const double immediate = top(a.logits, a.V) == own[split->answer];
            assert_true(item_value(&all, item[i], (int32_t)s, "r", "t", "immediate") == immediate);
            if (s == a.S)
                continue;
            const double full = patched(&a, host, s, 1, state_of(&a, own, s, 1)) == own[split->answer];
            assert_true(item_value(&all, item[i], (int32_t)s, "r", "t", "full_run") == full);
            hits += full == 1;
        }
    assert_true(hits > 0);
    alone_free(&a);
    readings_free(&all);
    world_free(&w);
}

static double cosine(const double *x, const float *y, uint32_t D)
{
    double dot = 0, a = 0, b = 0;
    for (uint32_t d = 0; d < D; d++) {
        dot += x[d] * (double)y[d];
        a += x[d] * x[d];
        b += (double)y[d] * (double)y[d];
    }
    return dot / sqrt(a * b);
}

/* cohesion: means over every entity with ID and OOD facts, from states read one by one. */
static void test_cohesion(void **state)
{
    (void)state;
    world w;
    readings all;
    world_make(&w, HS_MODEL_GPT2, 2, 20);
    look(&w, "cohesion", "", 0, NULL, &all);
    alone a = alone_make(&w, 2);
    const uint32_t stage = 2, D = a.D;
    double id_sum = 0, ood_sum = 0, entities = 0;
    for (uint32_t e = 0; e < w.data.n_entities; e++) {
        double centroid[64] = {0}, n[2] = {0, 0}, sum[2] = {0, 0};
        for (int pass = 0; pass < 2; pass++)
            for (uint64_t f = 0; f < w.data.n_facts; f++) {
                const hs_fact *fact = &w.data.facts[f];
                const bool ood = w.data.fact_flags[f] & HS_FACT_OOD;
                const uint32_t prompt[2] = {fact->head, fact->relation};
                if (fact->tail != e)
                    continue;
                const float *x = state_of(&a, prompt, stage, 1);
                for (uint32_t d = 0; d < D && pass == 0 && !ood; d++)
                    centroid[d] += (double)x[d];
                n[ood] += pass == 0;
                sum[ood] += pass == 1 ? cosine(centroid, x, D) : 0;
            }
        if (n[0] == 0 || n[1] == 0)
            continue;
        entities++;
        id_sum += sum[0] / n[0];
        ood_sum += sum[1] / n[1];
    }
    const kept *id = find(&all, (int32_t)stage, "r", "t", "id_cohesion"),
               *ood = find(&all, (int32_t)stage, "r", "t", "ood_alignment"),
               *other = find(&all, (int32_t)stage, "r", "t", "ood_other");
    assert_true(id && ood && other && (double)id->n == entities && entities > 2);
    assert_true(fabs(id->value - id_sum / entities) < 1e-5 && fabs(ood->value - ood_sum / entities) < 1e-5);
    assert_true(other->value != ood->value);
    alone_free(&a);
    readings_free(&all);
    world_free(&w);
}

/* realign: every accuracy of an item from its state and its bridge's embedding; the control's answer is the tail of some
 * entity that explains all of its cells. */
static void test_realign(void **state)
{
    (void)state;
    world w;
    readings all;
    world_make(&w, HS_MODEL_LLAMA, 2, 60);
    look(&w, "realign", "train_inferred", 8, NULL, &all);
    const hs_split *split = hs_dataset_split(&w.data, "train_inferred");
    alone a = alone_make(&w, T);
    static const float alphas[] = {0, 0.25f, 0.5f, 0.75f, 1};
    uint32_t items = 0, controls = 0, explained = 0;
    for (uint64_t i = 0; i < split->n; i++) {
        const uint32_t *question = split->tokens + i * split->width;
        if (isnan(item_value(&all, i, 1, "r1", "b", "accuracy@0.00")))
            continue;
        items++;
        /* candidate 0 is the bridge, the others the entities that the control may have drawn */
        bool some = false;
        for (uint32_t e = 0; e <= w.data.n_entities; e++) {
            const uint32_t entity = e ? e - 1 : split->bridge[i * split->bridges];
            const uint64_t second = hs_only_fact(&w.data, entity, question[2]);
            if (e && (second == HS_NO_FACT || w.data.facts[second].tail == question[split->answer] || some))
                continue;
            bool same = true;
            for (uint32_t s = 1; s < a.S; s++)
                for (uint32_t k = 0; k < 5; k++) {
                    float x[64];
                    char measure[32];
                    const float *own = state_of(&a, question, s, 1), *towards = hs_model_embedding(&w.model, entity);
                    for (uint32_t d = 0; d < a.D; d++)
                        x[d] = (1 - alphas[k]) * own[d] + alphas[k] * towards[d];
                    snprintf(measure, sizeof measure, "%s@%.2f", e ? "follow" : "accuracy", (double)alphas[k]);
                    const uint32_t wanted = e ? w.data.facts[second].tail : question[split->answer];
                    const double value = item_value(&all, i, (int32_t)s, "r1", e ? "w" : "b", measure);
                    same &= value == (patched(&a, question, s, 1, x) == wanted);
                }
            if (e == 0)
                assert_true(same);
            else
                some |= same;
        }
        controls += isnan(item_value(&all, i, 1, "r1", "w", "follow@0.00")) ? 0 : 1;
        explained += some;
    }
    assert_true(items == 8 && controls > 0 && explained >= controls);
    alone_free(&a);
    readings_free(&all);
    world_free(&w);
}

/* linear: of a new model, the embedding of r1 says next to nothing of the bridge. With a bridge that follows from r1 alone it says all
 * of it, beyond the control; the embedding of r2 does not. */
static void test_linear(void **state)
{
    (void)state;
    world w;
    readings all;
    hs_data_config d;
    hs_model_config m;
    world_config(&d, &m, HS_MODEL_GPT2, 2);
    d.entities = 40;
    m.passes = 1;
    m.inject = false;
    world_build(&w, &d, NULL, m, 0);
    hs_interpret_config config;
    hs_interpret_config_default(&config);
    snprintf(config.methods, sizeof config.methods, "linear");
    snprintf(config.splits, sizeof config.splits, "train_inferred");
    look_with(&w, &config, NULL, &all);
    const kept *nothing = find(&all, 0, "r1", "b", "selectivity");
    assert_true(nothing && nothing->low <= 0.05 && nothing->value < 0.1); /* an embedding of r1, nothing of h */
    for (size_t i = 0; i < all.n; i++)
        if (strcmp(all.row[i].measure, "accuracy") == 0) {
            const kept *k = &all.row[i];
            const kept *control = find(&all, k->stage, k->position, k->role, "control"),
                       *selectivity = find(&all, k->stage, k->position, k->role, "selectivity");
            assert_true(control && selectivity && fabs(selectivity->value - (k->value - control->value)) < 1e-6);
        }
    readings_free(&all);
    /* no (h, r1) of the tested half was seen */
    hs_split *split = &w.data.splits[hs_dataset_split(&w.data, "train_inferred") - w.data.splits];
    for (uint64_t i = 0; i < split->n; i++)
        split->bridge[i] = split->tokens[i * split->width + 1] - w.data.n_entities;
    look_with(&w, &config, NULL, &all);
    const kept *planted = find(&all, 0, "r1", "b", "selectivity"), *majority = find(&all, 0, "r1", "b", "majority"),
               *accuracy = find(&all, 0, "r1", "b", "accuracy"), *elsewhere = find(&all, 0, "r2", "b", "accuracy");
    assert_true(accuracy->value == 1 && planted->value > 0.6 && majority->value < 0.4);
    assert_true(elsewhere->value < 0.6);
    readings_free(&all);
    world_free(&w);
}

/* paths: an edge of one question by hand: the sender of another question, what it makes of the receiver, that alone put in. */
static void test_paths(void **state)
{
    (void)state;
    world w;
    readings all;
    world_make(&w, HS_MODEL_LLAMA, 2, 100);
    look(&w, "paths", "train_inferred", 6, NULL, &all);
    const hs_split *split = hs_dataset_split(&w.data, "train_inferred");
    alone a = alone_make(&w, T);
    const uint32_t from_stage = 1, to_stage = 2, from = 1, to = 2; /* r1@1 -> r2@2 */
    uint64_t item[6];
    uint32_t n = 0, explained = 0;
    for (uint64_t i = 0; i < split->n; i++)
        if (!isnan(item_value(&all, i, 2, "r2", "r1@1", "edge_effect")))
            item[n++] = i;
    assert_true(n >= 5);
    float *moved = hs_alloc((a.S + 1) * T * a.D * sizeof *moved);
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t *question = split->tokens + item[i] * split->width;
        const double effect = item_value(&all, item[i], 2, "r2", "r1@1", "edge_effect");
        bool some = false;
        for (uint32_t k = 0; k < n; k++) {
            const uint32_t *donor = split->tokens + item[k] * split->width;
            if (donor[split->answer] == question[split->answer])
                continue;
            const float *x = state_of(&a, donor, from_stage, from);
            run_alone(&w.model, question, T, a.states[0], a.logits, NULL, 0, 0, NULL);
            const double before = (double)a.logits[question[split->answer]] - (double)a.logits[donor[split->answer]];
            memcpy(moved, a.states[0], (a.S + 1) * T * a.D * sizeof *moved);
            run_alone(&w.model, question, T, moved, NULL, a.states[0], from_stage, from, x);
            run_alone(&w.model, question, T, NULL, a.logits, a.states[0], to_stage, to,
                      state_alone(&w.model, moved, T, to_stage, to));
            const double after = (double)a.logits[question[split->answer]] - (double)a.logits[donor[split->answer]];
            some |= fabs(before - after - effect) < 1e-4;
        }
        explained += some;
    }
    assert_int_equal(explained, n);
    hs_free(moved);
    alone_free(&a);
    readings_free(&all);
    world_free(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cross),   cmocka_unit_test(test_decode), cmocka_unit_test(test_cohesion),
        cmocka_unit_test(test_realign), cmocka_unit_test(test_linear), cmocka_unit_test(test_paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
