/* freeze.c - tensors that training leaves as they are (train.freeze).
 *
 * Invariant: a frozen weight keeps its bits. Its gradient is cleared before anything looks at it (so it counts in no
 * norm), no rule, decay or clipping of rows is applied, and its average is itself. */
#include "train/internal.h"

#include <fnmatch.h>
#include <string.h>

/* Length of the longest stretch of characters that both texts have. */
static size_t common_length(const char *a, const char *b)
{
    size_t best = 0;
    for (size_t i = 0; a[i]; i++)
        for (size_t k = 0; b[k]; k++) {
            size_t n = 0;
            while (a[i + n] && a[i + n] == b[k + n])
                n++;
            best = n > best ? n : best;
        }
    return best;
}

/* The three tensors most like the pattern, or all of them where there are few. */
static hs_status fail_unknown(const hs_model *model, const char *pattern, hs_error *err)
{
    enum { SHOWN = 3 };
    uint32_t best[SHOWN];
    uint32_t n = 0;
    for (uint32_t i = 0; i < model->n_tensors; i++) {
        uint32_t at = n;
        while (at > 0 &&
               common_length(pattern, model->tensor[i].name) > common_length(pattern, model->tensor[best[at - 1]].name))
            at--;
        if (at == SHOWN)
            continue;
        n += n < SHOWN;
        for (uint32_t k = n - 1; k > at; k--)
            best[k] = best[k - 1];
        best[at] = i;
    }
    hs_fail(err, HS_ERR_DATA, "no tensor of this model fits the pattern");
    hs_error_where(err, "train.freeze");
    hs_error_value(err, pattern, strlen(pattern));
    hs_str text = {0};
    for (uint32_t k = 0; k < n; k++)
        hs_str_addf(&text, "%s%s", k ? ", " : "", model->tensor[best[k]].name);
    hs_error_hint(err, "nearest: %s; * stands for anything", text.s ? text.s : "");
    hs_str_free(&text);
    return HS_ERR_DATA;
}

static hs_status mark(hs_freeze *f, const hs_model *model, const hs_list *patterns, hs_error *err)
{
    uint32_t left = 0;
    for (size_t p = 0; p < patterns->n; p++) {
        bool any = false;
        for (uint32_t i = 0; i < model->n_tensors; i++)
            if (fnmatch(patterns->item[p], model->tensor[i].name, 0) == 0)
                any = f->frozen[i] = true;
        if (!any)
            return fail_unknown(model, patterns->item[p], err);
    }
    for (uint32_t i = 0; i < model->n_tensors; i++)
        left += !f->frozen[i] && model->tensor[i].group != HS_GROUP_BUFFER;
    if (left > 0)
        return HS_OK;
    hs_fail(err, HS_ERR_DATA, "nothing is left to train: every tensor is frozen");
    return hs_error_where(err, "train.freeze");
}

hs_status hs_freeze_create(hs_freeze *out, const hs_model *model, const char *patterns, hs_error *err)
{
    *out = (hs_freeze){.model = model};
    if (!patterns[0])
        return HS_OK;
    hs_list list;
    HS_TRY(hs_list_parse(&list, patterns, err));
    out->frozen = hs_calloc(model->n_tensors + 1, sizeof *out->frozen);
    const hs_status status = out->frozen ? mark(out, model, &list, err) : hs_fail_memory(err, model->n_tensors);
    hs_list_free(&list);
    if (status != HS_OK)
        hs_freeze_free(out);
    return status;
}

void hs_freeze_free(hs_freeze *f)
{
    hs_free(f->frozen);
    *f = (hs_freeze){0};
}

bool hs_is_frozen(const hs_freeze *f, const hs_tensor *tensor)
{
    return f->frozen && f->frozen[tensor - f->model->tensor];
}

void hs_freeze_apply(const hs_freeze *f, size_t first, size_t n, const float *from, float *to)
{
    for (uint32_t i = 0; f->frozen && i < f->model->n_tensors; i++) {
        const hs_tensor *t = &f->model->tensor[i];
        const size_t begin = t->offset > first ? t->offset : first;
        const size_t end = t->offset + t->size < first + n ? t->offset + t->size : first + n;
        if (!f->frozen[i] || begin >= end)
            continue;
        if (from)
            memcpy(to + begin, from + begin, (end - begin) * sizeof *to);
        else
            memset(to + begin, 0, (end - begin) * sizeof *to);
    }
}
