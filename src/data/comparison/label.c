/* label.c - labels of comparisons: order by value token in a generated table; in a graph same/different for names and
 * earlier/later for ISO dates and numbers. The tasks and the audit use the same rule. */
#include "data/comparison/label.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* "[-]Y..Y", "-MM", "-DD" in the ranges of a calendar. */
static bool parse_date(const char *text, hs_ordinal *o)
{
    bool negative = *text == '-';
    const char *p = text + negative;
    uint32_t digits = 0;
    int32_t year = 0;
    for (; isdigit((unsigned char)*p) && digits < 6; p++, digits++)
        year = year * 10 + (*p - '0');
    if (digits < 3 || digits > 6)
        return false;
    o->date_part[0] = negative ? -year : year;
    o->parts = 1;
    while (*p == '-' && o->parts < 3) {
        if (!isdigit((unsigned char)p[1]) || !isdigit((unsigned char)p[2]))
            return false;
        int32_t x = (p[1] - '0') * 10 + (p[2] - '0');
        if (x < 1 || x > (o->parts == 1 ? 12 : 31))
            return false;
        o->date_part[o->parts++] = x;
        p += 3;
    }
    o->date = o->known = *p == 0;
    return o->known;
}

hs_ordinal hs_ordinal_parse(const char *text)
{
    hs_ordinal o = {0};
    if (parse_date(text, &o))
        return o;
    o = (hs_ordinal){0};
    char first = text[0] == '-' || text[0] == '+' ? text[1] : text[0];
    if (!isdigit((unsigned char)first))
        return o;
    char *end;
    o.number = strtod(text, &end);
    o.known = *end == 0 && isfinite(o.number);
    return o;
}

int hs_ordinal_compare(const hs_ordinal *a, const hs_ordinal *b)
{
    if (!a->known || !b->known || (a->date != b->date && (a->parts > 1 || b->parts > 1)))
        return 2;
    if (!a->date || !b->date) { /* a bare year may also be a number */
        double x = a->date ? a->date_part[0] : a->number, y = b->date ? b->date_part[0] : b->number;
        return x < y ? -1 : x > y;
    }
    uint8_t parts = a->parts < b->parts ? a->parts : b->parts;
    for (uint8_t i = 0; i < parts; i++)
        if (a->date_part[i] != b->date_part[i])
            return a->date_part[i] < b->date_part[i] ? -1 : 1;
    return a->parts == b->parts ? 0 : 2;
}

/* ---------------------------------------------------------------- the configured attributes */

/* Takes ":same" or ":order" off the end of a name. */
static hs_label_rule take_rule(char *name)
{
    static const char *const SUFFIX[] = {[HS_RULE_SAME] = ":same", [HS_RULE_ORDER] = ":order"};
    size_t len = strlen(name);
    for (hs_label_rule rule = HS_RULE_SAME; rule <= HS_RULE_ORDER; rule++) {
        size_t n = strlen(SUFFIX[rule]);
        if (len > n && strcmp(name + len - n, SUFFIX[rule]) == 0) {
            name[len - n] = 0;
            return rule;
        }
    }
    return HS_RULE_BY_VALUES;
}

hs_status hs_attributes_parse(hs_attributes *out, const char *text, hs_error *err)
{
    hs_list list;
    *out = (hs_attributes){0};
    HS_TRY(hs_list_parse(&list, text, err));
    out->item = hs_calloc(list.n + 1, sizeof *out->item);
    if (!out->item) {
        hs_list_free(&list);
        return hs_fail_memory(err, list.n * sizeof *out->item);
    }
    for (size_t i = 0; i < list.n; i++) {
        hs_attribute a = {0};
        snprintf(a.name, sizeof a.name, "%s", list.item[i]);
        a.rule = take_rule(a.name);
        uint32_t at = 0;
        while (at < out->n && strcmp(out->item[at].name, a.name) != 0)
            at++;
        if (at == out->n)
            out->item[out->n++] = a;
        else if (out->item[at].rule == HS_RULE_BY_VALUES)
            out->item[at].rule = a.rule;
    }
    hs_list_free(&list);
    return HS_OK;
}

void hs_attributes_free(hs_attributes *attributes)
{
    hs_free(attributes->item);
    *attributes = (hs_attributes){0};
}

/* As configured; else at least 19 of 20 values must be ordinals. Attributes are in the order of the configured list;
 * their names may differ from it ("year [relation]"). */
static hs_status decide_order(hs_compare *c, const hs_dataset *data, hs_error *err)
{
    hs_attributes asked;
    HS_TRY(hs_attributes_parse(&asked, data->config.attribute_list, err));
    for (uint32_t a = 0; a < c->n_attributes; a++) {
        hs_label_rule rule = a < asked.n ? asked.item[a].rule : HS_RULE_BY_VALUES;
        uint64_t n = 0, known = 0;
        for (uint64_t i = 0; i < data->n_facts; i++) {
            if (data->facts[i].relation != data->n_entities + a || data->facts[i].tail >= data->vocab.n)
                continue;
            n++;
            known += c->ordinal[data->facts[i].tail].known;
        }
        c->ordered[a] = rule == HS_RULE_BY_VALUES ? n > 0 && known * 20 >= n * 19 : rule == HS_RULE_ORDER;
    }
    hs_attributes_free(&asked);
    return HS_OK;
}

static uint32_t table_label(const hs_dataset *data, uint32_t attribute, uint32_t k)
{
    const char *name = hs_names_get(&data->vocab, data->n_entities + attribute);
    char label[128];
    size_t len = strlen(name);
    if (len < 2 || len > 100 || name[len - 1] != '>')
        return HS_NO_ID;
    snprintf(label, sizeof label, "%.*s_%u>", (int)(len - 1), name, k);
    return hs_vocab_token(data, label);
}

hs_status hs_compare_init(hs_compare *c, const hs_dataset *data, hs_error *err)
{
    static const char *const NAMES[HS_N_LABELS] = {"<earlier>", "<same>", "<later>", "<different>"};
    bool any = false;
    for (uint32_t i = 0; i < data->n_splits; i++)
        any |= data->splits[i].kind == HS_ITEM_COMPARE;
    *c = (hs_compare){.n_attributes = data->n_relations};
    if (!any && strcmp(data->task, "composition") == 0)
        return HS_OK;
    c->ordered = hs_calloc((size_t)c->n_attributes + 1, sizeof *c->ordered);
    c->token = hs_alloc(((size_t)c->n_attributes + 1) * HS_N_LABELS * sizeof *c->token);
    if (!c->ordered || !c->token) {
        hs_compare_free(c);
        return hs_fail_memory(err, c->n_attributes * sizeof *c->token);
    }
    c->table = c->n_attributes > 0 && table_label(data, 0, 0) != HS_NO_ID;
    for (uint32_t a = 0; a < c->n_attributes; a++)
        for (uint32_t k = 0; k < HS_N_LABELS; k++)
            c->token[a * HS_N_LABELS + k] = !c->table                 ? hs_vocab_token(data, NAMES[k])
                                            : k == HS_LABEL_DIFFERENT ? HS_NO_ID
                                                                      : table_label(data, a, k);
    if (c->table)
        return HS_OK;
    c->ordinal = hs_calloc((size_t)data->vocab.n + 1, sizeof *c->ordinal);
    if (!c->ordinal) {
        hs_compare_free(c);
        return hs_fail_memory(err, data->vocab.n * sizeof *c->ordinal);
    }
    for (uint32_t i = 0; i < data->n_entities && i < data->vocab.n; i++)
        c->ordinal[i] = hs_ordinal_parse(hs_names_get(&data->vocab, i));
    hs_status status = decide_order(c, data, err);
    if (status != HS_OK)
        hs_compare_free(c);
    return status;
}

void hs_compare_free(hs_compare *c)
{
    hs_free(c->ordered);
    hs_free(c->token);
    hs_free(c->ordinal);
    *c = (hs_compare){0};
}

int hs_compare_code(const hs_compare *c, uint32_t attribute, uint32_t v1, uint32_t v2)
{
    if (c->table)
        return v1 < v2 ? HS_LABEL_LESS : v1 == v2 ? HS_LABEL_SAME : HS_LABEL_MORE;
    if (!c->ordered[attribute])
        return v1 == v2 ? HS_LABEL_SAME : HS_LABEL_DIFFERENT;
    if (v1 == v2)
        return c->ordinal[v1].known ? HS_LABEL_SAME : -1;
    int order = hs_ordinal_compare(&c->ordinal[v1], &c->ordinal[v2]);
    return order == 2 ? -1 : order < 0 ? HS_LABEL_LESS : order == 0 ? HS_LABEL_SAME : HS_LABEL_MORE;
}

uint32_t hs_compare_label(const hs_compare *c, uint32_t attribute, uint32_t v1, uint32_t v2)
{
    int code = hs_compare_code(c, attribute, v1, v2);
    return code < 0 ? HS_NO_ID : c->token[(size_t)attribute * HS_N_LABELS + (size_t)code];
}
