/* experiment.h - one experiment: its configuration, its run directory, the whole way from graph to result.
 *
 * A run directory holds one experiment:
 *     experiment.yaml   the resolved configuration, every default written out
 *     dataset/          the dataset as built (hs_dataset_write)
 *     run.db            the record (train.h)
 *     checkpoints/      weights and optimizer state
 *     init.safetensors  the initial weights, where model.init names some
 *     lock              held while a process works on the run
 * experiment.yaml is written first, then dataset/, each whole or not at all; so a run that was stopped anywhere goes on
 * from what is there.
 */
#ifndef HOPSCOPE_EXPERIMENT_H
#define HOPSCOPE_EXPERIMENT_H

#include "hopscope/data.h"
#include "hopscope/graph.h"
#include "hopscope/interp.h"
#include "hopscope/model.h"
#include "hopscope/train.h"

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default) /* the library exports what stands here */

/* ---------------------------------------------------------------- verdict of a run (interp.h, docs/interpret.md) */

typedef struct hs_run_verdict {
    uint64_t step;          /* of the weights; 0 where the caller's model has none */
    hs_verdict_input input; /* split "": there is nothing to judge (no test split, or too large a model to be cheap) */
    hs_verdict verdict;
} hs_run_verdict;
/* On the spot, on the dataset's first verdict split, at most 200 items: for small models well under a second; input.split "" for
 * models beyond 15 million weights. `pool`, `signals` may be NULL. */
hs_status hs_model_verdict(const hs_model *model, const hs_dataset *data, hs_pool *pool, const hs_signals *signals,
                           hs_run_verdict *out, hs_error *err);
/* The splits a verdict is about: the test split of trained facts alone (test_ii, test_iii ...), else the first one with
 * bridges, else the first; of a dataset with injected queries test_oo too. A list (core.h). */
void hs_verdict_splits(const hs_dataset *data, char *out, size_t size);

typedef struct hs_run_verdict_options {
    const char *steps;                       /* "last", "all", or a list of stored steps; NULL = last */
    const char *splits;                      /* list; NULL or "" = hs_verdict_splits */
    uint32_t max;                            /* items measured on the spot; 0 = all */
    uint32_t threads;                        /* 0 = one a core */
    const hs_verdict_thresholds *thresholds; /* NULL = the default */
} hs_run_verdict_options;
/* Of stored checkpoints, from the rows of run.db; what is missing there is measured, and not written. In order of step, then
 * split; the caller frees *out with hs_free. Reads only. HS_ERR_DATA for an unknown split or step. */
hs_status hs_run_verdicts(const char *run_dir, const hs_run_verdict_options *options, const hs_signals *signals,
                          const hs_events *events, hs_run_verdict **out, size_t *n, hs_error *err);
void hs_run_verdicts_text(const hs_run_verdict *verdicts, size_t n, hs_str *out); /* a table, a line each */
void hs_run_verdict_json(const hs_run_verdict *verdict, hs_str *out);

#define HS_EVENT_THRESHOLD 0.9 /* from this share on an event happened, where nothing else is said */
/* Times of events, from run.db alone: "memorized" (every training split >= 0.99), "bridge SPLIT" (lens: found_strict, or mrr of the
 * bridge where its hop ends, >= threshold at any middle stage) of each split that the lens looked at, and each test split by its
 * name (accuracy >= threshold). */
typedef struct hs_event_time {
    char name[64];
    bool reached;
    uint64_t step; /* the first where it holds; not reached: the last that was looked at */
} hs_event_time;
typedef struct hs_run_events {
    char run[256];        /* end of the path */
    hs_event_time *event; /* (n) */
    size_t n;
} hs_run_events;
/* `out` is released with hs_run_events_free; nothing in it after a failure. */
hs_status hs_run_events_read(const char *run_dir, double threshold, hs_run_events *out, hs_error *err);
void hs_run_events_free(hs_run_events *events);
/* Several runs (seeds): of each event also the median step with its 95% interval (hs_survival_estimate). */
hs_status hs_run_events_text(const hs_run_events *runs, size_t n, hs_str *out, hs_error *err);
hs_status hs_run_events_json(const hs_run_events *runs, size_t n, hs_str *out, hs_error *err);

/* ---------------------------------------------------------------- configuration */

/* Lists are text: elements separated by commas, a comma inside an element written "\,". */
typedef struct hs_graph_config {
    char path[1024]; /* a file, "-", "world" (embedded), or "" = the task generates its graph */
    char format[16];
    char columns[8];
    bool raw, skip_derived, literals; /* hs_read_options */
    char types[256];                  /* list; "" = all */
    char relations[2048];             /* list; "" = all */
    bool functional, inverses;        /* hs_graph_filter */
    uint32_t min_degree, sample_bridges, informative_min_facts;
    double informative_max_majority;
    uint64_t seed;
} hs_graph_config;

typedef struct hs_augment_config {
    double phi;          /* 0 = not by phi */
    uint32_t per_bridge; /* 0 = not by bridges */
    bool per_relation;
    char relations[2048]; /* list; "" = all that can take part in two hops */
    bool acyclic, new_entities;
    uint32_t per_value; /* hs_augment_comparison_options; 0 = none */
    uint64_t max_facts;
    double held; /* hs_hold_options, before anything is added; 0 = none */
    hs_in_place in_place;
    uint64_t seed;
} hs_augment_config;

typedef struct hs_report_config {
    char title[256];
    char paper_values[1024]; /* list of SPLIT=ACCURACY, shown beside ours */
    char published[4096];    /* list of CSV files: curves of papers (docs/page.md) */
    bool page;               /* write report.html at the end of a run */
} hs_report_config;

typedef struct hs_config {
    hs_graph_config graph;
    hs_augment_config augment;
    char data_path[1024];  /* key data.path: a dataset to use as it is, or "" */
    hs_data_config data;
    hs_new_facts_config new_facts; /* keys data.new_*: new facts over that dataset; 0 of them: the dataset itself */
    char data_watch[1024];         /* key data.watch: a run or dataset whose splits are evaluated too, or "" */
    char model_preset[24]; /* key model.preset: what `model` started from, or "" */
    char model_init[1024]; /* key model.init: weights to start from, or "" */
    uint64_t model_init_step; /* key model.init_step: of the run at model.init; 0 = the newest */
    hs_model_config model; /* vocab and n_positions follow from the dataset and are no keys */
    hs_train_config train;
    hs_interpret_config interpret; /* at every evaluation; methods "" = nothing */
    hs_report_config report;
    char note[512]; /* no key: what reading the configuration wants said, or "" */
} hs_config;

/* One row of the table from which come the YAML keys, --set, the written-out file, the help and the manual: the tables of
 * settings of all layers, one after another. */
typedef struct hs_config_key {
    const char *key; /* "data.out_degree": section, then name */
    hs_setting setting; /* its offset is in hs_config */
} hs_config_key;
const hs_config_key *hs_config_keys(size_t *n);           /* grouped by section */
const hs_config_key *hs_config_key_find(const char *key); /* NULL if there is none */
/* Title of a section ("data" -> "Dataset: task, splits, ..."); NULL if there is none. */
const char *hs_config_section(const char *section);

void hs_config_default(hs_config *config);
/* Set one key from text, as `--set` does. HS_ERR_USAGE names the key, the value and what would fit. A key flagged
 * HS_SETTING_FIRST resets its section. */
hs_status hs_config_set(hs_config *config, const char *key, const char *value, hs_error *err);
/* The value as text that hs_config_set takes, appended to `out`. */
void hs_config_get(const hs_config *config, const hs_config_key *key, hs_str *out);
/* Ranges and what keys demand of each other; `where` of the error is the key. */
hs_status hs_config_check(const hs_config *config, hs_error *err);

/* Read YAML (nested sections or dotted keys), then apply `set` ("key=value"), then check. Defaults first. HS_ERR_DATA
 * with "FILE:LINE" for the file, HS_ERR_USAGE for `set`; an unknown key names the nearest. */
hs_status hs_config_read(hs_config *out, const char *path, const char *const *set, size_t n_set, hs_error *err);
/* The same from memory; `name` stands for the file in messages. Files that settings name are taken from its folder (those of
 * `set` from the current one) and become absolute where they are found; one that is only in the current folder is taken too,
 * and `note` says so. */
hs_status hs_config_parse(hs_config *out, const char *name, const char *text, size_t size, const char *const *set,
                          size_t n_set, hs_error *err);
/* What `hopscope run` is given: an experiment file, a run directory, or a graph file alone ("world", .tsv, .csv, .nt, .ttl,
 * .json, .jsonl, .zst after them), which gets settings for a few thousand facts (docs/howto-own-graph.md). */
hs_status hs_config_find(hs_config *out, const char *path, const char *const *set, size_t n_set, hs_error *err);
bool hs_is_graph_file(const char *path); /* by its name */
/* The resolved configuration as YAML, every key with its help; reads back to the same configuration. */
void hs_config_write(const hs_config *config, hs_str *out);
/* The first key whose value differs, or NULL. With `resume`, keys that may differ on resume are not compared. */
const hs_config_key *hs_config_diff(const hs_config *a, const hs_config *b, bool resume);

/* The table for people and programs, appended to `out`. */
typedef enum hs_describe_format {
    HS_DESCRIBE_TEXT,
    HS_DESCRIBE_JSON,
    HS_DESCRIBE_MAN,
    HS_DESCRIBE_MARKDOWN
} hs_describe_format;
void hs_config_describe(hs_describe_format format, hs_str *out);

/* ---------------------------------------------------------------- run directory */

/* Take the run directory (made if absent) for this process; HS_ERR_IO if another process has it (names its pid and
 * host), or if it holds other files and no run. The lock is the kernel's, on NFS too; where the file system has none it
 * is a file that a process of this host that is gone does not hold. */
typedef struct hs_run_lock {
    int fd;
    bool by_file; /* the file system has no locks: RUN/lock.held is ours */
    bool busy;    /* another process has it */
    size_t there; /* bytes of the path that were folders before: the others were made for the run */
} hs_run_lock;
hs_status hs_run_lock_take(hs_run_lock *lock, const char *run_dir, hs_error *err);
void hs_run_lock_release(hs_run_lock *lock, const char *run_dir);
void hs_run_lock_by_file(bool on); /* tests: as if the file system had no locks */
/* Release, and remove the lock and the folders that hs_run_lock_take made: of a run that wrote nothing. Folders that
 * hold anything stay. */
void hs_run_lock_give_up(hs_run_lock *lock, const char *run_dir);

/* A run as it stands on disk, for commands that read it. Zero-initialize; free with hs_run_close. Needs no lock. */
typedef struct hs_run {
    char dir[4096];
    hs_config config;
    hs_dataset data;
    hs_model model;
    uint64_t step;  /* of the weights in `model` */
    double seconds; /* of training until then */
    hs_error damage; /* HS_LATEST: what is wrong with a newer checkpoint that was passed over; status HS_OK: nothing */
} hs_run;
#define HS_LATEST UINT64_MAX
/* The weights of a step, or the newest that are whole. Where the run keeps an average (train.ema), `model` has the averaged
 * weights: those that evaluations are about, and that eval, ask and export use. */
hs_status hs_run_open(hs_run *out, const char *run_dir, uint64_t step, hs_error *err);
void hs_run_close(hs_run *run);
/* Steps whose checkpoint is kept, ascending; the caller frees *steps with hs_free. None is no error. */
hs_status hs_run_checkpoints(const char *run_dir, uint64_t **steps, size_t *n, hs_error *err);

/* Is a run what its record says? Three questions, all asked whatever the first answer:
 * - links: does every recorded evaluation follow from the one before it (hs_chain_link), to the end of the chain?
 * - checkpoints: is every stored checkpoint whole, and of this run: are weights and state those that were recorded?
 * - replay: trained again from checkpoint `from` (0 = the initial weights), at most `steps` steps, are weights, evaluations
 *   and metrics the recorded ones, to the last bit?
 * HS_ERR_DATA if nothing was recorded in that stretch. Writes nothing. */
typedef struct hs_verify_result {
    bool same;
    uint64_t difference_step;      /* of the first difference found, in the order above ... */
    char difference[512];          /* ... and what it is; "" */
    uint64_t from, to;             /* steps replayed; `to` is the first whose weights differ, when some do */
    uint32_t compared;             /* recorded hashes of weights met on the way, */
    uint32_t evaluations, metrics; /* evaluations of splits and metrics computed again */
    uint64_t recorded, replayed;   /* hashes at `to` */
    uint64_t last;                 /* last recorded evaluation: steps after `to` were not replayed */
    uint32_t links, unlinked;      /* evaluations in the chain; those of before records had one */
    uint32_t checkpoints,
        unrecorded; /* compared; those saved before records knew checkpoints: whole, no more is known */
} hs_verify_result;
hs_status hs_run_verify(const char *run_dir, uint64_t from, uint64_t steps, uint32_t threads, hs_verify_result *out,
                        hs_error *err);

/* "runs/NAME" for ".../NAME.yaml". */
hs_status hs_run_default_dir(char *out, size_t size, const char *yaml_path, hs_error *err);

/* ---------------------------------------------------------------- the whole way */

/* The graph of a configuration: read or embedded, filtered, augmented. `out` is zero-initialized. Counts of repairs and
 * the cost of augmentation go to `events`. HS_ERR_USAGE if graph.path is "". */
hs_status hs_experiment_graph(const hs_config *config, hs_graph *out, const hs_events *events, hs_error *err);
/* The dataset of a configuration, its graph included, or the one at data.path; then new facts over it (data.new_facts)
 * and the splits that data.watch names. */
hs_status hs_experiment_dataset(const hs_config *config, hs_pool *pool, hs_dataset *out, const hs_events *events,
                                hs_error *err);
/* The model configuration with the dataset's vocabulary and length filled in. */
void hs_experiment_model_config(const hs_config *config, const hs_dataset *data, hs_model_config *out);

typedef struct hs_split_result {
    hs_eval eval;
    hs_split_role role;
    hs_split_kind kind;
    bool has_baselines;
    hs_baselines baselines; /* of a test split, from the audit */
    double paper;           /* from report.paper_values; NaN without */
    double as_trained;      /* accuracy with the passes it was trained with, where `eval` has others; else NaN */
} hs_split_result;

/* The model training starts from: drawn from train.seed, or read from model.init: a file, whose own configuration then
 * holds, or a run, whose tokens are matched by name (docs/howto-staged.md). `out` is zero-initialized. */
hs_status hs_experiment_initial_model(const hs_config *config, const hs_dataset *data, hs_model *out,
                                      const hs_events *events, hs_error *err);

/* What a run costs, known before training (event HS_EVENT_INFO, stage "cost", data = this). */
typedef struct hs_run_cost {
    uint64_t weights, training_items, vocab;
    double step_flop;
    double
        seconds_per_1000; /* of training steps, from FLOP and the measured roof or from real steps; 0 if not estimated */
    double eval_seconds;  /* of all evaluations */
    double seconds;       /* of the whole budget; a stop rule may end it earlier */
    uint64_t memory;         /* bytes of weights, optimizer and work space */
    uint64_t blas_memory;    /* bytes of address space that the BLAS keeps for its threads (hs_tensor_memory) */
} hs_run_cost;

/* Why two-hop queries are answered wrongly, on up to 2,000 of a test split: docs/json.md has the names. */
typedef struct hs_pair_result {
    char r1[96], r2[96];
    uint64_t n, right;
} hs_pair_result;
typedef struct hs_why {
    char split[48];
    uint64_t n, right;
    uint64_t first_fact_unknown;  /* asked (h, r1) the model does not say the bridge */
    uint64_t second_fact_unknown; /* it does, but asked (bridge, r2) it does not say the answer */
    uint64_t second_hop_failed;   /* it knows both, and the lens reads the bridge in a middle state of the query */
    uint64_t no_bridge;           /* it knows both, and the lens does not (or there is no middle state: `lens` false) */
    bool lens;
    uint32_t n_pairs;
    hs_pair_result *pair; /* (n_pairs) worst first */
} hs_why;
typedef struct hs_diagnosis {
    uint32_t n_splits;
    hs_why *split; /* (n_splits) two-hop test splits of one-token entities */
} hs_diagnosis;
/* `out` freed with hs_diagnosis_free; nothing in it after a failure. */
hs_status hs_run_diagnose(const hs_model *model, const hs_dataset *data, hs_pool *pool, hs_diagnosis *out,
                          hs_error *err);
void hs_diagnosis_free(hs_diagnosis *diagnosis);
void hs_diagnosis_text(const hs_diagnosis *diagnosis, uint32_t worst, hs_str *out); /* with the `worst` lowest pairs */
void hs_diagnosis_json(const hs_diagnosis *diagnosis, hs_str *out);

typedef struct hs_experiment_options {
    const char *run_dir;
    bool dry_run;     /* everything up to the first step; nothing is written */
    bool no_estimate; /* do not time steps before training */
    const hs_probe *probes; /* (n_probes) measurements at every evaluation */
    uint32_t n_probes;
    hs_ranks *ranks; /* that train together, of which this is rank 0; NULL: alone. A dry run does not need them */
} hs_experiment_options;

typedef struct hs_experiment_result {
    bool in_use; /* HS_ERR_IO because another process works on the run */
    bool resumed;
    uint64_t resumed_step;
    hs_run_cost cost;
    double phi; /* training queries per atomic fact */
    uint64_t facts, synthetic_facts;
    hs_train_result train;
    uint32_t n_splits;
    hs_split_result *split; /* (n_splits) final accuracies, in the dataset's order */
    hs_diagnosis diagnosis; /* of the final model; empty where none was made */
    hs_run_verdict verdict; /* of the final model; input.split "" where none was made */
    uint32_t passes, trained_passes; /* of hs_run_evaluate; else 0 */
} hs_experiment_result;

/* Everything: lock, graph, dataset, model, resume, training, final evaluation. A directory with another configuration
 * is HS_ERR_DATA and names the first key that differs. After a stop by a signal everything is saved, `result` holds the
 * last evaluations and the status is HS_STOPPED_*. `result` is zero-initialized by the caller. */
hs_status hs_experiment_run(const hs_config *config, const hs_experiment_options *options, hs_signals *signals,
                            const hs_events *events, hs_experiment_result *result, hs_error *err);
void hs_experiment_result_free(hs_experiment_result *result);
/* hs_experiment_run with the caller between the steps: open, step until *ended, finish, close; the same run folder, to
 * the same bits. What is given to hs_session_open must outlive the session; `result` is filled on the way and whole
 * once it is closed. No dry runs. */
typedef struct hs_session hs_session;
hs_status hs_session_open(hs_session **out, const hs_config *config, const hs_experiment_options *options,
                          hs_signals *signals, const hs_events *events, hs_experiment_result *result, hs_error *err);
/* As hs_training_step. */
hs_status hs_session_step(hs_session *session, hs_step_stats *stats, bool *ended, hs_error *err);
/* Saves; of a run that has ended also the last evaluations, the diagnosis and the verdict. HS_STOPPED_* where a signal
 * ended it; before *ended the run is left as by a signal, to go on later. */
hs_status hs_session_finish(hs_session *session, hs_error *err);
hs_trainer *hs_session_trainer(hs_session *session); /* the session's own */
/* Releases everything, the run's lock too. Without hs_session_finish nothing is saved. NULL is fine. */
void hs_session_close(hs_session *session);
/* What the ranks but the first do meanwhile: take part in every run that rank 0 makes with these ranks, until it
 * dismisses them with an exit code. They read the run's folder and write nothing. An error: this rank, or another, is
 * lost to the others. */
hs_status hs_experiment_serve(hs_ranks *ranks, hs_signals *signals, int *code, hs_error *err);
hs_status hs_experiment_dismiss(hs_ranks *ranks, int code, hs_error *err);
/* Every item of every split by the run's model, run so many passes (TRM: H cycles; 0: as trained); `result` is
 * zero-initialized. train.steps is the weights' step. HS_ERR_DATA where the model cannot be run so
 * (hs_model_set_passes). */
hs_status hs_run_evaluate(const hs_run *run, uint32_t passes, hs_pool *pool, hs_experiment_result *result,
                          hs_error *err);
/* For people: a table; for programs: one JSON object. */
void hs_experiment_result_text(const hs_experiment_result *result, hs_str *out);
void hs_experiment_result_json(const hs_experiment_result *result, const char *run_dir, hs_str *out);

/* The experiment n times with data.seed = train.seed = augment.seed = 1 .. n, in RUN_DIR/seed-1 ..; results[n] zero-initialized;
 * free every one. *done of them are whole when a run fails or is stopped. */
hs_status hs_experiment_seeds(const hs_config *config, const hs_experiment_options *options, uint32_t n,
                              hs_signals *signals, const hs_events *events, hs_experiment_result *results,
                              uint32_t *done, hs_error *err);
/* Mean and range of each split over n results. */
void hs_experiment_seeds_text(const hs_experiment_result *results, uint32_t n, hs_str *out);
void hs_experiment_seeds_json(const hs_experiment_result *results, uint32_t n, const char *run_dir, hs_str *out);

/* ---------------------------------------------------------------- stages (docs/howto-staged.md) */

/* One after another, each a run of its own in DIR/1-NAME, DIR/2-NAME ..; with a seed in DIR/1-NAME/seed-N. A stage but
 * the first starts from the one before it (model.init) and evaluates its splits too (data.watch), unless it says
 * otherwise. */
typedef struct hs_train_stage {
    char name[24]; /* a letter, then letters, digits, _ + - */
    hs_config config;
    bool own_init, own_step, own_watch; /* the stage itself sets model.init, model.init_step, data.watch */
} hs_train_stage;
typedef struct hs_stages {
    uint32_t n; /* 0: the file has no section `stages` */
    hs_train_stage *stage;
} hs_stages;
/* The section `stages` of an experiment file: lines `NAME: {key: value ..}`, each the experiment of the file with some
 * settings changed. `set` is for every stage, STAGE.KEY=VALUE for one, over its own. HS_ERR_DATA names file and line.
 */
hs_status hs_stages_read(hs_stages *out, const char *path, const char *const *set, size_t n_set, hs_error *err);
void hs_stages_free(hs_stages *stages);
/* The folder of a stage (from 0); seed 0: the file's own seeds. */
hs_status hs_stages_dir(const hs_stages *stages, const char *dir, uint32_t stage, uint32_t seed, char *out, size_t size,
                        hs_error *err);
/* Train what is not finished, in options->run_dir; results (n of stages) zero-initialized, *done of them are there when
 * a stage fails or is stopped; free every one. seed: data.seed = train.seed = augment.seed, 0 = as the file says.
 * HS_ERR_DATA if a stage is to end elsewhere than where the next one began. */
hs_status hs_stages_run(const hs_stages *stages, const hs_experiment_options *options, uint32_t seed,
                        hs_signals *signals, const hs_events *events, hs_experiment_result *results, uint32_t *done,
                        hs_error *err);
/* The folder of the last stage in `dir` by its number; "" if it holds no stages. */
hs_status hs_stages_last(const char *dir, char *out, size_t size, hs_error *err);

/* ---------------------------------------------------------------- sweeps (docs/sweep.md) */

/* Right-censored times: Kaplan-Meier estimate of the median with its 95% interval by Greenwood's variance on the log-log
 * scale (Brookmeyer & Crowley 1982; Kalbfleisch & Prentice 2002, 1.4). With few runs the upper end is often open. */
typedef struct hs_survival {
    uint32_t n, events;
    double median, low, high; /* INFINITY: not reached within the times given */
    double first, last;       /* lowest and highest time of an event; NaN without events */
    double follow_up;         /* the longest time of all, events and censored */
} hs_survival;
/* time (n) and event (n: true = happened then, false = not yet when looking ended). HS_ERR_DATA for a negative or NaN time. */
hs_status hs_survival_estimate(uint32_t n, const double *time, const bool *event, hs_survival *out, hs_error *err);

/* Mean, range and the 95% interval of the mean (Student's t) of the values that are finite; NaN where there is none. */
typedef struct hs_spread {
    uint32_t n;
    double mean, min, max, low, high; /* low, high: NaN for fewer than two values */
} hs_spread;
hs_spread hs_spread_of(uint32_t n, const double *value);
/* Mean of a minus mean of b with Welch's 95% interval (Welch 1947; degrees of freedom by Satterthwaite, rounded down),
 * of the values that are finite; n: values of both. low and high NaN where either has fewer than two, min and max NaN
 * always. */
hs_spread hs_spread_difference(uint32_t n_a, const double *a, uint32_t n_b, const double *b);

/* What the table of a sweep shows of a run: a number at its end, or the first time that a number is past a threshold.
 */
typedef enum hs_sweep_source {
    HS_SWEEP_ACCURACY, /* of a split */
    HS_SWEEP_LOSS,
    HS_SWEEP_PROBE,    /* of a method of the microscope: the largest of the values that fit */
    HS_SWEEP_METRIC,   /* of run.db */
    HS_SWEEP_SHORTCUT, /* what the strongest way to answer without the hops scores on a split (audit of its dataset), */
    HS_SWEEP_MAJORITY, /* and always giving the commonest answer */
    HS_SWEEP_POOLED, /* accuracy of a split over the items of all seeds together, with the interval of Wilson over items
                      */
    HS_SWEEP_STEPS,  /* what the run took: steps, */
    HS_SWEEP_SECONDS,  /* seconds, */
    HS_SWEEP_CPU,      /* CPU seconds by threads, */
    HS_SWEEP_STEP_TIME /* CPU milliseconds a step */
} hs_sweep_source;
typedef enum hs_sweep_axis { HS_AXIS_STEPS, HS_AXIS_SECONDS, HS_AXIS_CPU } hs_sweep_axis;
typedef struct hs_sweep_column {
    char title[128];
    hs_sweep_source source;
    char split[48];              /* "": any (probes) */
    char name[48], measure[32];  /* metric, or method and its measure */
    char position[16], role[96]; /* of a probe; "": any */
    int32_t stage;               /* HS_SWEEP_ANY_STAGE */
    bool timed, below;           /* the time until value >= threshold (below: <=), on this axis */
    double threshold;
    hs_sweep_axis axis;
} hs_sweep_column;
enum { HS_SWEEP_ANY_STAGE = -2 };
/* From a line of a plan: "test_ii", "loss test_ii", "test_ii >= 0.9 in cpu_seconds", "lens found_strict test_ii
 * role=b", "metric grad_norm", "ms_per_step". HS_ERR_DATA says what is wrong with it. */
hs_status hs_sweep_column_parse(hs_sweep_column *out, const char *text, hs_error *err);

/* A plan: an experiment, arms (the same experiment with some settings changed), seeds. A member is an arm with a seed;
 * its index counts all arms of the first seed, then those of the second: so a sweep cut short is a smaller sweep, and
 * seeds added to a plan change no index. */
typedef struct hs_sweep_arm {
    char name[128]; /* letters, digits and . _ + - =; a folder */
    hs_config config;
    bool own_seed[3]; /* data.seed, train.seed, augment.seed are its own, whatever the member's seed */
} hs_sweep_arm;
typedef struct hs_sweep_pair {
    uint32_t arm, minus;
} hs_sweep_pair;
typedef struct hs_sweep {
    char path[4096], dir[4096]; /* the plan; the folder of the runs */
    char title[256];
    uint32_t n_seeds, n_arms;
    uint64_t *seed;               /* (n_seeds) */
    hs_sweep_arm *arm;            /* (n_arms) */
    int32_t baseline;             /* arm that the others' times are compared with; -1: none */
    const hs_config_key **varied; /* (n_varied) settings that arms have of their own */
    size_t n_varied;
    hs_sweep_column *column; /* (n_columns); none: hs_sweep_gather chooses */
    size_t n_columns;
    hs_sweep_pair *pair; /* (n_pairs) arms whose difference the table shows */
    size_t n_pairs;
} hs_sweep;
/* Read a plan; `dir` NULL: runs/NAME. In a setting that names a file {seed} is the member's seed and {runs} the folder
 * that holds the folder of the runs. `set` ("key=value") applies to every arm, an arm's own settings win. HS_ERR_DATA
 * names file and line, HS_ERR_USAGE is for `set`. `out` is zero-initialized. */
hs_status hs_sweep_read(hs_sweep *out, const char *path, const char *dir, const char *const *set, size_t n_set,
                        hs_error *err);
void hs_sweep_free(hs_sweep *sweep);
uint32_t hs_sweep_size(const hs_sweep *sweep); /* members */
/* "ARM/seed-N"; out holds at least 160 bytes. */
void hs_sweep_name(const hs_sweep *sweep, uint32_t member, char out[160]);
hs_status hs_sweep_dir(const hs_sweep *sweep, uint32_t member, char *out, size_t size, hs_error *err);
/* Threads of the members whose plan leaves train.threads at 0. */
void hs_sweep_share(hs_sweep *sweep, uint32_t threads);
/* Processes at a time: `cores` by the threads of the largest member, as many as members. */
uint32_t hs_sweep_jobs(const hs_sweep *sweep, uint32_t cores);
void hs_sweep_config(const hs_sweep *sweep, uint32_t member, hs_config *out);

/* A member as its folder tells; one with a problem is neither started nor finished. */
typedef struct hs_member {
    bool started, finished;
    char problem[128]; /* why the folder is none of this member: "holds a run with another train.batch"; or "" */
    hs_stop_reason ended_by;
    uint64_t steps;              /* of its last evaluation */
    double seconds, cpu_seconds; /* until then; NaN if not recorded */
} hs_member;
/* "budget", "stop rule", "not finite"; "unfinished", "not started", "no run of this plan". */
const char *hs_member_state_text(const hs_member *member);
hs_status hs_sweep_look(const hs_sweep *sweep, uint32_t member, hs_member *out, hs_error *err);

/* Train a member here, from where it is; nothing is done for a finished one. A run that diverges is a result: HS_OK,
 * and a warning. `result` as of hs_experiment_run; in_use: another process works on it. */
hs_status hs_sweep_train(const hs_sweep *sweep, uint32_t member, hs_signals *signals, const hs_events *events,
                         hs_experiment_result *result, hs_error *err);

/* What is left to train: of each arm one member is built as a dry run and timed (arms that differ in nothing that costs
 * share one). */
typedef struct hs_sweep_cost {
    uint32_t members, left; /* members that are not finished */
    double seconds;         /* of all that is left, one after another: whole budgets */
    double longest;         /* of one member */
    uint64_t memory;        /* bytes of the largest process */
} hs_sweep_cost;
hs_status hs_sweep_estimate(const hs_sweep *sweep, bool time, const hs_signals *signals, const hs_events *events,
                            hs_sweep_cost *out, hs_error *err);

typedef enum hs_outcome {
    HS_OUTCOME_NONE,   /* not reached */
    HS_OUTCOME_BEFORE, /* was done already */
    HS_OUTCOME_DONE,
    HS_OUTCOME_BUSY,    /* another process works on it */
    HS_OUTCOME_STOPPED, /* saved, to go on */
    HS_OUTCOME_FAILED
} hs_outcome;
enum { HS_EXIT_BUSY = 73 }; /* of a process whose member another one works on */
typedef struct hs_sweep_options {
    uint32_t jobs;              /* processes at a time */
    const char *const *command; /* (n_command) program and arguments that run one member, to which its index is added */
    size_t n_command;
} hs_sweep_options;
/* Every member that is not finished, each in a process of its own, `jobs` at a time; what a process says goes to the
 * end of DIR/ARM/seed-N.log. outcome (hs_sweep_size) tells what became of each; one that fails does not stop the
 * others. A signal is passed on, once; then HS_STOPPED_* when all have saved. */
hs_status hs_sweep_run(const hs_sweep *sweep, const hs_sweep_options *options, hs_signals *signals,
                       const hs_events *events, hs_outcome *outcome, hs_error *err);

/* All members as their folders are now. */
typedef struct hs_sweep_cell { /* an arm in a column */
    hs_spread spread;          /* of finished members; of a timed column: nothing */
    hs_survival time; /* of started members: those that did not get there are censored; nothing of other columns */
    double paper;     /* report.paper_values, of an accuracy; else NaN */
    uint64_t items; /* of a pooled column: items of all finished members; its spread: pooled share, Wilson's interval */
} hs_sweep_cell;
typedef struct hs_sweep_table {
    size_t n_columns;
    hs_sweep_column *column; /* (n_columns) */
    hs_member *member;       /* (members) */
    double *value;           /* (members, n_columns) at the end, or the time; NaN: none */
    bool *reached;           /* (members, n_columns) of a timed column: the time is that of the event */
    uint64_t *items;         /* (members, n_columns) items a pooled share rests on */
    hs_sweep_cell *cell;     /* (arms, n_columns) */
    hs_spread *difference;   /* (pairs of the plan, n_columns) of the means; of timed and pooled columns: nothing */
    uint32_t missing, diverged;
} hs_sweep_table;
/* `out` is zero-initialized, released with hs_sweep_table_free. */
hs_status hs_sweep_gather(const hs_sweep *sweep, hs_sweep_table *out, hs_error *err);
void hs_sweep_table_free(hs_sweep_table *table);
typedef enum hs_table_format { HS_TABLE_TEXT, HS_TABLE_MARKDOWN } hs_table_format;
void hs_sweep_table_text(const hs_sweep *sweep, const hs_sweep_table *table, hs_table_format format, hs_str *out);
void hs_sweep_table_json(const hs_sweep *sweep, const hs_sweep_table *table, hs_str *out);
void hs_sweep_table_csv(const hs_sweep *sweep, const hs_sweep_table *table, hs_str *out); /* a line a member */
/* The curve of a column in a member: its values at every evaluation. Allocated as one block: the caller frees *x. */
hs_status hs_sweep_curve(const hs_sweep *sweep, uint32_t member, const hs_sweep_column *column, double **x, double **y,
                         size_t *n, hs_error *err);
/* One SQLite file with the records of all members: docs/sweep.md has its tables. Replaced whole, or not at all. */
hs_status hs_sweep_database(const hs_sweep *sweep, const char *path, hs_error *err);

/* The file that has a scheduler run the members. */
typedef enum hs_job_kind { HS_JOB_SLURM, HS_JOB_KUBERNETES, HS_JOB_SNAKEMAKE } hs_job_kind;
typedef struct hs_job_options {
    const char *program, *folder; /* absolute: this program; where the plan's paths are meant */
    const char *const *arguments; /* (n_arguments) of hopscope, after "sweep PLAN" */
    size_t n_arguments;
    uint32_t cpus;
    const hs_sweep_cost *cost;
} hs_job_options;
enum { HS_JOB_ARRAY = 1000 }; /* members of one Slurm array */
/* The part-th file of the members (Slurm: 1,000 a file); false after the last. */
bool hs_sweep_job(const hs_sweep *sweep, hs_job_kind kind, const hs_job_options *options, uint32_t part, hs_str *out);

/* ---------------------------------------------------------------- the microscope over a run */

typedef struct hs_run_interpret_options {
    hs_interpret_config config; /* methods "all": those that fit */
    const char *steps;          /* "last", "all", or a list of steps; NULL = last */
    bool untrained;             /* also the model as it was drawn, as step 0: the control */
    const char *items_path;     /* every single item, .csv or .jsonl; NULL = none */
    uint32_t threads;           /* 0 = one a core */
    const hs_sink *sink;        /* gets the readings too, or NULL */
} hs_run_interpret_options;
/* Looks at stored checkpoints; rows go into run.db (docs/run-db.md), committed step by step, so that a stopped look goes on and
 * a repeated one does only what is missing (unless `items_path` or `sink` want the numbers). Takes the run's lock. HS_ERR_DATA:
 * a missing checkpoint, a method that fits nothing, a damaged run.db. */
hs_status hs_run_interpret(const char *run_dir, const hs_run_interpret_options *options, const hs_signals *signals,
                           const hs_events *events, hs_error *err);
/* Other weights into an opened run: those of a stored step. */
hs_status hs_run_load_step(hs_run *run, uint64_t step, hs_error *err);

/* ---------------------------------------------------------------- speed */

/* The machine's GEMM roof: floating point operations a second of products of cached 384 x 384 matrices, one a thread, by our
 * micro-kernels or the BLAS, whichever is faster; the best of a second. */
hs_status hs_bench_roof(hs_pool *pool, double *flops, hs_error *err);
hs_status hs_bench_roof_in(hs_pool *pool, double seconds, double *flops, hs_error *err); /* looking so long */

/* One training step to be timed: T input tokens, the last P of them scored, batch 0 = 512, AdamW unless `muon`. */
typedef struct hs_bench_case {
    const char *name, *help;
    hs_model_kind kind;
    uint32_t n_embd, n_layer, n_head, passes, T, P, vocab, batch;
    bool muon;
    uint32_t shards; /* 0: train.shards' default */
} hs_bench_case;
const hs_bench_case *hs_bench_cases(size_t *n);
typedef struct hs_bench_result {
    double seconds; /* of a step, in the best slice of steps */
    double flop;    /* the floor: hs_trainer_step_flop */
    double roof;    /* the best slice of products measured between them, FLOP/s, of this rank */
    size_t memory, weights;
    uint32_t ranks;
    /* With other ranks, of the same slice, a step of this rank: seconds in what ranks share (shards; blocks of an
     * optimizer with blocks), seconds in exchanges, waiting included, and bytes sent. */
    double shared, exchange, bytes;
} hs_bench_result;
/* `ranks` NULL: alone; else every rank calls it, and rank 0 has the result. */
hs_status hs_bench_step(const hs_bench_case *bench, hs_pool *pool, hs_ranks *ranks, double seconds,
                        hs_bench_result *out, hs_error *err);
/* What share of n times one node's speed n nodes would have, each like a rank of a result of two ranks or more,
 * `latency` seconds and `bandwidth` bytes a second from each other: T(1) / (n T(n)), T(n) = shared / n + rest + (1 + 2
 * (n - 1)) latency
 * + bytes(n) / bandwidth, where bytes(n) grows as (n - 1) / n (docs/mpi.md). */
double hs_bench_predict(const hs_bench_result *result, uint32_t nodes, double latency, double bandwidth);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
