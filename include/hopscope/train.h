/* train.h - optimizers, schedules, the step, evaluation, the training loop, checkpoints and the record of a run.
 *
 * Determinism: a batch is cut into `shards` equal parts whatever the number of threads; a shard's gradient is the sum of
 * its micro-batches in order; shard gradients are added by a fixed binary tree. So the same binary and seeds give the
 * same bits for any thread count and for any pattern of kill and resume.
 */
#ifndef HOPSCOPE_TRAIN_H
#define HOPSCOPE_TRAIN_H

#include "hopscope/core.h"
#include "hopscope/data.h"
#include "hopscope/model.h"

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default) /* the library exports what stands here */

/* The update rules, one line each: constant, then the name that is the value of train.optimizer and of the rule's file in
 * src/train/optimizer/. The enum, the names and the configuration's choices come from here. */
#define HS_OPTIMIZER_MAP(X)                                                                                            \
    X(ADAMW, adamw)                                                                                                    \
    X(MUON, muon)                                                                                                      \
    X(ADAM_ATAN2, adam_atan2)                                                                                          \
    X(SIGNSGD, signsgd)                                                                                                \
    X(LION, lion)

typedef enum hs_optimizer_kind {
#define HS_X(constant, name) HS_OPT_##constant,
    HS_OPTIMIZER_MAP(HS_X)
#undef HS_X
} hs_optimizer_kind;
extern const char *const hs_optimizer_names[]; /* in the enum's order, NULL at the end */
/* The names of an enum below are the configuration's choices, in the enum's order, NULL at the end. */
typedef enum hs_filter_kind { HS_FILTER_NONE, HS_FILTER_GROKFAST_EMA, HS_FILTER_ORTHOGRAD } hs_filter_kind;
extern const char *const hs_filter_names[];
extern const char *const hs_loss_names[]; /* of hs_loss_kind */
typedef enum hs_schedule_kind { HS_SCHEDULE_CONSTANT, HS_SCHEDULE_LINEAR, HS_SCHEDULE_COSINE } hs_schedule_kind;
extern const char *const hs_schedule_names[];
/* Loss, gradient or weight not finite. */
typedef enum hs_on_nan { HS_ON_NAN_STOP, HS_ON_NAN_ROLLBACK } hs_on_nan;
extern const char *const hs_on_nan_names[];
/* A checkpoint or the record cannot be written. */
typedef enum hs_on_save_error { HS_ON_SAVE_ERROR_STOP, HS_ON_SAVE_ERROR_CONTINUE } hs_on_save_error;
extern const char *const hs_on_save_error_names[];

typedef struct hs_train_config {
    uint64_t seed;          /* initialization, batch order, dropout */
    uint64_t steps;         /* budget */
    double max_seconds;     /* budget in wall-clock seconds of training; 0 = none. Not deterministic. */
    uint32_t batch;         /* sequences a step; 0 = the whole training set */
    char shares[1024]; /* list of SPLIT=SHARE of a batch ("facts": all facts), the rest by size; "" = all by size */
    uint32_t shards;        /* parts of a batch; part of the result, unlike threads */
    uint32_t micro;         /* sequences of a micro-batch; 0 = chosen from the width */
    uint32_t threads;       /* 0 = one per core; never changes a bit */
    hs_loss_kind loss;
    bool answer_only; /* models that answer in place: the loss counts the answer alone, not the prompt's copy */
    double label_smoothing; /* share of a uniform target in the loss; 0 = none */
    double fact_weight;     /* of a fact's loss, beside a query's 1 */
    double fact_exit;       /* weight of a fact's loss after each pass but the last; 0 = off (docs/models.md) */
    double query_exit;      /* the same for the bridge of a training query, at its first relation; 0 = off */
    uint32_t exit_passes;   /* both: after the first so many passes only; 0 = after each but the last */
    /* optimizer */
    hs_optimizer_kind optimizer;
    double lr, beta1, beta2, eps, weight_decay;
    double table_decay; /* times weight_decay, for embeddings and head */
    double muon_momentum;
    double prefix_lr;       /* SignSGD rate of TRM's prefix */
    hs_filter_kind filter;
    double filter_alpha, filter_lambda; /* Grokfast-EMA: g += lambda * ema_alpha(g) */
    double clip;            /* global gradient norm; 0 = off */
    double row_clip;        /* after each step rows of matrices are scaled to at most this norm; 0 = off */
    double ema;             /* decay of the averaged weights used for evaluation; 0 = off */
    char freeze[1024];      /* list of globs: tensors that keep their bits; "" = none */
    /* schedule */
    hs_schedule_kind schedule;
    uint64_t warmup;        /* linear from 0 */
    double lr_min;          /* final rate as a share of lr */
    /* evaluation */
    double evals_per_decade; /* evaluations evenly spaced in log steps */
    uint64_t eval_every;     /* and/or every so many steps; 0 = off */
    uint32_t eval_max;       /* items of a split that are evaluated (a fixed sample); 0 = all */
    /* stop rule */
    char stop_split[48];    /* "" = never stop early */
    double stop_accuracy;
    uint32_t stop_patience; /* consecutive evaluations */
    hs_on_nan on_nan;
    /* checkpoints */
    uint64_t checkpoint_every;       /* steps; 0 = off */
    double checkpoint_seconds;       /* and/or wall-clock seconds since the last; 0 = off. Changes no bit of the run. */
    uint32_t checkpoint_keep;        /* the last so many are kept */
    double checkpoints_per_decade;   /* log-spaced majors, kept for good; 0 = none */
    uint64_t checkpoint_budget;      /* bytes; oldest majors go first; 0 = no limit */
    hs_on_save_error on_save_error;
} hs_train_config;
void hs_train_config_default(hs_train_config *config);
const hs_setting *hs_train_settings(size_t *n); /* the table of settings: ranges, help */
/* Ranges and what settings demand of each other; `where` of the error is the key, "train.lr". */
hs_status hs_train_config_check(const hs_train_config *config, hs_error *err);

/* Rate at step `step` (0-based) as a share of lr. */
double hs_schedule_factor(const hs_train_config *config, uint64_t step);

/* ---------------------------------------------------------------- the step */

typedef struct hs_step_stats {
    double loss;      /* mean over scored positions, before the step */
    double exit_loss; /* of what is answered after earlier passes, weighted (train.fact_exit, query_exit); 0 when off */
    double accuracy;  /* of the batch */
    double grad_norm; /* before clipping */
    double lr;
} hs_step_stats;

typedef struct hs_trainer hs_trainer;
/* Borrows model, data and pool, which must outlive it. All memory of the training step is allocated here. */
hs_status hs_trainer_create(hs_trainer **out, hs_model *model, const hs_dataset *data, const hs_train_config *config,
                            hs_pool *pool, hs_error *err);
void hs_trainer_free(hs_trainer *trainer);
uint64_t hs_trainer_step_count(const hs_trainer *trainer); /* steps done */
/* One step. HS_ERR_DIVERGED names the tensor and the step when loss or gradient is not finite (weights untouched). */
hs_status hs_trainer_step(hs_trainer *trainer, hs_step_stats *stats, hs_error *err);
/* HS_ERR_DIVERGED, with tensor and step, when a weight is not finite. */
hs_status hs_trainer_check_weights(const hs_trainer *trainer, hs_error *err);
/* Memory held, bytes; the least FLOP of one step (formula of model.h, and the optimizer's matrix products). */
size_t hs_trainer_memory(const hs_trainer *trainer);
double hs_trainer_step_flop(const hs_trainer *trainer);

/* Optimizer state as named float32 arrays, for checkpoints. Pointers into the trainer, valid as long as it lives. */
typedef struct hs_state_array {
    const char *name; /* "exp_avg", "exp_avg_sq", "momentum", "filter", "ema" */
    float *data;      /* (n_params) */
} hs_state_array;
const hs_state_array *hs_trainer_state(hs_trainer *trainer, size_t *n);
void hs_trainer_set_step_count(hs_trainer *trainer, uint64_t step);
/* A rollback after divergence draws other batches from there on: `attempt` is mixed into their stream. 0 at first. */
uint32_t hs_trainer_attempt(const hs_trainer *trainer);
void hs_trainer_set_attempt(hs_trainer *trainer, uint32_t attempt);
hs_model *hs_trainer_model(hs_trainer *trainer);
const hs_dataset *hs_trainer_data(const hs_trainer *trainer);
const hs_train_config *hs_trainer_config(const hs_trainer *trainer);
hs_pool *hs_trainer_pool(hs_trainer *trainer);
/* The weights that evaluation reads: the EMA when it is on, else the model's. */
const float *hs_trainer_eval_param(const hs_trainer *trainer);

/* ---------------------------------------------------------------- signals */

/* Polled between steps and between the pieces of an evaluation. A program sets `stop` from its signal handlers; from
 * another thread it does so by hs_signals_stop(). */
typedef struct hs_signals {
    volatile int stop; /* 0, or the signal number: finish the step, save, return HS_STOPPED_* */
    volatile int save; /* nonzero: save and go on, then cleared */
    bool batch;        /* a batch system runs this process: SIGTERM too means that it will start it again */
} hs_signals;
/* HS_OK, or when a stop is asked for: HS_STOPPED_INT for SIGINT; HS_STOPPED_REQUEUE for SIGUSR1, SIGUSR2, SIGALRM, and
 * for SIGTERM in a batch job; else HS_STOPPED_TERM. NULL: never. */
hs_status hs_signals_status(const hs_signals *signals);
/* Asks whatever polls `signals` to stop as signal `number` would (SIGINT, SIGTERM, ...); from any thread or handler. */
void hs_signals_stop(hs_signals *signals, int number);

/* ---------------------------------------------------------------- evaluation */

typedef struct hs_eval {
    char split[48];
    uint64_t n;           /* items evaluated */
    double accuracy;      /* all scored positions right, greedily, as published (arXiv 2405.15071, evaluation code) */
    double loss;          /* mean over scored positions */
} hs_eval;
/* `param_override` (n_params) replaces the weights (EMA); NULL = the model's. max 0 = all items; else a fixed sample. */
hs_status hs_evaluate(const hs_model *model, const float *param_override, const hs_dataset *data, const hs_split *split,
                      uint32_t max, hs_pool *pool, hs_eval *out, hs_error *err);
/* The same, given up within a fraction of a second when a stop is asked for: HS_STOPPED_*, `out` then means nothing. */
hs_status hs_evaluate_polled(const hs_model *model, const float *param_override, const hs_dataset *data,
                             const hs_split *split, uint32_t max, hs_pool *pool, const hs_signals *signals, hs_eval *out,
                             hs_error *err);

/* A split of the trainer's dataset by its number, by the weights that are evaluated, polling the signals of hs_train;
 * shared out over its ranks. */
hs_status hs_trainer_evaluate(hs_trainer *trainer, uint32_t split, uint32_t max, hs_eval *out, hs_error *err);

/* XXH3 of the weights, the link of the hash chain. */
uint64_t hs_model_hash(const hs_model *model);

/* ---------------------------------------------------------------- record: run.db */

/* SQLite, WAL. Tables: metric(step, name, value), evaluation(step, split, n, accuracy, loss, seconds),
 * weights(step, hash, chain), checkpoint(step, weights, state), event(time, step, kind, text), probe(step, method, ...), info(key, value); docs/run-db.md has every
 * column. Rows beyond a resumed checkpoint's step are removed, so that the record is the one history of the weights. */
typedef struct hs_record hs_record;
/* HS_ERR_USAGE where the absolute path is longer than SQLite takes (504 bytes); to be asked before there is work to lose. */
hs_status hs_record_check_path(const char *path, hs_error *err);
/* For writing; made if absent, brought to the present version if older. HS_ERR_DATA, and nothing is written, for a database
 * that is damaged, of another program or of a newer version. */
hs_status hs_record_open(hs_record **out, const char *path, hs_error *err);
/* For reading only, older versions as they are: HS_ERR_IO if the file is not there. Also while another process writes, and on a read-only disk. */
hs_status hs_record_open_read(hs_record **out, const char *path, hs_error *err);
hs_status hs_record_rewind(hs_record *record, uint64_t step, hs_error *err); /* drop rows of steps > step */
hs_status hs_record_metric(hs_record *record, uint64_t step, const char *name, double value, hs_error *err);
hs_status hs_record_eval(hs_record *record, uint64_t step, double seconds, const hs_eval *eval, hs_error *err);
/* Hash of the weights, and the link of the chain that covers this evaluation (hs_chain_link). */
hs_status hs_record_weights(hs_record *record, uint64_t step, uint64_t hash, uint64_t chain, hs_error *err);
/* A checkpoint that is about to be saved. */
hs_status hs_record_checkpoint(hs_record *record, uint64_t step, uint64_t weights, uint64_t state, hs_error *err);
hs_status hs_record_event(hs_record *record, uint64_t step, const char *kind, const char *text, hs_error *err);
/* One number that a probe measured, at a place of the model and of the queries. A key that the measure does not have is "" or
 * HS_ALL_STAGES. A second row with the same keys replaces the first. */
enum { HS_ALL_STAGES = -1 };
typedef struct hs_probe_row {
    uint64_t step;
    char method[32];         /* who measured: "lens", "trace", ... */
    char split[48];          /* of the dataset */
    int32_t stage;           /* of the residual stream (hs_model_states), 0 .. n_stages */
    char position[16];       /* column of the question by its role: "h", "r1", "r2" ... */
    char role[96];           /* what is looked for or changed there: "b", "t", "r1" ..., or a tensor */
    char measure[32];        /* "found", "mrr", ... */
    uint64_t n;              /* items measured */
    double value, low, high; /* low, high: an interval, NaN without one */
} hs_probe_row;
hs_status hs_record_probe(hs_record *record, const hs_probe_row *row, hs_error *err);
hs_status hs_record_info(hs_record *record, const char *key, const char *value, hs_error *err);
hs_status hs_record_commit(hs_record *record, hs_error *err); /* everything since the last commit becomes durable */
/* Reading: every evaluation in order of (step, split); the caller frees *rows with hs_free. */
typedef struct hs_eval_row { uint64_t step; double seconds; hs_eval eval; } hs_eval_row;
hs_status hs_record_evals(hs_record *record, hs_eval_row **rows, size_t *n, hs_error *err);
/* Those from step `first` on. */
hs_status hs_record_evals_from(hs_record *record, uint64_t first, hs_eval_row **rows, size_t *n, hs_error *err);
/* A row of a record of before version 2 has no link. */
typedef struct hs_weights_row {
    uint64_t step, hash, chain;
    bool linked;
} hs_weights_row;
hs_status hs_record_weights_rows(hs_record *record, hs_weights_row **rows, size_t *n, hs_error *err);
/* The link of the last evaluation at or before `step`, of a record without links the hash of its weights, 0 before the
 * first: equal links are equal histories. */
hs_status hs_record_link_at(hs_record *record, uint64_t step, uint64_t *link, hs_error *err);
typedef struct hs_checkpoint_row {
    uint64_t step, weights, state;
} hs_checkpoint_row;
hs_status hs_record_checkpoints(hs_record *record, hs_checkpoint_row **rows, size_t *n, hs_error *err);
/* Every value of one metric in order of step; the caller frees *rows with hs_free. */
typedef struct hs_metric_row { uint64_t step; double value; } hs_metric_row;
hs_status hs_record_metrics(hs_record *record, const char *name, hs_metric_row **rows, size_t *n, hs_error *err);
/* All metrics of one step, by name. */
typedef struct hs_named_metric {
    char name[64];
    double value;
} hs_named_metric;
hs_status hs_record_metrics_at(hs_record *record, uint64_t step, hs_named_metric **rows, size_t *n, hs_error *err);
/* Rows of probes that fit, in order of (step, method, split, stage, position, role, measure); the caller frees *rows with
 * hs_free. A record of before version 2 has none. */
typedef struct hs_probe_filter {
    const char *method, *split, *role, *measure; /* NULL: any */
    uint64_t first, last;                        /* steps, both included; last 0: to the end */
} hs_probe_filter;
hs_status hs_record_probes(hs_record *record, const hs_probe_filter *filter, hs_probe_row **rows, size_t *n,
                           hs_error *err); /* filter NULL: all */
/* The table `info` in order of keys, and `event` in the order they came; the caller frees them with
 * hs_record_texts_free. */
typedef struct hs_text_row {
    uint64_t step; /* of an event */
    char time[32]; /* of an event: UTC */
    char name[64]; /* key, or kind of an event */
    char *text;    /* value, or what the event says; owned */
} hs_text_row;
hs_status hs_record_infos(hs_record *record, hs_text_row **rows, size_t *n, hs_error *err);
hs_status hs_record_events(hs_record *record, hs_text_row **rows, size_t *n, hs_error *err);
/* The names of the metrics there are, in order (`name` alone is set). */
hs_status hs_record_metric_names(hs_record *record, hs_text_row **rows, size_t *n, hs_error *err);
void hs_record_texts_free(hs_text_row *rows, size_t n);
/* How many there are of each step that has any, in order of step. */
typedef struct hs_probe_count {
    uint64_t step, n;
} hs_probe_count;
hs_status hs_record_probe_counts(hs_record *record, hs_probe_count **rows, size_t *n, hs_error *err);
/* Value of an info key into out (""), HS_OK also when absent. */
hs_status hs_record_get_info(hs_record *record, const char *key, char *out, size_t size, hs_error *err);
/* False once the file was deleted or moved under the record: what is written goes nowhere that can be found. */
bool hs_record_in_place(hs_record *record);
/* The record as it is, pending rows too, into a new file. Also when it is no longer in place. */
hs_status hs_record_copy(hs_record *record, const char *path, hs_error *err);
void hs_record_close(hs_record *record);

/* The link of an evaluation covers the one before it, the step, the hash of the weights, the evaluations (in any order, without
 * seconds) and the metrics of the step (NULL: none were recorded; lr included). So no recorded number can be changed, and
 * no row left out, without the links behind it being wrong. The first link's previous is 0. */
uint64_t hs_chain_link(uint64_t previous, uint64_t step, uint64_t weights, uint32_t n, const hs_eval *eval,
                       const hs_step_stats *stats);

/* ---------------------------------------------------------------- checkpoints */

/* Which file of a checkpoint. */
typedef enum hs_checkpoint_file { HS_CHECKPOINT_WEIGHTS, HS_CHECKPOINT_STATE } hs_checkpoint_file;
/* "step-00012000", which also sorts by step up to 10^8: the one place that knows it. out holds at least 32 bytes. */
void hs_checkpoint_name(char out[32], uint64_t step);
/* DIR/step-00012000.safetensors or DIR/step-00012000.state.safetensors into out (size). */
hs_status hs_checkpoint_path(char *out, size_t size, const char *dir, uint64_t step, hs_checkpoint_file file,
                             hs_error *err);
/* DIR/step-00012000.safetensors (weights) and DIR/step-00012000.state.safetensors (optimizer, EMA, step, weights hash);
 * DIR/latest (a text file with "step-00012000") is replaced only after both are durable. */
hs_status hs_checkpoint_save(const char *dir, const hs_model *model, hs_trainer *trainer, double seconds, hs_error *err);
/* Names the newest whole checkpoint: *step, or *found = false. A damaged or half one is passed over in favour of an older, and
 * *damage (may be NULL) says what is wrong with the newest such one; damage->status is HS_OK when there was none. One that cannot
 * be read (HS_ERR_IO, HS_ERR_MEMORY) is an error: nobody knows whether it is damaged. */
hs_status hs_checkpoint_latest(const char *dir, uint64_t *step, bool *found, hs_error *damage, hs_error *err);
/* Steps that have a state file, newest first; the caller frees *steps with hs_free. A missing folder has none. */
hs_status hs_checkpoint_steps(const char *dir, uint64_t **steps, size_t *n, hs_error *err);
/* Hashes of weights and state, from a checkpoint that is whole; HS_ERR_DATA if it is damaged. */
hs_status hs_checkpoint_hashes(const char *dir, uint64_t step, uint64_t *weights, uint64_t *state, hs_error *err);
/* The same of what a save would write now. */
void hs_trainer_hashes(hs_trainer *trainer, uint64_t *weights, uint64_t *state);
/* Load weights and optimizer state of a step into model and trainer (trainer may be NULL: weights only). The hash in the
 * state file must match the weights. */
hs_status hs_checkpoint_load(const char *dir, uint64_t step, hs_model *model, hs_trainer *trainer, double *seconds,
                             hs_error *err);
/* Remove what config says need not be kept; never the latest. */
hs_status hs_checkpoint_prune(const char *dir, const hs_train_config *config, hs_error *err);

/* ---------------------------------------------------------------- probes */

/* What a probe sees. The model has the weights that are evaluated: the averaged ones where the run keeps an average. */
typedef struct hs_probe_context {
    uint64_t step;
    const hs_model *model;
    const hs_dataset *data;
    hs_pool *pool;
    const hs_signals *signals; /* NULL: never */
    hs_record *record;         /* for hs_record_probe; what is written there becomes durable with the evaluation */
    hs_ranks *ranks;           /* of a shared probe: those that run it, to be exchanged with; else NULL */
} hs_probe_context;
/* A measurement that the loop makes at every evaluation. It sees all and changes nothing: a run has the same bits with it
 * and without. It writes rows of `step` to the record and returns HS_STOPPED_* as soon as hs_signals_status says so; it is
 * then called again for the same step when the run is resumed. */
typedef struct hs_probe {
    const char *name; /* the method of its rows */
    hs_status (*run)(void *user, const hs_probe_context *at, hs_error *err);
    void *user;
    bool shared; /* where several ranks train, all run it (hs_trainer_serve); only rank 0 then has a record */
} hs_probe;
/* Each in turn. HS_OK when some failed: that is said in a warning and an event of the record (kind "probe"), counted in
 * *failed, and no training is lost for it. HS_STOPPED_* when one was cut short. */
hs_status hs_probes_run(const hs_probe *probes, uint32_t n, const hs_probe_context *at, const hs_events *events,
                        uint32_t *failed);

/* ---------------------------------------------------------------- more than one process */

/* From now on the trainer's steps and evaluations are shared out over `ranks` (borrowed; NULL or one: nothing changes),
 * to the same bits. Every rank calls it, with the same model, dataset and configuration, any weights and any pool; it
 * fails on every rank where it fails on one. Rank 0 then trains as if alone; its weights and state are sent where they
 * were loaded. */
hs_status hs_trainer_share(hs_trainer *trainer, hs_ranks *ranks, hs_error *err);
/* What the other ranks do: steps, evaluations and shared probes as rank 0 makes them, until that frees its trainer.
 * Signals that come here count as come to rank 0. `probes` are its shared ones, in its order. */
hs_status hs_trainer_serve(hs_trainer *trainer, const hs_probe *probes, uint32_t n_probes, hs_signals *signals,
                           hs_error *err);
/* Where the time of this rank's steps went, since the trainer was made. */
typedef struct hs_step_times {
    uint32_t ranks;
    uint64_t steps;
    double shared; /* seconds in what ranks share: this one's shards, and its blocks of an optimizer with blocks */
} hs_step_times;
hs_step_times hs_trainer_times(const hs_trainer *trainer);

/* ---------------------------------------------------------------- the loop */

/* What a listener sees at every evaluation (hs_event.data of HS_EVENT_EVAL). */
typedef struct hs_eval_event {
    uint64_t step;
    double seconds;
    uint32_t n;
    const hs_eval *eval; /* (n) */
} hs_eval_event;
/* And now and then between them (hs_event.data of HS_EVENT_PROGRESS, stage "train"). */
typedef struct hs_train_progress {
    uint64_t step, steps;
    double seconds, steps_per_second;
    hs_step_stats stats;
    uint32_t n;
    const hs_eval *last; /* (n) last evaluation */
} hs_train_progress;

typedef enum hs_stop_reason {
    HS_STOP_NOT_YET,
    HS_STOP_BUDGET,
    HS_STOP_RULE,
    HS_STOP_SIGNAL,
    HS_STOP_NAN
} hs_stop_reason;
/* As the record has it: "", "budget", "stop rule", "signal", "not finite". */
const char *hs_stop_reason_text(hs_stop_reason reason);
/* Info key ended_by of a record; HS_STOP_NOT_YET also where the key is absent or unknown. */
hs_status hs_record_ended_by(hs_record *record, hs_stop_reason *out, hs_error *err);
typedef struct hs_train_result {
    hs_stop_reason reason;
    uint64_t steps;
    double seconds;   /* of training and evaluation, over all sessions of this run */
    uint32_t probes_failed; /* calls, in this session */
    bool
        folder_lost; /* HS_ERR_IO because checkpoint_dir or the record's file was deleted or moved; the trainer is whole */
} hs_train_result;

/* Train from the trainer's step to the end of the budget, the stop rule or a signal; evaluate every split on the grid, record
 * and checkpoint (record and checkpoint_dir may be NULL: neither). `seconds_before` = time spent by earlier sessions.
 * After every evaluation the n_probes probes are called (with a record only).
 *
 * The record gets, at every evaluation, the evaluations, the weights' hash and the metrics loss, batch_accuracy, grad_norm,
 * lr; there and at every checkpoint cpu_seconds: CPU seconds of the process divided by its threads, over all sessions, which
 * is what the wall clock would show on an idle machine. Its info key ended_by is that of hs_stop_reason_text. */
hs_status hs_train(hs_trainer *trainer, hs_record *record, const char *checkpoint_dir, double seconds_before,
                   const hs_probe *probes, uint32_t n_probes, hs_signals *signals, const hs_events *events,
                   hs_train_result *result, hs_error *err);

/* hs_train with the caller between the steps: open, step until *ended, finish, close; to the same bits. What is given
 * to hs_training_open must outlive it. */
typedef struct hs_training hs_training;
hs_status hs_training_open(hs_training **out, hs_trainer *trainer, hs_record *record, const char *checkpoint_dir,
                           double seconds_before, const hs_probe *probes, uint32_t n_probes, hs_signals *signals,
                           const hs_events *events, hs_error *err);
/* One step, and the evaluation, checkpoint and look at signals that follow it; none where the run has ended already
 * (the trainer's step count tells; after a rollback it is lower than before). *stats (NULL: not wanted) are those of
 * the step. After a failure only hs_training_close may follow. */
hs_status hs_training_step(hs_training *training, hs_step_stats *stats, bool *ended, hs_error *err);
/* Save and record the end; before *ended the run is left as by a signal, to go on later. HS_STOPPED_* where a signal
 * ended it. */
hs_status hs_training_finish(hs_training *training, hs_error *err);
/* *result is filled, the rest is released; NULL is fine. */
void hs_training_close(hs_training *training, hs_train_result *result);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
