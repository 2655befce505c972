/* text.c - a dataset in words: rendered, learned from by a tokenizer, kept as lines, and proved from those lines alone.
 *
 * Rendering goes over the items twice, first for the tokenizer, then for the tokens; words follow from seed and item,
 * so both times they are the same. What is read from files is tokenized again: tokens are stored nowhere. */
#include "data/text/render.h"

#include "data/task.h"

#include <jansson.h>
#include <string.h>

void hs_rendered_free(hs_rendered *text)
{
    if (!text)
        return;
    for (uint32_t k = 0; text->split && k < text->n_splits; k++) {
        hs_free(text->split[k].start);
        hs_free(text->split[k].prompt);
        hs_free(text->split[k].tokens);
        hs_str_free(&text->split[k].lines);
    }
    hs_free(text->split);
    hs_tokenizer_free(text->tokenizer);
    hs_free(text);
}

/* ---------------------------------------------------------------- tokens of one split */

typedef struct filling {
    const hs_dataset *data;
    hs_rendered *text;
    hs_ids ids; /* of the split at hand */
    hs_str whole;
} filling;

static hs_status begin_split(filling *f, uint32_t k, hs_error *err)
{
    hs_rendered_split *t = &f->text->split[k];
    const uint64_t n = f->data->splits[k].n;
    f->ids = (hs_ids){0};
    t->start = hs_alloc(((size_t)n + 1) * sizeof *t->start);
    t->prompt = hs_alloc(((size_t)n + 1) * sizeof *t->prompt);
    if (!t->start || !t->prompt)
        return hs_fail_memory(err, (size_t)n * 12);
    t->start[0] = 0;
    return HS_OK;
}

static void end_split(filling *f, uint32_t k)
{
    f->text->split[k].tokens = f->ids.id;
    f->ids = (hs_ids){0};
}

static hs_status fail_item(const filling *f, uint32_t k, uint64_t i, hs_error *err)
{
    return hs_error_where(err, "%s, item %llu", f->data->splits[k].name, (unsigned long long)i + 1);
}

/* Tokens of context (lines), prompt and answer as item i; *n their number. */
static hs_status encode_item(filling *f, uint32_t k, uint64_t i, const hs_words *w, size_t *n, hs_error *err)
{
    hs_rendered_split *t = &f->text->split[k];
    f->ids.n = (size_t)t->start[i];
    f->whole.len = 0;
    for (size_t c = 0; c < w->context.len; c++)
        hs_str_add(&f->whole, w->context.s[c] == '\n' ? " " : w->context.s + c, 1);
    hs_str_add(&f->whole, " ", w->context.len > 0);
    hs_str_add(&f->whole, w->prompt.s, w->prompt.len);
    if (f->whole.failed)
        return hs_fail_memory(err, f->whole.len);
    HS_TRY(hs_tokenizer_encode(f->text->tokenizer, f->whole.s, f->whole.len, &f->ids, err));
    t->prompt[i] = (uint32_t)(f->ids.n - (size_t)t->start[i]);
    HS_TRY(hs_tokenizer_encode(f->text->tokenizer, w->answer.s, w->answer.len, &f->ids, err));
    *n = f->ids.n - (size_t)t->start[i];
    t->start[i + 1] = f->ids.n;
    if (t->prompt[i] == 0 || *n == t->prompt[i]) {
        hs_fail(err, HS_ERR_DATA, "a text needs a prompt and an answer");
        return fail_item(f, k, i, err);
    }
    if (*n > f->text->longest)
        f->text->longest = (uint32_t)*n;
    return HS_OK;
}

/* Takes the last sentence off a context; false if there is none. */
static bool shorten(hs_str *context)
{
    if (context->len == 0)
        return false;
    const char *last = strrchr(context->s, '\n');
    context->len = last ? (size_t)(last - context->s) : 0;
    context->s[context->len] = 0;
    return true;
}

static hs_status fit_item(filling *f, uint32_t k, uint64_t i, hs_words *w, hs_error *err)
{
    const uint32_t longest = f->text->longest, most = f->data->config.max_tokens;
    bool shorter = false;
    size_t n;
    for (;;) {
        f->text->longest = longest;
        HS_TRY(encode_item(f, k, i, w, &n, err));
        if (n <= most)
            break;
        shorter = true;
        if (!shorten(&w->context)) {
            hs_fail(err, HS_ERR_DATA, "an item of %zu tokens is longer than data.max_tokens (%u)", n, most);
            fail_item(f, k, i, err);
            return hs_error_hint(err, "raise data.max_tokens, or lower data.paragraph_facts");
        }
    }
    f->text->shortened += shorter;
    return HS_OK;
}

static void add_line(const hs_words *w, hs_str *out)
{
    hs_str_addf(out, "{");
    for (size_t at = 0; at < w->context.len;) {
        const size_t len = strcspn(w->context.s + at, "\n");
        hs_str_addf(out, at ? ", " : "\"context\": [");
        hs_str_add_json(out, w->context.s + at, len);
        at += len + 1;
    }
    hs_str_addf(out, w->context.len ? "], \"prompt\": " : "\"prompt\": ");
    hs_str_add_json(out, w->prompt.s, w->prompt.len);
    hs_str_addf(out, ", \"answer\": ");
    hs_str_add_json(out, w->answer.s, w->answer.len);
    hs_str_addf(out, "}\n");
}

/* ---------------------------------------------------------------- building */

static hs_status check_renders(const hs_dataset *d, hs_error *err)
{
    const struct {
        bool wrong;
        const char *key, *hint;
    } limits[] = {
        {strcmp(d->task, "composition") != 0 && strcmp(d->task, "comparison") != 0, "data.task",
         "composition and comparison have words"},
        {d->config.token_multiplicity > 0, "data.token_multiplicity", "set it to 0"},
        {d->config.identity, "data.identity", "set it to false"},
        {d->config.end_token, "data.end_token", "set it to false: the full stop ends an answer"},
        {d->config.tails == HS_TAILS_ANY, "data.tails", "set it to functional: a sentence states one tail"},
        {d->config.quirk_dead_vocab, "data.quirk_dead_vocab", "set it to false"},
    };
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
        if (limits[i].wrong) {
            hs_fail(err, HS_ERR_DATA, "does not go with data.rendering: %s", hs_rendering_names[d->config.rendering]);
            hs_error_where(err, "%s", limits[i].key);
            return hs_error_hint(err, "%s", limits[i].hint);
        }
    return HS_OK;
}

/* A tokenizer of the training texts; one of words knows those of all texts, as the vocabulary of tokens does. */
static hs_status learn(hs_word_source *s, hs_rendered *text, hs_words *w, hs_error *err)
{
    const hs_dataset *d = s->data;
    hs_tokenizer_learner *learner;
    HS_TRY(hs_tokenizer_learner_create(&learner, err));
    hs_status status = HS_OK;
    for (uint32_t k = 0; k < d->n_splits; k++)
        for (uint64_t i = 0; i < d->splits[k].n && status == HS_OK; i++) {
            if (d->config.tokenizer == HS_TOKENIZER_BPE && d->splits[k].role != HS_SPLIT_TRAIN)
                break;
            if ((status = hs_words_of(s, k, i, w, err)) != HS_OK)
                break;
            hs_str_add(&w->prompt, w->answer.s, w->answer.len);
            if (w->context.len) { /* every sentence of a paragraph but the first has a space before it */
                for (char *c = w->context.s; *c; c++)
                    *c = *c == '\n' ? ' ' : *c;
                hs_str_add(&w->context, " ", 1);
            }
            hs_str_add(&w->context, w->prompt.s, w->prompt.len);
            status = w->context.failed ? hs_fail_memory(err, w->prompt.len)
                                       : hs_tokenizer_learner_feed(learner, w->context.s, w->context.len, err);
        }
    if (status == HS_OK)
        status =
            hs_tokenizer_learner_finish(learner, d->config.tokenizer, d->config.tokenizer_size, &text->tokenizer, err);
    hs_tokenizer_learner_free(learner);
    return status;
}

static hs_status render_splits(hs_word_source *s, hs_rendered *text, hs_words *w, hs_error *err)
{
    const hs_dataset *d = s->data;
    filling f = {.data = d, .text = text};
    hs_status status = HS_OK;
    s->left_out = 0;
    for (uint32_t k = 0; k < d->n_splits && status == HS_OK; k++) {
        status = begin_split(&f, k, err);
        for (uint64_t i = 0; i < d->splits[k].n && status == HS_OK; i++) {
            status = hs_words_of(s, k, i, w, err);
            if (status == HS_OK)
                status = fit_item(&f, k, i, w, err);
            if (status == HS_OK)
                add_line(w, &text->split[k].lines);
        }
        if (status == HS_OK && text->split[k].lines.failed)
            status = hs_fail_memory(err, text->split[k].lines.len);
        end_split(&f, k);
    }
    hs_str_free(&f.whole);
    text->left_out = s->left_out;
    return status;
}

static hs_status create(const hs_dataset *d, hs_rendered **out, hs_error *err)
{
    hs_rendered *text = *out = hs_calloc(1, sizeof *text);
    if (text)
        text->split = hs_calloc((size_t)d->n_splits + 1, sizeof *text->split);
    if (!text || !text->split)
        return hs_fail_memory(err, d->n_splits * sizeof *text->split);
    text->n_splits = d->n_splits;
    return HS_OK;
}

hs_status hs_rendered_build(hs_dataset *d, const hs_events *events, hs_error *err)
{
    hs_word_source source;
    hs_words words = {0};
    HS_TRY(check_renders(d, err));
    HS_TRY(create(d, &d->text, err));
    hs_status status = hs_word_source_open(&source, d, err);
    if (status == HS_OK)
        status = hs_word_source_check(&source, err);
    if (status == HS_OK)
        status = learn(&source, d->text, &words, err);
    if (status == HS_OK)
        status = render_splits(&source, d->text, &words, err);
    hs_words_free(&words);
    hs_word_source_free(&source);
    if (status == HS_OK)
        hs_event_send(events, HS_EVENT_INFO, "data", "%s in words: %u %s, %u tokens at most",
                      hs_rendering_names[d->config.rendering], hs_tokenizer_size(d->text->tokenizer),
                      d->config.tokenizer == HS_TOKENIZER_BPE ? "byte pairs" : "words", d->text->longest);
    return status;
}

/* ---------------------------------------------------------------- lines */

/* One line of NAME.jsonl into `out`. */
static hs_status parse_line(const char *line, size_t len, hs_words *out, hs_error *err)
{
    json_error_t problem;
    json_t *root = json_loadb(line, len, JSON_REJECT_DUPLICATES, &problem);
    const json_t *context = json_object_get(root, "context"), *prompt = json_object_get(root, "prompt"), *sentence;
    const json_t *answer = json_object_get(root, "answer");
    size_t i;
    hs_status status = root ? HS_OK : hs_fail(err, HS_ERR_DATA, "not JSON: %s", problem.text);
    if (status == HS_OK && (!json_is_string(prompt) || !json_is_string(answer) || (context && !json_is_array(context))))
        status = hs_fail(err, HS_ERR_DATA, "a line needs the texts \"prompt\" and \"answer\"");
    out->context.len = out->prompt.len = out->answer.len = 0;
    json_array_foreach(context, i, sentence)
    {
        const char *text = json_string_value(sentence);
        if (!text || !*text || strchr(text, '\n'))
            status = hs_fail(err, HS_ERR_DATA, "a sentence of the context is no text of one line");
        else
            hs_str_addf(&out->context, "%s%s", i ? "\n" : "", text);
    }
    if (status == HS_OK) {
        hs_str_add(&out->prompt, json_string_value(prompt), json_string_length(prompt));
        hs_str_add(&out->answer, json_string_value(answer), json_string_length(answer));
        if (out->context.failed || out->prompt.failed || out->answer.failed)
            status = hs_fail_memory(err, len);
    }
    json_decref(root);
    return status;
}

typedef hs_status (*line_function)(void *ctx, uint32_t split, uint64_t item, const hs_words *words, hs_error *err);

/* Every line of a split. HS_ERR_DATA: not as many as the split has items. */
static hs_status each_line(const hs_dataset *d, const hs_str *lines, uint32_t k, line_function take, void *ctx,
                           hs_error *err)
{
    hs_words words = {0};
    hs_status status = HS_OK;
    uint64_t i = 0;
    for (size_t at = 0, len; at < lines->len && status == HS_OK; at += len + 1, i++) {
        const char *end = memchr(lines->s + at, '\n', lines->len - at);
        len = end ? (size_t)(end - lines->s) - at : lines->len - at;
        status = i < d->splits[k].n ? parse_line(lines->s + at, len, &words, err) : HS_OK;
        if (status == HS_OK && i < d->splits[k].n)
            status = take(ctx, k, i, &words, err);
        if (status == HS_ERR_DATA)
            hs_error_where(err, "%s.jsonl:%llu", d->splits[k].name, (unsigned long long)i + 1);
    }
    hs_words_free(&words);
    if (status == HS_OK && i != d->splits[k].n) {
        status = hs_fail(err, HS_ERR_DATA, "%llu lines for %llu items", (unsigned long long)i,
                         (unsigned long long)d->splits[k].n);
        hs_error_where(err, "%s.jsonl", d->splits[k].name);
    }
    return status;
}

/* ---------------------------------------------------------------- reading */

static hs_status restore_item(void *ctx, uint32_t k, uint64_t i, const hs_words *words, hs_error *err)
{
    size_t n;
    return encode_item(ctx, k, i, words, &n, err);
}

static void hash_text(const hs_rendered_split *t, char out[20])
{
    snprintf(out, 20, "%016llx", (unsigned long long)hs_hash(t->lines.s ? t->lines.s : "", t->lines.len, 0));
}

static hs_status check_hash(const hs_dataset *d, const json_t *card, uint32_t k, hs_error *err)
{
    char hash[20];
    const json_t *entry = json_array_get(json_object_get(card, "splits"), k);
    const char *name = json_string_value(json_object_get(entry, "name")),
               *said = json_string_value(json_object_get(entry, "hash"));
    hash_text(&d->text->split[k], hash);
    if (name && said && strcmp(name, d->splits[k].name) == 0 && strcmp(said, hash) == 0)
        return HS_OK;
    hs_fail(err, HS_ERR_DATA, "the text is not the one the card describes");
    return hs_error_where(err, "%s.jsonl", d->splits[k].name);
}

hs_status hs_rendered_restore(hs_dataset *d, const void *json, const char *tokenizer, size_t len, hs_str *lines,
                              hs_error *err)
{
    const json_t *card = json;
    HS_TRY(create(d, &d->text, err));
    hs_rendered *text = d->text;
    text->left_out = (uint64_t)json_integer_value(json_object_get(card, "left_out"));
    text->shortened = (uint64_t)json_integer_value(json_object_get(card, "shortened"));
    HS_TRY(hs_tokenizer_read(&text->tokenizer, tokenizer, len, "tokenizer.json", err));
    filling f = {.data = d, .text = text};
    hs_status status = HS_OK;
    for (uint32_t k = 0; k < d->n_splits && status == HS_OK; k++) {
        text->split[k].lines = lines[k];
        lines[k] = (hs_str){0};
        status = check_hash(d, card, k, err);
        if (status == HS_OK)
            status = begin_split(&f, k, err);
        if (status == HS_OK)
            status = each_line(d, &text->split[k].lines, k, restore_item, &f, err);
        end_split(&f, k);
    }
    hs_str_free(&f.whole);
    return status;
}

/* ---------------------------------------------------------------- proofs */

typedef struct proving {
    const hs_dataset *data;
    hs_rendered *text;
    hs_held_out held;
    hs_compare compare;
    uint64_t *asked; /* (slots) hashes of the prompts of held-out questions */
    size_t n_slots;
    bool training; /* the pass over training items, after that over the others */
} proving;

static uint64_t *asked_slot(const proving *p, const hs_str *prompt)
{
    uint64_t hash = hs_hash(prompt->s, prompt->len, 0);
    hash += hash == 0;
    size_t i = (size_t)hash & (p->n_slots - 1);
    while (p->asked[i] && p->asked[i] != hash)
        i = (i + 1) & (p->n_slots - 1);
    return &p->asked[i];
}

/* The answer's words and nothing but a space before and punctuation after them. */
static bool says(const hs_str *answer, const char *name)
{
    const size_t len = name ? strlen(name) : 0, space = answer->len > 0 && answer->s[0] == ' ';
    return name && answer->len > space + len && memcmp(answer->s + space, name, len) == 0 &&
           strspn(answer->s + space + len, ".!?;") == answer->len - space - len;
}

static hs_status prove_line(void *ctx, uint32_t k, uint64_t i, const hs_words *w, hs_error *err)
{
    proving *p = ctx;
    const hs_split *split = &p->data->splits[k];
    const uint32_t subject = split->kind == HS_ITEM_FACT ? split->tokens[i * split->width] : HS_NO_ID;
    p->text->wrong += !says(&w->answer, hs_words_answer(p->data, &p->compare, split, i));
    if (!p->training) {
        uint64_t hash = hs_hash(w->prompt.s, w->prompt.len, 0);
        if (split->role == HS_SPLIT_TEST && split->kind != HS_ITEM_FACT)
            *asked_slot(p, &w->prompt) = hash + (hash == 0);
        return HS_OK;
    }
    p->text->asked += *asked_slot(p, &w->prompt) != 0;
    hs_str one = {0};
    hs_status status = HS_OK;
    for (size_t at = 0; at < w->context.len && status == HS_OK;) {
        const size_t len = strcspn(w->context.s + at, "\n");
        bool states = false;
        one.len = 0;
        hs_str_add(&one, w->context.s + at, len);
        status = one.failed ? hs_fail_memory(err, len) : hs_held_out_states(&p->held, one.s, subject, &states, err);
        p->text->stated += states;
        at += len + 1;
    }
    hs_str_free(&one);
    return status;
}

hs_status hs_rendered_prove(hs_dataset *d, const char **failure, hs_error *err)
{
    proving p = {.data = d, .text = d->text, .n_slots = 64};
    uint64_t tests = 0;
    d->text->stated = d->text->asked = d->text->wrong = 0;
    for (uint32_t k = 0; k < d->n_splits; k++)
        tests += d->splits[k].role == HS_SPLIT_TEST ? d->splits[k].n : 0;
    while (p.n_slots < 2 * tests)
        p.n_slots *= 2;
    p.asked = hs_calloc(p.n_slots, sizeof *p.asked);
    hs_status status = p.asked ? hs_held_out_open(&p.held, d, err) : hs_fail_memory(err, p.n_slots * sizeof *p.asked);
    if (status == HS_OK)
        status = hs_compare_init(&p.compare, d, err);
    for (int training = 0; training < 2; training++) {
        p.training = training;
        for (uint32_t k = 0; k < d->n_splits && status == HS_OK; k++)
            if ((d->splits[k].role == HS_SPLIT_TRAIN) == p.training)
                status = each_line(d, &d->text->split[k].lines, k, prove_line, &p, err);
    }
    hs_free(p.asked);
    hs_held_out_free(&p.held);
    hs_compare_free(&p.compare);
    *failure = d->text->wrong    ? "texts whose answer is not the item's"
               : d->text->asked  ? "training prompts with the words of a held-out question"
               : d->text->stated ? "training sentences that name both ends of a held-out question"
                                 : NULL;
    return status;
}

/* ---------------------------------------------------------------- card */

void hs_rendered_card(const hs_dataset *d, hs_str *out)
{
    const hs_rendered *t = d->text;
    if (!t)
        return;
    hs_str_addf(
        out,
        "\"text\": {\"rendering\": \"%s\", \"tokenizer\": \"%s\", \"tokens\": %u, \"longest\": %u, \"left_out\": %llu, "
        "\"shortened\": %llu,\n  \"stated\": %llu, \"asked\": %llu, \"wrong\": %llu, \"splits\": [",
        hs_rendering_names[d->config.rendering], hs_tokenizer_kind_names[hs_tokenizer_kind_of(t->tokenizer)],
        hs_tokenizer_size(t->tokenizer), t->longest, (unsigned long long)t->left_out, (unsigned long long)t->shortened,
        (unsigned long long)t->stated, (unsigned long long)t->asked, (unsigned long long)t->wrong);
    for (uint32_t k = 0; k < t->n_splits; k++) {
        const uint64_t n = d->splits[k].n;
        char hash[20];
        hash_text(&t->split[k], hash);
        hs_str_addf(out, "%s\n  {\"name\": ", k ? "," : "");
        hs_str_add_json(out, d->splits[k].name, strlen(d->splits[k].name));
        hs_str_addf(out, ", \"mean_tokens\": %.6g, \"hash\": \"%s\"}",
                    n ? (double)t->split[k].start[n] / (double)n : 0.0, hash);
    }
    hs_str_addf(out, "]},\n");
}

/* ---------------------------------------------------------------- items */

hs_item_view hs_dataset_item(const hs_dataset *d, const hs_split *split, uint64_t i)
{
    if (!d->text)
        return (hs_item_view){split->tokens + i * split->width, split->width, split->prompt};
    const hs_rendered_split *t = &d->text->split[split - d->splits];
    return (hs_item_view){t->tokens + t->start[i], (uint32_t)(t->start[i + 1] - t->start[i]), t->prompt[i]};
}

hs_item_view hs_dataset_mean_item(const hs_dataset *d, const hs_split *split)
{
    if (!d->text || split->n == 0)
        return (hs_item_view){NULL, split->width, split->prompt};
    const hs_rendered_split *t = &d->text->split[split - d->splits];
    uint64_t prompts = 0;
    for (uint64_t i = 0; i < split->n; i++)
        prompts += t->prompt[i];
    const uint64_t half = split->n / 2, width = (t->start[split->n] + half) / split->n,
                   prompt = (prompts + half) / split->n;
    return (hs_item_view){NULL, (uint32_t)width, (uint32_t)(prompt < width ? prompt : width - 1)};
}

uint32_t hs_dataset_vocab(const hs_dataset *d)
{
    return d->text ? hs_tokenizer_size(d->text->tokenizer) : d->vocab.n;
}

uint32_t hs_dataset_width(const hs_dataset *d)
{
    return d->text ? d->text->longest : d->max_width;
}

hs_status hs_dataset_check_tokens(const hs_dataset *d, const char *what, hs_error *err)
{
    if (!d->text)
        return HS_OK;
    hs_fail(err, HS_ERR_DATA, "%s needs items of single tokens, and this dataset is in words", what);
    hs_error_where(err, "data.rendering: %s", hs_rendering_names[d->config.rendering]);
    return hs_error_hint(err, "data.rendering: tokens makes the same dataset without words");
}
