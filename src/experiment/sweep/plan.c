/* plan.c - the plan of a sweep: an experiment, what its arms change, its seeds.
 *
 * The section `sweep` is read here; the rest of the file goes to the ordinary reader with the section's lines emptied,
 * so that there is one schema and line numbers stay true. Arms are the product of factors: `arms`, and one for each
 * line of `grid`; a level of a factor is a name and some settings. Invariant: a member's name and index follow from the
 * text of the plan alone. */
#include "experiment/sweep/plan.h"
#include "experiment/sweep/sweep.h"

#include <ctype.h>
#include <string.h>

enum { MAX_ARMS = 10000, MAX_FACTORS = 16, MAX_LINES = 256, MAX_SEEDS = 1000, MAX_COLUMNS = 64 };

typedef struct level {
    char *name;
    const char *experiment; /* file, or NULL: the plan's */
    size_t line;            /* where it stands */
    hs_config_line *set;    /* (n) */
    size_t n;
} level;

typedef struct factor {
    level *level; /* (n) */
    size_t n;
} factor;

typedef struct reader {
    const char *path;
    hs_plan_text plan, experiment; /* text NULL: not read; the experiment is the one of the arm read last */
    const char *base;              /* key `experiment` of the plan, or NULL */
    const char *const *set;
    size_t n_set;
    yaml_document_t doc;
    hs_arena *arena;
    factor factor[MAX_FACTORS];
    size_t n_factors;
    hs_error *err;
} reader;

static const yaml_node_t *node_of(reader *r, int index)
{
    return yaml_document_get_node(&r->doc, index);
}

static hs_status fail_line(reader *r, size_t line, const char *key, const char *value, const char *what)
{
    hs_fail(r->err, HS_ERR_DATA, "%s", what);
    hs_error_where(r->err, "%s:%zu: %s", r->path, line, key);
    if (value)
        hs_error_value(r->err, value, strlen(value));
    return HS_ERR_DATA;
}

static hs_status fail_node(reader *r, const yaml_node_t *node, const char *key, const char *what)
{
    return fail_line(r, node ? node->start_mark.line + 1 : 1, key, hs_plan_scalar(node), what);
}

static void *take(reader *r, size_t n, size_t size)
{
    void *p = hs_arena_alloc(r->arena, n * size + 1);
    if (p)
        memset(p, 0, n * size + 1);
    else
        hs_fail_memory(r->err, n * size);
    return p;
}

/* ---------------------------------------------------------------- settings of a level */

static bool is_name_letter(char c)
{
    return isalnum((unsigned char)c) || strchr("._+-=", c);
}

static bool is_name(const char *name)
{
    size_t n = 0;
    for (; name[n]; n++)
        if (!is_name_letter(name[n]))
            return false;
    return n > 0 && n < 64 && name[0] != '.' && name[0] != '-';
}

/* The settings of a level into `l`, which has room for MAX_LINES; the line `experiment` names a file instead. */
static hs_status read_settings(reader *r, level *l, const yaml_node_t *node)
{
    hs_plan_lines to = {
        .path = r->path, .doc = &r->doc, .arena = r->arena, .owner = l->name, .line = l->set, .cap = MAX_LINES};
    HS_TRY(hs_plan_add_settings(&to, node, r->err));
    for (size_t i = 0; i < to.n; i++) {
        if (strcmp(to.line[i].key, "experiment") != 0) {
            l->set[l->n++] = to.line[i];
            continue;
        }
        l->experiment = to.line[i].value;
        if (!*l->experiment)
            return fail_line(r, to.line[i].line, "experiment", NULL, "takes the name of a file");
    }
    return HS_OK;
}

/* ---------------------------------------------------------------- factors */

/* `NAME: {key: value, ...}` lines. */
static hs_status read_named_levels(reader *r, const yaml_node_t *node, const char *what, factor *f)
{
    f->n = (size_t)(node->data.mapping.pairs.top - node->data.mapping.pairs.start);
    f->level = take(r, f->n, sizeof *f->level);
    if (!f->level)
        return HS_ERR_MEMORY;
    for (size_t i = 0; i < f->n; i++) {
        const yaml_node_pair_t *pair = node->data.mapping.pairs.start + i;
        const yaml_node_t *name_node = node_of(r, pair->key), *settings = node_of(r, pair->value);
        const char *name = hs_plan_scalar(name_node);
        level *l = &f->level[i];
        if (!name || !is_name(name)) {
            fail_node(r, name_node, what, "not the name of an arm");
            return hs_error_hint(r->err, "up to 63 letters, digits and . _ + - =; not first: . -");
        }
        for (size_t k = 0; k < i; k++)
            if (strcmp(f->level[k].name, name) == 0)
                return fail_node(r, name_node, what, "this name is there already");
        *l = (level){.name = hs_arena_strdup(r->arena, name, strlen(name)), .line = name_node->start_mark.line + 1};
        l->set = take(r, MAX_LINES, sizeof *l->set);
        if (!l->name || !l->set)
            return hs_fail_memory(r->err, strlen(name));
        if (settings->type == YAML_MAPPING_NODE)
            HS_TRY(read_settings(r, l, settings));
        else if (!hs_plan_empty(settings))
            return fail_node(r, settings, name, "an arm is a list of `key: value`, for example {train.lr: 1e-3}");
    }
    return HS_OK;
}

/* "lr=1e-3" for train.lr: the last part of the key and the value; of a path its last part. */
static char *level_name(reader *r, const char *key, const char *value, bool whole)
{
    const char *dot = whole ? NULL : strrchr(key, '.'), *slash = strrchr(value, '/');
    hs_str name = {0};
    hs_str_addf(&name, "%s=%s", dot ? dot + 1 : key, slash ? slash + 1 : *value ? value : "none");
    char *out = name.failed ? NULL : hs_arena_strdup(r->arena, name.s, name.len);
    hs_str_free(&name);
    for (char *c = out; c && *c; c++)
        *c = is_name_letter(*c) ? *c : '-';
    return out;
}

/* `key: [value, ...]`. */
static hs_status read_value_levels(reader *r, const yaml_node_t *key_node, const yaml_node_t *node, bool whole,
                                   factor *f)
{
    const char *key = hs_plan_scalar(key_node);
    f->n = (size_t)(node->data.sequence.items.top - node->data.sequence.items.start);
    f->level = take(r, f->n, sizeof *f->level);
    if (!f->level)
        return HS_ERR_MEMORY;
    for (size_t i = 0; i < f->n; i++) {
        const yaml_node_t *item = node_of(r, node->data.sequence.items.start[i]);
        level *l = &f->level[i];
        const char *value;
        HS_TRY(hs_plan_value(r->path, &r->doc, r->arena, item, key, &value, r->err));
        *l = (level){.name = level_name(r, key, value, whole), .line = item->start_mark.line + 1};
        l->set = take(r, 1, sizeof *l->set);
        if (!l->name || !l->set)
            return hs_fail_memory(r->err, strlen(value));
        l->set[l->n++] = (hs_config_line){key, value, l->line};
        for (size_t k = 0; k < i; k++)
            if (strcmp(f->level[k].name, l->name) == 0)
                return fail_node(r, item, key, "two values of one name");
    }
    return HS_OK;
}

/* Do the keys of two lines of the grid end alike? Then the whole key names the level. */
static bool ends_alike(reader *r, const yaml_node_t *grid, const char *key)
{
    const char *dot = strrchr(key, '.');
    int n = 0;
    for (const yaml_node_pair_t *p = grid->data.mapping.pairs.start; dot && p < grid->data.mapping.pairs.top; p++) {
        const char *other = hs_plan_scalar(node_of(r, p->key)), *end = other ? strrchr(other, '.') : NULL;
        n += end && strcmp(end, dot) == 0;
    }
    return n > 1;
}

static hs_status read_grid(reader *r, const yaml_node_t *grid)
{
    if (grid->type != YAML_MAPPING_NODE || grid->data.mapping.pairs.start == grid->data.mapping.pairs.top)
        return fail_node(r, grid, "sweep.grid", "a grid is lines `key: [value, value, ...]`");
    for (const yaml_node_pair_t *p = grid->data.mapping.pairs.start; p < grid->data.mapping.pairs.top; p++) {
        const yaml_node_t *key_node = node_of(r, p->key), *value = node_of(r, p->value);
        const char *key = hs_plan_scalar(key_node);
        if (!key || r->n_factors == MAX_FACTORS)
            return fail_node(r, key_node, "sweep.grid", key ? "too many lines in the grid" : "not a key");
        factor *f = &r->factor[r->n_factors++];
        if (value->type == YAML_MAPPING_NODE)
            HS_TRY(read_named_levels(r, value, key, f));
        else if (value->type == YAML_SEQUENCE_NODE)
            HS_TRY(read_value_levels(r, key_node, value, ends_alike(r, grid, key), f));
        else
            return fail_node(r, value, key, "a line of the grid is a list of values, or names with settings");
        if (f->n == 0)
            return fail_node(r, value, key, "an empty list");
    }
    return HS_OK;
}

/* ---------------------------------------------------------------- arms */

/* The experiment that an arm names: beside the plan, else as it stands. */
static hs_status load_experiment(reader *r, const char *name, size_t line)
{
    char path[4096];
    const char *slash = strrchr(r->path, '/');
    int n = -1;
    if (name[0] != '/' && slash)
        n = snprintf(path, sizeof path, "%.*s/%s", (int)(slash - r->path), r->path, name);
    if (n < 0 || (size_t)n >= sizeof path || !hs_file_exists(path))
        snprintf(path, sizeof path, "%.4095s", name);
    if (r->experiment.text && strcmp(r->experiment.path, path) == 0)
        return HS_OK;
    hs_free(r->experiment.text);
    r->experiment = (hs_plan_text){0};
    yaml_document_t doc;
    const yaml_node_t *section;
    if (!hs_file_exists(path))
        return fail_line(r, line, "experiment", name, "this file is not there");
    HS_TRY(hs_plan_load(&r->experiment, path, &doc, r->err));
    hs_status status = hs_plan_cut(&r->experiment, &doc, "sweep", &section, r->err);
    if (status == HS_OK && section && section->type == YAML_MAPPING_NODE)
        for (const yaml_node_pair_t *p = section->data.mapping.pairs.start; p < section->data.mapping.pairs.top; p++) {
            const char *key = hs_plan_scalar(yaml_document_get_node(&doc, p->key));
            if (key && strcmp(key, "experiment") == 0)
                status =
                    fail_line(r, line, "experiment", name, "is a plan that takes its experiment from a third file");
        }
    yaml_document_delete(&doc);
    return status;
}

/* One arm: the chosen level of every factor. */
static hs_status make_arm(reader *r, const size_t *chosen, hs_sweep_arm *arm)
{
    hs_plan_lines own = {.path = r->path, .line = take(r, MAX_LINES, sizeof *own.line), .cap = MAX_LINES};
    if (!own.line)
        return HS_ERR_MEMORY;
    const char *experiment = r->base;
    size_t line = 1, used = 0;
    for (size_t f = 0; f < r->n_factors; f++) {
        const level *l = &r->factor[f].level[chosen[f]];
        const int n = snprintf(arm->name + used, sizeof arm->name - used, "%s%s", used ? "+" : "", l->name);
        used += n > 0 ? (size_t)n : 0;
        if (used >= sizeof arm->name)
            return fail_line(r, l->line, l->name, NULL, "the name of this arm is longer than 127 bytes");
        if (l->experiment) {
            experiment = l->experiment;
            line = l->line;
        }
        for (size_t i = 0; i < l->n; i++)
            HS_TRY(hs_plan_add_line(&own, l->set[i].key, l->set[i].value, l->set[i].line, r->err));
    }
    if (!used)
        snprintf(arm->name, sizeof arm->name, "base");
    static const char *const seeds[] = {"data.seed", "train.seed", "augment.seed"};
    for (size_t k = 0; k < 3; k++) {
        for (size_t i = 0; i < own.n; i++)
            arm->own_seed[k] |= strcmp(own.line[i].key, seeds[k]) == 0;
        for (size_t i = 0; i < r->n_set; i++)
            arm->own_seed[k] |=
                strncmp(r->set[i], seeds[k], strlen(seeds[k])) == 0 && r->set[i][strlen(seeds[k])] == '=';
    }
    hs_config_layer layer[2];
    size_t n = 0;
    if (experiment) {
        HS_TRY(load_experiment(r, experiment, line));
        layer[n++] = (hs_config_layer){r->experiment.path, r->experiment.text, r->experiment.size};
    }
    layer[n++] = (hs_config_layer){r->path, r->plan.text, r->plan.size};
    const hs_config_sources from = {.layer = layer,
                                    .n_layers = n,
                                    .set = r->set,
                                    .n_set = r->n_set,
                                    .own_name = r->path,
                                    .own = own.line,
                                    .n_own = own.n};
    return hs_config_combine(&arm->config, &from, r->err);
}

static hs_status make_arms(reader *r, const yaml_node_t *section, hs_sweep *out)
{
    size_t total = 1, chosen[MAX_FACTORS] = {0};
    for (size_t f = 0; f < r->n_factors && total <= MAX_ARMS; f++)
        total *= r->factor[f].n;
    if (total > MAX_ARMS)
        return fail_node(r, section, "sweep", "more than 10,000 arms");
    out->arm = hs_calloc(total, sizeof *out->arm);
    if (!out->arm)
        return hs_fail_memory(r->err, total * sizeof *out->arm);
    for (size_t a = 0; a < total; a++) {
        size_t rest = a;
        for (size_t f = r->n_factors; f-- > 0;) { /* the last factor changes first */
            chosen[f] = rest % r->factor[f].n;
            rest /= r->factor[f].n;
        }
        HS_TRY(make_arm(r, chosen, &out->arm[a]));
        for (size_t k = 0; k < a; k++)
            if (strcmp(out->arm[k].name, out->arm[a].name) == 0)
                return fail_line(r, section->start_mark.line + 1, "sweep", out->arm[a].name, "two arms of one name");
        out->n_arms++;
    }
    return HS_OK;
}

/* The settings that any level has, in the order of the plan. */
static hs_status list_varied(reader *r, hs_sweep *out)
{
    size_t all = 0;
    for (size_t f = 0; f < r->n_factors; f++)
        for (size_t l = 0; l < r->factor[f].n; l++)
            all += r->factor[f].level[l].n;
    out->varied = hs_calloc(all + 1, sizeof *out->varied);
    if (!out->varied)
        return hs_fail_memory(r->err, all * sizeof *out->varied);
    for (size_t f = 0; f < r->n_factors; f++)
        for (size_t l = 0; l < r->factor[f].n; l++)
            for (size_t i = 0; i < r->factor[f].level[l].n; i++) {
                const hs_config_key *key = hs_config_key_find(r->factor[f].level[l].set[i].key);
                size_t k = 0;
                while (k < out->n_varied && out->varied[k] != key)
                    k++;
                if (k == out->n_varied)
                    out->varied[out->n_varied++] = key;
            }
    return HS_OK;
}

/* ---------------------------------------------------------------- the section */

static bool whole_number(const char *text, uint64_t max, uint64_t *out)
{
    *out = 0;
    const char *c = text;
    for (; c && *c >= '0' && *c <= '9' && *out <= max; c++)
        *out = *out * 10 + (uint64_t)(*c - '0');
    return c && c != text && *c == 0 && *out <= max;
}

/* `seeds: 5` or `seeds: [1, 4, 9]`. */
static hs_status read_seeds(reader *r, const yaml_node_t *node, hs_sweep *out)
{
    const bool list = node && node->type == YAML_SEQUENCE_NODE;
    uint64_t n = 3;
    if (list)
        n = (uint64_t)(node->data.sequence.items.top - node->data.sequence.items.start);
    else if (node && !whole_number(hs_plan_scalar(node), MAX_SEEDS, &n))
        n = 0;
    if (n < 1 || n > MAX_SEEDS)
        return fail_node(r, node, "sweep.seeds", "not a whole number from 1 to 1000, nor a list of seeds");
    out->seed = hs_calloc(n, sizeof *out->seed);
    if (!out->seed)
        return hs_fail_memory(r->err, n * sizeof *out->seed);
    for (uint64_t i = 0; i < n; i++) {
        out->seed[i] = i + 1;
        const yaml_node_t *item = list ? node_of(r, node->data.sequence.items.start[i]) : NULL;
        if (list && !whole_number(hs_plan_scalar(item), UINT32_MAX, &out->seed[i]))
            return fail_node(r, item, "sweep.seeds", "not a seed: a whole number up to 4294967295");
        for (uint64_t k = 0; k < i; k++)
            if (out->seed[k] == out->seed[i])
                return fail_node(r, item, "sweep.seeds", "a seed is there twice");
    }
    out->n_seeds = (uint32_t)n;
    return HS_OK;
}

static hs_status read_column(reader *r, const yaml_node_t *title, const yaml_node_t *node, hs_sweep *out)
{
    const char *text = hs_plan_scalar(node);
    if (!text)
        return fail_node(r, node, "sweep.table", "a column is a line, for example: test_ii >= 0.9");
    if (out->n_columns == MAX_COLUMNS)
        return fail_node(r, node, "sweep.table", "too many columns");
    hs_sweep_column *c = &out->column[out->n_columns];
    const hs_status status = hs_sweep_column_parse(c, text, r->err);
    if (status != HS_OK) {
        hs_error_where(r->err, "%s:%zu: sweep.table", r->path, node->start_mark.line + 1);
        return status;
    }
    if (hs_plan_scalar(title))
        snprintf(c->title, sizeof c->title, "%.127s", hs_plan_scalar(title));
    out->n_columns++;
    return HS_OK;
}

/* A list of columns, each a line or `TITLE: line`; or a mapping of such. */
static hs_status read_table(reader *r, const yaml_node_t *node, hs_sweep *out)
{
    out->column = hs_calloc(MAX_COLUMNS, sizeof *out->column);
    if (!out->column)
        return hs_fail_memory(r->err, MAX_COLUMNS * sizeof *out->column);
    if (node->type == YAML_SCALAR_NODE)
        return read_column(r, NULL, node, out);
    if (node->type == YAML_MAPPING_NODE) {
        for (const yaml_node_pair_t *p = node->data.mapping.pairs.start; p < node->data.mapping.pairs.top; p++)
            HS_TRY(read_column(r, node_of(r, p->key), node_of(r, p->value), out));
        return HS_OK;
    }
    for (const yaml_node_item_t *i = node->data.sequence.items.start; i < node->data.sequence.items.top; i++) {
        const yaml_node_t *item = node_of(r, *i);
        if (item->type != YAML_MAPPING_NODE)
            HS_TRY(read_column(r, NULL, item, out));
        else
            for (const yaml_node_pair_t *p = item->data.mapping.pairs.start; p < item->data.mapping.pairs.top; p++)
                HS_TRY(read_column(r, node_of(r, p->key), node_of(r, p->value), out));
    }
    return HS_OK;
}

static hs_status find_arm(reader *r, const yaml_node_t *node, const char *key, const hs_sweep *sweep, uint32_t *arm)
{
    for (*arm = 0; hs_plan_scalar(node) && *arm < sweep->n_arms; ++*arm)
        if (strcmp(sweep->arm[*arm].name, hs_plan_scalar(node)) == 0)
            return HS_OK;
    fail_node(r, node, key, "no such arm");
    return hs_error_hint(r->err, "the first is %s", sweep->arm[0].name);
}

static hs_status read_baseline(reader *r, const yaml_node_t *node, hs_sweep *out)
{
    uint32_t arm;
    out->baseline = -1;
    if (!node)
        return HS_OK;
    HS_TRY(find_arm(r, node, "sweep.baseline", out, &arm));
    out->baseline = (int32_t)arm;
    return HS_OK;
}

/* `[[A, B], ...]`: the table shows A - B. */
static hs_status read_pairs(reader *r, const yaml_node_t *node, hs_sweep *out)
{
    static const char what[] = "a list of pairs of arms, for example [[muon, adamw]]: their difference";
    if (node->type != YAML_SEQUENCE_NODE)
        return fail_node(r, node, "sweep.compare", what);
    const size_t n = (size_t)(node->data.sequence.items.top - node->data.sequence.items.start);
    out->pair = hs_calloc(n + 1, sizeof *out->pair);
    if (!out->pair)
        return hs_fail_memory(r->err, n * sizeof *out->pair);
    for (; out->n_pairs < n; out->n_pairs++) {
        const yaml_node_t *pair = node_of(r, node->data.sequence.items.start[out->n_pairs]);
        if (pair->type != YAML_SEQUENCE_NODE || pair->data.sequence.items.top - pair->data.sequence.items.start != 2)
            return fail_node(r, pair, "sweep.compare", what);
        hs_sweep_pair *p = &out->pair[out->n_pairs];
        HS_TRY(find_arm(r, node_of(r, pair->data.sequence.items.start[0]), "sweep.compare", out, &p->arm));
        HS_TRY(find_arm(r, node_of(r, pair->data.sequence.items.start[1]), "sweep.compare", out, &p->minus));
    }
    return HS_OK;
}

static hs_status read_section(reader *r, const yaml_node_t *section, hs_sweep *out)
{
    static const char *const keys[] = {"experiment", "seeds", "arms", "grid", "baseline", "compare", "table"};
    enum { EXPERIMENT, SEEDS, ARMS, GRID, BASELINE, COMPARE, TABLE, N };
    const yaml_node_t *part[N] = {NULL};
    if (section->type != YAML_MAPPING_NODE && !hs_plan_empty(section))
        return fail_node(r, section, "sweep", "takes experiment, seeds, arms, grid, baseline, compare and table");
    if (section->type == YAML_MAPPING_NODE)
        for (const yaml_node_pair_t *p = section->data.mapping.pairs.start; p < section->data.mapping.pairs.top; p++) {
            const char *key = hs_plan_scalar(node_of(r, p->key));
            int k = 0;
            while (k < N && !(key && strcmp(key, keys[k]) == 0))
                k++;
            if (k == N || part[k]) {
                fail_node(r, node_of(r, p->key), "sweep", k == N ? "no such key" : "given twice");
                const char *near = k == N && key ? hs_nearest(key, keys, N) : NULL;
                return near ? hs_error_hint(r->err, "did you mean %s?", near)
                            : hs_error_hint(r->err,
                                            "there are experiment, seeds, arms, grid, baseline, compare and table");
            }
            part[k] = node_of(r, p->value);
        }
    if (part[EXPERIMENT] && !(r->base = hs_plan_scalar(part[EXPERIMENT])))
        return fail_node(r, part[EXPERIMENT], "sweep.experiment", "takes the name of a file");
    HS_TRY(read_seeds(r, part[SEEDS], out));
    if (part[ARMS]) {
        if (part[ARMS]->type != YAML_MAPPING_NODE)
            return fail_node(r, part[ARMS], "sweep.arms", "arms are lines `NAME: {key: value, ...}`");
        HS_TRY(read_named_levels(r, part[ARMS], "sweep.arms", &r->factor[r->n_factors++]));
        if (r->factor[0].n == 0)
            return fail_node(r, part[ARMS], "sweep.arms", "no arms");
    }
    if (part[GRID])
        HS_TRY(read_grid(r, part[GRID]));
    if (part[TABLE])
        HS_TRY(read_table(r, part[TABLE], out));
    HS_TRY(make_arms(r, section, out));
    HS_TRY(list_varied(r, out));
    snprintf(out->title, sizeof out->title, "%s", out->arm[0].config.report.title);
    HS_TRY(read_baseline(r, part[BASELINE], out));
    return part[COMPARE] ? read_pairs(r, part[COMPARE], out) : HS_OK;
}

/* ---------------------------------------------------------------- the whole plan */

static hs_status read_plan(reader *r, hs_sweep *out)
{
    const yaml_node_t *section;
    HS_TRY(hs_plan_load(&r->plan, r->path, &r->doc, r->err));
    hs_status status = hs_plan_cut(&r->plan, &r->doc, "sweep", &section, r->err);
    if (status == HS_OK && !section) {
        hs_fail(r->err, HS_ERR_DATA, "this file is no plan: it has no section `sweep`");
        hs_error_where(r->err, "%s", r->path);
        status = hs_error_hint(r->err, "an ordinary experiment is run by: hopscope run %.200s", r->path);
    }
    if (status == HS_OK)
        status = read_section(r, section, out);
    yaml_document_delete(&r->doc);
    return status;
}

/* Do {seed} and {runs} fit wherever they stand? */
static hs_status check_names(const hs_sweep *sweep, hs_error *err)
{
    hs_config *config = hs_alloc(sizeof *config);
    hs_status status = config ? HS_OK : hs_fail_memory(err, sizeof *config);
    for (uint32_t a = 0; a < sweep->n_arms && status == HS_OK; a++)
        for (uint32_t s = 0; s < sweep->n_seeds && status == HS_OK; s++) {
            *config = sweep->arm[a].config;
            status = hs_sweep_fill(config, sweep->dir, sweep->seed[s], err);
        }
    hs_free(config);
    return status;
}

hs_status hs_sweep_read(hs_sweep *out, const char *path, const char *dir, const char *const *set, size_t n_set,
                        hs_error *err)
{
    hs_error local = {0};
    if (strlen(path) >= sizeof out->path || (dir && strlen(dir) >= sizeof out->dir))
        return hs_fail(err, HS_ERR_USAGE, "path of %zu bytes is too long", strlen(path) + (dir ? strlen(dir) : 0));
    reader *r = hs_calloc(1, sizeof *r);
    if (!r)
        return hs_fail_memory(err, sizeof *r);
    r->path = path;
    r->set = set;
    r->n_set = n_set;
    r->err = err ? err : &local;
    r->arena = hs_arena_create(1 << 14);
    hs_status status = r->arena ? read_plan(r, out) : hs_fail_memory(err, 1 << 14);
    hs_arena_free(r->arena);
    hs_free(r->plan.text);
    hs_free(r->experiment.text);
    hs_free(r);
    snprintf(out->path, sizeof out->path, "%s", path);
    if (status == HS_OK && dir)
        snprintf(out->dir, sizeof out->dir, "%s", dir);
    else if (status == HS_OK)
        status = hs_run_default_dir(out->dir, sizeof out->dir, path, err);
    if (status == HS_OK)
        status = check_names(out, err);
    if (status != HS_OK)
        hs_sweep_free(out);
    return status;
}

void hs_sweep_free(hs_sweep *sweep)
{
    hs_free(sweep->seed);
    hs_free(sweep->arm);
    hs_free((void *)(uintptr_t)sweep->varied);
    hs_free(sweep->column);
    hs_free(sweep->pair);
    memset(sweep, 0, sizeof *sweep);
}
