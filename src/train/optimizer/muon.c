/* muon.c - Muon (Jordan et al. 2024): momentum of a matrix, orthogonalized by Newton-Schulz; the rest by AdamW.
 *
 * Scale 0.2 sqrt(max(rows, cols)) after Liu et al., arXiv 2502.16982, equation 4: the update has the root mean square of
 * AdamW's, so that one train.lr and one weight decay serve matrices and the rest. Jordan's own sqrt(max(1, rows / cols))
 * needs a second rate. */
#include "train/optimizer/optimizer.h"

#include <math.h>
#include <string.h>

/* POLYNOMIALS: products of two polynomials of the Gram matrix in all steps, see hs_newton_schulz. */
enum { STEPS = 5, POLYNOMIALS = 4 * STEPS - 3, STRIP = 32 };

/* c (m,m) = alpha * op(A) op(B) + beta * c for a product that is symmetric (as all polynomials of one symmetric matrix are):
 * the lower triangle in strips of columns, then its mirror image, tile by tile. */
static void symmetric_product(bool transpose_a, bool transpose_b, size_t m, size_t n, float alpha, const float *a,
                              size_t lda, const float *b, size_t ldb, float beta, float *c)
{
    enum { TILE = 8 };
    for (size_t j = 0; j < m; j += STRIP)
        hs_gemm(transpose_a, transpose_b, m - j, m - j < STRIP ? m - j : STRIP, n, alpha,
                transpose_a ? a + j : a + j * lda, lda, transpose_b ? b + j * ldb : b + j, ldb, beta, c + j * m + j, m);
    for (size_t i = 0; i < m; i += TILE)
        for (size_t j = 0; j <= i; j += TILE)
            for (size_t r = i; r < m && r < i + TILE; r++)
                for (size_t s = j; s < r && s < j + TILE; s++)
                    c[s * m + r] = c[r * m + s];
}

size_t hs_newton_schulz_scratch(uint32_t rows, uint32_t cols)
{
    const size_t m = rows < cols ? rows : cols;
    return (size_t)rows * cols + 5 * m * m;
}

double hs_newton_schulz_flop(uint32_t rows, uint32_t cols)
{
    const double m = rows < cols ? rows : cols, n = rows < cols ? cols : rows;
    return m * (m + 1) * n + POLYNOMIALS * m * (m + 1) * m + 2 * m * m * n;
}

/* X := (a I + b G + c G^2) X with G = X X^T, five times. G follows P G P with P = a I + b G + c G^2, and what is done to X is
 * the product Q of the P: so X itself, the long side, is multiplied twice instead of ten times, and all between are symmetric
 * matrices of the short side. Tested against the plain iteration in float64. */
void hs_newton_schulz(uint32_t rows, uint32_t cols, float *x, float *scratch)
{
    const hs_kernels *k = hs_kernels_get();
    const size_t n = (size_t)rows * cols;
    const bool tall = rows > cols;
    const size_t m = tall ? cols : rows, length = tall ? rows : cols;
    float *gram = scratch, *p = gram + m * m, *pg = p + m * m, *q = pg + m * m, *next_q = q + m * m,
          *y = next_q + m * m;
    const float norm = (float)sqrt(k->sum_squares(n, x));
    k->scale(n, 1.0f / (norm + 1e-7f), x);
    const float a = 3.4445f, b = -4.7750f, c = 2.0315f;
    symmetric_product(tall, !tall, m, length, 1, x, cols, x, cols, 0, gram);
    for (int i = 0; i < STEPS; i++) {
        memcpy(p, gram, m * m * sizeof *p);
        symmetric_product(false, false, m, m, c, gram, m, gram, m, b, p);
        for (size_t d = 0; d < m; d++)
            p[d * m + d] += a;
        if (i == 0) {
            memcpy(q, p, m * m * sizeof *q);
        } else {
            symmetric_product(false, false, m, m, 1, q, m, p, m, 0, next_q);
            float *old = q;
            q = next_q;
            next_q = old;
        }
        if (i + 1 < STEPS) {
            symmetric_product(false, false, m, m, 1, p, m, gram, m, 0, pg);
            symmetric_product(false, false, m, m, 1, pg, m, p, m, 0, gram);
        }
    }
    if (tall)
        hs_gemm(false, false, rows, m, m, 1, x, cols, q, m, 0, y, cols);
    else
        hs_gemm(false, false, m, cols, m, 1, q, m, x, cols, 0, y, cols);
    memcpy(x, y, n * sizeof *x);
}

static size_t block_scratch(uint32_t rows, uint32_t cols)
{
    return (size_t)rows * cols + hs_newton_schulz_scratch(rows, cols);
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
                                        .block = block,
                                        .block_flop = hs_newton_schulz_flop,
                                        .block_leaves = 1};
