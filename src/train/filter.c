/* filter.c - what is done to the summed gradient before clipping and the optimizer. */
#include "train/internal.h"

#include <math.h>

/* ---------------------------------------------------------------- Grokfast-EMA */

void hs_grokfast_ema(size_t n, float alpha, float lambda, float *restrict mu, float *restrict g)
{
    for (size_t i = 0; i < n; i++) {
        mu[i] = alpha * mu[i] + (1.0f - alpha) * g[i];
        g[i] += lambda * mu[i];
    }
}

/* ---------------------------------------------------------------- OrthoGrad */

typedef struct ortho_task {
    const hs_model *model;
    float *g;
} ortho_task;

static void ortho_tensor(void *ctx, uint32_t task, uint32_t worker)
{
    const ortho_task *o = ctx;
    const hs_tensor *t = &o->model->tensor[task];
    const hs_kernels *k = hs_kernels_get();
    const float *w = o->model->param + t->offset;
    float *g = o->g + t->offset;
    (void)worker;
    if (t->group == HS_GROUP_BUFFER)
        return;
    const double before = sqrt(k->sum_squares(t->size, g));
    const double along = k->dot(t->size, w, g) / (k->sum_squares(t->size, w) + 1e-30);
    k->axpy(t->size, (float)-along, w, g);
    const double after = sqrt(k->sum_squares(t->size, g));
    k->scale(t->size, (float)(before / (after + 1e-30)), g);
}

void hs_orthograd(hs_pool *pool, const hs_model *model, float *g)
{
    ortho_task o = {model, g};
    hs_pool_run(pool, model->n_tensors, ortho_tensor, &o);
}
