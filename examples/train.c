/* train.c - trains a small transformer on facts and two-hop queries of a graph, prints its accuracy on every split.
 * Ctrl-C saves; the same command goes on where it was, to the same bits. usage: train GRAPH RUN [STEPS] */
#include <hopscope/experiment.h>

#include <signal.h>

static hs_signals signals; /* polled between steps */

static void stop(int number)
{
    signals.stop = number;
}

static void listen(void *user, const hs_event *event)
{
    (void)user;
    if (event->kind == HS_EVENT_WARNING)
        fprintf(stderr, "train: %s\n", event->text);
}

/* Any setting of `hopscope config` can be made here; the others are as for any graph. With these it groks in a minute
 * or two: a large start and weight decay, the averaged weights as the model (experiments/demo.yaml says why). */
static hs_status train(const char *graph, const char *run, const char *steps, hs_experiment_result *result,
                       hs_error *err)
{
    hs_config *config = hs_alloc(sizeof *config); /* large for a stack */
    if (!config)
        return hs_fail_memory(err, sizeof *config);
    const char *set[] = {
        steps,           "augment.per_bridge=0",   "data.holdout=0.1", "model.n_embd=96",        "model.init_std=0.1",
        "train.lr=4e-3", "train.weight_decay=0.3", "train.ema=0.99",   "train.schedule=constant"};
    hs_status status = hs_config_find(config, graph, set, sizeof set / sizeof *set, err);
    const hs_experiment_options options = {.run_dir = run, .no_estimate = true};
    const hs_events events = {.fn = listen};
    if (status == HS_OK)
        status = hs_experiment_run(config, &options, &signals, &events, result, err);
    hs_free(config);
    return status;
}

int main(int argc, char **argv)
{
    if (argc < 3 || argc > 4) {
        fprintf(stderr, "usage: train GRAPH RUN [STEPS]\n");
        return 2;
    }
    signal(SIGINT, stop);
    char steps[64];
    snprintf(steps, sizeof steps, "train.steps=%s", argc > 3 ? argv[3] : "1500");
    hs_experiment_result result = {0};
    hs_error err = {0};
    const hs_status status = train(argv[1], argv[2], steps, &result, &err);
    for (uint32_t s = 0; s < result.n_splits; s++)
        printf("%-16s %.3f\n", result.split[s].eval.split, result.split[s].eval.accuracy);
    if (status != HS_OK)
        fprintf(stderr, "train: %s: %s\n  %s\n", err.where, err.what, err.hint);
    hs_experiment_result_free(&result);
    return hs_status_exit_code(status);
}
