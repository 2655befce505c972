/* progress.c - measures of the weights alone, that move before the accuracies do (Nanda et al., arXiv 2301.05217; Liu et al.,
 * arXiv 2210.01117): the norm of each matrix and its effective rank exp(H(s)), with s its singular values divided by
 * their sum and H their entropy (Roy & Vetterli 2007).
 *
 * role = the tensor's name, "" = all weights together. One number each, so no interval.
 *
 * Singular values come from the Gram matrix of the smaller side, so those below about 1e-3 of the largest are noise: they
 * carry no entropy. */
#include "hopscope/tensor.h"
#include "interp/look.h"

#include <math.h>

static double effective_rank(const double *eigenvalue, size_t n)
{
    double total = 0, entropy = 0;
    for (size_t i = 0; i < n; i++)
        total += sqrt(fmax(eigenvalue[i], 0));
    for (size_t i = 0; i < n && total > 0; i++) {
        const double p = sqrt(fmax(eigenvalue[i], 0)) / total;
        entropy -= p > 0 ? p * log(p) : 0;
    }
    return total > 0 ? exp(entropy) : 0;
}

static hs_status rank_of(const hs_tensor *t, const float *w, double *rank, hs_error *err)
{
    const size_t rows = t->shape[0], columns = t->shape[1], n = rows < columns ? rows : columns;
    float *gram = hs_alloc(n * n * sizeof *gram);
    double *wide = hs_alloc((n * n + n) * sizeof *wide);
    hs_status status = HS_OK;
    if (gram && wide) {
        if (rows < columns)
            hs_gemm(false, true, n, n, columns, 1, w, columns, w, columns, 0, gram, n);
        else
            hs_gemm(true, false, n, n, rows, 1, w, columns, w, columns, 0, gram, n);
        for (size_t i = 0; i < n * n; i++)
            wide[i] = (double)gram[i];
        status = hs_eigenvalues(n, wide, wide + n * n, err);
        if (status == HS_OK)
            *rank = effective_rank(wide + n * n, n);
    } else {
        status = hs_fail_memory(err, n * n * sizeof *wide);
    }
    hs_free(gram);
    hs_free(wide);
    return status;
}

static hs_status add(hs_table *out, const char *role, const char *measure, double value, hs_error *err)
{
    uint32_t cell;
    HS_TRY(hs_table_add(out, HS_ALL_STAGES, "", role, measure, HS_SUM_MEAN, &cell, err));
    hs_table_column(out, cell)[0] = (float)value;
    return HS_OK;
}

static hs_status run(const hs_look *look, hs_table *out, hs_error *err)
{
    const hs_model *model = look->model;
    const hs_kernels *k = hs_kernels_get();
    double all = 0;
    for (uint32_t i = 0; i < model->n_tensors; i++) {
        const hs_tensor *t = &model->tensor[i];
        const float *w = model->param + t->offset;
        if (t->group == HS_GROUP_BUFFER)
            continue;
        HS_TRY(hs_signals_status(look->signals));
        const double squares = k->sum_squares(t->size, w);
        all += squares;
        if (t->ndim != 2 || (t->group != HS_GROUP_MATRIX && t->group != HS_GROUP_EMBEDDING))
            continue;
        double rank = 0;
        HS_TRY(rank_of(t, w, &rank, err));
        HS_TRY(add(out, t->name, "norm", sqrt(squares), err));
        HS_TRY(add(out, t->name, "effective_rank", rank, err));
    }
    return add(out, "", "norm", sqrt(all), err);
}

static const char *unfit(const hs_model *model, const hs_dataset *data, const hs_split *split)
{
    (void)model;
    (void)data;
    return split ? "no split: it looks at the weights" : NULL;
}

const hs_method hs_method_progress = {.name = "progress",
                                      .help = "norm and effective rank of each matrix of weights",
                                      .paper = "arXiv 2301.05217; Roy & Vetterli 2007",
                                      .cheap = true,
                                      .unfit = unfit,
                                      .run = run};
