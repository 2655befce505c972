/* cmd_serve.c - hopscope serve: the page of runs, live, for a browser on this machine. */
#include "cli/cli.h"
#include "hopscope/report.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static const hs_usage usage = {"serve", "[RUN | FOLDER]",
                               "Serves the page of a run, or of all runs in a folder (default: runs), for a browser: "
                               "curves and looks inside as they happen,\n"
                               "and any question to the model of any stored step. Prints the address; Ctrl-C ends it. "
                               "Works beside a running training, after "
                               "it, on a\n"
                               "read-only disk; new runs in the folder appear by themselves. Writes nothing. Only this "
                               "machine can reach it, unless --host "
                               "says\notherwise; there is no password.",
                               "  hopscope serve runs/demo\n"
                               "  hopscope serve runs --port 9000"};

enum { NICE = 10 };

/* Whatever still works only reads: nothing is lost by leaving it. */
static void leave(int signal_number)
{
    (void)signal_number;
    _exit(0);
}

static int serve(const char *path, const hs_serve_options *options)
{
    hs_error err = {0};
    hs_server *server = NULL;
    sigset_t ends;
    int got = 0;
    sigemptyset(&ends);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &ends, NULL); /* before there are threads, so that only sigwait sees them */
    if (nice(NICE) == -1)
        (void)0; /* training goes first, where that can be said */
    if (hs_serve_start(&server, path, options, &err) != HS_OK)
        return hs_cli_fail(&err);
    if (options->host)
        fprintf(stderr, "warning: whoever reaches %s can read these runs and ask their models; there is no password\n",
                options->host);
    printf("%s\n", hs_serve_url(server));
    fflush(stdout);
    fprintf(stderr, "serving %zu run%s of %s; Ctrl-C ends it\n", hs_serve_runs(server),
            hs_serve_runs(server) == 1 ? "" : "s", path);
    sigwait(&ends, &got);
    signal(SIGALRM, leave);
    alarm(1);
    hs_serve_stop(server);
    alarm(0);
    return 0;
}

int hs_cmd_serve(int argc, const char **argv)
{
    char *host = NULL;
    int port = 0, code;
    const struct poptOption options[] = {
        {"port", 'p', POPT_ARG_INT, &port, 0, "the port; default 8787, or the next that is free", "N"},
        {"host", 0, POPT_ARG_STRING, &host, 0,
         "listen at this address or name of this machine; default the loopback interface, which others cannot reach",
         "ADDR"},
        POPT_TABLEEND};
    hs_args args;
    if (hs_args_parse(&args, &usage, argc, argv, options, 0, 1, &code)) {
        const hs_serve_options how = {.host = host, .port = (uint16_t)port};
        if (port < 0 || port > UINT16_MAX)
            code = hs_cli_usage_error("serve", "--port is from 1 to 65535, not %d", port);
        else
            code = serve(args.n ? args.arg[0] : "runs", &how);
        hs_args_free(&args);
    }
    free(host);
    return code;
}
