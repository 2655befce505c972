/* graph_augment.c - `hopscope graph augment`: synthetic facts, and what they cost. */
#include "cli/graph.h"
#include "cli/lm.h"

#include <math.h>

static void print_event(void *user, const hs_event *event)
{
    (void)user;
    if (event->kind == HS_EVENT_WARNING)
        fprintf(stderr, "hopscope graph: warning: %s\n", event->text);
}

static hs_status augment(const hs_graph_arguments *a, const hs_graph *g, hs_graph *out, hs_augment_report *report,
                         hs_error *err)
{
    uint64_t max_facts = a->max_facts > 0 ? (uint64_t)a->max_facts : 0;
    if (a->comparison > 0) {
        hs_augment_comparison_options options = {.relations = a->list.item,
                                                 .n_relations = a->list.n,
                                                 .per_value = (uint32_t)a->comparison,
                                                 .max_facts = max_facts};
        return hs_graph_augment_comparison(g, &options, out, report, err);
    }
    hs_events events = {.fn = print_event};
    hs_augment_options options;
    hs_augment_options_default(&options);
    options.phi = a->phi;
    options.per_bridge = (uint32_t)a->bridges;
    options.relations = a->list.item;
    options.n_relations = a->list.n;
    options.per_relation = !a->overall;
    options.acyclic = a->acyclic != 0;
    options.new_entities = !a->reuse;
    options.tails_of_type = a->of_type != 0;
    options.max_facts = max_facts;
    options.seed = (uint64_t)a->seed;
    options.events = &events;
    return hs_graph_augment(g, &options, out, report, err);
}

static void print_augment(const hs_graph_arguments *a, const hs_graph *g, const hs_augment_report *r)
{
    hs_graph_command_line("real facts", g->n_facts);
    hs_graph_command_line("synthetic facts added", r->added_facts);
    hs_graph_command_line("entities invented", r->added_entities);
    hs_graph_command_line("two-hop facts gained", r->added_two_hop);
    printf("%-32s %15.3f\n", "phi before", r->phi_before);
    printf("%-32s %15.3f\n", "phi after", r->phi_after);
    hs_graph_command_line("relations chosen", r->relations_chosen);
    if (a->bridges > 0) {
        hs_graph_command_line("bridges of real two-hop facts", r->bridges);
        hs_graph_command_line("  of them with too few facts", r->bridges_raised);
    }
    if (a->comparison == 0 && !a->overall && a->phi > 0) {
        hs_graph_command_line("  of them out of reach", r->relations_given_up);
        printf("%-32s %15.3f\n", "lowest phi_r before", r->min_phi_r_before);
        printf("%-32s %15.3f\n", "lowest phi_r after", r->min_phi_r_after);
    }
    if (r->added_facts > 0)
        printf("%-32s %15.2f\n", "two-hop facts a synthetic fact", (double)r->added_two_hop / (double)r->added_facts);
    printf("written to %s; synthetic facts are marked in the fourth column and are not known to be true\n", a->out);
}

static json_t *augment_json(const hs_graph_arguments *a, const hs_graph *g, const hs_augment_report *r)
{
    return json_pack("{s:s, s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:f, s:I, s:I, s:I}", "out", a->out, "real_facts",
                     (json_int_t)g->n_facts, "added_facts", (json_int_t)r->added_facts, "added_entities",
                     (json_int_t)r->added_entities, "added_two_hop", (json_int_t)r->added_two_hop, "phi_before",
                     r->phi_before, "phi_after", r->phi_after, "min_phi_r_before", r->min_phi_r_before,
                     "min_phi_r_after", r->min_phi_r_after, "relations_chosen", (json_int_t)r->relations_chosen,
                     "relations_given_up", (json_int_t)r->relations_given_up, "collisions", (json_int_t)r->collisions);
}

static int run_augment(const hs_graph_arguments *a)
{
    hs_error err = {0};
    hs_graph g, out = {0};
    hs_read_report read = {0};
    hs_augment_report report = {0};
    if (a->lm->model || a->lm->server || a->prompts_only)
        return hs_graph_augment_model(a);
    if (a->comparison > 0 && a->list.n == 0)
        return hs_cli_usage_error("graph augment", "--comparison needs --relations");
    if (hs_graph_command_check_output(a, &err) != HS_OK || hs_graph_command_read(a, &g, &read, &err) != HS_OK)
        return hs_cli_fail(&err);
    int code = 0;
    if (augment(a, &g, &out, &report, &err) != HS_OK || hs_graph_write_tsv(&out, a->out, &err) != HS_OK) {
        code = hs_cli_fail(&err);
    } else if (a->json) {
        code = hs_cli_print_json(augment_json(a, &g, &report));
    } else {
        hs_graph_command_report(&read);
        print_augment(a, &g, &report);
    }
    hs_graph_free(&out);
    hs_graph_free(&g);
    return code;
}

int hs_graph_augment_command(int argc, const char **argv)
{
    static const hs_usage usage = {
        "graph augment", "FILE",
        "Adds synthetic facts until phi, overall and of each relation, reaches a target, or until each bridge has "
        "enough\n"
        "facts, and says what that costs.\n"
        "Synthetic facts are marked in the fourth column and are not true.\n"
        "With --model they are proposed by a language model behind --server and checked; a file beside the output says "
        "of\n"
        "each from which prompt and when it came.",
        "  hopscope graph augment my.tsv --bridges 16 -o augmented.tsv\n"
        "  hopscope graph augment dev.json --types compositional --phi 6.25 -o augmented.tsv\n"
        "  hopscope graph augment dev.json --comparison 20 --relations \"country\" -o comparison.tsv\n"
        "  hopscope graph augment my.tsv --bridges 8 --model NAME --server http://127.0.0.1:8000/v1 -o augmented.tsv"};
    hs_lm_arguments lm = HS_LM_ARGUMENTS;
    hs_graph_arguments a = {.threshold = 3.6, .phi = NAN, .max_majority = 0.2, .each = 5, .lm = &lm};
    const struct poptOption options[] = {
        {"phi", 0, POPT_ARG_DOUBLE, &a.phi, 0, "target (6.25)", "X"},
        HS_GRAPH_WRITING_OPTIONS,
        {"bridges", 0, POPT_ARG_INT, &a.bridges, 0,
         "at least N facts at each bridge of real two-hop facts; alone: no --phi", "N"},
        {"overall", 0, POPT_ARG_NONE, &a.overall, 0, "reach the target overall only", NULL},
        {"acyclic", 0, POPT_ARG_NONE, &a.acyclic, 0, "never close a directed cycle", NULL},
        {"reuse", 0, POPT_ARG_NONE, &a.reuse, 0, "invent no entities", NULL},
        {"of-type", 0, POPT_ARG_NONE, &a.of_type, 0, "tails may be any entity of the same kind: fewer facts", NULL},
        {"max-facts", 0, POPT_ARG_LONGLONG, &a.max_facts, 0, "give up beyond N synthetic facts", "N"},
        {"comparison", 0, POPT_ARG_INT, &a.comparison, 0, "instead: K entities share each value of --relations", "K"},
        HS_GRAPH_READING_OPTIONS,
        HS_LM_OPTIONS,
        {"each", 0, POPT_ARG_INT, &a.each, 0, "--model: facts asked for in one question (5)", "N"},
        POPT_TABLEEND};
    const int code = hs_graph_command(argc, argv, &usage, options, &a, true, run_augment);
    hs_cli_lm_free(&lm);
    return code;
}
