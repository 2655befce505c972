/* card_check.c - does the card of a dataset that was read say what its items, facts and audit say?
 * The card is written again from the dataset, and everything that both have must be equal. What only one has (a key of
 * an older or newer version) proves nothing. Splits are told apart by name: a form of file may hold them in another
 * order. */
#include "data/audit/audit.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

typedef struct comparing {
    char path[128]; /* where the first difference is, dotted */
    char said[64], is[64];
} comparing;

static void render(const json_t *value, char out[64])
{
    char *text = json_dumps(value, JSON_ENCODE_ANY);
    snprintf(out, 64, "%s", text ? text : "");
    free(text);
}

static bool differ(comparing *c, const char *path, const json_t *said, const json_t *is)
{
    snprintf(c->path, sizeof c->path, "%s", path);
    render(said, c->said);
    render(is, c->is);
    return true;
}

/* The element of `list` with the name of `element`, looked for first at place i; else element i. */
static const json_t *partner(const json_t *list, const json_t *element, size_t i)
{
    const char *name = json_string_value(json_object_get(element, "name"));
    for (size_t k = 0; name && k < json_array_size(list); k++) {
        const json_t *other = json_array_get(list, (i + k) % json_array_size(list));
        const char *its = json_string_value(json_object_get(other, "name"));
        if (its && strcmp(its, name) == 0)
            return other;
    }
    return name ? NULL : json_array_get(list, i);
}

static bool find_difference(comparing *c, const char *path, const json_t *said, const json_t *is, uint32_t depth)
{
    char below[128];
    if (json_is_number(said) && json_is_number(is)) {
        double x = json_number_value(said), y = json_number_value(is);
        return fabs(x - y) > 1e-9 * fabs(y) && differ(c, path, said, is);
    }
    if (json_typeof(said) != json_typeof(is) || depth > 8)
        return differ(c, path, said, is);
    if (json_is_object(said)) {
        const char *key;
        json_t *value;
        json_object_foreach((json_t *)(uintptr_t)said, key, value)
        {
            const json_t *other = json_object_get(is, key);
            snprintf(below, sizeof below, "%.60s%s%.60s", path, *path ? "." : "", key);
            if (other && find_difference(c, below, value, other, depth + 1))
                return true;
        }
        return false;
    }
    if (json_is_array(said)) {
        if (json_array_size(said) != json_array_size(is))
            return differ(c, path, said, is);
        for (size_t i = 0; i < json_array_size(said); i++) {
            const json_t *element = json_array_get(said, i), *other = partner(is, element, i);
            const char *name = json_string_value(json_object_get(element, "name"));
            snprintf(below, sizeof below, "%.60s.%.60s", path, name ? name : "list");
            if (!other || find_difference(c, below, element, other ? other : element, depth + 1))
                return other ? true : differ(c, below, element, is);
        }
        return false;
    }
    return !json_equal(said, is) && differ(c, path, said, is);
}

/* A task that has queries of its own must have made some of them, if there are queries at all. */
static bool task_fits(const hs_dataset *d)
{
    const hs_task *task = hs_task_find(d->task);
    bool any = false, own = false, asks = false;
    if (!task || strcmp(d->task, d->config.task) != 0)
        return false;
    for (const hs_form *const *f = task->ops->forms; *f; f++)
        asks |= (*f)->query;
    for (uint32_t k = 0; k < d->n_splits; k++) {
        any |= hs_form_of(d->splits[k].kind)->query;
        for (const hs_form *const *f = task->ops->forms; *f; f++)
            own |= (*f)->kind == d->splits[k].kind && ((*f)->query || !asks);
    }
    return !any || own;
}

hs_status hs_audit_card(hs_dataset *data, hs_error *err)
{
    hs_audit *audit = &data->audit;
    if (!data->card || !audit->passed)
        return HS_OK;
    if (!task_fits(data)) {
        audit->passed = false;
        snprintf(audit->failure, sizeof audit->failure, "the card says task %s, which the items are not of",
                 data->task);
        return HS_OK;
    }
    char *said = data->card;
    data->card = NULL;
    hs_status status = hs_dataset_make_card(data, err);
    json_t *old = json_loads(said, 0, NULL), *fresh = data->card ? json_loads(data->card, 0, NULL) : NULL;
    if (status == HS_OK && (!old || !fresh))
        status = hs_fail_memory(err, strlen(said));
    comparing c = {0};
    if (status == HS_OK && find_difference(&c, "", old, fresh, 0)) {
        audit->passed = false;
        snprintf(audit->failure, sizeof audit->failure, "the card says %.90s %.60s, the dataset %.60s", c.path, c.said,
                 c.is);
    }
    json_decref(old);
    json_decref(fresh);
    hs_free(data->card);
    data->card = said;
    return status;
}
