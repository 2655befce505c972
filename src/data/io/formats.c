/* formats.c - the forms a dataset is written in, by name. */
#include "data/internal.h"

#include <string.h>

/* Forms by name; a new one is one line here. */
static const struct {
    const char *name;
    hs_status (*write)(const hs_dataset *data, const char *path, hs_error *err);
} forms[] = {
    {"published", hs_dataset_write_published}, {"trm", hs_dataset_write_trm}, {"jsonl", hs_dataset_write_jsonl}};
enum { N_FORMS = sizeof forms / sizeof *forms };

hs_status hs_dataset_check_own(const hs_dataset *data, hs_error *err)
{
    for (uint32_t k = 0; k < data->n_splits; k++)
        if (data->splits[k].role == HS_SPLIT_WATCH) {
            hs_fail(err, HS_ERR_DATA, "this form has no place for a split of another dataset, only watched here");
            hs_error_where(err, "split %s", data->splits[k].name);
            return hs_error_hint(err, "jsonl has; or export the dataset that it comes from");
        }
    return HS_OK;
}

hs_status hs_dataset_write_as(const hs_dataset *data, const char *form, const char *path, hs_error *err)
{
    const char *names[N_FORMS];
    for (size_t i = 0; i < N_FORMS; i++) {
        names[i] = forms[i].name;
        if (strcmp(form, forms[i].name) == 0)
            return data ? forms[i].write(data, path, err) : HS_OK;
    }
    hs_fail(err, HS_ERR_USAGE, "there is no such form of a dataset");
    hs_error_value(err, form, strlen(form));
    const char *near = hs_nearest(form, names, N_FORMS);
    return hs_error_hint(err, "%s%s%spossible: published, trm or jsonl", near ? "did you mean " : "", near ? near : "",
                         near ? "? " : "");
}
