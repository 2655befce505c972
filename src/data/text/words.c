/* words.c - one item in words: a fact's sentence, alone or at the end of a paragraph; a question.
 *
 * What is scored is the end of the text: the tail and the full stop, the answer and a full stop. Wordings, distractors
 * and the facts stated before are drawn by (seed, split, item), so an item has the same words whenever it is asked for.
 */
#include "data/text/render.h"

#include "data/task.h"

#include <string.h>

#define PURPOSE HS_PURPOSE('w', 'o', 'r', 'd')

void hs_words_free(hs_words *w)
{
    hs_str_free(&w->context);
    hs_str_free(&w->prompt);
    hs_str_free(&w->answer);
}

static const char *name_of(const hs_dataset *d, uint32_t token)
{
    return hs_names_get(&d->vocab, token);
}

/* The name of a relation without the mark that tells it from an entity. Valid until the next call of this thread. */
static const char *relation_of(const hs_dataset *d, uint32_t token)
{
    static _Thread_local char name[4200];
    static const char mark[] = " [relation]";
    snprintf(name, sizeof name, "%s", name_of(d, token));
    const size_t len = strlen(name), end = sizeof mark - 1;
    if (len > end && strcmp(name + len - end, mark) == 0)
        name[len - end] = 0;
    return name;
}

/* ---------------------------------------------------------------- source */

static hs_status open_templates(hs_word_source *s, hs_error *err)
{
    const char *path = s->config->templates;
    char *yaml;
    size_t len;
    if (!path[0])
        return hs_templates_default(&s->templates, err);
    HS_TRY(hs_file_read(path, 1 << 22, &yaml, &len, err));
    const hs_status status = hs_templates_read(&s->templates, yaml, len, path, err);
    hs_free(yaml);
    return status;
}

static hs_status mark_trained(hs_word_source *s, hs_error *err)
{
    const hs_dataset *d = s->data;
    s->trained = hs_calloc((size_t)d->n_facts + 1, 1);
    if (!s->trained)
        return hs_fail_memory(err, (size_t)d->n_facts);
    for (uint32_t k = 0; k < d->n_splits; k++) {
        const hs_split *split = &d->splits[k];
        if (split->role != HS_SPLIT_TRAIN || !hs_form_of(split->kind)->fact)
            continue;
        for (uint64_t i = 0; i < split->n; i++) {
            const uint32_t *tokens = split->tokens + i * split->width;
            uint64_t first, last;
            hs_dataset_facts_of(d, tokens[0], tokens[1], &first, &last);
            for (; first < last; first++)
                s->trained[first] |= d->facts[first].tail == tokens[split->answer];
        }
    }
    return HS_OK;
}

hs_status hs_word_source_open(hs_word_source *s, const hs_dataset *d, hs_error *err)
{
    *s = (hs_word_source){.data = d, .config = &d->config};
    hs_status status = open_templates(s, err);
    if (status == HS_OK && d->config.context[0])
        status = hs_wiki_text_read(&s->wiki, d->config.context, err);
    if (status == HS_OK)
        status = hs_compare_init(&s->compare, d, err);
    if (status == HS_OK)
        status = hs_held_out_open(&s->held, d, err);
    return status == HS_OK ? mark_trained(s, err) : status;
}

void hs_word_source_free(hs_word_source *s)
{
    hs_templates_free(s->templates);
    hs_wiki_text_free(&s->wiki);
    hs_compare_free(&s->compare);
    hs_held_out_free(&s->held);
    hs_free(s->trained);
    hs_str_free(&s->a);
    hs_str_free(&s->b);
}

/* ---------------------------------------------------------------- wordings */

/* The wordings of a relation, or the general ones where they are asked for or `general` allows; NULL with *n = 0. */
static const char *const *wordings(const hs_word_source *s, uint32_t relation, hs_wording_kind what, size_t *n)
{
    const char *const *w = hs_templates_of(s->templates, relation_of(s->data, relation), what, n);
    if (*n == 0 && (s->config->template_fallback || what == HS_WORDING_ASK))
        w = hs_templates_of(s->templates, NULL, what, n);
    return w;
}

static hs_status need(const hs_word_source *s, uint32_t relation, hs_wording_kind what, hs_error *err)
{
    static const char *const NAMES[] = {"fact", "of", "same", "order", "ask"};
    size_t n;
    wordings(s, relation, what, &n);
    if (n)
        return HS_OK;
    const char *name = relation_of(s->data, relation);
    hs_fail(err, HS_ERR_DATA, "a relation has no wording of the kind \"%s\"", NAMES[what]);
    hs_error_where(err, "data.templates: %s", s->config->templates[0] ? s->config->templates : "those of the program");
    hs_error_value(err, name, strlen(name));
    return hs_error_hint(
        err,
        "write it into a table (docs/text.md) and name that in data.templates, or set data.template_fallback: true "
        "for general wordings");
}

hs_status hs_word_source_check(hs_word_source *s, hs_error *err)
{
    const hs_dataset *d = s->data;
    for (uint32_t k = 0; k < d->n_splits; k++) {
        const hs_split *split = &d->splits[k];
        hs_role roles[HS_MAX_ROLES];
        const uint32_t n_roles = hs_split_roles(d, split, roles);
        for (uint64_t i = 0; i < split->n; i++) {
            const uint32_t *tokens = split->tokens + i * split->width;
            for (uint32_t r = 0; r < n_roles; r++) {
                if (!roles[r].relation)
                    continue;
                const uint32_t relation = tokens[roles[r].column], attribute = relation - d->n_entities;
                const bool last = r + 1 == n_roles || !roles[r + 1].relation;
                if (split->kind == HS_ITEM_FACT)
                    HS_TRY(need(s, relation, HS_WORDING_FACT, err));
                else if (split->kind == HS_ITEM_QUERY)
                    HS_TRY(need(s, relation, HS_WORDING_OF, err));
                else
                    HS_TRY(need(s, relation,
                                s->compare.table || s->compare.ordered[attribute] ? HS_WORDING_ORDER : HS_WORDING_SAME,
                                err));
                if (split->kind == HS_ITEM_QUERY && last)
                    HS_TRY(need(s, relation, HS_WORDING_ASK, err));
            }
        }
    }
    return HS_OK;
}

static const char *pick(const hs_word_source *s, uint32_t relation, hs_wording_kind what, hs_rng *rng)
{
    size_t n;
    const char *const *w = wordings(s, relation, what, &n);
    return w[hs_rng_below(rng, n)];
}

/* Fills slots, and {r} with the relation's name. At most 3 letters. */
static void fill(const hs_word_source *s, const char *wording, const char *slots, const char *v1, const char *v2,
                 uint32_t relation, hs_str *out)
{
    char letters[8];
    const char *values[4] = {v1, v2, NULL, NULL};
    snprintf(letters, sizeof letters, "%.2sr", slots);
    values[strlen(letters) - 1] = relation_of(s->data, relation);
    hs_template_fill(wording, letters, values, out);
}

/* ---------------------------------------------------------------- facts */

/* A fact's sentence; with `answer` its end, from the tail on with the space before it, goes there. */
static void add_fact(const hs_word_source *s, const hs_fact *f, hs_rng *rng, hs_str *prompt, hs_str *answer)
{
    const char *wording = pick(s, f->relation, HS_WORDING_FACT, rng), *tail = strstr(wording, "{t}");
    if (!answer) {
        fill(s, wording, "ht", name_of(s->data, f->head), name_of(s->data, f->tail), f->relation, prompt);
        return;
    }
    char before[1100];
    const bool space = tail > wording && tail[-1] == ' ';
    snprintf(before, sizeof before, "%.*s", (int)(tail - wording) - space, wording);
    fill(s, before, "h", name_of(s->data, f->head), NULL, f->relation, prompt);
    hs_str_addf(answer, "%s%s%s", space ? " " : "", name_of(s->data, f->tail), tail + 3);
}

static hs_status add_context(hs_word_source *s, const char *sentence, size_t len, uint32_t head, hs_str *out,
                             hs_error *err)
{
    bool states;
    s->a.len = 0;
    hs_str_add(&s->a, sentence, len);
    if (s->a.failed)
        return hs_fail_memory(err, len);
    HS_TRY(hs_held_out_states(&s->held, s->a.s, head, &states, err));
    s->left_out += states;
    if (!states) {
        hs_str_add(out, "\n", out->len > 0);
        hs_str_add(out, s->a.s, s->a.len);
    }
    return HS_OK;
}

/* The real paragraph about the head, or sentences from the table. */
static hs_status add_contexts(hs_word_source *s, uint32_t head, hs_rng *rng, hs_str *out, hs_error *err)
{
    size_t n;
    const char *const *w = hs_templates_distractors(s->templates, &n);
    const char *paragraph = hs_wiki_text_paragraph(&s->wiki, name_of(s->data, head));
    for (const char *p = paragraph; p && *p;) {
        const size_t len = strcspn(p, "\n");
        HS_TRY(add_context(s, p, len, head, out, err));
        p += len + (p[len] == '\n');
    }
    uint32_t order[64];
    for (uint32_t i = 0; i < n; i++)
        order[i] = i;
    hs_rng_shuffle_u32(rng, order, n);
    for (uint32_t i = 0; !paragraph && i < n && i < s->config->distractors; i++) {
        const char *name = name_of(s->data, head);
        s->b.len = 0;
        hs_template_fill(w[order[i]], "h", &name, &s->b);
        if (s->b.failed)
            return hs_fail_memory(err, s->b.len);
        HS_TRY(add_context(s, s->b.s, s->b.len, head, out, err));
    }
    return HS_OK;
}

/* Other trained facts of the head, any of them, in any order. */
static void add_other_facts(hs_word_source *s, const hs_fact *fact, hs_rng *rng, hs_str *out)
{
    const hs_dataset *d = s->data;
    uint64_t first = 0, last = d->n_facts;
    while (first < last) { /* the first fact of this head */
        const uint64_t middle = first + (last - first) / 2;
        if (d->facts[middle].head < fact->head)
            first = middle + 1;
        else
            last = middle;
    }
    for (last = first; last < d->n_facts && d->facts[last].head == fact->head;)
        last++;
    uint32_t left = s->config->paragraph_facts;
    const uint64_t n = last - first, seed = hs_rng_u64(rng);
    for (uint64_t i = 0; i < n && left; i++) {
        const uint64_t f = first + hs_permute(seed, PURPOSE, 0, n, i);
        if (!s->trained[f] || hs_fact_compare(&d->facts[f], fact) == 0)
            continue;
        add_fact(s, &d->facts[f], rng, out, NULL);
        hs_str_add(out, " ", 1);
        left--;
    }
}

static hs_status fact_in_words(hs_word_source *s, const hs_split *split, const uint32_t *tokens, hs_rng *rng,
                               hs_words *out, hs_error *err)
{
    const hs_fact fact = {.head = tokens[0], .relation = tokens[1], .tail = tokens[split->answer]};
    if (s->config->rendering == HS_RENDER_PARAGRAPHS) {
        HS_TRY(add_contexts(s, fact.head, rng, &out->context, err));
        add_other_facts(s, &fact, rng, &out->prompt);
    }
    add_fact(s, &fact, rng, &out->prompt, &out->answer);
    return HS_OK;
}

/* ---------------------------------------------------------------- questions */

static const char *real_question(hs_word_source *s, const char *a, const char *b, const char *c)
{
    s->a.len = 0;
    hs_str_addf(&s->a, "%s\t%s\t%s", a, b, c);
    return s->a.failed ? NULL : hs_wiki_text_question(&s->wiki, s->a.s, s->a.len);
}

static void query_in_words(hs_word_source *s, const hs_split *split, const uint32_t *tokens, hs_rng *rng,
                           hs_words *out)
{
    const hs_dataset *d = s->data;
    char first[4200];
    snprintf(first, sizeof first, "%s", relation_of(d, tokens[1]));
    const char *real =
        split->hops == 2 ? real_question(s, name_of(d, tokens[0]), first, relation_of(d, tokens[2])) : NULL;
    hs_str *phrase = &s->a, *next = &s->b;
    phrase->len = 0;
    hs_str_addf(phrase, "%s", name_of(d, tokens[0]));
    for (uint32_t k = 1; k <= split->hops && !phrase->failed; k++) {
        hs_str *other = next;
        next->len = 0;
        fill(s, pick(s, tokens[k], HS_WORDING_OF, rng), "x", phrase->s, NULL, tokens[k], next);
        next = phrase;
        phrase = other;
    }
    if (real)
        hs_str_addf(&out->prompt, "%s", real);
    else if (!phrase->failed)
        fill(s, pick(s, tokens[split->hops], HS_WORDING_ASK, rng), "q", phrase->s, NULL, tokens[split->hops],
             &out->prompt);
    out->prompt.failed |= phrase->failed;
    hs_str_addf(&out->answer, " %s.", name_of(d, tokens[split->answer]));
}

const char *hs_words_answer(const hs_dataset *d, const hs_compare *c, const hs_split *split, uint64_t item)
{
    const uint32_t *tokens = split->tokens + item * split->width, answer = tokens[split->answer];
    if (split->kind != HS_ITEM_COMPARE)
        return name_of(d, answer);
    const uint32_t attribute = tokens[0] - d->n_entities;
    const bool ordered = c->table || (attribute < c->n_attributes && c->ordered[attribute]);
    static const char *const ORDER[] = {"earlier", "same", "later", NULL}, *const SAME[] = {NULL, "yes", NULL, "no"};
    for (uint32_t k = 0; attribute < c->n_attributes && k < HS_N_LABELS; k++)
        if (c->token[(size_t)attribute * HS_N_LABELS + k] == answer)
            return ordered ? ORDER[k] : SAME[k];
    return NULL;
}

static void comparison_in_words(hs_word_source *s, const hs_split *split, uint64_t item, hs_rng *rng, hs_words *out)
{
    const hs_dataset *d = s->data;
    const uint32_t *tokens = split->tokens + item * split->width;
    const char *a = name_of(d, tokens[2]), *b = name_of(d, tokens[4]);
    const bool ordered = s->compare.table || s->compare.ordered[tokens[0] - d->n_entities];
    const char *real = ordered ? NULL : real_question(s, a, relation_of(d, tokens[0]), b);
    const char *wording = pick(s, tokens[0], ordered ? HS_WORDING_ORDER : HS_WORDING_SAME, rng);
    if (real)
        hs_str_addf(&out->prompt, "%s", real);
    else
        fill(s, wording, "ab", a, b, tokens[0], &out->prompt);
    hs_str_addf(&out->answer, " %s.", hs_words_answer(d, &s->compare, split, item));
}

hs_status hs_words_of(hs_word_source *s, uint32_t number, uint64_t item, hs_words *out, hs_error *err)
{
    const hs_split *split = &s->data->splits[number];
    const uint32_t *tokens = split->tokens + item * split->width;
    hs_rng rng;
    hs_rng_init(&rng, s->data->seed, PURPOSE, number, (uint32_t)item);
    out->context.len = out->prompt.len = out->answer.len = 0;
    if (split->kind == HS_ITEM_FACT)
        HS_TRY(fact_in_words(s, split, tokens, &rng, out, err));
    else if (split->kind == HS_ITEM_QUERY)
        query_in_words(s, split, tokens, &rng, out);
    else
        comparison_in_words(s, split, item, &rng, out);
    return out->context.failed || out->prompt.failed || out->answer.failed ? hs_fail_memory(err, out->prompt.len)
                                                                           : HS_OK;
}
