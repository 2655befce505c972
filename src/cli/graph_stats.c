/* graph_stats.c - `hopscope graph stats`: counts and phi of a graph as tables or JSON. */
#include "cli/graph.h"

#include <inttypes.h>

/* Columns a name takes on a terminal: bytes that begin a character. */
static int columns(const char *s)
{
    int n = 0;
    for (; *s != '\0'; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

static void print_name(const char *s, int width)
{
    printf("%s%*s", s, width > columns(s) ? width - columns(s) : 0, "");
}

static void print_overall(const hs_graph_stats *s)
{
    hs_graph_command_line("entities", s->entities);
    hs_graph_command_line("relations", s->relations);
    hs_graph_command_line("facts", s->facts);
    if (s->synthetic > 0)
        hs_graph_command_line("  of them synthetic", s->synthetic);
    hs_graph_command_line("functional facts", s->functional_facts);
    hs_graph_command_line("two-hop facts", s->two_hop);
    hs_graph_command_line("  with trivial ones", s->two_hop_all);
    hs_graph_command_line("  over functional facts", s->functional_two_hop);
    printf("%-32s %15.3f\n", "phi", s->phi);
    printf("%-32s %15.3f\n", "  over functional facts", s->functional_phi);
    printf("%-32s %15.3f\n", "branching factor b", s->branching);
    printf("%-32s %15.3f\n", "majority baseline", s->majority);
    printf("%-32s %15.3f   phi of a random graph stays at or below b\n", "Lemma 1", s->lemma1_phi);
    printf("%-32s %15.0f   two-hop facts of a random graph like this\n", "", s->lemma1_two_hop);
    printf("%-32s %15.3f   b_r needed for phi_r >= %g\n", "Lemma 2", s->lemma2_branching, s->threshold);
}

static void print_relations(const hs_graph *g, const hs_graph_stats *s)
{
    int width = 8;
    uint64_t sufficient = 0;
    for (uint64_t i = 0; i < s->relations; i++) {
        int w = columns(hs_names_get(&g->relations, s->relation[i].relation));
        width = w > width && w <= 48 ? w : width;
    }
    printf("\n%-*s %10s %9s %9s %9s %9s  phi >= %g\n", width, "relation", "facts", "phi_r", "as hop 1", "as hop 2",
           "b_r", s->threshold);
    for (uint64_t i = 0; i < s->relations; i++) {
        const hs_relation_stats *r = &s->relation[i];
        print_name(hs_names_get(&g->relations, r->relation), width);
        printf(" %10" PRIu64 " %9.3f %9.3f %9.3f %9.4f  %s\n", r->facts, r->phi, r->phi_hop1, r->phi_hop2, r->branching,
               r->sufficient ? "yes" : "no");
        sufficient += r->sufficient;
    }
    printf("%" PRIu64 " of %" PRIu64 " relations reach %g%s\n", sufficient, s->relations, s->threshold,
           sufficient == s->relations ? ": every relation can be generalized over" : "");
}

static void print_pairs(const hs_graph *g, const hs_graph_stats *s, uint64_t most)
{
    printf("\n%-56s %9s %9s  commonest tail\n", "relation pair", "two-hop", "majority");
    for (uint64_t i = 0; i < s->n_pairs && i < most; i++) {
        const hs_pair_stats *p = &s->pair[i];
        hs_str name = {0};
        hs_str_addf(&name, "%s x %s", hs_names_get(&g->relations, p->r1), hs_names_get(&g->relations, p->r2));
        print_name(name.failed ? "(out of memory)" : name.s, 56);
        printf(" %9" PRIu64 " %9.3f  %s%s\n", p->facts, p->majority, hs_names_get(&g->entities, p->top_tail),
               p->informative ? "" : "  (not informative)");
        hs_str_free(&name);
    }
    if (s->n_pairs > most)
        printf("... and %" PRIu64 " more (--pairs shows all)\n", s->pairs - most);
    else if (s->pairs > s->n_pairs)
        printf("... and %" PRIu64 " more, with at most %" PRIu64 " two-hop facts each\n", s->pairs - s->n_pairs,
               s->pair[s->n_pairs - 1].facts);
    printf("%" PRIu64 " of %" PRIu64
           " pairs are informative (at least 20 two-hop facts, commonest tail at most 20%%)\n",
           s->informative_pairs, s->pairs);
}

static json_t *stats_json(const hs_graph *g, const hs_graph_stats *s, const hs_read_report *report)
{
    json_t *relations = json_array(), *pairs = json_array();
    for (uint64_t i = 0; i < s->relations; i++) {
        const hs_relation_stats *r = &s->relation[i];
        json_array_append_new(relations,
                              json_pack("{s:s, s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:f, s:b}", "relation",
                                        hs_names_get(&g->relations, r->relation), "facts", (json_int_t)r->facts,
                                        "as_hop1", (json_int_t)r->as_hop1, "as_hop2", (json_int_t)r->as_hop2, "either",
                                        (json_int_t)r->either, "phi", r->phi, "phi_hop1", r->phi_hop1, "phi_hop2",
                                        r->phi_hop2, "branching", r->branching, "sufficient", (int)r->sufficient));
    }
    for (uint64_t i = 0; i < s->n_pairs; i++) {
        const hs_pair_stats *p = &s->pair[i];
        json_array_append_new(pairs,
                              json_pack("{s:s, s:s, s:I, s:s, s:f, s:b}", "r1", hs_names_get(&g->relations, p->r1),
                                        "r2", hs_names_get(&g->relations, p->r2), "facts", (json_int_t)p->facts,
                                        "top_tail", hs_names_get(&g->entities, p->top_tail), "majority", p->majority,
                                        "informative", (int)p->informative));
    }
    json_t *json =
        json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "entities",
                  (json_int_t)s->entities, "relations", (json_int_t)s->relations, "facts", (json_int_t)s->facts,
                  "synthetic", (json_int_t)s->synthetic, "functional_facts", (json_int_t)s->functional_facts, "two_hop",
                  (json_int_t)s->two_hop, "two_hop_all", (json_int_t)s->two_hop_all, "functional_two_hop",
                  (json_int_t)s->functional_two_hop, "phi", s->phi, "functional_phi", s->functional_phi, "branching",
                  s->branching, "majority", s->majority, "threshold", s->threshold, "lemma1_phi", s->lemma1_phi,
                  "lemma1_two_hop", s->lemma1_two_hop, "lemma2_branching", s->lemma2_branching);
    json_object_set_new(json, "pairs", json_integer((json_int_t)s->pairs));
    json_object_set_new(json, "informative_pairs", json_integer((json_int_t)s->informative_pairs));
    json_object_set_new(json, "relation", relations);
    json_object_set_new(json, "pair", pairs);
    json_object_set_new(json, "read", hs_graph_command_report_json(report));
    return json;
}

static int run_stats(const hs_graph_arguments *a)
{
    hs_error err = {0};
    hs_graph g;
    hs_graph_stats stats = {0};
    hs_read_report report = {0};
    if (hs_graph_command_read(a, &g, &report, &err) != HS_OK)
        return hs_cli_fail(&err);
    int code = 0;
    if (hs_graph_stats_compute(&g, a->threshold, &stats, &err) != HS_OK) {
        code = hs_cli_fail(&err);
    } else if (a->json) {
        code = hs_cli_print_json(stats_json(&g, &stats, &report));
    } else {
        hs_graph_command_report(&report);
        print_overall(&stats);
        print_relations(&g, &stats);
        print_pairs(&g, &stats, a->pairs ? UINT64_MAX : 20);
    }
    hs_graph_stats_free(&stats);
    hs_graph_free(&g);
    return code;
}

int hs_graph_stats_command(int argc, const char **argv)
{
    static const hs_usage usage = {
        "graph stats", "FILE",
        "Counts entities, facts, functional facts and two-hop facts, overall and for each relation; phi_r, branching\n"
        "factors, the lemma bounds, and how often the commonest tail of each relation pair is right.",
        "  hopscope graph stats world\n"
        "  hopscope graph stats dev.json --raw --threshold 3.6 --json"};
    hs_graph_arguments a = {.threshold = 3.6, .phi = 6.25, .max_majority = 0.2};
    const struct poptOption options[] = {
        {"threshold", 0, POPT_ARG_DOUBLE, &a.threshold, 0, "phi that a relation needs (3.6)", "X"},
        {"pairs", 0, POPT_ARG_NONE, &a.pairs, 0, "show every relation pair", NULL},
        HS_GRAPH_READING_OPTIONS,
        POPT_TABLEEND};
    return hs_graph_command(argc, argv, &usage, options, &a, false, run_stats);
}
