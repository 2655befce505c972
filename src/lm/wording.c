/* wording.c - names, statements and questions in words. See wording.h. */
#include "lm/wording.h"

#include <stdlib.h>
#include <string.h>

static const char *const first_names[] = {
    "Ada",   "Agnes",  "Albert", "Alice", "Anna",   "Arthur", "Beatrice", "Bruno",  "Carl",  "Cecilia",
    "Clara", "Daniel", "David",  "Diana", "Edith",  "Edward", "Elena",    "Emil",   "Emma",  "Eric",
    "Felix", "Flora",  "Frank",  "Frida", "George", "Grace",  "Hanna",    "Harold", "Helen", "Henry",
    "Hugo",  "Ida",    "Irene",  "Ivan",  "Jacob",  "James",  "Jane",     "Julia",  "Karen", "Laura",
    "Leo",   "Lucy",   "Martin", "Mary",  "Nora",   "Oliver", "Paul",     "Robert", "Simon", "Vera"};
static const char *const last_names[] = {
    "Abbott", "Adams",  "Baker",  "Barnes",  "Bell",    "Bennett", "Brooks", "Carter", "Clark",  "Cole",
    "Cooper", "Davies", "Dixon",  "Ellis",   "Evans",   "Fisher",  "Foster", "Gibson", "Graham", "Grant",
    "Hall",   "Harris", "Hughes", "Hunt",    "Jenkins", "Kelly",   "King",   "Lane",   "Lewis",  "Marsh",
    "Mason",  "Miller", "Moore",  "Morgan",  "Murray",  "Newton",  "Owen",   "Palmer", "Parker", "Porter",
    "Reed",   "Rogers", "Shaw",   "Spencer", "Stone",   "Turner",  "Walker", "Watson", "West",   "Young"};
enum {
    N_FIRST = sizeof first_names / sizeof *first_names,
    N_LAST = sizeof last_names / sizeof *last_names,
    N_PERSONS = N_FIRST * N_LAST * 26
};

void hs_wording_init(hs_wording *w, const hs_dataset *data, uint64_t seed)
{
    *w = (hs_wording){.data = data, .seed = seed};
    const char *first = data->vocab.n > 0 ? hs_names_get(&data->vocab, 0) : "";
    w->table = strcmp(data->task, "composition") != 0 && strncmp(first, "<e_", 3) == 0;
}

/* A name of the vocabulary without the brackets of generated ones, and without what tells a relation from an entity. */
static void add_name(const hs_wording *w, uint32_t token, hs_str *out)
{
    static const char mark[] = " [relation]";
    const char *name = hs_names_get(&w->data->vocab, token);
    size_t len = strlen(name);
    if (len > 2 && name[0] == '<' && name[len - 1] == '>') {
        name++;
        len -= 2;
    } else if (len > sizeof mark - 1 && strcmp(name + len - (sizeof mark - 1), mark) == 0) {
        len -= sizeof mark - 1;
    }
    hs_str_add(out, name, len);
}

void hs_wording_entity(const hs_wording *w, uint32_t entity, hs_str *out)
{
    const char *name = hs_names_get(&w->data->vocab, entity < w->data->vocab.n ? entity : 0);
    if (w->table && strncmp(name, "<e_", 3) == 0 && entity < N_PERSONS) {
        const uint64_t k = hs_permute(w->seed, HS_PURPOSE('l', 'm', 'n', 'a'), 0, N_PERSONS, entity);
        hs_str_addf(out, "%s %c. %s", first_names[k % N_FIRST], (char)('A' + k / N_FIRST / N_LAST),
                    last_names[k / N_FIRST % N_LAST]);
        return;
    }
    uint32_t tokens[2];
    hs_dataset_entity_tokens(w->data, entity, tokens);
    for (uint32_t k = 0; k < w->data->tokens_per_entity; k++) {
        if (k)
            hs_str_add(out, " ", 1);
        add_name(w, tokens[k], out);
    }
}

static void add_relation(const hs_wording *w, uint32_t relation, hs_str *out)
{
    if (w->table)
        hs_str_addf(out, "age");
    else
        add_name(w, relation, out);
}

/* Words for an order by age, by another value, and for the rest. */
static const char *order_words(const hs_wording *w, hs_says says)
{
    switch (says) {
    case HS_SAYS_LESS:
        return w->table ? "younger than" : "earlier than";
    case HS_SAYS_MORE:
        return w->table ? "older than" : "later than";
    case HS_SAYS_SAME:
        return w->table ? "in the same age as" : "the same as";
    default:
        return "different from";
    }
}

void hs_wording_statement(const hs_wording *w, const hs_statement *s, hs_str *out)
{
    if (s->says == HS_SAYS_VALUE || !w->table) {
        hs_str_addf(out, "The ");
        add_relation(w, s->relation, out);
        hs_str_addf(out, " of ");
    }
    hs_wording_entity(w, s->a, out);
    hs_str_addf(out, " is ");
    if (s->says != HS_SAYS_VALUE)
        hs_str_addf(out, "%s %s", order_words(w, (hs_says)s->says), w->table ? "" : "that of ");
    hs_wording_entity(w, s->b, out);
    hs_str_addf(out, ".");
}

bool hs_wording_label(const hs_wording *w, uint32_t token, hs_says *out)
{
    static const char *const names[] = {[HS_SAYS_LESS] = "<earlier>",
                                        [HS_SAYS_SAME] = "<same>",
                                        [HS_SAYS_MORE] = "<later>",
                                        [HS_SAYS_DIFFERENT] = "<different>"};
    if (token >= w->data->vocab.n)
        return false;
    const char *name = hs_names_get(&w->data->vocab, token), *last = strrchr(name, '_');
    for (uint32_t k = 0; k < 4; k++) {
        if (strcmp(name, names[k]) == 0) {
            *out = (hs_says)k;
            return true;
        }
    }
    if (!last || last[1] < '0' || last[1] > '2' || strcmp(last + 2, ">") != 0 || strncmp(name, "<attr_", 6) != 0)
        return false;
    *out = (hs_says)(last[1] - '0');
    return true;
}

const char *hs_wording_answer(const hs_wording *w, hs_says says)
{
    static const char *const table[] = {"younger|younger than",
                                        "same|in same age as|in same age|same age|same age as|equal",
                                        "older|older than", "different"};
    static const char *const graph[] = {
        "earlier|earlier than|before|less|less than|smaller", "same|same as|equal|yes|identical",
        "later|later than|after|more|greater|greater than|larger", "different|different from|no|not same"};
    return (w->table ? table : graph)[says];
}

static void ask_compare(const hs_wording *w, const hs_split *s, uint64_t item, hs_str *out, const char **choices)
{
    const uint32_t *t = s->tokens + item * s->width;
    hs_str a = {0}, b = {0}, attribute = {0};
    hs_says says = HS_SAYS_SAME;
    bool ordered = w->table;
    for (uint64_t i = 0; !ordered && i < s->n; i++) /* does this attribute have an order? Its labels tell. */
        if (s->tokens[i * s->width] == t[0] && hs_wording_label(w, s->tokens[i * s->width + s->answer], &says))
            ordered = says == HS_SAYS_LESS || says == HS_SAYS_MORE;
    hs_wording_entity(w, t[2], &a);
    hs_wording_entity(w, t[4], &b);
    add_relation(w, t[0], &attribute);
    out->failed |= a.failed || b.failed || attribute.failed;
    if (!out->failed && w->table)
        hs_str_addf(out, "Is %s younger than, older than, or in the same age as %s?", a.s, b.s);
    else if (!out->failed && ordered)
        hs_str_addf(out, "Is the %s of %s earlier than, later than, or the same as the %s of %s?", attribute.s, a.s,
                    attribute.s, b.s);
    else if (!out->failed)
        hs_str_addf(out, "Are the %s of %s and the %s of %s the same or different?", attribute.s, a.s, attribute.s,
                    b.s);
    *choices = w->table ? "younger, older, same" : ordered ? "earlier, later, same" : "same, different";
    hs_str_free(&a);
    hs_str_free(&b);
    hs_str_free(&attribute);
}

void hs_wording_question(const hs_wording *w, const hs_split *s, uint64_t item, hs_str *out, const char **choices)
{
    *choices = "";
    if (s->kind == HS_ITEM_COMPARE) {
        ask_compare(w, s, item, out, choices);
        return;
    }
    char role[16];
    uint32_t tokens[2];
    hs_str_addf(out, "What is ");
    for (uint32_t hop = s->hops; hop > 0; hop--) {
        snprintf(role, sizeof role, "r%u", hop);
        hs_str_addf(out, "the ");
        if (hs_item_role(w->data, s, item, role, tokens) > 0)
            add_relation(w, tokens[0], out);
        hs_str_addf(out, " of ");
    }
    if (hs_item_role(w->data, s, item, "h", tokens) > 0)
        hs_wording_entity(w, hs_dataset_entity_of(w->data, tokens), out);
    hs_str_addf(out, "?");
}
