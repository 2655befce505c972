/* Augmentation keeps its promises on many graphs: the target holds, synthetic facts are marked, never true, never a
 * second tail, of the relation's range, acyclic when asked, the same for the same seed, spread over the bridges. */
#include "helpers.h"

/* People with a few relations, as in 2Wiki: films have directors, people parents and dates. Some bridges to begin with.
 */
static void people(hs_graph *g, uint64_t seed, uint32_t n)
{
    static const char *const kin[] = {"father", "mother", "spouse", "child", "sibling"};
    static const char *const value[] = {"birth", "death", "city", "country", "school", "employer", "award"};
    hs_rng rng;
    char a[32], b[32];
    *g = (hs_graph){0};
    hs_rng_init(&rng, seed, HS_PURPOSE('t', 'p', 'p', 'l'), 0, 0);
    for (uint32_t i = 0; i < n; i++) {
        snprintf(a, sizeof a, "film %u", i);
        snprintf(b, sizeof b, "person %u", (unsigned)hs_rng_below(&rng, n));
        assert_ok(hs_graph_add(g, a, "director", b, err));
        uint32_t k = (uint32_t)hs_rng_below(&rng, 7);
        snprintf(a, sizeof a, "%s %u", value[k], (unsigned)hs_rng_below(&rng, 10));
        assert_ok(hs_graph_add(g, b, value[k], a, err));
        uint64_t child = hs_rng_below(&rng, n);
        snprintf(a, sizeof a, "person %u", (unsigned)child);
        snprintf(b, sizeof b, "person %u", (unsigned)(child + 1 + hs_rng_below(&rng, n))); /* upwards: no cycles */
        assert_ok(hs_graph_add(g, a, kin[hs_rng_below(&rng, 5)], b, err));
        k = (uint32_t)hs_rng_below(&rng, 7);
        snprintf(a, sizeof a, "%s %u", value[k], (unsigned)hs_rng_below(&rng, 10));
        assert_ok(hs_graph_add(g, b, value[k], a, err));
    }
    assert_ok(hs_graph_index(g, err));
}

static bool in_range(const hs_graph *g, uint32_t relation, uint32_t tail)
{
    for (uint64_t i = 0; i < g->n_facts; i++)
        if (g->facts[i].relation == relation && g->facts[i].tail == tail)
            return true;
    return false;
}

/* What holds for every augmentation. Ids of g are ids of out. */
static void check_promises(const hs_graph *g, const hs_graph *out, const hs_augment_options *o,
                           const hs_augment_report *report)
{
    uint64_t synthetic = 0;
    for (uint32_t e = 0; e < g->entities.n; e++)
        assert_string_equal(hs_names_get(&g->entities, e), hs_names_get(&out->entities, e));
    for (uint64_t i = 0; i < g->n_facts; i++) {
        uint64_t at = hs_graph_find(out, g->facts[i]);
        assert_true(at != HS_NO_FACT && out->flags[at] == g->flags[i]);
    }
    for (uint64_t i = 0; i < out->n_facts; i++) {
        const hs_fact *fact = &out->facts[i];
        if (!(out->flags[i] & HS_FACT_SYNTHETIC))
            continue;
        synthetic++;
        uint64_t first, last;
        hs_graph_out(out, fact->head, fact->relation, &first, &last);
        assert_int_equal(last - first, 1); /* so it is not in g, and nothing has a second tail */
        assert_int_not_equal(fact->head, fact->tail);
        assert_true(fact->tail < g->entities.n);
        if (!o->tails_of_type)
            assert_true(in_range(g, fact->relation, fact->tail));
        if (fact->head >= g->entities.n) {
            assert_true(o->new_entities);
            assert_int_equal(hs_names_get(&out->entities, fact->head)[0], '~');
        }
    }
    assert_int_equal(out->n_facts, g->n_facts + synthetic);
    assert_int_equal(report->added_facts, synthetic);
    assert_int_equal(report->added_entities, out->entities.n - g->entities.n);
    hs_graph_stats before, after;
    assert_ok(hs_graph_stats_compute(g, o->phi, &before, err));
    assert_ok(hs_graph_stats_compute(out, o->phi, &after, err));
    assert_true(fabs(after.phi - report->phi_after) < 1e-9);
    assert_true(fabs(before.phi - report->phi_before) < 1e-9);
    assert_int_equal(after.two_hop - before.two_hop, report->added_two_hop);
    assert_int_equal(after.synthetic - before.synthetic, synthetic);
    assert_true(after.phi >= o->phi);
    uint64_t below = 0;
    for (uint64_t i = 0; i < after.relations; i++)
        below += !after.relation[i].sufficient;
    if (o->per_relation)
        assert_true(below <= before.relations - report->relations_chosen + report->relations_given_up);
    hs_graph_stats_free(&before);
    hs_graph_stats_free(&after);
}

static void test_promises(void **state)
{
    (void)state;
    static const double targets[] = {1.0, 3.6, 6.25};
    for (uint32_t k = 0; k < 24; k++) {
        hs_graph g, out;
        hs_augment_report report;
        hs_augment_options o;
        people(&g, k, 20 + 5 * k);
        hs_augment_options_default(&o);
        o.phi = targets[k % 3];
        o.seed = k;
        o.acyclic = k % 2 == 1;
        o.tails_of_type = k % 4 >= 2;
        o.per_relation = k % 5 != 0;
        assert_ok(hs_graph_augment(&g, &o, &out, &report, err));
        check_promises(&g, &out, &o, &report);
        hs_graph_free(&out);
        hs_graph_free(&g);
    }
}

/* Kahn's algorithm: can every fact be ordered? */
static bool is_acyclic(const hs_graph *g)
{
    uint64_t *waiting = calloc(g->entities.n, sizeof *waiting), n = 0, done = 0;
    uint32_t *queue = malloc(g->entities.n * sizeof *queue);
    assert_true(waiting != NULL && queue != NULL);
    for (uint32_t e = 0; e < g->entities.n; e++) {
        waiting[e] = g->in_start[e + 1] - g->in_start[e];
        if (waiting[e] == 0)
            queue[n++] = e;
    }
    while (done < n) {
        uint32_t e = queue[done++];
        for (uint64_t i = g->out_start[e]; i < g->out_start[e + 1]; i++)
            if (--waiting[g->facts[i].tail] == 0)
                queue[n++] = g->facts[i].tail;
    }
    free(waiting);
    free(queue);
    return n == g->entities.n;
}

static void test_acyclic(void **state)
{
    (void)state;
    uint32_t cyclic = 0;
    for (uint32_t k = 0; k < 8; k++) {
        hs_graph g, out;
        hs_augment_options o;
        people(&g, 50 + k, 60);
        assert_true(is_acyclic(&g));
        hs_augment_options_default(&o);
        o.acyclic = true;
        assert_ok(hs_graph_augment(&g, &o, &out, NULL, err));
        assert_true(is_acyclic(&out));
        hs_graph_free(&out);
        o.acyclic = false;
        assert_ok(hs_graph_augment(&g, &o, &out, NULL, err));
        cyclic += !is_acyclic(&out);
        hs_graph_free(&out);
        hs_graph_free(&g);
    }
    assert_true(cyclic > 0); /* so the rule does something */
    /* A cycle that is there stays, and no synthetic fact joins it. */
    hs_graph g, out;
    make_graph(&g, "a r b\n b r c\n c r a\n d r a\n c s x\n b s y\n a q z\n e q z\n e s x");
    hs_augment_options o;
    hs_augment_options_default(&o);
    o.acyclic = true;
    o.phi = 1.5;
    o.per_relation = false;
    assert_ok(hs_graph_augment(&g, &o, &out, NULL, err));
    for (uint64_t i = 0; i < out.n_facts; i++)
        if (out.flags[i])
            assert_false(out.facts[i].head < 3 && out.facts[i].tail < 3);
    hs_graph_free(&out);
    hs_graph_free(&g);
}

static void test_seed(void **state)
{
    (void)state;
    hs_graph g, a, b, c;
    hs_augment_options o;
    people(&g, 1, 80);
    hs_augment_options_default(&o);
    o.seed = 5;
    assert_ok(hs_graph_augment(&g, &o, &a, NULL, err));
    assert_ok(hs_graph_augment(&g, &o, &b, NULL, err));
    o.seed = 6;
    assert_ok(hs_graph_augment(&g, &o, &c, NULL, err));
    assert_int_equal(a.n_facts, b.n_facts);
    assert_memory_equal(a.facts, b.facts, a.n_facts * sizeof *a.facts);
    assert_true(a.n_facts != c.n_facts || memcmp(a.facts, c.facts, a.n_facts * sizeof *a.facts) != 0);
    hs_graph_free(&a);
    hs_graph_free(&b);
    hs_graph_free(&c);
    hs_graph_free(&g);
}

/* No hub takes all: the real bridges that can grow do, and evenly. */
static void test_spread(void **state)
{
    (void)state;
    hs_graph g, out;
    hs_augment_options o;
    people(&g, 3, 100);
    hs_augment_options_default(&o);
    assert_ok(hs_graph_augment(&g, &o, &out, NULL, err));
    uint64_t bridges = 0, thin = 0, most = 0;
    double sum = 0;
    for (uint32_t e = 0; e < g.entities.n; e++) {
        if (g.in_start[e] == g.in_start[e + 1] || g.out_start[e] == g.out_start[e + 1])
            continue;
        uint64_t in = out.in_start[e + 1] - out.in_start[e], leaving = out.out_start[e + 1] - out.out_start[e];
        bridges++;
        thin += in < 4 || leaving < 4;
        sum += (double)in;
        most = in > most ? in : most;
    }
    assert_true(bridges > 30);
    assert_int_equal(thin, 0);
    assert_true((double)most < 6 * sum / (double)bridges);
    hs_graph_free(&out);
    hs_graph_free(&g);
}

static void test_out_of_reach(void **state)
{
    (void)state;
    hs_graph g, out;
    hs_augment_options o;
    hs_error err = {0};
    const char *names[] = {"to", "value"};
    make_graph(&g, "a to b\n b value x\n c to d\n d value y");
    hs_augment_options_default(&o);
    o.relations = names;
    o.n_relations = 2;
    /* Each b has one value at most, so a fact "to" makes one two-hop fact. */
    assert_int_equal(hs_graph_augment(&g, &o, &out, NULL, &err), HS_ERR_DATA);
    assert_non_null(strstr(err.what, "out of reach"));
    assert_null(out.facts);
    o.phi = 0.9;
    o.per_relation = false;
    hs_augment_report report;
    assert_int_equal(hs_graph_augment(&g, &o, &out, &report, &err), HS_OK);
    check_promises(&g, &out, &o, &report);
    hs_graph_free(&out);
    o.phi = 0.4;
    o.per_relation = true; /* holds already: nothing is added */
    assert_int_equal(hs_graph_augment(&g, &o, &out, &report, &err), HS_OK);
    assert_int_equal(report.added_facts, 0);
    hs_graph_free(&out);
    o.phi = 0.9;
    o.max_facts = 2;
    assert_int_equal(hs_graph_augment(&g, &o, &out, NULL, &err), HS_ERR_DATA);
    assert_non_null(strstr(err.what, "facts allowed"));
    o.phi = -1;
    assert_int_equal(hs_graph_augment(&g, &o, &out, NULL, &err), HS_ERR_USAGE);
    o.phi = NAN;
    assert_int_equal(hs_graph_augment(&g, &o, &out, NULL, &err), HS_ERR_USAGE);
    names[1] = "vale";
    o.phi = 1;
    assert_int_equal(hs_graph_augment(&g, &o, &out, NULL, &err), HS_ERR_DATA);
    assert_string_equal(err.value, "vale");
    hs_graph_free(&g);
    make_graph(&g, "a r b\n c s d"); /* nothing meets */
    hs_augment_options_default(&o);
    assert_int_equal(hs_graph_augment(&g, &o, &out, NULL, &err), HS_ERR_DATA);
    assert_non_null(strstr(err.what, "no relation"));
    hs_graph_free(&g);
}

/* The name of the relation out of reach is said. */
static void test_names_relation(void **state)
{
    (void)state;
    hs_graph g, out;
    hs_augment_options o;
    hs_error why = {0};
    people(&g, 4, 60);
    assert_ok(hs_graph_add(&g, "book", "editor", "house", err));
    assert_ok(hs_graph_add(&g, "house", "street", "Main Street", err));
    assert_ok(hs_graph_index(&g, err));
    const char *names[16];
    for (uint32_t r = 0; r < g.relations.n; r++)
        names[r] = hs_names_get(&g.relations, r);
    hs_augment_options_default(&o);
    o.relations = names;
    o.n_relations = g.relations.n;
    assert_int_equal(hs_graph_augment(&g, &o, &out, NULL, &why), HS_ERR_DATA);
    assert_non_null(strstr(why.where, "editor"));
    assert_non_null(strstr(why.what, "1.00 can be had"));
    /* Not asked for by name, it is given up and counted. */
    hs_augment_report report;
    o.relations = NULL;
    assert_ok(hs_graph_augment(&g, &o, &out, &report, err));
    assert_true(report.relations_given_up >= 1);
    hs_graph_free(&out);
    hs_graph_free(&g);
}

static void test_reuse(void **state)
{
    (void)state;
    hs_graph g, out;
    hs_augment_report report;
    hs_augment_options o;
    people(&g, 5, 150);
    hs_augment_options_default(&o);
    o.new_entities = false;
    o.per_relation = false;
    o.phi = 2;
    assert_ok(hs_graph_augment(&g, &o, &out, &report, err));
    assert_int_equal(report.added_entities, 0);
    check_promises(&g, &out, &o, &report);
    hs_graph_free(&out);
    hs_graph_free(&g);
}

static void test_taken_names(void **state)
{
    (void)state;
    hs_graph g, out;
    hs_augment_options o;
    people(&g, 6, 40);
    assert_ok(hs_graph_add(&g, "~director 1", "director", "person 1", err));
    assert_ok(hs_graph_index(&g, err));
    hs_augment_options_default(&o);
    hs_augment_report report;
    assert_ok(hs_graph_augment(&g, &o, &out, &report, err));
    check_promises(&g, &out, &o, &report);
    hs_graph_free(&out);
    hs_graph_free(&g);
}

static void test_comparison(void **state)
{
    (void)state;
    hs_graph g, out;
    hs_augment_report report;
    hs_error err = {0};
    const char *names[] = {"country", "date"};
    make_graph(&g, "a country x\n b country x\n c country y\n d date 1900\n e date 1901\n a mayor d");
    hs_augment_comparison_options o = {.relations = names, .n_relations = 2, .per_value = 5};
    assert_int_equal(hs_graph_augment_comparison(&g, &o, &out, &report, &err), HS_OK);
    assert_int_equal(report.added_facts, 3 + 4 + 4 + 4);
    assert_int_equal(report.added_entities, report.added_facts);
    for (uint32_t value = 0; value < g.entities.n; value++) {
        uint64_t n[2] = {0, 0};
        for (uint64_t i = out.in_start[value]; i < out.in_start[value + 1]; i++) {
            const hs_fact *fact = &out.facts[out.in_fact[i]];
            n[0] += fact->relation == hs_names_find(&out.relations, "country", 7);
            n[1] += fact->relation == hs_names_find(&out.relations, "date", 4);
            assert_int_equal(out.flags[out.in_fact[i]], fact->head >= g.entities.n ? HS_FACT_SYNTHETIC : 0);
        }
        assert_true((n[0] == 0 || n[0] == 5) && (n[1] == 0 || n[1] == 5));
    }
    hs_graph_free(&out);
    o.max_facts = 14;
    assert_int_equal(hs_graph_augment_comparison(&g, &o, &out, NULL, &err), HS_ERR_DATA);
    assert_non_null(strstr(err.where, "date"));
    o.max_facts = 0;
    names[1] = "country";
    assert_int_equal(hs_graph_augment_comparison(&g, &o, &out, NULL, &err), HS_ERR_USAGE);
    names[1] = "nothing";
    assert_int_equal(hs_graph_augment_comparison(&g, &o, &out, NULL, &err), HS_ERR_DATA);
    o.n_relations = 0;
    assert_int_equal(hs_graph_augment_comparison(&g, &o, &out, NULL, &err), HS_ERR_USAGE);
    hs_graph_free(&g);
}

/* Sparse functional facts over few entities: everybody may be head and tail of everything. */
static void sparse(hs_graph *g, uint64_t seed, uint32_t entities, uint32_t relations, uint32_t facts)
{
    hs_rng rng;
    char head[32], relation[32], tail[32];
    *g = (hs_graph){0};
    hs_rng_init(&rng, seed, HS_PURPOSE('t', 's', 'p', 'a'), 0, 0);
    bool *has = calloc((size_t)entities * relations, sizeof *has);
    assert_non_null(has);
    for (uint32_t i = 0; i < facts; i++) {
        uint32_t h = (uint32_t)hs_rng_below(&rng, entities), r = (uint32_t)hs_rng_below(&rng, relations);
        if (has[h * relations + r])
            continue;
        has[h * relations + r] = true;
        snprintf(head, sizeof head, "e%u", h);
        snprintf(relation, sizeof relation, "r%u", r);
        snprintf(tail, sizeof tail, "e%u", (unsigned)hs_rng_below(&rng, entities));
        assert_ok(hs_graph_add(g, head, relation, tail, err));
    }
    free(has);
    assert_ok(hs_graph_index(g, err));
}

/* The highest phi on the way while random facts of entities of g fill every free (head, relation). */
static double random_reach(const hs_graph *g, uint64_t seed)
{
    uint32_t E = g->entities.n, R = g->relations.n;
    uint32_t *slot = malloc((size_t)E * R * sizeof *slot), *tail_of = malloc(g->n_facts * sizeof *tail_of);
    uint64_t *in = calloc(E, sizeof *in), *out = calloc(E, sizeof *out), n = 0, two_hop = 0, facts = g->n_facts;
    uint32_t *edge = calloc((size_t)E * E, sizeof *edge); /* facts from a to b */
    hs_rng rng;
    assert_true(slot && tail_of && in && out && edge);
    hs_rng_init(&rng, seed, HS_PURPOSE('t', 'r', 'n', 'd'), 0, 0);
    for (uint64_t i = 0; i < g->n_facts; i++) {
        const hs_fact *f = &g->facts[i];
        edge[(size_t)f->head * E + f->tail]++;
        if (f->head != f->tail) {
            out[f->head]++;
            in[f->tail]++;
        }
    }
    hs_graph_stats stats;
    assert_ok(hs_graph_stats_compute(g, 0, &stats, err));
    two_hop = stats.two_hop;
    hs_graph_stats_free(&stats);
    for (uint32_t e = 0; e < E; e++) {
        for (uint32_t r = 0; r < R; r++) {
            uint64_t first, last;
            hs_graph_out(g, e, r, &first, &last);
            if (first == last)
                slot[n++] = e * R + r;
        }
    }
    hs_rng_shuffle_u32(&rng, slot, n);
    double best = (double)two_hop / (double)facts;
    for (uint64_t k = 0; k < n; k++) {
        uint32_t x = slot[k] / R, r = slot[k] % R, tails = 0;
        for (uint64_t i = 0; i < g->n_facts; i++)
            if (g->facts[i].relation == r)
                tail_of[tails++] = g->facts[i].tail;
        if (tails == 0)
            continue;
        uint32_t y = tail_of[hs_rng_below(&rng, tails)];
        if (x == y)
            continue;
        two_hop += in[x] + out[y] - 2 * edge[(size_t)y * E + x];
        edge[(size_t)x * E + y]++;
        out[x]++;
        in[y]++;
        facts++;
        double phi = (double)two_hop / (double)facts;
        best = phi > best ? phi : best;
    }
    free(slot);
    free(tail_of);
    free(in);
    free(out);
    free(edge);
    return best;
}

/* What random facts reach is not refused, with invented heads or without; and what is said to be possible is. */
static void test_reachable(void **state)
{
    (void)state;
    uint32_t refused = 0, higher = 0;
    for (uint32_t k = 0; k < 24; k++) {
        hs_graph g, out;
        hs_augment_options o;
        hs_augment_report report;
        hs_error why = {0};
        sparse(&g, k, 12 + k, 3 + k % 6, 30 + 2 * k);
        double reach = 0;
        for (uint64_t seed = 0; seed < 5; seed++)
            reach = fmax(reach, random_reach(&g, seed));
        hs_augment_options_default(&o);
        o.new_entities = k % 2 == 0;
        o.per_relation = false;
        o.phi = reach;
        if (hs_graph_augment(&g, &o, &out, &report, &why) != HS_OK) {
            print_message("graph %u: random facts reach %.3f, refused: %s\n", k, reach, why.what);
            refused++;
        } else {
            check_promises(&g, &out, &o, &report);
            hs_graph_free(&out);
        }
        o.phi = reach * 20;
        if (hs_graph_augment(&g, &o, &out, &report, &why) == HS_OK) {
            higher++;
            hs_graph_free(&out);
        } else {
            const char *said = strstr(why.what, "at least ");
            assert_non_null(said);
            o.phi = strtod(said + 9, NULL);
            assert_ok(hs_graph_augment(&g, &o, &out, &report, err));
            hs_graph_free(&out);
        }
        hs_graph_free(&g);
    }
    assert_int_equal(refused, 0);
    assert_true(higher < 24);
}

/* A warning says the phi that the relation has in the end, and only of relations that are below the target then. */
typedef struct warned {
    char text[64][256];
    size_t n;
} warned;

static void collect(void *user, const hs_event *event)
{
    warned *w = user;
    if (event->kind == HS_EVENT_WARNING && w->n < 64)
        snprintf(w->text[w->n++], sizeof w->text[0], "%s", event->text);
}

static void test_warnings(void **state)
{
    (void)state;
    size_t all = 0;
    for (uint32_t k = 0; k < 20; k++) {
        static warned w;
        w.n = 0;
        hs_graph g, out;
        hs_events events = {.fn = collect, .user = &w};
        hs_augment_options o;
        hs_augment_report report;
        if (k % 2)
            people(&g, k, 30 + 3 * k);
        else if (k % 4)
            people(&g, k, 20);
        else
            sparse(&g, k, 60, 12, 70);
        assert_ok(hs_graph_add(&g, "book", "editor", "house", err));
        assert_ok(hs_graph_add(&g, "house", "street", "Main Street", err));
        assert_ok(hs_graph_index(&g, err));
        hs_augment_options_default(&o);
        o.phi = 3 + k % 7;
        o.events = &events;
        o.new_entities = k % 3 != 0;
        if (hs_graph_augment(&g, &o, &out, &report, NULL) != HS_OK) {
            hs_graph_free(&g);
            continue;
        }
        hs_graph_stats s;
        assert_ok(hs_graph_stats_compute(&out, o.phi, &s, err));
        assert_int_equal(report.relations_given_up, w.n);
        all += w.n;
        for (size_t i = 0; i < w.n; i++) {
            char name[64];
            double phi;
            assert_int_equal(sscanf(w.text[i], "augment: phi of \"%63[^\"]\" stays at %lf", name, &phi), 2);
            const hs_relation_stats *r = hs_graph_stats_relation(&s, hs_names_find(&out.relations, name, strlen(name)));
            assert_true(fabs(r->phi - phi) < 0.00501);
            assert_false(r->sufficient);
        }
        hs_graph_stats_free(&s);
        hs_graph_free(&out);
        hs_graph_free(&g);
    }
    assert_true(all > 0);
}

/* Every bridge of real two-hop facts has its facts, and nothing else is added. */
static void test_per_bridge(void **state)
{
    (void)state;
    for (uint32_t k = 0; k < 8; k++) {
        hs_graph g, out;
        hs_augment_options o;
        hs_augment_report report;
        people(&g, k, 40 + k);
        hs_augment_options_default(&o);
        o.phi = 0;
        o.per_bridge = 1 + 3 * k;
        o.acyclic = k % 2 == 1;
        assert_ok(hs_graph_augment(&g, &o, &out, &report, err));
        check_promises(&g, &out, &o, &report);
        uint64_t needed = 0, bridges = 0, raised = 0;
        for (uint32_t b = 0; b < g.entities.n; b++) {
            uint64_t two_hop = 0, in = 0;
            for (uint64_t i = g.in_start[b]; i < g.in_start[b + 1]; i++) {
                const hs_fact *first = &g.facts[g.in_fact[i]];
                in += first->head != b;
                for (uint64_t j = g.out_start[b]; j < g.out_start[b + 1]; j++)
                    two_hop += first->head != b && g.facts[j].tail != b && g.facts[j].tail != first->head;
            }
            if (two_hop == 0)
                continue;
            bridges++;
            raised += in < o.per_bridge;
            needed += in < o.per_bridge ? o.per_bridge - in : 0;
            uint64_t now = 0;
            for (uint64_t i = out.in_start[b]; i < out.in_start[b + 1]; i++)
                now += out.facts[out.in_fact[i]].head != b;
            assert_true(now >= o.per_bridge);
        }
        assert_int_equal(report.bridges, bridges);
        assert_int_equal(report.bridges_raised, raised);
        assert_true(report.added_facts <= needed && (needed == 0 || report.added_facts > 0));
        hs_graph_free(&out);
        o.max_facts = needed > 3 ? 1 : 0;
        hs_error why = {0};
        if (needed > 3) {
            assert_int_equal(hs_graph_augment(&g, &o, &out, NULL, &why), HS_ERR_DATA);
            assert_non_null(strstr(why.what, "facts allowed"));
        }
        hs_graph_free(&g);
    }
}

static hs_graph memory_graph;

static hs_status augment_small(hs_error *err)
{
    hs_graph out;
    hs_augment_options o;
    hs_augment_options_default(&o);
    o.phi = 2;
    o.per_bridge = 3;
    o.acyclic = true;
    hs_status status = hs_graph_augment(&memory_graph, &o, &out, NULL, err);
    hs_graph_free(&out);
    const char *names[] = {"director"};
    hs_augment_comparison_options c = {.relations = names, .n_relations = 1, .per_value = 3};
    if (status == HS_OK)
        status = hs_graph_augment_comparison(&memory_graph, &c, &out, NULL, err);
    hs_graph_free(&out);
    return status;
}

static void test_memory(void **state)
{
    (void)state;
    people(&memory_graph, 7, 12);
    every_allocation_fails(augment_small);
    hs_graph_free(&memory_graph);
}

static void test_real(void **state)
{
    (void)state;
    hs_graph g, out;
    hs_augment_report report;
    hs_augment_options o;
    hs_read_options compositional = {.types = "compositional"};
    assert_ok(hs_graph_read(&g, data_file("2wiki/dev505.stripped.jsonl"), &compositional, NULL, err));
    hs_augment_options_default(&o);
    assert_ok(hs_graph_augment(&g, &o, &out, &report, err));
    check_promises(&g, &out, &o, &report);
    assert_true(report.phi_before < 0.6 && report.phi_after < 6.5); /* no overshoot */
    assert_true(report.added_facts < 8 * g.n_facts);
    hs_graph_free(&out);
    hs_graph_free(&g);
}

/* Facts held back are the same whatever comes in their place, which is as many facts, true, wrong or random, all marked. */
static void test_hold_back(void **state)
{
    (void)state;
    hs_graph g, out[4];
    hs_hold_report report[4];
    hs_read_options options = {.format = "world"};
    assert_ok(hs_graph_read(&g, "world", &options, NULL, err));
    for (int k = 0; k < 4; k++) {
        const hs_hold_options o = {.share = 0.4, .in_place = (hs_in_place)k, .seed = 5};
        assert_ok(hs_graph_hold_back(&g, &o, &out[k], &report[k], err));
        assert_int_equal(report[k].held, report[0].held);
        assert_int_equal(out[k].entities.n, g.entities.n);
        uint64_t real = 0, marked = 0, in_g = 0;
        for (uint64_t i = 0; i < out[k].n_facts; i++) {
            const hs_fact *f = &out[k].facts[i];
            uint64_t first, last;
            hs_graph_out(&g, f->head, f->relation, &first, &last);
            const bool asked = first < last;
            bool known = false;
            for (; first < last; first++)
                known |= g.facts[first].tail == f->tail;
            marked += (out[k].flags[i] & HS_FACT_SYNTHETIC) != 0;
            if (!(out[k].flags[i] & HS_FACT_SYNTHETIC)) {
                assert_true(known);
                hs_graph_out(&out[0], f->head, f->relation, &first, &last);
                assert_true(first < last); /* real facts are those of "none" */
                real++;
            } else {
                in_g += known;
                assert_true(k != HS_IN_PLACE_WRONG_TAIL || asked);
                assert_true(k != HS_IN_PLACE_RANDOM || !asked);
                assert_true(f->head != f->tail || k == HS_IN_PLACE_SAME);
            }
        }
        assert_int_equal(real, g.n_facts - report[k].held);
        assert_int_equal(in_g, k == HS_IN_PLACE_SAME ? marked : 0);
        assert_true(marked <= report[k].put && marked + 5 >= report[k].put);
    }
    assert_true(report[0].held > 0.37 * (double)g.n_facts && report[0].held < 0.43 * (double)g.n_facts);
    assert_int_equal(report[0].put, 0);
    assert_int_equal(report[1].put, report[1].held);
    assert_true(report[2].put > 0.95 * (double)report[2].held && report[3].put > 0.95 * (double)report[3].held);
    for (int k = 0; k < 4; k++)
        hs_graph_free(&out[k]);
    hs_graph_free(&g);
    make_graph(&g, "a r b\nb s c\nc r d\nd s a\nb r d\n");
    for (uint64_t n = 1;; n++) { /* memory */
        const hs_hold_options o = {.share = 0.5, .in_place = HS_IN_PLACE_RANDOM};
        hs_error error;
        hs_alloc_fail_after(n);
        const hs_status status = hs_graph_hold_back(&g, &o, &out[0], NULL, &error);
        hs_alloc_fail_after(0);
        if (status == HS_OK)
            break;
        assert_int_equal(status, HS_ERR_MEMORY);
    }
    hs_graph_free(&out[0]);
    hs_graph_free(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_promises),  cmocka_unit_test(test_acyclic),      cmocka_unit_test(test_seed),
        cmocka_unit_test(test_spread),    cmocka_unit_test(test_out_of_reach), cmocka_unit_test(test_names_relation),
        cmocka_unit_test(test_reuse),     cmocka_unit_test(test_taken_names),  cmocka_unit_test(test_comparison),
        cmocka_unit_test(test_reachable), cmocka_unit_test(test_warnings),     cmocka_unit_test(test_per_bridge),
        cmocka_unit_test(test_memory),    cmocka_unit_test(test_real),
        cmocka_unit_test(test_hold_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
