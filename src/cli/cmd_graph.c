/* cmd_graph.c - `hopscope graph stats|augment|convert`: arguments in, calls to the library, text out. */
#include "cli/cli.h"

#include "hopscope/graph.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Everything the three commands can be told. */
typedef struct arguments {
    const char *file;
    char *out, *format, *columns, *relations, *types;
    double threshold, phi, max_majority;
    int json, raw, skip_derived, literals, pairs;
    int functional, inverses, informative, min_degree, sample_bridges;
    int acyclic, reuse, of_type, overall, comparison, bridges, force;
    long long max_facts, seed;
    hs_list list; /* relations, split */
} arguments;

/* ---------------------------------------------------------------- reading */

static void print_count(const char *what, uint64_t n)
{
    char text[32];
    if (n > 0)
        fprintf(stderr, "  %-38s %s\n", what, hs_format_count(n, text));
}

static void print_report(const hs_read_report *r)
{
    uint64_t repairs = r->records_skipped + r->duplicates + r->aliases_by_id + r->aliases_by_title +
                       r->dates_normalized + r->dates_unknown + r->nationalities_normalized + r->names_trimmed +
                       r->literals_skipped + r->headers_skipped;
    if (repairs == 0)
        return;
    fprintf(stderr, "While reading:\n");
    print_count("records skipped", r->records_skipped);
    print_count("facts given more than once", r->duplicates);
    print_count("bridges joined by evidences_id", r->aliases_by_id);
    print_count("bridges joined by article title", r->aliases_by_title);
    print_count("dates written as ISO", r->dates_normalized);
    print_count("dates not understood, kept", r->dates_unknown);
    print_count("nationalities and countries unified", r->nationalities_normalized);
    print_count("names trimmed", r->names_trimmed);
    print_count("literals skipped", r->literals_skipped);
    print_count("line of column names skipped", r->headers_skipped);
}

static hs_status read_graph(const arguments *a, hs_graph *g, hs_read_report *report, hs_error *err)
{
    hs_read_options options = {
        .raw = a->raw != 0, .skip_derived = a->skip_derived != 0, .literals = a->literals != 0, .types = a->types};
    options.format = a->format;
    options.columns = a->columns;
    return hs_graph_read(g, a->file, &options, report, err);
}

/* Before any work: the output must not be the input under another name, and replaces a file only with --force. */
static hs_status check_output(const arguments *a, hs_error *err)
{
    struct stat in, out;
    if (stat(a->out, &out) != 0)
        return HS_OK;
    bool same = stat(a->file, &in) == 0 && in.st_dev == out.st_dev && in.st_ino == out.st_ino;
    if (!same && a->force && S_ISREG(out.st_mode))
        return HS_OK;
    hs_fail(err, HS_ERR_USAGE, same ? "the output is the input" : "there is something at this place already");
    hs_error_where(err, "%s", a->out);
    return hs_error_hint(err, same ? "write to another file" : "write to another file, or replace it with --force");
}

static json_t *report_json(const hs_read_report *r)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "records", (json_int_t)r->records,
                     "records_skipped", (json_int_t)r->records_skipped, "duplicates", (json_int_t)r->duplicates,
                     "aliases_by_id", (json_int_t)r->aliases_by_id, "aliases_by_title", (json_int_t)r->aliases_by_title,
                     "dates_normalized", (json_int_t)r->dates_normalized, "dates_unknown", (json_int_t)r->dates_unknown,
                     "nationalities_normalized", (json_int_t)r->nationalities_normalized, "names_trimmed",
                     (json_int_t)r->names_trimmed, "literals_skipped", (json_int_t)r->literals_skipped,
                     "headers_skipped", (json_int_t)r->headers_skipped);
}

/* Takes the reference. */
static int print_json(json_t *json)
{
    int code = 0;
    if (json == NULL || json_dumpf(json, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) != 0 ||
        putchar('\n') == EOF || fflush(stdout) != 0) {
        hs_error err;
        hs_fail(&err, HS_ERR_IO, "the result could not be written to standard output");
        code = hs_cli_fail(&err);
    }
    json_decref(json);
    return code;
}

/* ---------------------------------------------------------------- stats */

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

static void print_line(const char *what, uint64_t n)
{
    char text[32];
    printf("%-32s %15s\n", what, hs_format_count(n, text));
}

static void print_overall(const hs_graph_stats *s)
{
    print_line("entities", s->entities);
    print_line("relations", s->relations);
    print_line("facts", s->facts);
    if (s->synthetic > 0)
        print_line("  of them synthetic", s->synthetic);
    print_line("functional facts", s->functional_facts);
    print_line("two-hop facts", s->two_hop);
    print_line("  with trivial ones", s->two_hop_all);
    print_line("  over functional facts", s->functional_two_hop);
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
    json_object_set_new(json, "read", report_json(report));
    return json;
}

static int run_stats(const arguments *a)
{
    hs_error err = {0};
    hs_graph g;
    hs_graph_stats stats = {0};
    hs_read_report report = {0};
    if (read_graph(a, &g, &report, &err) != HS_OK)
        return hs_cli_fail(&err);
    int code = 0;
    if (hs_graph_stats_compute(&g, a->threshold, &stats, &err) != HS_OK) {
        code = hs_cli_fail(&err);
    } else if (a->json) {
        code = print_json(stats_json(&g, &stats, &report));
    } else {
        print_report(&report);
        print_overall(&stats);
        print_relations(&g, &stats);
        print_pairs(&g, &stats, a->pairs ? UINT64_MAX : 20);
    }
    hs_graph_stats_free(&stats);
    hs_graph_free(&g);
    return code;
}

/* ---------------------------------------------------------------- augment */

static void print_event(void *user, const hs_event *event)
{
    (void)user;
    if (event->kind == HS_EVENT_WARNING)
        fprintf(stderr, "hopscope graph: warning: %s\n", event->text);
}

static hs_status augment(const arguments *a, const hs_graph *g, hs_graph *out, hs_augment_report *report, hs_error *err)
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

static void print_augment(const arguments *a, const hs_graph *g, const hs_augment_report *r)
{
    print_line("real facts", g->n_facts);
    print_line("synthetic facts added", r->added_facts);
    print_line("entities invented", r->added_entities);
    print_line("two-hop facts gained", r->added_two_hop);
    printf("%-32s %15.3f\n", "phi before", r->phi_before);
    printf("%-32s %15.3f\n", "phi after", r->phi_after);
    print_line("relations chosen", r->relations_chosen);
    if (a->bridges > 0) {
        print_line("bridges of real two-hop facts", r->bridges);
        print_line("  of them with too few facts", r->bridges_raised);
    }
    if (a->comparison == 0 && !a->overall && a->phi > 0) {
        print_line("  of them out of reach", r->relations_given_up);
        printf("%-32s %15.3f\n", "lowest phi_r before", r->min_phi_r_before);
        printf("%-32s %15.3f\n", "lowest phi_r after", r->min_phi_r_after);
    }
    if (r->added_facts > 0)
        printf("%-32s %15.2f\n", "two-hop facts a synthetic fact", (double)r->added_two_hop / (double)r->added_facts);
    printf("written to %s; synthetic facts are marked in the fourth column and are not known to be true\n", a->out);
}

static json_t *augment_json(const arguments *a, const hs_graph *g, const hs_augment_report *r)
{
    return json_pack("{s:s, s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:f, s:I, s:I, s:I}", "out", a->out, "real_facts",
                     (json_int_t)g->n_facts, "added_facts", (json_int_t)r->added_facts, "added_entities",
                     (json_int_t)r->added_entities, "added_two_hop", (json_int_t)r->added_two_hop, "phi_before",
                     r->phi_before, "phi_after", r->phi_after, "min_phi_r_before", r->min_phi_r_before,
                     "min_phi_r_after", r->min_phi_r_after, "relations_chosen", (json_int_t)r->relations_chosen,
                     "relations_given_up", (json_int_t)r->relations_given_up, "collisions", (json_int_t)r->collisions);
}

static int run_augment(const arguments *a)
{
    hs_error err = {0};
    hs_graph g, out = {0};
    hs_read_report read = {0};
    hs_augment_report report = {0};
    if (a->comparison > 0 && a->list.n == 0)
        return hs_cli_usage_error("graph augment", "--comparison needs --relations");
    if (check_output(a, &err) != HS_OK || read_graph(a, &g, &read, &err) != HS_OK)
        return hs_cli_fail(&err);
    int code = 0;
    if (augment(a, &g, &out, &report, &err) != HS_OK || hs_graph_write_tsv(&out, a->out, &err) != HS_OK) {
        code = hs_cli_fail(&err);
    } else if (a->json) {
        code = print_json(augment_json(a, &g, &report));
    } else {
        print_report(&read);
        print_augment(a, &g, &report);
    }
    hs_graph_free(&out);
    hs_graph_free(&g);
    return code;
}

/* ---------------------------------------------------------------- convert */

static int run_convert(const arguments *a)
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
    if (check_output(a, &err) != HS_OK || read_graph(a, &g, &report, &err) != HS_OK)
        return hs_cli_fail(&err);
    int code = 0;
    if (hs_graph_select(&g, &filter, &out, &err) != HS_OK || hs_graph_write_tsv(&out, a->out, &err) != HS_OK) {
        code = hs_cli_fail(&err);
    } else if (a->json) {
        code =
            print_json(json_pack("{s:s, s:I, s:I, s:I, s:I, s:o}", "out", a->out, "facts_read", (json_int_t)g.n_facts,
                                 "facts", (json_int_t)out.n_facts, "entities", (json_int_t)out.entities.n, "relations",
                                 (json_int_t)out.relations.n, "read", report_json(&report)));
    } else {
        print_report(&report);
        print_line("facts read", g.n_facts);
        print_line("facts written", out.n_facts);
        print_line("entities", out.entities.n);
        print_line("relations", out.relations.n);
    }
    hs_graph_free(&out);
    hs_graph_free(&g);
    return code;
}

/* ---------------------------------------------------------------- arguments */

#define READING_OPTIONS                                                                                                \
    {"format", 0, POPT_ARG_STRING, &a.format, 0, "tsv, csv, 2wiki, ntriples, turtle or world (by name or content)",    \
     "NAME"},                                                                                                          \
        {"columns", 0, POPT_ARG_STRING, &a.columns, 0, "TSV, CSV: order of the columns: hrt, htr, rht ...", "ORDER"},  \
        {"raw", 0, POPT_ARG_NONE, &a.raw, 0, "2Wiki: take the evidences as they stand, repair nothing", NULL},         \
        {"types", 0, POPT_ARG_STRING, &a.types, 0, "2Wiki: only records of these types, comma-separated", "LIST"},     \
        {"skip-derived", 0, POPT_ARG_NONE, &a.skip_derived, 0, "2Wiki: skip records marked as derived", NULL},         \
        {"literals", 0, POPT_ARG_NONE, &a.literals, 0, "RDF: literals are tails too", NULL},                           \
    {                                                                                                                  \
        "json", 0, POPT_ARG_NONE, &a.json, 0, "the result as JSON", NULL                                               \
    }
#define WRITING_OPTIONS                                                                                                \
    {"out", 'o', POPT_ARG_STRING, &a.out, 0, "file to write (TSV)", "FILE"},                                           \
        {"force", 0, POPT_ARG_NONE, &a.force, 0, "replace the file if it is there; never the input", NULL},            \
        {"relations", 0, POPT_ARG_STRING, &a.relations, 0, "only these relations, comma-separated", "LIST"},           \
    {                                                                                                                  \
        "seed", 0, POPT_ARG_LONGLONG, &a.seed, 0, "the same seed gives the same result (0)", "N"                       \
    }

static void free_arguments(arguments *a)
{
    hs_list_free(&a->list);
    free(a->out);
    free(a->format);
    free(a->columns);
    free(a->relations);
    free(a->types);
}

/* What is wrong with the numbers and names given, or NULL. */
static const char *complaint(const arguments *a, bool writes)
{
    if (writes && a->out == NULL)
        return "-o FILE is missing: where should the graph go?";
    if (writes && strcmp(a->out, "-") == 0)
        return "-o needs the name of a file: a graph is not written to standard output";
    if (!(a->phi > 0) && !(a->phi == 0 && a->bridges > 0))
        return "--phi must be above 0";
    if (!(a->threshold >= 0))
        return "--threshold must not be negative";
    if (!(a->max_majority >= 0) || a->max_majority > 1)
        return "--max-majority must be between 0 and 1";
    if (a->informative < 0 || a->min_degree < 0 || a->sample_bridges < 0 || a->comparison < 0 || a->bridges < 0 ||
        a->max_facts < 0 || a->seed < 0)
        return "numbers must not be negative";
    return NULL;
}

static int with_options(int argc, const char **argv, const hs_usage *usage, const struct poptOption *options,
                        arguments *a, bool writes, int (*run)(const arguments *a))
{
    hs_args args;
    hs_error err = {0};
    int code;
    if (!hs_args_parse(&args, usage, argc, argv, options, 1, 1, &code))
        return code;
    a->file = args.arg[0];
    if (isnan(a->phi)) /* not given */
        a->phi = a->bridges > 0 ? 0 : 6.25;
    const char *what = complaint(a, writes);
    if (what != NULL) {
        code = hs_cli_usage_error(usage->name, "%s", what);
    } else if (hs_list_parse(&a->list, a->relations, &err) != HS_OK) {
        code = hs_cli_fail(&err);
    } else {
        code = run(a);
    }
    hs_args_free(&args);
    return code;
}

static int stats_command(int argc, const char **argv)
{
    static const hs_usage usage = {
        "graph stats", "FILE",
        "Counts entities, facts, functional facts and two-hop facts, overall and for each relation; phi_r, branching\n"
        "factors, the lemma bounds, and how often the commonest tail of each relation pair is right.",
        "  hopscope graph stats world\n"
        "  hopscope graph stats dev.json --raw --threshold 3.6 --json"};
    arguments a = {.threshold = 3.6, .phi = 6.25, .max_majority = 0.2};
    const struct poptOption options[] = {
        {"threshold", 0, POPT_ARG_DOUBLE, &a.threshold, 0, "phi that a relation needs (3.6)", "X"},
        {"pairs", 0, POPT_ARG_NONE, &a.pairs, 0, "show every relation pair", NULL},
        READING_OPTIONS,
        POPT_TABLEEND};
    int code = with_options(argc, argv, &usage, options, &a, false, run_stats);
    free_arguments(&a);
    return code;
}

static int augment_command(int argc, const char **argv)
{
    static const hs_usage usage = {
        "graph augment", "FILE",
        "Adds synthetic facts until phi, overall and of each relation, reaches a target, or until each bridge has "
        "enough\n"
        "facts, and says what that costs.\n"
        "Synthetic facts are marked in the fourth column and are not true.",
        "  hopscope graph augment my.tsv --bridges 16 -o augmented.tsv\n"
        "  hopscope graph augment dev.json --types compositional --phi 6.25 -o augmented.tsv\n"
        "  hopscope graph augment dev.json --comparison 20 --relations \"country\" -o comparison.tsv"};
    arguments a = {.threshold = 3.6, .phi = NAN, .max_majority = 0.2};
    const struct poptOption options[] = {
        {"phi", 0, POPT_ARG_DOUBLE, &a.phi, 0, "target (6.25)", "X"},
        WRITING_OPTIONS,
        {"bridges", 0, POPT_ARG_INT, &a.bridges, 0,
         "at least N facts at each bridge of real two-hop facts; alone: no --phi", "N"},
        {"overall", 0, POPT_ARG_NONE, &a.overall, 0, "reach the target overall only", NULL},
        {"acyclic", 0, POPT_ARG_NONE, &a.acyclic, 0, "never close a directed cycle", NULL},
        {"reuse", 0, POPT_ARG_NONE, &a.reuse, 0, "invent no entities", NULL},
        {"of-type", 0, POPT_ARG_NONE, &a.of_type, 0, "tails may be any entity of the same kind: fewer facts", NULL},
        {"max-facts", 0, POPT_ARG_LONGLONG, &a.max_facts, 0, "give up beyond N synthetic facts", "N"},
        {"comparison", 0, POPT_ARG_INT, &a.comparison, 0, "instead: K entities share each value of --relations", "K"},
        READING_OPTIONS,
        POPT_TABLEEND};
    int code = with_options(argc, argv, &usage, options, &a, true, run_augment);
    free_arguments(&a);
    return code;
}

static int convert_command(int argc, const char **argv)
{
    static const hs_usage usage = {"graph convert", "FILE", "Writes the graph, or a part of it, as TSV.",
                                   "  hopscope graph convert triples.nt.zst -o triples.tsv\n"
                                   "  hopscope graph convert world -o part.tsv --relations \"in country,currency\"\n"
                                   "  hopscope graph convert people.tsv -o part.tsv --functional --informative 20"};
    arguments a = {.threshold = 3.6, .phi = 6.25, .max_majority = 0.2};
    const struct poptOption options[] = {
        WRITING_OPTIONS,
        {"functional", 0, POPT_ARG_NONE, &a.functional, 0, "only facts whose (head, relation) has one tail", NULL},
        {"inverses", 0, POPT_ARG_NONE, &a.inverses, 0, "add (tail, relation^-1, head) for every fact", NULL},
        {"min-degree", 0, POPT_ARG_INT, &a.min_degree, 0, "only entities with at least N facts", "N"},
        {"sample-bridges", 0, POPT_ARG_INT, &a.sample_bridges, 0, "only facts that touch a sample of N bridges", "N"},
        {"informative", 0, POPT_ARG_INT, &a.informative, 0, "only hops of relation pairs with N two-hop facts ...",
         "N"},
        {"max-majority", 0, POPT_ARG_DOUBLE, &a.max_majority, 0, "... and commonest tail at most this (0.2)", "X"},
        READING_OPTIONS,
        POPT_TABLEEND};
    int code = with_options(argc, argv, &usage, options, &a, true, run_convert);
    free_arguments(&a);
    return code;
}

int hs_cmd_graph(int argc, const char **argv)
{
    static const hs_subcommand commands[] = {
        {"stats", "count facts, two-hop facts and phi of each relation", stats_command},
        {"augment", "add synthetic facts until phi reaches a target", augment_command},
        {"convert", "write the graph, or a part of it, as TSV", convert_command}};
    static const char after[] = "FILE is 2WikiMultiHopQA (.json, .jsonl), TSV, CSV, N-Triples or Turtle; .zst may follow; - is standard\n"
                                "input (TSV); world is the graph inside the program.\n\nExample: hopscope graph stats world\n\n";
    return hs_cli_subcommand("graph", after, commands, sizeof commands / sizeof *commands, argc, argv);
}
