/* cmd_sources.c - hopscope sources: where the graphs that are not embedded come from. It downloads nothing: licences are
 * the user's to accept. */
#include "cli/cli.h"

#include <string.h>

static const hs_usage usage = {"sources", "[NAME]",
                               "Tells where to get a knowledge graph that hopscope reads, under which licence, and how "
                               "to use it. Downloads nothing.",
                               "  hopscope sources\n"
                               "  hopscope sources 2wiki"};

typedef struct source {
    const char *name, *what, *where, *licence, *use;
} source;

static const source SOURCES[] = {
    {"world", "countries, their parts, currencies, languages ...; embedded, nothing to get", "in this program",
     "LGPL-2.1+ and Unicode (data/world/LICENSE.md)", "graph: {path: world}"},
    {"2wiki", "2WikiMultiHopQA, 192,606 questions with their evidence facts (Ho et al. 2020)",
     "data_ids_april7.zip, linked from github.com/Alab-NII/2wikimultihop; or xanhho/2WikiMultihopQA on Hugging Face",
     "Apache-2.0; the contexts are Wikipedia text, CC BY-SA",
     "graph: {path: dev.json, format: 2wiki, functional: true}"},
    {"codex", "CoDEx, Wikidata facts in three sizes (Safavi and Koutra 2020)", "github.com/tsafavi/codex, data/triples",
     "MIT; the facts CC0", "graph: {path: codex-s.tsv, functional: true}"},
    {"fb13", "FB13, people: parents, spouse, place of birth ... (Socher et al. 2013)",
     "with the code of \"Reasoning With Neural Tensor Networks\" and in many collections of link-prediction data",
     "Freebase, CC BY 2.5", "graph: {path: fb13.tsv, functional: true}"},
    {"wn18rr", "WN18RR, WordNet relations (Dettmers et al. 2018)", "github.com/TimDettmers/ConvE, WN18RR.tar.gz",
     "WordNet licence", "graph: {path: wn18rr.tsv}"},
};

static void add(hs_str *out, const source *s)
{
    hs_str_addf(out, "%s\n  what     %s\n  where    %s\n  licence  %s\n  use      %s\n", s->name, s->what, s->where,
                s->licence, s->use);
}

static json_t *source_json(const source *s)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s}", "name", s->name, "what", s->what, "where", s->where, "licence",
                     s->licence, "use", s->use);
}

int hs_cmd_sources(int argc, const char **argv)
{
    enum { N = sizeof SOURCES / sizeof *SOURCES };
    int json = 0, code;
    const struct poptOption options[] = {{"json", 0, POPT_ARG_NONE, &json, 0, "one JSON object", NULL}, POPT_TABLEEND};
    hs_args args;
    if (!hs_args_parse(&args, &usage, argc, argv, options, 0, 1, &code))
        return code;
    const char *names[N], *wanted = args.n ? args.arg[0] : NULL;
    hs_str out = {0};
    json_t *all = json_array();
    for (size_t i = 0; i < N; i++) {
        names[i] = SOURCES[i].name;
        if (wanted && strcmp(wanted, SOURCES[i].name) != 0)
            continue;
        add(&out, &SOURCES[i]);
        json_array_append_new(all, source_json(&SOURCES[i]));
    }
    if (out.len == 0 && wanted) {
        const char *near = hs_nearest(wanted, names, N);
        code = hs_cli_usage_error("sources", near ? "no such graph: %s; did you mean %s?" : "no such graph: %s%s",
                                  wanted, near ? near : "");
    } else if (json) {
        hs_str_free(&out);
        code = hs_cli_print_json(json_pack("{s:O}", "sources", all));
    } else {
        if (!wanted)
            hs_str_addf(&out,
                        "\nAny file of head<TAB>relation<TAB>tail lines, CSV, N-Triples or Turtle will do as well.\n");
        code = hs_cli_print(&out);
    }
    json_decref(all);
    hs_args_free(&args);
    return code;
}
