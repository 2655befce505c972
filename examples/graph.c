/* graph.c - builds a knowledge graph fact by fact, says whether two-hop queries over it can be generalized, writes it.
 * usage: graph FILE.tsv */
#include <hopscope/graph.h>

enum { PEOPLE = 100 };

/* Each relation leads from every person to one other. */
static hs_status add_facts(hs_graph *graph, hs_error *err)
{
    static const struct {
        const char *name;
        int times, plus;
    } relation[] = {{"mentor", 1, 1},  {"friend", 7, 3},   {"neighbor", 11, 5}, {"boss", 3, 17},
                    {"rival", 13, 29}, {"teacher", 9, 41}, {"guest", 17, 8},    {"cousin", 21, 62}};
    for (int person = 0; person < PEOPLE; person++)
        for (size_t r = 0; r < sizeof relation / sizeof *relation; r++) {
            char head[32], tail[32];
            snprintf(head, sizeof head, "person %d", person);
            snprintf(tail, sizeof tail, "person %d", (person * relation[r].times + relation[r].plus) % PEOPLE);
            HS_TRY(hs_graph_add(graph, head, relation[r].name, tail, err)); /* returns the failure, if there is one */
        }
    return hs_graph_index(graph, err); /* sorts; from now on the graph can be asked */
}

static hs_status work(hs_graph *graph, const char *path, hs_error *err)
{
    HS_TRY(add_facts(graph, err));
    hs_graph_stats stats;
    HS_TRY(hs_graph_stats_compute(graph, 3.6, &stats, err));
    printf("%llu facts, %llu two-hop facts: phi %.2f\n", (unsigned long long)stats.facts,
           (unsigned long long)stats.two_hop, stats.phi);
    for (uint32_t r = 0; r < graph->relations.n; r++)
        printf("  %-8s  phi %.2f, %s\n", hs_names_get(&graph->relations, stats.relation[r].relation),
               stats.relation[r].phi, stats.relation[r].sufficient ? "enough" : "too few");
    hs_graph_stats_free(&stats);
    return hs_graph_write_tsv(graph, path, err); /* whole, or not at all */
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: graph FILE.tsv\n");
        return 2;
    }
    hs_graph graph = {0};
    hs_error err = {0};
    const hs_status status = work(&graph, argv[1], &err);
    if (status != HS_OK) {
        char text[1200]; /* what, where, the offending value, a hint */
        hs_error_format(&err, text, sizeof text);
        fprintf(stderr, "graph: %s\n", text);
    }
    hs_graph_free(&graph);
    return hs_status_exit_code(status);
}
