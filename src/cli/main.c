/* main.c - the program: finds the command, hands over. Also its version, its man page and its completion script, which
 * come from the same tables. */
#include "cli/cli.h"
#include "hopscope/experiment.h"
#include "hopscope/tensor.h"

#include <ctype.h>
#include <signal.h>
#include <string.h>

#include "commands.h" /* made by the build: HS_HAVE_name is 1 where cmd_name.c is there, else 0 */

typedef struct command {
    const char *name, *summary;
    int (*run)(int argc, const char **argv);
} command;

/* Only commands whose file is in the tree have a row. */
#define HS_ROW_1(name, summary) {#name, summary, hs_cmd_##name},
#define HS_ROW_0(name, summary)
#define HS_PASTE(a, b) a##b
#define HS_ROW(have) HS_PASTE(HS_ROW_, have)
#define HS_X(name, summary) HS_ROW(HS_HAVE_##name)(name, summary)
static const command commands[] = {HS_COMMAND_MAP(HS_X)};
#undef HS_X
enum { N_COMMANDS = sizeof commands / sizeof *commands };

static const char about[] = "a laboratory for implicit multi-hop reasoning in small transformers";

static void help(FILE *out)
{
    fprintf(out, "usage: hopscope COMMAND [arguments]\n\nhopscope %s: %s.\n\nCommands:\n", HS_VERSION, about);
    for (size_t i = 0; i < N_COMMANDS; i++)
        fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].summary);
    fprintf(out, "\nhopscope COMMAND --help says more; --version [--json], --man [COMMAND] and --completion print what "
                 "they say.\n"
                 "\nExamples:\n"
                 "  hopscope run experiments/demo.yaml\n"
                 "  hopscope config | less\n");
}

static int version(bool json)
{
    hs_error err = {0};
    hs_str out = {0};
    const char *machine = hs_tensor_open(&err) == HS_OK ? hs_tensor_description() : err.what;
    if (json) {
        hs_str_addf(&out, "{\"version\": \"%s\", \"compute\": ", HS_VERSION);
        hs_str_add_json(&out, machine, strlen(machine));
        hs_str_addf(&out, ", \"commands\": [");
        for (size_t i = 0; i < N_COMMANDS; i++)
            hs_str_addf(&out, "%s\"%s\"", i ? ", " : "", commands[i].name);
        hs_str_addf(&out, "]}\n");
    } else {
        hs_str_addf(&out, "hopscope %s\n%s\n", HS_VERSION, machine);
    }
    return hs_cli_print(&out);
}

/* A text as man wants it: hyphens of options, backslashes and dots at the start of a line escaped. */
static void man_text(hs_str *out, const char *s)
{
    for (bool start = true; *s; start = *s++ == '\n') {
        if (start && (*s == '.' || *s == '\''))
            hs_str_addf(out, "\\&");
        hs_str_addf(out, *s == '-' ? "\\-" : *s == '\\' ? "\\e" : "%c", *s);
    }
}

/* A text line by line as it stands: examples. */
static void man_lines(hs_str *out, const char *s)
{
    hs_str_addf(out, ".EX\n");
    man_text(out, s);
    hs_str_addf(out, "\n.EE\n");
}

/* A page of one command, or of a command of it: how it is called, what it does, its options. */
typedef struct page {
    const char *of; /* the command */
    hs_str out;
} page;

static bool belongs(const char *name, const char *of)
{
    const size_t len = strlen(of);
    return strncmp(name, of, len) == 0 && (!name[len] || name[len] == ' ');
}

static void man_command(void *user, const hs_usage *usage, const struct poptOption *options)
{
    page *p = user;
    hs_str *out = &p->out;
    if (!belongs(usage->name, p->of))
        return;
    const bool whole = strcmp(usage->name, p->of) == 0;
    hs_str_addf(out, ".SH \"%s\"\n.B hopscope %s\n", whole ? "SYNOPSIS" : usage->name, usage->name);
    man_text(out, usage->arguments);
    hs_str_addf(out, " [\\fIoptions\\fR]\n%s\n", whole ? ".SH DESCRIPTION" : ".PP");
    man_text(out, usage->text);
    hs_str_addf(out, "\n");
    for (const struct poptOption *o = options; o->longName || o->shortName || o->arg; o++) {
        hs_str_addf(out, ".TP\n.B ");
        if (o->shortName)
            hs_str_addf(out, "\\-%c, ", o->shortName);
        hs_str_addf(out, "\\-\\-");
        man_text(out, o->longName);
        if (o->argDescrip)
            hs_str_addf(out, " \\fI%s\\fR", o->argDescrip);
        hs_str_addf(out, "\n");
        man_text(out, o->descrip);
        hs_str_addf(out, "\n");
    }
    if (usage->examples && usage->examples[0]) {
        hs_str_addf(out, ".PP\nExamples:\n");
        man_lines(out, usage->examples);
    }
}

/* Every command, and every command of a command, is asked for its usage. */
static void describe_commands(hs_describe_fn fn, void *user)
{
    hs_cli_describe(fn, user);
    for (size_t i = 0; i < N_COMMANDS; i++) {
        const char *argv[] = {commands[i].name, NULL};
        (void)commands[i].run(1, argv);
    }
    hs_cli_describe(NULL, NULL);
}

/* hopscope-NAME(1) */
static int man_page_of(const command *c)
{
    page p = {.of = c->name};
    hs_str_addf(&p.out, ".TH HOPSCOPE\\-");
    for (const char *s = c->name; *s; s++)
        hs_str_addf(&p.out, "%c", toupper((unsigned char)*s));
    hs_str_addf(&p.out, " 1 \"\" \"hopscope %s\" \"User Commands\"\n.SH NAME\nhopscope\\-%s \\- ", HS_VERSION, c->name);
    man_text(&p.out, c->summary);
    hs_str_addf(&p.out, "\n");
    describe_commands(man_command, &p);
    hs_str_addf(&p.out,
                ".SH SEE ALSO\n.BR hopscope (1):\nall commands, settings, signals, environment and exit status.\n");
    return hs_cli_print(&p.out);
}

/* hopscope(1) */
static int man_page(void)
{
    hs_str out = {0};
    hs_str_addf(&out,
                ".TH HOPSCOPE 1 \"\" \"hopscope %s\" \"User Commands\"\n"
                ".SH NAME\nhopscope \\- %s\n"
                ".SH SYNOPSIS\n.B hopscope\n.I COMMAND\n[\\fIarguments\\fR]\n"
                ".SH COMMANDS\nEach command has a page of its own, and \\fB\\-\\-help\\fR.\n",
                HS_VERSION, about);
    for (size_t i = 0; i < N_COMMANDS; i++)
        hs_str_addf(&out, ".TP\n.BR hopscope\\-%s (1)\n%s\n", commands[i].name, commands[i].summary);
    hs_str_addf(&out,
                ".SH SETTINGS\nKeys of an experiment file, and of \\fB\\-\\-set\\fR \\fIKEY\\fR=\\fIVALUE\\fR.\n");
    hs_config_describe(HS_DESCRIBE_MAN, &out);
    hs_str_addf(
        &out,
        ".SH SIGNALS\nSIGINT, SIGTERM, SIGHUP and SIGUSR2 finish the step, save and leave; a second one but SIGHUP "
        "leaves at "
        "once. SIGUSR1 saves and goes on. In a batch job SIGTERM, SIGUSR1, SIGUSR2 and the last minute of its time "
        "save and "
        "leave with exit status 75: start it again.\n"
        ".SH ENVIRONMENT\n.TP\n.B HOPSCOPE_BATCH\nWhen set, as SLURM_JOB_ID, JOB_COMPLETION_INDEX, PBS_JOBID and "
        "LSB_JOBID: this is a "
        "batch job.\n.TP\n.B NO_COLOR\nNo colors when set.\n"
        ".TP\n.B HOPSCOPE_ISA\nThe kernels to use: baseline, avx2 or avx512; default the best this processor has.\n"
        ".TP\n.B HOPSCOPE_BLAS\nThe OpenBLAS library to load, a threaded build; default the one of Debian's package "
        "libopenblas0-pthread.\n"
        ".TP\n.B HOPSCOPE_BLAS_CORE\nThe processor type OpenBLAS is to assume (Haswell, SkylakeX ...), or auto.\n"
        ".SH EXIT STATUS\n0 done, 1 failed, 2 wrong usage, 65 bad data, 73 another process works on it "
        "(sweep \\-\\-index), 74 input or output error, 75 saved, to be started again, 130 and 143 "
        "stopped by a signal after saving.\n");
    return hs_cli_print(&out);
}

typedef struct words {
    const char *of; /* the command whose words are wanted */
    hs_str options, subcommands;
} words;

static void collect_words(void *user, const hs_usage *usage, const struct poptOption *options)
{
    words *w = user;
    const size_t len = strlen(w->of);
    if (!belongs(usage->name, w->of))
        return;
    if (usage->name[len])
        hs_str_addf(&w->subcommands, "%s ", usage->name + len + 1);
    for (const struct poptOption *o = options; o->longName || o->shortName || o->arg; o++) {
        char word[64];
        snprintf(word, sizeof word, "--%s ", o->longName);
        if (!w->options.s || !strstr(w->options.s, word)) /* commands of one command share options */
            hs_str_addf(&w->options, "%s", word);
    }
}

/* For bash; zsh reads it after `autoload bashcompinit; bashcompinit`. */
static int completion(void)
{
    hs_str out = {0};
    size_t n;
    const hs_config_key *keys = hs_config_keys(&n);
    hs_str_addf(
        &out,
        "# bash completion of hopscope: source <(hopscope --completion)\n"
        "_hopscope() {\n"
        "  local cur=\"${COMP_WORDS[COMP_CWORD]}\" prev=\"${COMP_WORDS[COMP_CWORD-1]}\" options=\"\" commands=\"\"\n"
        "  if [ \"$COMP_CWORD\" = 1 ]; then COMPREPLY=($(compgen -W \"");
    for (size_t i = 0; i < N_COMMANDS; i++)
        hs_str_addf(&out, "%s ", commands[i].name);
    hs_str_addf(&out, "--help --version --man --completion\" -- \"$cur\")); return; fi\n"
                      "  if [ \"$prev\" = --set ] || [ \"$prev\" = -s ]; then compopt -o nospace\n"
                      "    COMPREPLY=($(compgen -S = -W \"");
    for (size_t i = 0; i < n; i++)
        hs_str_addf(&out, "%s ", keys[i].key);
    hs_str_addf(&out, "\" -- \"$cur\")); return; fi\n  case \"${COMP_WORDS[1]}\" in\n");
    for (size_t i = 0; i < N_COMMANDS; i++) {
        words w = {.of = commands[i].name};
        describe_commands(collect_words, &w);
        hs_str_addf(&out, "    %s) options=\"%s--help\" commands=\"%s\";;\n", w.of, w.options.s ? w.options.s : "",
                    w.subcommands.s ? w.subcommands.s : "");
        out.failed = out.failed || w.options.failed || w.subcommands.failed;
        hs_str_free(&w.options);
        hs_str_free(&w.subcommands);
    }
    hs_str_addf(&out, "  esac\n"
                      "  if [ \"$COMP_CWORD\" = 2 ] && [ -n \"$commands\" ]; then COMPREPLY=($(compgen -W \"$commands "
                      "--help\" -- \"$cur\"))\n"
                      "  elif [[ \"$cur\" = -* ]]; then COMPREPLY=($(compgen -W \"$options\" -- \"$cur\"))\n"
                      "  else COMPREPLY=($(compgen -f -- \"$cur\")); fi\n"
                      "}\ncomplete -F _hopscope hopscope\n");
    return hs_cli_print(&out);
}

static int unknown(const char *name)
{
    const char *names[N_COMMANDS];
    for (size_t i = 0; i < N_COMMANDS; i++)
        names[i] = commands[i].name;
    hs_error err;
    hs_fail(&err, HS_ERR_USAGE, name[0] == '-' ? "unknown option" : "unknown command");
    hs_error_value(&err, name, strlen(name));
    const char *near = hs_nearest(name, names, N_COMMANDS);
    if (near)
        hs_error_hint(&err, "did you mean %s?", near);
    else
        hs_error_hint(&err, "hopscope --help lists the commands");
    return hs_cli_fail(&err);
}

static const command *find(const char *name)
{
    for (size_t i = 0; i < N_COMMANDS; i++)
        if (strcmp(name, commands[i].name) == 0)
            return &commands[i];
    return NULL;
}

/* The exit code of the whole program. */
static int dispatch(int argc, char **argv)
{
    if (argc < 2) {
        help(stderr);
        return 2;
    }
    const char *name = argv[1];
    if (strcmp(name, "fetch") == 0) { /* its name until 0.1 */
        fprintf(stderr, "hopscope: fetch is now called sources: it downloads nothing\n");
        name = "sources";
    }
    const command *c = find(name);
    if (c)
        return c->run(argc - 1, (const char **)(void *)(argv + 1));
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        help(stdout);
        return 0;
    }
    if (strcmp(name, "--version") == 0 || strcmp(name, "version") == 0)
        return version(argc > 2 && strcmp(argv[2], "--json") == 0);
    if (strcmp(name, "--man") == 0 && argc < 3)
        return man_page();
    if (strcmp(name, "--man") == 0)
        return find(argv[2]) ? man_page_of(find(argv[2])) : unknown(argv[2]);
    if (strcmp(name, "--completion") == 0)
        return completion();
    return unknown(name);
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN); /* a closed pipe is an error of the write, said like any other */
    signal(SIGXFSZ, SIG_IGN); /* and so is a file larger than ulimit -f allows */
    const int code = dispatch(argc, argv);
    hs_error err;
    if (fflush(stdout) == 0 && !ferror(stdout))
        return code;
    hs_fail(&err, HS_ERR_IO, "cannot write to standard output");
    return code ? code : hs_cli_fail(&err); /* an error that was said stands */
}
