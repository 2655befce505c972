/* graph_augment_lm.c - `hopscope graph augment --model`: facts that a language model proposes, checked one by one. */
#include "cli/graph.h"
#include "cli/lm.h"

#include <stdlib.h>
#include <string.h>

static void show(void *user, size_t i, size_t n, const hs_lm_question *question)
{
    *(size_t *)user = n;
    hs_cli_lm_print_prompt(i, n, question);
}

static void print_report(const hs_graph_arguments *a, const hs_graph *g, const hs_lm_augment_report *r,
                         const char *origin)
{
    hs_graph_command_line("real facts", g->n_facts);
    hs_graph_command_line("facts proposed", r->proposed);
    hs_graph_command_line("synthetic facts added", r->added_facts);
    hs_graph_command_line("entities invented", r->added_entities);
    for (hs_lm_fault k = 0; k < HS_LM_N_FAULTS; k++) {
        char what[48];
        snprintf(what, sizeof what, "  refused: %s", hs_lm_fault_name(k));
        if (r->refused[k] > 0)
            hs_graph_command_line(what, r->refused[k]);
    }
    hs_graph_command_line("two-hop facts gained", r->added_two_hop);
    printf("%-32s %15.3f\n", "phi before", r->phi_before);
    printf("%-32s %15.3f\n", "phi after", r->phi_after);
    if (r->wanted > 0 && (a->comparison > 0 || a->bridges > 0)) {
        hs_graph_command_line(a->comparison > 0 ? "values below the target" : "bridges below the target", r->wanted);
        hs_graph_command_line("  of them brought there", r->reached);
    }
    hs_graph_command_line("given up after two in vain", r->given_up);
    printf("written to %s, and where each fact is from to %s; they are not known to be true\n", a->out, origin);
}

static json_t *report_json(const hs_graph_arguments *a, const hs_graph *g, const hs_lm_augment_report *r,
                           const char *origin, const hs_lm_counts *counts)
{
    json_t *refused = json_object();
    for (hs_lm_fault k = 0; k < HS_LM_N_FAULTS; k++)
        json_object_set_new(refused, hs_lm_fault_name(k), json_integer((json_int_t)r->refused[k]));
    return json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:I, s:I, s:I, s:o, s:o}", "out", a->out,
                     "origin", origin, "real_facts", (json_int_t)g->n_facts, "rounds", (json_int_t)r->rounds,
                     "proposed", (json_int_t)r->proposed, "added_facts", (json_int_t)r->added_facts, "added_entities",
                     (json_int_t)r->added_entities, "added_two_hop", (json_int_t)r->added_two_hop, "phi_before",
                     r->phi_before, "phi_after", r->phi_after, "wanted", (json_int_t)r->wanted, "reached",
                     (json_int_t)r->reached, "given_up", (json_int_t)r->given_up, "refused", refused, "asked",
                     hs_cli_lm_report_json(counts));
}

static hs_status write_both(const hs_graph_arguments *a, const hs_graph *out, const hs_str *facts, const char *origin,
                            hs_error *err)
{
    HS_TRY(hs_file_write(origin, facts->s ? facts->s : "", facts->len, err));
    return hs_graph_write_tsv(out, a->out, err);
}

static hs_lm_augment_options how(const hs_graph_arguments *a)
{
    return (hs_lm_augment_options){.relations = a->list.n ? a->list.item : NULL,
                                   .n_relations = a->list.n,
                                   .per_value = (uint32_t)a->comparison,
                                   .phi = a->comparison > 0 ? 0 : a->phi,
                                   .per_bridge = a->comparison > 0 ? 0 : (uint32_t)a->bridges,
                                   .each = (uint32_t)a->each,
                                   .max_facts = a->max_facts > 0 ? (uint64_t)a->max_facts : 0,
                                   .seed = (uint64_t)a->seed};
}

static int ask(const hs_graph_arguments *a, const hs_graph *g, const hs_lm_options *options, const char *origin)
{
    hs_error err = {0};
    hs_lm *lm;
    hs_view view;
    hs_graph out = {0};
    hs_str facts = {0};
    hs_lm_augment_report report = {0};
    const hs_lm_augment_options wanted = how(a);
    const hs_events events = hs_view_events(&view, false);
    if (hs_lm_open(&lm, options, &events, &err) != HS_OK)
        return hs_cli_fail(&err);
    hs_status status = hs_lm_augment(g, lm, &wanted, &out, &facts, &report, NULL, NULL, hs_cli_signals(), &err);
    if (status == HS_OK)
        status = write_both(a, &out, &facts, origin, &err);
    hs_view_close(&view);
    hs_cli_lm_report(hs_lm_counted(lm), options);
    int code = 0;
    if (hs_status_stopped(status)) {
        fprintf(stderr, "hopscope: stopped; answers so far are kept in %s, the same command goes on\n", options->cache);
        code = hs_status_exit_code(status);
    } else if (status != HS_OK) {
        code = hs_cli_fail(&err);
    } else if (a->json) {
        code = hs_cli_print_json(report_json(a, g, &report, origin, hs_lm_counted(lm)));
    } else {
        print_report(a, g, &report, origin);
    }
    hs_lm_close(lm);
    hs_str_free(&facts);
    hs_graph_free(&out);
    return code;
}

static int dry_run(const hs_graph_arguments *a, const hs_graph *g)
{
    hs_error err = {0};
    hs_graph out = {0};
    const hs_lm_augment_options wanted = how(a);
    size_t n = 0;
    const hs_status status = hs_lm_augment(g, NULL, &wanted, &out, NULL, NULL, show, &n, NULL, &err);
    hs_graph_free(&out);
    if (status == HS_OK)
        fprintf(stderr,
                n ? "the %zu prompts of the first round; later ones depend on the answers\n"
                  : "%zu prompts: the target is reached already\n",
                n);
    return status == HS_OK ? 0 : hs_cli_fail(&err);
}

static const char *complaint(const hs_graph_arguments *a)
{
    if (a->comparison > 0 && a->list.n == 0)
        return "--comparison needs --relations";
    if (a->comparison == 0 && a->bridges > 0 && a->phi > 0)
        return "with --model either --phi or --bridges is the target";
    if (a->reuse || a->of_type || a->overall)
        return "--reuse, --of-type and --overall are for the planner, without --model";
    if (a->each < 1 || a->each > 100)
        return "--each is from 1 to 100";
    if (!a->lm->server && !a->lm->dry_run && !a->lm->cache)
        return "--model needs --server URL, or --dry-run";
    return NULL;
}

int hs_graph_augment_model(const hs_graph_arguments *a)
{
    char cache[4200], origin[4200];
    int code = 0;
    hs_lm_options options;
    hs_error err = {0};
    hs_graph g;
    hs_read_report read = {0};
    const char *what = complaint(a);
    if (what)
        return hs_cli_usage_error("graph augment", "%s", what);
    snprintf(cache, sizeof cache, "%.4096s.answers.db", a->out ? a->out : "");
    snprintf(origin, sizeof origin, "%.4096s.origin.jsonl", a->out ? a->out : "");
    if (!hs_cli_lm_options(a->lm, "graph augment", cache, &options, &code))
        return code;
    if ((a->out && hs_graph_command_check_output(a, &err) != HS_OK) ||
        hs_graph_command_read(a, &g, &read, &err) != HS_OK)
        return hs_cli_fail(&err);
    code = a->lm->dry_run ? dry_run(a, &g) : ask(a, &g, &options, origin);
    hs_graph_free(&g);
    return code;
}
