/* run_test.h - for tests that make small runs: a folder of their own, a small experiment, a run in it. */
#ifndef HOPSCOPE_TESTS_RUN_H
#define HOPSCOPE_TESTS_RUN_H

#include "hopscope/experiment.h"

#include "check.h"

#include <sys/wait.h>
#include <unistd.h>

static char folder[256];
static hs_error err;

static inline int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "%s/experiment_XXXXXX", TEST_BINARY_DIR);
    return mkdtemp(folder) ? 0 : -1;
}

static inline int tear_down(void **state)
{
    (void)state;
    char command[700];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

static const char small[] = "data:\n  entities: 20\n  relations: 5\n  out_degree: 3\n  phi: 0\n  holdout: 0.1\n"
                            "model:\n  n_embd: 16\n  n_head: 2\n"
                            "train:\n  steps: 12\n  batch: 16\n  threads: 2\n  checkpoint_every: 5\n"
                            "report:\n  paper_values: [test_ii=0.93]\n";

/* The small experiment with some settings changed; valid until the next call. */
static inline hs_config *configure_with(const char *const *set, size_t n)
{
    static hs_config config;
    if (hs_config_parse(&config, "small", small, sizeof small - 1, set, n, &err) != HS_OK)
        fail_msg("%s: %s", err.where, err.what);
    return &config;
}

static inline hs_config *configure(const char *set)
{
    return configure_with(&set, set ? 1 : 0);
}

/* A path in the folder; valid until the fourth next call. */
static inline const char *in_folder(const char *name)
{
    static char path[4][512];
    static int next;
    char *out = path[next++ % 4];
    snprintf(out, sizeof path[0], "%s/%s", folder, name);
    return out;
}

static inline hs_status run_in(const char *name, const hs_config *config, hs_signals *signals,
                               hs_experiment_result *result)
{
    const hs_experiment_options options = {.run_dir = in_folder(name), .no_estimate = true};
    memset(&err, 0, sizeof err);
    return hs_experiment_run(config, &options, signals, NULL, result, &err);
}

static inline void run_well(const char *name, const hs_config *config)
{
    hs_experiment_result result = {0};
    if (run_in(name, config, NULL, &result) != HS_OK)
        fail_msg("%s: %s '%s'", err.where, err.what, err.value);
    hs_experiment_result_free(&result);
}

static inline uint64_t final_hash(const char *name)
{
    hs_run run = {0};
    if (hs_run_open(&run, in_folder(name), HS_LATEST, &err) != HS_OK)
        fail_msg("%s: %s", err.where, err.what);
    uint64_t hash = hs_model_hash(&run.model);
    hs_run_close(&run);
    return hash;
}

#endif
