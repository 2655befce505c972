/* view.c - events on a terminal or in a log, and the signals.
 *
 * Invariant: a signal handler only writes the flags of hs_signals; the second stop ends the process with _exit. A
 * terminal that goes away may send SIGHUP twice, so that one never counts as the second; nor does the end of a job's
 * time, which the process knows of itself, count as the first. */
#include "cli/cli.h"
#include "hopscope/experiment.h"

#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 512 };
static const double plain_seconds = 15; /* between plain lines of progress */

/* ---------------------------------------------------------------- signals */

static hs_signals signals;
static volatile sig_atomic_t
    received; /* the last stop that came here: another rank's, or the clock's, is in `signals` only */

static void on_stop(int number)
{
    if (received && received != SIGHUP && number != SIGHUP)
        _exit(128 + number);
    received = signals.stop = number;
}

static void on_alarm(int number)
{
    if (!signals.stop)
        signals.stop = number;
}

static void on_save(int number)
{
    (void)number;
    signals.save = 1;
}

/* Does a batch system run this process? Then it says with TERM, USR1 or USR2 that it wants the place back. */
static bool in_batch_job(void)
{
    static const char *const names[] = {"SLURM_JOB_ID", "JOB_COMPLETION_INDEX", "PBS_JOBID", "LSB_JOBID",
                                        "HOPSCOPE_BATCH"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *value = getenv(names[i]);
        if (value && *value)
            return true;
    }
    return false;
}

/* A minute before a Slurm job's time is over: what is saved then needs no signal. */
static void watch_end_time(void)
{
    static const long margin = 60;
    const char *text = getenv("SLURM_JOB_END_TIME");
    char *end;
    const long long at = text ? strtoll(text, &end, 10) : 0;
    if (!text || end == text || *end || at <= 0)
        return;
    const struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
    const long long left = at - (long long)time(NULL) - margin;
    if (left > 100000000)
        return;
    sigaction(SIGALRM, &action, NULL);
    alarm(left > 0 ? (unsigned)left : 1);
}

hs_signals *hs_cli_signals(void)
{
    struct sigaction stop = {.sa_handler = on_stop, .sa_flags = SA_RESTART};
    struct sigaction save = {.sa_handler = on_save, .sa_flags = SA_RESTART};
    sigemptyset(&stop.sa_mask);
    sigemptyset(&save.sa_mask);
    sigaction(SIGINT, &stop, NULL);
    sigaction(SIGTERM, &stop, NULL);
    struct sigaction hangup;
    if (sigaction(SIGHUP, NULL, &hangup) == 0 && hangup.sa_handler != SIG_IGN) /* nohup ignores it: so it stays */
        sigaction(SIGHUP, &stop, NULL);
    signals.batch = in_batch_job();
    sigaction(SIGUSR1, signals.batch ? &stop : &save, NULL);
    sigaction(SIGUSR2, &stop, NULL);
    if (signals.batch)
        watch_end_time();
    return &signals;
}

/* ---------------------------------------------------------------- lines */

static size_t terminal_width(void)
{
    struct winsize size;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20 ? size.ws_col : 80;
}

void hs_view_close(hs_view *view)
{
    if (view->line_open)
        fputc('\n', stderr);
    view->line_open = false;
}

/* Rewrite the progress line; cut to the terminal's width so that it stays one line. */
static void rewrite(hs_view *view, char *text)
{
    size_t width = terminal_width() - 1;
    if (strlen(text) > width)
        text[width] = 0;
    fprintf(stderr, "\r%s\033[K", text);
    fflush(stderr);
    view->line_open = true;
}

static void line(hs_view *view, const char *stage, const char *mark, const char *color, const char *text)
{
    if (view->line_open) {
        fprintf(stderr, "\r\033[K");
        view->line_open = false;
    }
    fprintf(stderr, "%s%s%s%s%s%s\n", view->color ? color : "", stage, *stage ? ": " : "", mark,
            view->color && *color ? "\033[0m" : "", text);
    fflush(stderr);
}

static void format_duration(double seconds, char out[32])
{
    if (!(seconds >= 0) || seconds > 3.6e8) {
        snprintf(out, 32, "?");
        return;
    }
    uint64_t s = (uint64_t)llround(seconds);
    if (s >= 3600)
        snprintf(out, 32, "%" PRIu64 ":%02u:%02u", s / 3600, (unsigned)(s / 60 % 60), (unsigned)(s % 60));
    else
        snprintf(out, 32, "%u:%02u", (unsigned)(s / 60), (unsigned)(s % 60));
}

/* Test splits first: they are what one watches, and the line may be cut. */
static void add_evals(char *out, size_t used, uint32_t n, const hs_eval *eval)
{
    const char *gap = " | ";
    for (int test = 1; test >= 0; test--)
        for (uint32_t i = 0; i < n && used < LINE_MAX_BYTES; i++) {
            if ((strncmp(eval[i].split, "test", 4) == 0) != (test == 1))
                continue;
            used +=
                (size_t)snprintf(out + used, LINE_MAX_BYTES - used, "%s%s %.3f", gap, eval[i].split, eval[i].accuracy);
            gap = "  ";
        }
}

static void show_training(hs_view *view, const hs_train_progress *p)
{
    if (!view->terminal)
        return; /* the evaluations are the plain lines */
    char text[LINE_MAX_BYTES], step[32], steps[32], left[32];
    format_duration(p->steps_per_second > 0 ? (double)(p->steps - p->step) / p->steps_per_second : -1, left);
    size_t used = (size_t)snprintf(text, sizeof text, "step %s/%s %3.0f%% %.1f/s left %s loss %.4f",
                                   hs_format_count(p->step, step), hs_format_count(p->steps, steps),
                                   p->steps ? 100.0 * (double)p->step / (double)p->steps : 100.0, p->steps_per_second,
                                   left, p->stats.loss);
    add_evals(text, used, p->n, p->last);
    rewrite(view, text);
}

static void show_evaluation(hs_view *view, const hs_event *event)
{
    const hs_eval_event *e = event->data;
    double now = hs_now();
    if (view->terminal || !e ||
        (view->last_line > 0 && now - view->last_line < plain_seconds && event->done < event->total))
        return;
    view->last_line = now;
    char text[LINE_MAX_BYTES], step[32];
    size_t used = (size_t)snprintf(text, sizeof text, "step %s %.1f s", hs_format_count(e->step, step), e->seconds);
    add_evals(text, used, e->n, e->eval);
    line(view, "train", "", "", text);
}

static void show_stage(hs_view *view, const hs_event *event)
{
    if (!view->terminal)
        return;
    char text[LINE_MAX_BYTES], done[32], total[32];
    if (event->total)
        snprintf(text, sizeof text, "%s %s: %s of %s", event->stage, event->text ? event->text : "",
                 hs_format_count(event->done, done), hs_format_count(event->total, total));
    else
        snprintf(text, sizeof text, "%s %s: %s", event->stage, event->text ? event->text : "",
                 hs_format_count(event->done, done));
    rewrite(view, text);
}

static void show_cost(hs_view *view, const hs_run_cost *c)
{
    char text[LINE_MAX_BYTES], weights[32], items[32];
    size_t used = (size_t)snprintf(
        text, sizeof text, "%s weights, %s training items, %.3g GFLOP a step, %.0f MB + %.0f MB set aside by the BLAS",
        hs_format_count(c->weights, weights), hs_format_count(c->training_items, items), c->step_flop * 1e-9,
        (double)c->memory * 1e-6, (double)c->blas_memory * 1e-6);
    if (c->seconds_per_1000 > 0) {
        char whole[32];
        format_duration(c->seconds, whole);
        snprintf(text + used, sizeof text - used, "; about %s for all steps and evaluations, %.*f s per 1,000 steps",
                 whole, c->seconds_per_1000 < 100 ? 1 : 0, c->seconds_per_1000);
    }
    line(view, "cost", "", "", text);
}

static void on_event(void *user, const hs_event *event)
{
    hs_view *view = user;
    if (event->kind == HS_EVENT_WARNING) {
        line(view, event->stage, "warning: ", "\033[33m", event->text ? event->text : "");
        return;
    }
    if (view->quiet)
        return;
    switch (event->kind) {
    case HS_EVENT_INFO:
        if (strcmp(event->stage, "cost") == 0 && event->data)
            show_cost(view, event->data);
        else
            line(view, event->stage, "", "", event->text ? event->text : "");
        break;
    case HS_EVENT_PROGRESS:
        if (strcmp(event->stage, "train") == 0 && event->data)
            show_training(view, event->data);
        else
            show_stage(view, event);
        break;
    case HS_EVENT_EVAL:
        show_evaluation(view, event);
        break;
    case HS_EVENT_WARNING:
        break;
    }
}

hs_events hs_view_events(hs_view *view, bool quiet)
{
    *view = (hs_view){
        .quiet = quiet, .terminal = isatty(STDERR_FILENO) != 0, .color = hs_cli_color(stderr), .started = hs_now()};
    return (hs_events){on_event, view};
}
