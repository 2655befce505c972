/* baseline.c - what a language model makes of the test questions of a dataset, with no, retrieved or all facts in the
 * prompt (arXiv 2405.15071, 5 and App. F).
 *
 * Invariants: question i is a function of the dataset, the options and i; so an answer finds its question again in any
 * order, in another process, after an export. Of the facts, only those that training saw are told. */
#include "hopscope/experiment.h"
#include "hopscope/interp.h"
#include "lm/answer.h"
#include "lm/lm.h"
#include "lm/wording.h"

#include <math.h>
#include <string.h>

const char *const hs_lm_way_names[] = {"direct", "steps", NULL};
const char *const hs_lm_facts_names[] = {"none", "retrieved", "all", NULL};

typedef struct cell { /* of the result: n questions from `first` on */
    const hs_split *split;
    hs_lm_way way;
    hs_lm_facts facts;
    size_t first, n;
} cell;

struct hs_baseline_job {
    const hs_dataset *data;
    hs_baseline_options options;
    hs_wording wording;
    hs_aliases aliases;
    cell *cell;
    size_t n_cells, cap_cells, n;
    hs_statement *statement; /* facts first, in the dataset's order, then comparisons */
    size_t n_statements, cap_statements, n_facts;
    uint32_t *pick; /* scratch: statements of a prompt */
    uint8_t *near;  /* (tokens) scratch: entities that are near */
    hs_str prompt;
};

void hs_baseline_options_default(hs_baseline_options *options)
{
    *options = (hs_baseline_options){
        .items = 100, .way = {true, true}, .facts = {[HS_LM_NO_FACTS] = true, [HS_LM_RETRIEVED] = true}};
}

/* ---------------------------------------------------------------- statements */

static hs_status add_statement(hs_baseline_job *j, hs_statement s, hs_error *err)
{
    void *p = j->statement;
    const hs_status status = hs_grow(&p, &j->cap_statements, j->n_statements + 1, sizeof s, err);
    j->statement = p;
    if (status == HS_OK)
        j->statement[j->n_statements++] = s;
    return status;
}

/* What training sees: facts, but for the OOD ones of the task complex; there also its comparisons, which cannot all be
 * derived. */
static hs_status list_statements(hs_baseline_job *j, hs_error *err)
{
    const hs_dataset *d = j->data;
    const bool complex = strcmp(d->task, "complex") == 0;
    for (uint64_t i = 0; i < d->n_facts; i++) {
        const hs_fact *f = &d->facts[i];
        if (!complex || !(d->fact_flags && d->fact_flags[i] & HS_FACT_OOD))
            HS_TRY(add_statement(j, (hs_statement){f->head, f->relation, f->tail, HS_SAYS_VALUE}, err));
    }
    j->n_facts = j->n_statements;
    for (uint32_t k = 0; complex && k < d->n_splits; k++) {
        const hs_split *s = &d->splits[k];
        if (s->role != HS_SPLIT_TRAIN || s->kind != HS_ITEM_COMPARE)
            continue;
        for (uint64_t i = 0; i < s->n; i++) {
            const uint32_t *t = s->tokens + i * s->width;
            hs_says says;
            if (hs_wording_label(&j->wording, t[s->answer], &says))
                HS_TRY(add_statement(j, (hs_statement){t[2], t[0], t[4], (uint8_t)says}, err));
        }
    }
    return HS_OK;
}

/* Facts from the entities at most `hops` - 1 steps away from the head of a query. */
static size_t retrieve_chain(hs_baseline_job *j, uint32_t head, uint32_t hops)
{
    memset(j->near, 0, (size_t)j->data->vocab.n + 1);
    j->near[head] = 1;
    for (uint32_t step = 1; step < hops; step++)
        for (size_t k = 0; k < j->n_facts; k++)
            if (j->near[j->statement[k].a] == step && !j->near[j->statement[k].b])
                j->near[j->statement[k].b] = (uint8_t)(step + 1);
    size_t n = 0;
    for (size_t k = 0; k < j->n_facts; k++)
        if (j->near[j->statement[k].a])
            j->pick[n++] = (uint32_t)k;
    return n;
}

/* Statements about an attribute of both entities and of those that they are compared with. */
static size_t retrieve_compared(hs_baseline_job *j, const uint32_t *item)
{
    memset(j->near, 0, (size_t)j->data->vocab.n + 1);
    j->near[item[2]] = j->near[item[4]] = 1;
    for (size_t k = j->n_facts; k < j->n_statements; k++) {
        const hs_statement *s = &j->statement[k];
        if (s->relation != item[0] || (j->near[s->a] != 1 && j->near[s->b] != 1))
            continue;
        j->near[s->a] = j->near[s->a] ? j->near[s->a] : 2;
        j->near[s->b] = j->near[s->b] ? j->near[s->b] : 2;
    }
    size_t n = 0;
    for (size_t k = 0; k < j->n_statements; k++) {
        const hs_statement *s = &j->statement[k];
        if (s->relation == item[0] && (j->near[s->a] || (s->says != HS_SAYS_VALUE && j->near[s->b])))
            j->pick[n++] = (uint32_t)k;
    }
    return n;
}

static size_t pick_statements(hs_baseline_job *j, const cell *c, uint64_t item)
{
    const uint32_t *tokens = c->split->tokens + item * c->split->width;
    const bool compare = c->split->kind == HS_ITEM_COMPARE;
    uint32_t head[2] = {0};
    size_t n = 0;
    if (c->facts == HS_LM_NO_FACTS)
        return 0;
    if (c->facts == HS_LM_RETRIEVED && compare)
        return retrieve_compared(j, tokens);
    if (c->facts == HS_LM_RETRIEVED) {
        hs_item_role(j->data, c->split, item, "h", head);
        return retrieve_chain(j, hs_dataset_entity_of(j->data, head), c->split->hops);
    }
    for (size_t k = 0; k < j->n_statements; k++)
        if (!compare || j->statement[k].relation == tokens[0])
            j->pick[n++] = (uint32_t)k;
    return n;
}

/* ---------------------------------------------------------------- questions */

static const cell *cell_of(const hs_baseline_job *j, size_t i)
{
    size_t k = 0;
    while (i >= j->cell[k].first + j->cell[k].n)
        k++;
    return &j->cell[k];
}

static uint64_t item_of(const hs_baseline_job *j, const cell *c, size_t i)
{
    return hs_permute(j->options.seed, HS_PURPOSE('l', 'm', 'i', 't'), 0, c->split->n, i - c->first);
}

hs_status hs_baseline_make(void *user, size_t i, hs_lm_question *out, hs_error *err)
{
    hs_baseline_job *j = user;
    const cell *c = cell_of(j, i);
    const uint64_t item = item_of(j, c, i);
    hs_str *p = &j->prompt;
    const char *choices;
    p->len = 0;
    const size_t n = pick_statements(j, c, item);
    hs_rng rng;
    hs_rng_init(&rng, j->options.seed, HS_PURPOSE('l', 'm', 'f', 'a'), (uint64_t)(c->split - j->data->splits),
                (uint32_t)item);
    hs_rng_shuffle_u32(&rng, j->pick, n);
    if (c->facts != HS_LM_NO_FACTS)
        hs_str_addf(p, "Answer from these facts alone, whatever else you know:\n");
    for (size_t k = 0; k < n; k++) {
        hs_wording_statement(&j->wording, &j->statement[j->pick[k]], p);
        hs_str_add(p, k + 1 < n ? " " : "\n", 1);
    }
    hs_str_addf(p, "%sQuestion: ", c->facts != HS_LM_NO_FACTS ? "\n" : "");
    hs_wording_question(&j->wording, c->split, item, p, &choices);
    hs_str_addf(p, "\n");
    if (*choices)
        hs_str_addf(p, "The answer is one of: %s.\n", choices);
    hs_str_addf(p, c->way == HS_LM_DIRECT ? "Give the answer at once and nothing else, in this form:\nAnswer: ..."
                                          : "Think step by step. Then end with one line in this form:\nAnswer: ...");
    if (p->failed)
        return hs_fail_memory(err, p->len);
    *out = (hs_lm_question){.prompt = p->s, .seed = UINT64_MAX};
    return HS_OK;
}

/* ---------------------------------------------------------------- opening */

static bool is_question(const hs_split *s)
{
    return s->n > 0 && (s->kind == HS_ITEM_QUERY || s->kind == HS_ITEM_COMPARE);
}

static hs_status add_cells(hs_baseline_job *j, const hs_split *split, hs_error *err)
{
    const hs_baseline_options *o = &j->options;
    for (hs_lm_way way = 0; way < HS_LM_N_WAYS; way++) {
        for (hs_lm_facts facts = 0; facts < HS_LM_N_FACTS; facts++) {
            if (!o->way[way] || !o->facts[facts])
                continue;
            void *p = j->cell;
            const hs_status status = hs_grow(&p, &j->cap_cells, j->n_cells + 1, sizeof *j->cell, err);
            j->cell = p;
            HS_TRY(status);
            const size_t n = o->items == 0 || split->n < o->items ? (size_t)split->n : o->items;
            j->cell[j->n_cells++] = (cell){split, way, facts, j->n, n};
            j->n += n;
        }
    }
    return HS_OK;
}

static hs_status choose_named(hs_baseline_job *j, hs_error *err)
{
    hs_list list;
    HS_TRY(hs_list_parse(&list, j->options.splits, err));
    hs_status status = HS_OK;
    for (size_t k = 0; status == HS_OK && k < list.n; k++) {
        const hs_split *split = hs_dataset_split(j->data, list.item[k]);
        if (split && is_question(split)) {
            status = add_cells(j, split, err);
            continue;
        }
        hs_fail(err, HS_ERR_DATA, split ? "this split holds no questions that can be put in words" : "no such split");
        hs_error_value(err, list.item[k], strlen(list.item[k]));
        status = hs_error_hint(err, "hopscope show lists the splits");
    }
    hs_list_free(&list);
    return status;
}

static hs_status choose(hs_baseline_job *j, hs_error *err)
{
    if (j->options.splits && *j->options.splits)
        return choose_named(j, err);
    for (uint32_t k = 0; k < j->data->n_splits; k++)
        if (j->data->splits[k].role == HS_SPLIT_TEST && is_question(&j->data->splits[k]))
            HS_TRY(add_cells(j, &j->data->splits[k], err));
    return j->n > 0 ? HS_OK : hs_fail(err, HS_ERR_DATA, "the dataset has no test questions that can be put in words");
}

static hs_status open_job(hs_baseline_job *j, hs_error *err)
{
    HS_TRY(hs_aliases_read(&j->aliases, j->options.aliases, err));
    HS_TRY(choose(j, err));
    if (j->n == 0)
        return hs_fail(err, HS_ERR_USAGE, "no way of asking, or no kind of facts, is chosen");
    HS_TRY(list_statements(j, err));
    j->pick = hs_alloc((j->n_statements + 1) * sizeof *j->pick);
    j->near = hs_alloc((size_t)j->data->vocab.n + j->data->n_entities + 1);
    return j->pick && j->near ? HS_OK : hs_fail_memory(err, j->n_statements * sizeof *j->pick);
}

hs_status hs_baseline_open(hs_baseline_job **out, const hs_dataset *data, const hs_baseline_options *options,
                           hs_error *err)
{
    *out = NULL;
    hs_baseline_job *j = hs_calloc(1, sizeof *j);
    if (!j)
        return hs_fail_memory(err, sizeof *j);
    j->data = data;
    j->options = *options;
    hs_wording_init(&j->wording, data, options->seed);
    const hs_status status = open_job(j, err);
    if (status != HS_OK) {
        hs_baseline_close(j);
        return status;
    }
    *out = j;
    return HS_OK;
}

void hs_baseline_close(hs_baseline_job *j)
{
    if (!j)
        return;
    hs_aliases_free(&j->aliases);
    hs_free(j->cell);
    hs_free(j->statement);
    hs_free(j->pick);
    hs_free(j->near);
    hs_str_free(&j->prompt);
    hs_free(j);
}

size_t hs_baseline_size(const hs_baseline_job *j)
{
    return j->n;
}

/* ---------------------------------------------------------------- scores */

static void judge(const hs_baseline_job *j, const char *answer, const char *right, bool *match, bool *alias)
{
    *match |= hs_answer_match(answer, right);
    *alias |= hs_answer_match_alias(&j->aliases, answer, right);
}

/* The words of a label: the first is the answer, the others are aliases. */
static void judge_label(const hs_baseline_job *j, const char *answer, const char *words, bool *match, bool *alias)
{
    char word[32];
    for (bool first = true; *words; first = false) {
        const size_t len = strcspn(words, "|");
        snprintf(word, sizeof word, "%.*s", (int)len, words);
        const bool same = hs_answer_match(answer, word);
        *match |= first && same;
        *alias |= same;
        words += len + (words[len] == '|');
    }
    (void)j;
}

static hs_status judge_item(const hs_baseline_job *j, const cell *c, uint64_t item, const char *answer, bool *match,
                            bool *alias, hs_error *err)
{
    const hs_split *s = c->split;
    const uint32_t *tokens = s->tokens + item * s->width;
    hs_says says;
    if (s->kind == HS_ITEM_COMPARE) {
        if (hs_wording_label(&j->wording, tokens[s->answer], &says))
            judge_label(j, answer, hs_wording_answer(&j->wording, says), match, alias);
        return HS_OK;
    }
    hs_str name = {0};
    hs_wording_entity(&j->wording, hs_dataset_entity_of(j->data, tokens + s->answer), &name);
    if (name.s)
        judge(j, answer, name.s, match, alias);
    for (uint64_t k = s->also ? s->also_start[item] : 0; s->also && k < s->also_start[item + 1]; k++) {
        name.len = 0;
        hs_wording_entity(&j->wording, s->also[k], &name);
        if (!name.failed)
            judge(j, answer, name.s, match, alias);
    }
    const bool failed = name.failed;
    hs_str_free(&name);
    return failed ? hs_fail_memory(err, 0) : HS_OK;
}

static hs_status score_cell(const hs_baseline_job *j, const cell *c, const hs_lm_answer *answers, hs_baseline_row *row,
                            hs_error *err)
{
    *row = (hs_baseline_row){.way = c->way, .facts = c->facts, .n = c->n};
    snprintf(row->split, sizeof row->split, "%s", c->split->name);
    uint64_t matched = 0, aliased = 0;
    hs_str answer = {0};
    hs_status status = HS_OK;
    for (size_t i = c->first; status == HS_OK && i < c->first + c->n; i++) {
        bool match = false, alias = false;
        answer.len = 0;
        if (answers[i].reason != HS_LM_NONE)
            row->refused++;
        else if (!hs_answer_find(answers[i].text, c->way == HS_LM_DIRECT, &answer))
            row->unread++;
        else
            status = judge_item(j, c, item_of(j, c, i), answer.s, &match, &alias, err);
        matched += match;
        aliased += alias || match;
    }
    hs_str_free(&answer);
    row->match = (double)matched / (double)c->n;
    row->alias = (double)aliased / (double)c->n;
    hs_wilson((double)matched, (double)c->n, &row->match_low, &row->match_high);
    hs_wilson((double)aliased, (double)c->n, &row->alias_low, &row->alias_high);
    return status;
}

hs_status hs_baseline_score(const hs_baseline_job *j, const hs_lm_answer *answers, hs_baseline_row **rows, size_t *n,
                            hs_error *err)
{
    *n = j->n_cells;
    *rows = hs_calloc(j->n_cells + 1, sizeof **rows);
    hs_status status = *rows ? HS_OK : hs_fail_memory(err, j->n_cells * sizeof **rows);
    for (size_t k = 0; status == HS_OK && k < j->n_cells; k++)
        status = score_cell(j, &j->cell[k], answers, &(*rows)[k], err);
    if (status != HS_OK) {
        hs_free(*rows);
        *rows = NULL;
        *n = 0;
    }
    return status;
}

/* ---------------------------------------------------------------- into run.db */

static hs_status record_row(hs_record *record, const char *model, const hs_baseline_row *row, hs_error *err)
{
    hs_probe_row p = {.method = "baseline", .stage = HS_ALL_STAGES, .n = row->n};
    snprintf(p.split, sizeof p.split, "%s", row->split);
    snprintf(p.position, sizeof p.position, "%s", hs_lm_way_names[row->way]);
    const size_t len = strlen(model), most = 80;
    model += len > most ? len - most : 0; /* of a path the end tells more */
    while (((unsigned char)*model & 0xc0) == 0x80)
        model++;
    snprintf(p.role, sizeof p.role, "%s, %s", model, hs_lm_facts_names[row->facts]);
    const struct {
        const char *name;
        double value, low, high;
    } measures[] = {{"match", row->match, row->match_low, row->match_high},
                    {"alias", row->alias, row->alias_low, row->alias_high},
                    {"refused", (double)row->refused / (double)row->n, NAN, NAN},
                    {"unread", (double)row->unread / (double)row->n, NAN, NAN}};
    for (size_t k = 0; k < sizeof measures / sizeof *measures; k++) {
        snprintf(p.measure, sizeof p.measure, "%s", measures[k].name);
        p.value = measures[k].value;
        p.low = measures[k].low;
        p.high = measures[k].high;
        HS_TRY(hs_record_probe(record, &p, err));
    }
    return HS_OK;
}

hs_status hs_baseline_record(const char *run_dir, const char *model, const hs_baseline_row *rows, size_t n,
                             hs_error *err)
{
    char path[4096];
    hs_run_lock lock;
    HS_TRY(hs_path_join(path, sizeof path, run_dir, "run.db", err));
    HS_TRY(hs_run_lock_take(&lock, run_dir, err));
    hs_record *record = NULL;
    hs_status status = hs_record_open(&record, path, err);
    for (size_t k = 0; status == HS_OK && k < n; k++)
        status = record_row(record, model, &rows[k], err);
    if (status == HS_OK)
        status = hs_record_commit(record, err);
    hs_record_close(record);
    hs_run_lock_release(&lock, run_dir);
    return status;
}
