/* graph_convert.c - `hopscope graph convert`: a graph, or a part of it, as TSV. */
#include "cli/graph.h"

static int run_convert(const hs_graph_arguments *a)
{
    hs_error err = {0};
    hs_graph g, out = {0};
    hs_read_report report = {0};
    hs_graph_filter filter = {.functional = a->functional != 0,
                              .inverses = a->inverses != 0,
                              .relations = a->list.item,
                              .n_relations = a->list.n,
                              .min_degree = (uint32_t)a->min_degree,
                              .sample_bridges = (uint32_t)a->sample_bridges,
                              .informative_min_facts = (uint32_t)a->informative,
                              .informative_max_majority = a->max_majority,
                              .seed = (uint64_t)a->seed};
    if (hs_graph_command_check_output(a, &err) != HS_OK || hs_graph_command_read(a, &g, &report, &err) != HS_OK)
        return hs_cli_fail(&err);
    int code = 0;
    if (hs_graph_select(&g, &filter, &out, &err) != HS_OK || hs_graph_write_tsv(&out, a->out, &err) != HS_OK) {
        code = hs_cli_fail(&err);
    } else if (a->json) {
        code = hs_cli_print_json(json_pack("{s:s, s:I, s:I, s:I, s:I, s:o}", "out", a->out, "facts_read",
                                           (json_int_t)g.n_facts, "facts", (json_int_t)out.n_facts, "entities",
                                           (json_int_t)out.entities.n, "relations", (json_int_t)out.relations.n, "read",
                                           hs_graph_command_report_json(&report)));
    } else {
        hs_graph_command_report(&report);
        hs_graph_command_line("facts read", g.n_facts);
        hs_graph_command_line("facts written", out.n_facts);
        hs_graph_command_line("entities", out.entities.n);
        hs_graph_command_line("relations", out.relations.n);
    }
    hs_graph_free(&out);
    hs_graph_free(&g);
    return code;
}

int hs_graph_convert_command(int argc, const char **argv)
{
    static const hs_usage usage = {"graph convert", "FILE", "Writes the graph, or a part of it, as TSV.",
                                   "  hopscope graph convert triples.nt.zst -o triples.tsv\n"
                                   "  hopscope graph convert world -o part.tsv --relations \"in country,currency\"\n"
                                   "  hopscope graph convert people.tsv -o part.tsv --functional --informative 20"};
    hs_graph_arguments a = {.threshold = 3.6, .phi = 6.25, .max_majority = 0.2};
    const struct poptOption options[] = {
        HS_GRAPH_WRITING_OPTIONS,
        {"functional", 0, POPT_ARG_NONE, &a.functional, 0, "only facts whose (head, relation) has one tail", NULL},
        {"inverses", 0, POPT_ARG_NONE, &a.inverses, 0, "add (tail, relation^-1, head) for every fact", NULL},
        {"min-degree", 0, POPT_ARG_INT, &a.min_degree, 0, "only entities with at least N facts", "N"},
        {"sample-bridges", 0, POPT_ARG_INT, &a.sample_bridges, 0, "only facts that touch a sample of N bridges", "N"},
        {"informative", 0, POPT_ARG_INT, &a.informative, 0, "only hops of relation pairs with N two-hop facts ...",
         "N"},
        {"max-majority", 0, POPT_ARG_DOUBLE, &a.max_majority, 0, "... and commonest tail at most this (0.2)", "X"},
        HS_GRAPH_READING_OPTIONS,
        POPT_TABLEEND};
    return hs_graph_command(argc, argv, &usage, options, &a, true, run_convert);
}
