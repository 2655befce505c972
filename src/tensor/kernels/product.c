/* product.c - matrix products by micro-kernels of our own, for instruction sets that have a fused multiply-add.
 *
 * A tile of C, ROWS by two vectors, stays in registers while k runs. B is packed a panel of two vectors' width at a time; A
 * is read where it lies, one element broadcast to all lanes: at the widths of this program (128 to 1024) packing it costs
 * more than it saves. Only a transposed A whose rows lie far apart is packed, since its columns would fall into few cache
 * sets and one page each.
 *
 * Invariants: an element of C is alpha * (sum of a[k] * b[k] with one fused multiply-add a term, k ascending, from 0) +
 * beta * C, over runs of at most DEPTH terms. The order depends on K alone, not on the tile, so every instruction set gives
 * the same bits; so would any split of M or N. The layout of loops follows Goto and van de Geijn, "Anatomy of
 * high-performance matrix multiplication" (2008). Tested against OpenBLAS and between sets in tests/tensor/test_product.c. */
#include "tensor/product.h"
#include "tensor/kernels/family.h"

#if defined(__AVX512F__) || (defined(__AVX2__) && defined(__FMA__))
#include <immintrin.h>

#ifdef __AVX512F__
enum { LANES = 16, ROWS = 8 };
typedef __m512 lanes;
#define FMADD _mm512_fmadd_ps
#define SPLAT _mm512_set1_ps
#define LOAD _mm512_loadu_ps
#define STORE _mm512_storeu_ps
#else
enum { LANES = 8, ROWS = 6 }; /* 12 sums, 2 of B and 2 of A: the 16 registers */
typedef __m256 lanes;
#define FMADD _mm256_fmadd_ps
#define SPLAT _mm256_set1_ps
#define LOAD _mm256_loadu_ps
#define STORE _mm256_storeu_ps
#endif

enum {
    WIDTH = 2 * LANES, /* of a panel of B */
    DEPTH = HS_PRODUCT_DEPTH,
    STEP = 8, /* floats between the k of a packed panel of A, at least ROWS */
    TALL = HS_PRODUCT_PACK_A / (STEP * DEPTH) / 4 * 4 * ROWS - 4 * ROWS, /* rows of A packed at once */
    FAR = 600 /* floats between the rows of a transposed A from which it is packed */
};
_Static_assert(WIDTH *DEPTH <= HS_PRODUCT_PACK_B, "the panel of B fits");

typedef enum layout { PLAIN, TRANSPOSED, PACKED } layout; /* a[r * lda + k], a[k * lda + r], a[k * STEP + r] */

/* c (rows, cols <= n * LANES) = alpha * a b + beta * c, b a packed panel. rows, n and form are constants where this is
 * inlined. */
static inline __attribute__((always_inline)) void tile(const size_t rows, const size_t n, const layout form, size_t K,
                                                       const float *a, size_t lda, const float *b, float alpha,
                                                       float beta, float *c, size_t ldc, size_t cols)
{
    lanes sum[ROWS][2];
#pragma GCC unroll 8
    for (size_t r = 0; r < rows; r++) {
        __builtin_prefetch(c + r * ldc, 1);
        __builtin_prefetch(c + r * ldc + (n - 1) * LANES, 1);
        sum[r][0] = sum[r][1] = SPLAT(0);
    }
    for (size_t k = 0; k < K; k++) {
        const lanes b0 = LOAD(b + k * WIDTH), b1 = LOAD(b + k * WIDTH + LANES);
#pragma GCC unroll 8
        for (size_t r = 0; r < rows; r++) {
            const lanes x = SPLAT(form == PLAIN        ? a[r * lda + k]
                                  : form == TRANSPOSED ? a[k * lda + r]
                                                       : a[k * STEP + r]);
            sum[r][0] = FMADD(x, b0, sum[r][0]);
            if (n == 2)
                sum[r][1] = FMADD(x, b1, sum[r][1]);
        }
    }
#pragma GCC unroll 8
    for (size_t r = 0; r < rows; r++)
#pragma GCC unroll 2
        for (size_t v = 0; v < n; v++) {
            float *to = c + r * ldc + v * LANES;
            lanes value = sum[r][v] * SPLAT(alpha);
            if ((v + 1) * LANES <= cols) {
                if (beta != 0)
                    value += SPLAT(beta) * LOAD(to);
                STORE(to, value);
                continue;
            }
            float part[LANES];
            STORE(part, value);
            for (size_t i = 0; v * LANES + i < cols; i++)
                to[i] = beta == 0 ? part[i] : part[i] + beta * to[i];
        }
}

typedef void (*tile_function)(size_t K, const float *a, size_t lda, const float *b, float alpha, float beta, float *c,
                              size_t ldc, size_t cols);
#define TILE(R, N, FORM)                                                                                               \
    static void tile_##R##_##N##_##FORM(size_t K, const float *a, size_t lda, const float *b, float alpha, float beta, \
                                        float *c, size_t ldc, size_t cols)                                             \
    {                                                                                                                  \
        tile(R, N, FORM, K, a, lda, b, alpha, beta, c, ldc, cols);                                                     \
    }
#define TILES(R)                                                                                                       \
    TILE(R, 1, PLAIN)                                                                                                  \
    TILE(R, 2, PLAIN) TILE(R, 1, TRANSPOSED) TILE(R, 2, TRANSPOSED) TILE(R, 1, PACKED) TILE(R, 2, PACKED)
#define ENTRY(R)                                                                                                       \
    {                                                                                                                  \
        {tile_##R##_1_PLAIN, tile_##R##_1_TRANSPOSED, tile_##R##_1_PACKED},                                            \
        {                                                                                                              \
            tile_##R##_2_PLAIN, tile_##R##_2_TRANSPOSED, tile_##R##_2_PACKED                                           \
        }                                                                                                              \
    }
TILES(1)
TILES(2) TILES(3) TILES(4) TILES(5) TILES(6)
#ifdef __AVX512F__
    TILES(7) TILES(8)
#endif
        static const tile_function tiles[ROWS][2][3] = {ENTRY(1), ENTRY(2), ENTRY(3), ENTRY(4), ENTRY(5), ENTRY(6),
#ifdef __AVX512F__
                                                        ENTRY(7), ENTRY(8)
#endif
};

/* to (8,8) = from (8,8) transposed. */
static void transpose_8(const float *from, size_t ld_from, float *to, size_t ld_to)
{
    __m256 pair[8], quad[8];
    for (size_t i = 0; i < 8; i += 2) {
        const __m256 even = _mm256_loadu_ps(from + i * ld_from), odd = _mm256_loadu_ps(from + (i + 1) * ld_from);
        pair[i] = _mm256_unpacklo_ps(even, odd);
        pair[i + 1] = _mm256_unpackhi_ps(even, odd);
    }
    for (size_t h = 0; h < 8; h += 4) {
        quad[h] = _mm256_shuffle_ps(pair[h], pair[h + 2], 0x44);
        quad[h + 1] = _mm256_shuffle_ps(pair[h], pair[h + 2], 0xee);
        quad[h + 2] = _mm256_shuffle_ps(pair[h + 1], pair[h + 3], 0x44);
        quad[h + 3] = _mm256_shuffle_ps(pair[h + 1], pair[h + 3], 0xee);
    }
    for (size_t i = 0; i < 4; i++) {
        _mm256_storeu_ps(to + i * ld_to, _mm256_permute2f128_ps(quad[i], quad[4 + i], 0x20));
        _mm256_storeu_ps(to + (4 + i) * ld_to, _mm256_permute2f128_ps(quad[i], quad[4 + i], 0x31));
    }
}

/* panel (K, WIDTH) = cols <= WIDTH columns of op(B), zeros behind them. */
static void pack_b(bool transpose, size_t K, size_t cols, const float *b, size_t ldb, float *panel)
{
    if (!transpose && cols == WIDTH) {
        for (size_t k = 0; k < K; k++) {
            __builtin_prefetch(b + k * ldb + WIDTH); /* the next panel */
            __builtin_prefetch(b + k * ldb + WIDTH + LANES);
            STORE(panel + k * WIDTH, LOAD(b + k * ldb));
            STORE(panel + k * WIDTH + LANES, LOAD(b + k * ldb + LANES));
        }
        return;
    }
    if (!transpose) {
        for (size_t k = 0; k < K; k++) {
            memcpy(panel + k * WIDTH, b + k * ldb, cols * sizeof *panel);
            memset(panel + k * WIDTH + cols, 0, (WIDTH - cols) * sizeof *panel);
        }
        return;
    }
    const size_t whole_k = K / 8 * 8, whole_cols = cols / 8 * 8;
    for (size_t j = 0; j < whole_cols; j += 8)
        for (size_t k = 0; k < whole_k; k += 8)
            transpose_8(b + j * ldb + k, ldb, panel + k * WIDTH + j, WIDTH);
    for (size_t j = 0; j < WIDTH; j++)
        for (size_t k = j < whole_cols ? whole_k : 0; k < K; k++)
            panel[k * WIDTH + j] = j < cols ? b[j * ldb + k] : 0;
}

/* Panels of ROWS columns of a (K,M), each (K, STEP). Four panels at a time: whole cache lines, a page entered once. */
static void pack_a(size_t M, size_t K, const float *a, size_t lda, float *panels)
{
    for (size_t group = 0; group < M; group += 4 * ROWS)
        for (size_t k = 0; k < K; k++)
            for (size_t i = group; i < M && i < group + 4 * ROWS; i += ROWS)
                memcpy(panels + i / ROWS * K * STEP + k * STEP, a + k * lda + i,
                       (M - i < ROWS ? M - i : ROWS) * sizeof *a);
}

/* One panel of C: c (M,cols) = alpha * op(a) panel + beta * c. */
static void multiply_panel(layout form, size_t M, size_t cols, size_t K, float alpha, const float *a, size_t lda,
                           const float *panel, float beta, float *c, size_t ldc)
{
    const size_t n = cols <= LANES ? 0 : 1;
    for (size_t i = 0, rows; i < M; i += rows) {
        const size_t left = M - i;
        rows = left < ROWS ? left : ROWS;
        if (form != PACKED && left > ROWS && left < 2 * ROWS)
            rows = (left + 1) / 2; /* two middling tiles keep the units busier than a full one and a stump */
        const float *rows_of_a = form == PLAIN ? a + i * lda : form == TRANSPOSED ? a + i : a + i / ROWS * K * STEP;
        tiles[rows - 1][n][form](K, rows_of_a, lda, panel, alpha, beta, c + i * ldc, ldc, cols);
    }
}

static void product(bool transpose_a, bool transpose_b, size_t M, size_t N, size_t K, float alpha, const float *A,
                    size_t lda, const float *B, size_t ldb, float beta, float *C, size_t ldc, float *scratch)
{
    float *panel = scratch, *packed = scratch + HS_PRODUCT_PACK_B;
    const layout form = !transpose_a ? PLAIN : lda < FAR ? TRANSPOSED : PACKED;
    if (M == 0 || N == 0)
        return;
    if (K == 0) { /* an empty sum */
        for (size_t i = 0; i < M * N; i++)
            C[i / N * ldc + i % N] = beta == 0 ? 0 : beta * C[i / N * ldc + i % N];
        return;
    }
    const size_t runs = (K + DEPTH - 1) / DEPTH, depth = (K + runs - 1) / runs;
    const size_t blocks = form == PACKED ? (M + TALL - 1) / TALL : 1;
    const size_t tall = ((M + blocks - 1) / blocks + ROWS - 1) / ROWS * ROWS;
    for (size_t k = 0; k < K; k += depth) {
        const size_t ks = K - k < depth ? K - k : depth;
        for (size_t i = 0; i < M; i += tall) {
            const size_t rows = M - i < tall ? M - i : tall;
            const float *a = transpose_a ? A + k * lda + i : A + i * lda + k;
            if (form == PACKED)
                pack_a(rows, ks, a, lda, packed);
            for (size_t j = 0; j < N; j += WIDTH) {
                const size_t cols = N - j < WIDTH ? N - j : WIDTH;
                pack_b(transpose_b, ks, cols, transpose_b ? B + j * ldb + k : B + k * ldb + j, ldb, panel);
                multiply_panel(form, rows, cols, ks, alpha, form == PACKED ? packed : a, lda, panel, k == 0 ? beta : 1,
                               C + i * ldc + j, ldc);
            }
        }
    }
}

HS_FAMILY(product)
{
    k->product = product;
}
#else
HS_FAMILY(product)
{
    k->product = NULL; /* no fused multiply-add to rely on: OpenBLAS multiplies */
}
#endif
