/* muon.c - Muon (Jordan et al. 2024): momentum of a matrix, orthogonalized by Newton-Schulz; the rest by AdamW.
 *
 * Scale 0.2 sqrt(max(rows, cols)) after Liu et al., arXiv 2502.16982, equation 4: the update has the root mean square of
 * AdamW's, so that one train.lr and one weight decay serve matrices and the rest. Jordan's own sqrt(max(1, rows / cols))
 * needs a second rate. */
#include "train/optimizer/optimizer.h"

#include <math.h>
#include <string.h>

void hs_newton_schulz(uint32_t rows, uint32_t cols, float *x, float *scratch)
{
    const hs_kernels *k = hs_kernels_get();
    const size_t n = (size_t)rows * cols;
    const bool tall = rows > cols; /* the Gram matrix of the shorter side */
    const size_t m = tall ? cols : rows;
    float *gram = scratch, *poly = gram + m * m, *next = poly + m * m;
    const float norm = (float)sqrt(k->sum_squares(n, x));
    k->scale(n, 1.0f / (norm + 1e-7f), x);
    const float a = 3.4445f, b = -4.7750f, c = 2.0315f;
    for (int i = 0; i < 5; i++) {
        if (tall)
            hs_gemm(true, false, m, m, rows, 1, x, cols, x, cols, 0, gram, m);
        else
            hs_gemm(false, true, m, m, cols, 1, x, cols, x, cols, 0, gram, m);
        memcpy(poly, gram, m * m * sizeof *poly);
        hs_gemm(false, false, m, m, m, c, gram, m, gram, m, b, poly, m); /* b A + c A^2 */
        memcpy(next, x, n * sizeof *next);
        if (tall)
            hs_gemm(false, false, rows, m, m, 1, x, cols, poly, m, a, next, cols);
        else
            hs_gemm(false, false, m, cols, m, 1, poly, m, x, cols, a, next, cols);
        memcpy(x, next, n * sizeof *x);
    }
}

static size_t block_scratch(uint32_t rows, uint32_t cols)
{
    const size_t small = rows < cols ? rows : cols;
    return 2 * (size_t)rows * cols + 2 * small * small;
}

static void block(const hs_block_update *b)
{
    const hs_kernels *k = hs_kernels_get();
    const uint32_t rows = b->rows, cols = b->cols;
    const float beta = (float)b->u.config->muon_momentum, scale = b->u.gscale;
    float *u = b->scratch; /* (rows, cols) */
    for (uint32_t r = 0; r < rows; r++) {
        float *g = b->g + r * b->ld, *m = b->u.state[0] + r * b->ld, *x = u + (size_t)r * cols;
        for (uint32_t c = 0; c < cols; c++) {
            const float gi = g[c] * scale;
            m[c] = beta * m[c] + (1.0f - beta) * gi;
            x[c] = beta * m[c] + (1.0f - beta) * gi; /* Nesterov */
            g[c] = 0;
        }
    }
    hs_newton_schulz(rows, cols, u, b->scratch + (size_t)rows * cols);
    const float keep = b->u.decay > 0 ? 1.0f - b->u.rate * b->u.decay : 1.0f;
    const float step = -b->u.rate * 0.2f * sqrtf((float)(rows > cols ? rows : cols));
    for (uint32_t r = 0; r < rows; r++) {
        float *w = b->u.w + r * b->ld;
        k->scale(cols, keep, w);
        k->axpy(cols, step, u + (size_t)r * cols, w);
    }
}

static void update(const hs_update *u)
{
    hs_rule_adamw.update(u);
}

const hs_optimizer_rule hs_rule_muon = {.name = "muon",
                                        .settings = "muon_momentum; beta1 beta2 eps (vectors and embeddings)",
                                        .state = {"exp_avg", "exp_avg_sq"},
                                        .update = update,
                                        .block_scratch = block_scratch,
                                        .block = block};
