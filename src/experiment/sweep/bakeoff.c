/* bakeoff.c - one experiment under several settings and seeds: reading the file, training what is missing.
 *
 * The section `bakeoff` is read here; the rest of the file goes to the ordinary reader with the section's lines
 * emptied, so that there is one schema and line numbers stay true. Invariant: arms differ in nothing that would make
 * their times incomparable (seeds, budget, stop rule, evaluation grid). */
#include "experiment/internal.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

#include <yaml.h>

enum { MAX_FILE = 1 << 20, MAX_ARMS = 256, MAX_SETS = 64, MAX_SEEDS = 1000 };

typedef struct reader {
    const char *path;
    char *text;
    size_t size;
    const char *const *set;
    size_t n_set;
    yaml_document_t doc;
    hs_error *err;
} reader;

static const yaml_node_t *node_of(reader *r, int index)
{
    return yaml_document_get_node(&r->doc, index);
}

static const char *text_of(const yaml_node_t *node)
{
    return node && node->type == YAML_SCALAR_NODE ? (const char *)node->data.scalar.value : NULL;
}

static hs_status fail_node(reader *r, const yaml_node_t *node, const char *key, const char *what)
{
    hs_fail(r->err, HS_ERR_DATA, "%s", what);
    hs_error_where(r->err, "%s:%zu: %s", r->path, node ? node->start_mark.line + 1 : 1, key);
    const char *value = text_of(node);
    if (value)
        hs_error_value(r->err, value, strlen(value));
    return HS_ERR_DATA;
}

/* ---------------------------------------------------------------- arms */

/* What all arms share. */
static bool is_common(const char *key)
{
    static const char *const common[] = {"train.steps",         "train.max_seconds",      "train.seed",
                                         "data.seed",           "train.stop_split",       "train.stop_accuracy",
                                         "train.stop_patience", "train.evals_per_decade", "train.eval_every",
                                         "train.eval_max",      "train.threads"};
    for (size_t i = 0; i < sizeof common / sizeof *common; i++)
        if (strcmp(key, common[i]) == 0)
            return true;
    return strncmp(key, "report.", 7) == 0;
}

static bool is_name(const char *name)
{
    size_t n = 0;
    for (; name[n]; n++)
        if (!isalnum((unsigned char)name[n]) && !strchr("._+-", name[n]))
            return false;
    return n > 0 && n < sizeof((hs_bakeoff_arm *)0)->name && name[0] != '.' && name[0] != '-';
}

static hs_status read_arm(reader *r, const yaml_node_t *name_node, const yaml_node_t *settings, hs_bakeoff_arm *arm)
{
    const char *name = text_of(name_node);
    if (!name || !is_name(name)) {
        fail_node(r, name_node, "bakeoff.arms", "not the name of an arm");
        return hs_error_hint(r->err, "up to 63 letters, digits and . _ + -; not first: . -");
    }
    const bool empty = text_of(settings) && !*text_of(settings);
    if (!empty && settings->type != YAML_MAPPING_NODE)
        return fail_node(r, settings, name, "an arm is a list of `key: value`, for example {train.lr: 1e-3}");
    snprintf(arm->name, sizeof arm->name, "%s", name);
    hs_str set[MAX_SETS] = {{0}};
    const char *all[2 * MAX_SETS];
    size_t n = 0;
    hs_status status = r->n_set > MAX_SETS ? hs_fail(r->err, HS_ERR_USAGE, "more than %d settings", MAX_SETS) : HS_OK;
    for (size_t i = 0; i < r->n_set && status == HS_OK; i++)
        all[i] = r->set[i];
    const yaml_node_pair_t *pair = empty ? NULL : settings->data.mapping.pairs.start;
    for (; status == HS_OK && !empty && pair < settings->data.mapping.pairs.top; pair++) {
        const yaml_node_t *key_node = node_of(r, pair->key), *value_node = node_of(r, pair->value);
        const char *key = text_of(key_node), *value = text_of(value_node);
        if (!key || !value)
            status = fail_node(r, key_node, name, "a setting is one `key: value`");
        else if (is_common(key))
            status = fail_node(r, key_node, name, "all arms share this setting; it belongs in its own section");
        else if (n == MAX_SETS)
            status = fail_node(r, key_node, name, "too many settings in one arm");
        else {
            hs_str_addf(&set[n], "%s=%s", key, value);
            if (set[n].failed)
                status = hs_fail_memory(r->err, strlen(value));
            all[r->n_set + n] = set[n].s;
            n++;
        }
    }
    if (status == HS_OK) {
        status = hs_config_parse(&arm->config, r->path, r->text, r->size, all, r->n_set + n, r->err);
        if (status == HS_ERR_USAGE && n > 0 && r->err->where[0] == '-') { /* "--set train.lr": it stands in the file */
            char where[256];
            snprintf(where, sizeof where, "%.255s", r->err->where);
            hs_error_where(r->err, "%s:%zu: arm %s%s", r->path, settings->start_mark.line + 1, name,
                           strncmp(where, "--set ", 6) == 0 ? where + 5 : "");
            status = r->err->status = HS_ERR_DATA;
        }
    }
    for (size_t i = 0; i < n; i++)
        hs_str_free(&set[i]);
    return status;
}

static hs_status read_arms(reader *r, const yaml_node_t *arms, hs_bakeoff *out)
{
    if (arms->type != YAML_MAPPING_NODE)
        return fail_node(r, arms, "bakeoff.arms", "arms are lines `NAME: {key: value, ...}`");
    const size_t n = (size_t)(arms->data.mapping.pairs.top - arms->data.mapping.pairs.start);
    if (n == 0 || n > MAX_ARMS)
        return fail_node(r, arms, "bakeoff.arms", n ? "too many arms" : "no arms");
    out->arm = hs_calloc(n, sizeof *out->arm);
    if (!out->arm)
        return hs_fail_memory(r->err, n * sizeof *out->arm);
    for (size_t i = 0; i < n; i++) {
        const yaml_node_pair_t *pair = arms->data.mapping.pairs.start + i;
        HS_TRY(read_arm(r, node_of(r, pair->key), node_of(r, pair->value), &out->arm[i]));
        for (size_t k = 0; k < i; k++)
            if (strcmp(out->arm[k].name, out->arm[i].name) == 0)
                return fail_node(r, node_of(r, pair->key), "bakeoff.arms", "this arm is there already");
        out->n_arms++;
    }
    return HS_OK;
}

/* ---------------------------------------------------------------- the section */

static hs_status read_seeds(reader *r, const yaml_node_t *node, uint32_t *seeds)
{
    const char *text = text_of(node);
    *seeds = 0;
    for (; text && *text >= '0' && *text <= '9' && *seeds <= MAX_SEEDS; text++)
        *seeds = *seeds * 10 + (uint32_t)(*text - '0');
    if (text && *text == 0 && *seeds >= 1 && *seeds <= MAX_SEEDS)
        return HS_OK;
    return fail_node(r, node, "bakeoff.seeds", "not a whole number from 1 to 1000");
}

static hs_status read_section(reader *r, const yaml_node_t *section, hs_bakeoff *out)
{
    const yaml_node_t *arms = NULL, *baseline = NULL;
    if (section->type != YAML_MAPPING_NODE)
        return fail_node(r, section, "bakeoff", "takes seeds, baseline and arms");
    out->seeds = 3;
    for (const yaml_node_pair_t *p = section->data.mapping.pairs.start; p < section->data.mapping.pairs.top; p++) {
        const char *key = text_of(node_of(r, p->key));
        const yaml_node_t *value = node_of(r, p->value);
        if (key && strcmp(key, "seeds") == 0)
            HS_TRY(read_seeds(r, value, &out->seeds));
        else if (key && strcmp(key, "arms") == 0)
            arms = value;
        else if (key && strcmp(key, "baseline") == 0)
            baseline = value;
        else
            return fail_node(r, node_of(r, p->key), "bakeoff", "no such key; there are seeds, baseline and arms");
    }
    if (!arms)
        return fail_node(r, section, "bakeoff", "no arms");
    HS_TRY(read_arms(r, arms, out));
    if (!baseline)
        return HS_OK; /* the first arm */
    for (uint32_t a = 0; a < out->n_arms; a++)
        if (text_of(baseline) && strcmp(out->arm[a].name, text_of(baseline)) == 0) {
            out->baseline = a;
            return HS_OK;
        }
    return fail_node(r, baseline, "bakeoff.baseline", "no such arm");
}

/* Empty the lines [first, last) of the text, keeping its line numbers. */
static void blank_lines(reader *r, size_t first, size_t last)
{
    size_t line = 0;
    for (size_t i = 0; i < r->size; i++) {
        if (r->text[i] == '\n')
            line++;
        else if (line >= first && line < last)
            r->text[i] = ' ';
    }
}

static hs_status read_document(reader *r, hs_bakeoff *out)
{
    const yaml_node_t *root = yaml_document_get_root_node(&r->doc), *section = NULL, *key = NULL;
    if (!root || root->type != YAML_MAPPING_NODE)
        return fail_node(r, root, "", "an experiment is a list of `key: value` lines");
    for (const yaml_node_pair_t *p = root->data.mapping.pairs.start; p < root->data.mapping.pairs.top; p++) {
        const char *name = text_of(node_of(r, p->key));
        if (!name || strcmp(name, "bakeoff") != 0)
            continue;
        if (section)
            return fail_node(r, node_of(r, p->key), "bakeoff", "given twice");
        key = node_of(r, p->key);
        section = node_of(r, p->value);
    }
    if (!section) {
        fail_node(r, NULL, "bakeoff", "this file has no section `bakeoff`");
        return hs_error_hint(r->err, "an ordinary experiment is run by: hopscope run %.200s", r->path);
    }
    if (root->data.mapping.style == YAML_FLOW_MAPPING_STYLE || key->start_mark.column != 0)
        return fail_node(r, key, "bakeoff", "must stand on lines of its own, at the left margin");
    const size_t last = section->end_mark.line + (section->end_mark.column > 0 ? 1 : 0);
    blank_lines(r, key->start_mark.line, last);
    HS_TRY(read_section(r, section, out));
    const hs_config *c = &out->arm[0].config;
    snprintf(out->title, sizeof out->title, "%s", c->report.title);
    if (c->train.stop_split[0])
        return HS_OK;
    fail_node(r, section, "train.stop_split", "a bakeoff needs a stop rule: which split counts as grokked");
    return hs_error_hint(r->err, "for example train.stop_split: test_ii and train.stop_accuracy: 0.9");
}

hs_status hs_bakeoff_read(hs_bakeoff *out, const char *path, const char *const *set, size_t n_set, hs_error *err)
{
    hs_error local = {0};
    reader r = {.path = path, .set = set, .n_set = n_set, .err = err ? err : &local};
    yaml_parser_t parser;
    HS_TRY(hs_file_read(path, MAX_FILE, &r.text, &r.size, r.err));
    hs_status status = HS_OK;
    if (!yaml_parser_initialize(&parser)) {
        hs_free(r.text);
        return hs_fail_memory(err, sizeof parser);
    }
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)r.text, r.size);
    if (!yaml_parser_load(&parser, &r.doc)) {
        status = parser.error == YAML_MEMORY_ERROR ? hs_fail_memory(r.err, 0)
                                                   : hs_fail(r.err, HS_ERR_DATA, "not YAML: %s", parser.problem);
        hs_error_where(r.err, "%s:%zu", path, parser.problem_mark.line + 1);
    } else {
        status = read_document(&r, out);
        yaml_document_delete(&r.doc);
    }
    yaml_parser_delete(&parser);
    hs_free(r.text);
    if (status != HS_OK)
        hs_bakeoff_free(out);
    return status;
}

void hs_bakeoff_free(hs_bakeoff *bakeoff)
{
    hs_free(bakeoff->arm);
    memset(bakeoff, 0, sizeof *bakeoff);
}

/* ---------------------------------------------------------------- training */

hs_status hs_bakeoff_dir(const hs_bakeoff *b, const char *dir, uint32_t arm, uint32_t seed, char *out, size_t size,
                         hs_error *err)
{
    char name[96];
    snprintf(name, sizeof name, "%s/seed-%u", b->arm[arm].name, seed);
    return hs_path_join(out, size, dir, name, err);
}

/* A finished run is not opened again, but it must be a run of this bakeoff. */
static hs_status check_same(const char *run_dir, const hs_config *config, hs_error *err)
{
    char path[4096];
    HS_TRY(hs_path_join(path, sizeof path, run_dir, "experiment.yaml", err));
    hs_config *old = hs_alloc(sizeof *old);
    if (!old)
        return hs_fail_memory(err, sizeof *old);
    hs_status status = hs_config_read(old, path, NULL, 0, err);
    const hs_config_key *key = status == HS_OK ? hs_config_diff(old, config, true) : NULL;
    hs_free(old);
    if (!key)
        return status;
    hs_fail(err, HS_ERR_DATA, "this folder holds a run with another %s", key->key);
    hs_error_where(err, "%s", run_dir);
    return hs_error_hint(err, "choose another folder with -o");
}

static hs_status train_one(const hs_bakeoff *b, const char *run_dir, uint32_t arm, uint32_t seed, hs_signals *signals,
                           const hs_events *events, hs_error *err)
{
    hs_config *config = hs_alloc(sizeof *config);
    if (!config)
        return hs_fail_memory(err, sizeof *config);
    *config = b->arm[arm].config;
    config->data.seed = config->train.seed = seed;
    hs_bakeoff_run known = {0};
    hs_status status = hs_bakeoff_read_run(config, run_dir, &known, err);
    if (status == HS_OK && known.finished) {
        status = check_same(run_dir, config, err);
    } else if (status == HS_OK) {
        const hs_experiment_options options = {.run_dir = run_dir, .no_estimate = true};
        hs_experiment_result result = {0};
        hs_error local = {0};
        hs_event_send(events, HS_EVENT_INFO, "bakeoff", "arm %s, seed %u: %s", b->arm[arm].name, seed, run_dir);
        status = hs_experiment_run(config, &options, signals, events, &result, &local);
        const bool in_use = result.in_use;
        hs_experiment_result_free(&result);
        if (status == HS_ERR_DIVERGED) { /* that is a result of this arm; any other failure is not */
            hs_event_send(events, HS_EVENT_WARNING, "bakeoff", "arm %s, seed %u: %s", b->arm[arm].name, seed,
                          local.what);
            status = HS_OK;
        } else if (status == HS_ERR_IO && in_use) {
            hs_event_send(events, HS_EVENT_INFO, "bakeoff", "arm %s, seed %u: another process works on it",
                          b->arm[arm].name, seed);
            status = HS_OK;
        } else if (status != HS_OK && err) {
            *err = local;
        }
    }
    hs_free(config);
    return status;
}

hs_status hs_bakeoff_train(const hs_bakeoff *bakeoff, const char *dir, hs_signals *signals, const hs_events *events,
                           hs_error *err)
{
    for (uint32_t seed = 1; seed <= bakeoff->seeds; seed++)
        for (uint32_t a = 0; a < bakeoff->n_arms; a++) {
            char run_dir[4096];
            HS_TRY(hs_signals_status(signals));
            HS_TRY(hs_bakeoff_dir(bakeoff, dir, a, seed, run_dir, sizeof run_dir, err));
            HS_TRY(train_one(bakeoff, run_dir, a, seed, signals, events, err));
        }
    return HS_OK;
}
