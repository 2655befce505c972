/* propose.c - questions that ask for new facts (arXiv 2504.20752, Algorithms 1 and 2): prompt and schema of the answer.
 *
 * The prompts of the paper were not published; these say what its algorithms need. The prompt says the form in words
 * too, for servers that take no schema. */
#include "lm/augment.h"

#include <string.h>

enum { EXAMPLES = 3, KNOWN_FACTS = 24, LIKE = 10 };

static const char *name_of(const hs_lm_draft *d, uint32_t entity)
{
    return hs_names_get(&d->plan.out->entities, entity);
}

static const char *relation_name(const hs_lm_draft *d, uint32_t r)
{
    return hs_names_get(&d->g->relations, r);
}

static void add_fact(hs_lm_draft *d, const hs_fact *f)
{
    hs_str_addf(&d->text, "- %s | %s | %s\n", name_of(d, f->head), relation_name(d, f->relation), name_of(d, f->tail));
}

static void quote(hs_str *out, const char *text)
{
    hs_str_add_json(out, text, strlen(text));
}

/* ---------------------------------------------------------------- composition */

static void add_examples(hs_lm_draft *d, uint32_t r)
{
    uint32_t n = 0;
    for (uint64_t i = 0; i < d->g->n_facts && n < EXAMPLES; i++) {
        if (d->g->facts[i].relation == r) {
            add_fact(d, &d->g->facts[i]);
            n++;
        }
    }
}

/* The newest facts about an entity. */
static void add_known(hs_lm_draft *d, uint32_t e)
{
    const hs_plan_entity *entity = &d->plan.entity[e];
    uint32_t n = 0;
    for (uint64_t i = entity->first_in; i != 0 && n < KNOWN_FACTS; i = d->plan.link[i - 1].next_in, n++)
        add_fact(d, &d->plan.out->facts[i - 1]);
    n = 0;
    for (uint64_t i = entity->first_out; i != 0 && n < KNOWN_FACTS; i = d->plan.link[i - 1].next_out, n++)
        add_fact(d, &d->plan.out->facts[i - 1]);
}

static void list_relations(hs_lm_draft *d, const hs_lm_goal *goal, bool arriving_only)
{
    const char *b = name_of(d, goal->entity);
    bool first = true;
    for (uint32_t r = 0; r < d->g->relations.n; r++) {
        const bool arrives = hs_lm_may_arrive(d, goal->entity, r);
        const bool leaves = !arriving_only && hs_lm_may_leave(d, goal->entity, r);
        if (!d->usable[r] || (!arrives && !leaves))
            continue;
        hs_str_addf(&d->text, "\"%s\", where %s is the %s. Facts of it:\n", relation_name(d, r), b,
                    arrives && leaves ? "head or the tail"
                    : arrives         ? "tail"
                                      : "head");
        add_examples(d, r);
        hs_str_addf(&d->schema, "%s", first ? "" : ", ");
        quote(&d->schema, relation_name(d, r));
        first = false;
    }
}

static void ask_bridge(hs_lm_draft *d, const hs_lm_goal *goal, uint32_t lacks)
{
    const char *b = name_of(d, goal->entity);
    const bool arriving = d->options->phi == 0;
    hs_str_addf(&d->text,
                "You extend a knowledge graph. A fact is a head, a relation and a tail. New facts may be invented; "
                "they look like "
                "the others.\n\nKnown facts about %s:\n",
                b);
    add_known(d, goal->entity);
    hs_str_addf(&d->text, "\nThe relations to choose from:\n");
    hs_str_addf(&d->schema,
                "{\"type\": \"object\", \"properties\": {\"facts\": {\"type\": \"array\", \"items\": {\"type\": "
                "\"object\", \"properties\": {\"head\": {\"type\": \"string\"}, \"relation\": {\"type\": \"string\", "
                "\"enum\": [");
    list_relations(d, goal, arriving);
    hs_str_addf(&d->schema,
                "]}, \"tail\": {\"type\": \"string\"}}, \"required\": [\"head\", \"relation\", \"tail\"], "
                "\"additionalProperties\": false}}}, \"required\": [\"facts\"], \"additionalProperties\": false}");
    hs_str_addf(
        &d->text,
        "\nPropose %u new facts. %s is %s of each, the other end is a known name or a new one of the right kind. No "
        "fact is "
        "repeated, a head has one tail under a relation, and no chain of facts leads from a tail back to its head.\n"
        "Answer with JSON and nothing else: {\"facts\": [{\"head\": \"..\", \"relation\": \"..\", \"tail\": \"..\"}]}",
        lacks, b, arriving ? "the tail" : "the head or the tail");
}

/* ---------------------------------------------------------------- comparison */

static void ask_value(hs_lm_draft *d, const hs_lm_goal *goal, uint32_t lacks)
{
    const char *value = name_of(d, goal->entity), *relation = relation_name(d, goal->relation);
    const hs_graph *out = d->plan.out;
    uint32_t n = 0;
    hs_str_addf(&d->text, "Names that have the %s \"%s\":\n", relation, value);
    for (uint64_t i = d->plan.entity[goal->entity].first_in; i != 0 && n < LIKE; i = d->plan.link[i - 1].next_in) {
        if (out->facts[i - 1].relation != goal->relation)
            continue;
        hs_str_addf(&d->text, "- %s\n", name_of(d, out->facts[i - 1].head));
        n++;
    }
    hs_str_addf(&d->text,
                "\nInvent %u more of the same kind whose %s is \"%s\" too. Each has a new name, and a paragraph of "
                "three to six "
                "sentences about it, as an encyclopedia would have it, in which its name and \"%s\" stand.\n"
                "Answer with JSON and nothing else: {\"entities\": [{\"name\": \"..\", \"value\": ",
                lacks, relation, value, value);
    quote(&d->text, value);
    hs_str_addf(&d->text, ", \"paragraph\": \"..\"}]}");
    hs_str_addf(&d->schema,
                "{\"type\": \"object\", \"properties\": {\"entities\": {\"type\": \"array\", \"items\": {\"type\": "
                "\"object\", \"properties\": {\"name\": {\"type\": \"string\"}, \"value\": {\"type\": \"string\", "
                "\"enum\": [");
    quote(&d->schema, value);
    hs_str_addf(&d->schema,
                "]}, \"paragraph\": {\"type\": \"string\"}}, \"required\": [\"name\", \"value\", \"paragraph\"], "
                "\"additionalProperties\": false}}}, \"required\": [\"entities\"], \"additionalProperties\": false}");
}

hs_status hs_lm_propose(hs_lm_draft *d, const hs_lm_goal *goal, uint64_t seed, hs_lm_question *out, hs_error *err)
{
    const uint32_t lacks = hs_lm_goal_lacks(d, goal);
    d->text.len = d->schema.len = 0;
    if (d->options->per_value > 0)
        ask_value(d, goal, lacks);
    else
        ask_bridge(d, goal, lacks);
    if (d->text.failed || d->schema.failed)
        return hs_fail_memory(err, d->text.len);
    *out = (hs_lm_question){.prompt = d->text.s,
                            .schema = d->schema.s,
                            .schema_name = d->options->per_value > 0 ? "entities" : "facts",
                            .seed = seed};
    return HS_OK;
}
