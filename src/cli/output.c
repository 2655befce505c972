/* output.c - arguments, errors, results: what every command does the same way. */
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool hs_cli_color(FILE *file)
{
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
    return isatty(fileno(file)) && !(no_color && *no_color) && term && strcmp(term, "dumb") != 0;
}

int hs_cli_fail(const hs_error *err)
{
    char text[2048];
    hs_error_format(err, text, sizeof text);
    const bool color = hs_cli_color(stderr);
    fprintf(stderr, "%shopscope:%s %s\n", color ? "\033[1;31m" : "", color ? "\033[0m" : "", text);
    return hs_status_exit_code(err->status);
}

void hs_cli_warn_damage(const hs_run *run)
{
    if (run->damage.status == HS_OK)
        return;
    const bool color = hs_cli_color(stderr);
    fprintf(stderr, "%swarning:%s step %llu is used, a newer checkpoint is damaged: %s: %s\n",
            color ? "\033[1;33m" : "", color ? "\033[0m" : "", (unsigned long long)run->step, run->damage.where,
            run->damage.what);
}

int hs_cli_usage_error(const char *name, const char *fmt, ...)
{
    hs_error err;
    char text[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    hs_fail(&err, HS_ERR_USAGE, "%s", text);
    hs_error_hint(&err, "hopscope%s%s --help", *name ? " " : "", name);
    return hs_cli_fail(&err);
}

int hs_cli_print(hs_str *out)
{
    hs_error err = {0};
    if (out->failed)
        hs_fail_memory(&err, out->len);
    else if (out->len && (fwrite(out->s, 1, out->len, stdout) != out->len || fflush(stdout) != 0))
        hs_fail(&err, HS_ERR_IO, "cannot write to standard output");
    hs_str_free(out);
    return err.status == HS_OK ? 0 : hs_cli_fail(&err);
}

int hs_cli_print_json(json_t *json)
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

/* ---------------------------------------------------------------- arguments */

static void print_help(const hs_args *args, const hs_usage *usage)
{
    printf("usage: hopscope %s %s [options]\n\n%s\n\n", usage->name, usage->arguments, usage->text);
    char *text = NULL;
    size_t size = 0;
    FILE *memory = open_memstream(&text, &size);
    if (memory) {
        poptPrintHelp(args->context, memory, 0);
        fclose(memory);
        const char *options = strchr(text, '\n'); /* popt's own usage line does not know our commands */
        printf("%s", options ? options + 1 : text);
        free(text);
    }
    if (usage->examples && *usage->examples)
        printf("\nExamples:\n%s\n", usage->examples);
}

static int option_error(const hs_args *args, const hs_usage *usage, const struct poptOption *options, int code)
{
    const char *bad = poptBadOption(args->context, POPT_BADOPTION_NOALIAS);
    const char *names[64] = {"help"};
    size_t n = 1;
    for (const struct poptOption *o = options; (o->longName || o->shortName || o->arg) && n < 64; o++)
        if (o->longName)
            names[n++] = o->longName;
    char word[64];
    snprintf(word, sizeof word, "%s", bad + strspn(bad, "-"));
    word[strcspn(word, "=")] = 0;
    const char *near = code == POPT_ERROR_BADOPT ? hs_nearest(word, names, n) : NULL;
    hs_error err;
    hs_fail(&err, HS_ERR_USAGE, "%s", poptStrerror(code));
    hs_error_value(&err, bad, strlen(bad));
    if (near)
        hs_error_hint(&err, "did you mean --%s?", near);
    else
        hs_error_hint(&err, "hopscope %s --help", usage->name);
    return hs_cli_fail(&err);
}

static struct {
    hs_describe_fn fn;
    void *user;
} describing;

void hs_cli_describe(hs_describe_fn fn, void *user)
{
    describing.fn = fn;
    describing.user = user;
}

bool hs_args_parse(hs_args *args, const hs_usage *usage, int argc, const char **argv, const struct poptOption *options,
                   size_t min_args, size_t max_args, int *exit_code)
{
    *args = (hs_args){0};
    *exit_code = 0;
    if (describing.fn) {
        describing.fn(describing.user, usage, options);
        return false;
    }
    const struct poptOption none = POPT_TABLEEND;
    args->table[0] =
        (struct poptOption){NULL, 0, POPT_ARG_INCLUDE_TABLE, (void *)(uintptr_t)options, 0, "Options:", NULL};
    args->table[1] = (struct poptOption){"help", 'h', POPT_ARG_NONE, &args->help, 0, "show this help", NULL};
    args->table[2] = none;
    args->context = poptGetContext("hopscope", argc, argv, args->table, 0);
    if (!args->context) {
        hs_error err;
        hs_fail_memory(&err, 0);
        *exit_code = hs_cli_fail(&err);
        return false;
    }
    int code = poptGetNextOpt(args->context);
    if (code < -1) {
        *exit_code = option_error(args, usage, options, code);
    } else if (args->help) {
        print_help(args, usage);
        *exit_code = 0;
    } else {
        args->arg = poptGetArgs(args->context);
        while (args->arg && args->arg[args->n])
            args->n++;
        if (args->n >= min_args && args->n <= max_args)
            return true;
        if (args->n < min_args)
            *exit_code = hs_cli_usage_error(usage->name, "missing argument: %s", usage->arguments);
        else
            *exit_code = hs_cli_usage_error(usage->name, "too many arguments: %s", args->arg[max_args]);
    }
    hs_args_free(args);
    return false;
}

void hs_args_free(hs_args *args)
{
    poptFreeContext(args->context);
    args->context = NULL;
}

int hs_cli_subcommand(const char *name, const char *after, const hs_subcommand *list, size_t n, int argc,
                      const char **argv)
{
    if (describing.fn) {
        for (size_t i = 0; i < n; i++)
            (void)list[i].run(argc, argv);
        return 0;
    }
    const char *names[32];
    hs_str all = {0};
    for (size_t i = 0; i < n; i++) {
        names[i] = list[i].name;
        hs_str_addf(&all, "%s%s", i == 0 ? "" : i + 1 < n ? ", " : " or ", list[i].name);
    }
    int code = 0;
    if (argc < 2) {
        code = hs_cli_usage_error(name, "missing argument: %s", all.s ? all.s : "");
    } else if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "-?") == 0) {
        hs_str text = {0};
        hs_str_addf(&text, "usage: hopscope %s COMMAND [arguments]\n\n", name);
        for (size_t i = 0; i < n; i++)
            hs_str_addf(&text, "  %-10s %s\n", list[i].name, list[i].summary);
        hs_str_addf(&text, "\n%sEach command has its own --help.\n", after);
        code = hs_cli_print(&text);
    } else {
        size_t i = 0;
        while (i < n && strcmp(argv[1], list[i].name) != 0)
            i++;
        const char *near = i < n ? NULL : hs_nearest(argv[1], names, n);
        code = i < n  ? list[i].run(argc - 1, argv + 1)
               : near ? hs_cli_usage_error(name, "unknown command: %s; did you mean %s?", argv[1], near)
                      : hs_cli_usage_error(name, "unknown command: %s", argv[1]);
    }
    hs_str_free(&all);
    return code;
}

int hs_cli_print_made(const hs_args *args, const char *out)
{
    json_t *runs = json_array();
    for (size_t i = 0; i < args->n; i++)
        json_array_append_new(runs, json_string(args->arg[i]));
    return hs_cli_print_json(json_pack("{s:s, s:o}", "out", out, "runs", runs));
}
