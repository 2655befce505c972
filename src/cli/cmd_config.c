/* cmd_config.c - hopscope config: every setting, its default and its range; or the resolved settings of a file. */
#include "cli/cli.h"
#include "hopscope/experiment.h"

#include <stdlib.h>

static const hs_usage usage = {
    "config", "[FILE]",
    "Lists every setting of an experiment file, its default and its range. With FILE: that file's settings with every\n"
    "default written out, as a run directory keeps them.",
    "  hopscope config\n"
    "  hopscope config experiments/demo.yaml --set train.seed=7\n"
    "  hopscope config --json"};

static int resolved(const char *file, const char *const *set)
{
    size_t n = 0;
    while (set && set[n])
        n++;
    hs_error err = {0};
    hs_config *config = hs_alloc(sizeof *config);
    hs_status status = config ? hs_config_read(config, file, set, n, &err) : hs_fail_memory(&err, sizeof *config);
    hs_str out = {0};
    if (status == HS_OK)
        hs_config_write(config, &out);
    hs_free(config);
    return status == HS_OK ? hs_cli_print(&out) : hs_cli_fail(&err);
}

int hs_cmd_config(int argc, const char **argv)
{
    const char **set = NULL;
    int json = 0, man = 0, markdown = 0, code;
    const struct poptOption options[] = {
        {"json", 0, POPT_ARG_NONE, &json, 0, "the table as JSON", NULL},
        {"markdown", 0, POPT_ARG_NONE, &markdown, 0, "the table as docs/configuration.md", NULL},
        {"man", 0, POPT_ARG_NONE, &man, 0, "the table as a section of the man page", NULL},
        {"set", 's', POPT_ARG_ARGV, &set, 0, "with FILE: change a setting", "KEY=VALUE"},
        POPT_TABLEEND};
    hs_args args;
    if (hs_args_parse(&args, &usage, argc, argv, options, 0, 1, &code)) {
        hs_str out = {0};
        if (json + man + markdown > 1 || (args.n > 0 && json + man + markdown > 0)) {
            code = hs_cli_usage_error("config", "--json, --markdown and --man stand alone");
        } else if (args.n > 0) {
            code = resolved(args.arg[0], set);
        } else if (set) {
            code = hs_cli_usage_error("config", "--set needs a FILE");
        } else {
            hs_config_describe(json       ? HS_DESCRIBE_JSON
                               : man      ? HS_DESCRIBE_MAN
                               : markdown ? HS_DESCRIBE_MARKDOWN
                                          : HS_DESCRIBE_TEXT,
                               &out);
            code = hs_cli_print(&out);
        }
        hs_args_free(&args);
    }
    for (size_t i = 0; set && set[i]; i++)
        free((void *)(uintptr_t)set[i]);
    free(set);
    return code;
}
