/* tensor.h - matrix products and the fused kernels between them.
 *
 * Everything is row-major float32. Kernels are serial: a worker takes a shard of the batch through the whole pass
 * (see train.h). They come from one source compiled for AVX-512, AVX2 and the baseline and chosen at run time; all three
 * give the same bits, since sums are kept in 16 lanes and folded in a fixed order on each of them. Plain reference
 * versions stand in tests/tensor/reference.h.
 */
#ifndef HOPSCOPE_TENSOR_H
#define HOPSCOPE_TENSOR_H

#include "hopscope/core.h"

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default) /* the library exports what stands here */

/* ---------------------------------------------------------------- GEMM */

/* Load the BLAS (once; thread-safe) and have it take the memory for one thread's products. HS_ERR_FAILED names what was
 * looked for and the package to install; HS_ERR_USAGE: HOPSCOPE_ISA names no kernels of this machine; HS_ERR_MEMORY.
 * Every other function here may be called after this has returned HS_OK. */
hs_status hs_tensor_open(hs_error *err);
/* Have the BLAS take the memory for `threads` products at once; it keeps it. To be called before the first product of
 * several threads: without it, OpenBLAS waits forever for memory that it cannot get. HS_ERR_MEMORY. Thread-safe. */
hs_status hs_tensor_reserve(uint32_t threads, hs_error *err);
/* Address space in bytes that hs_tensor_reserve takes for so many threads; what products touch of it becomes memory. */
size_t hs_tensor_memory(uint32_t threads);
/* "OpenBLAS 0.3.21 SkylakeX, kernels avx512" */
const char *hs_tensor_description(void);

/* C = alpha * op(A) op(B) + beta * C;  op(A) (M,K), op(B) (K,N), C (M,N); ld* = floats between rows as stored. By the
 * micro-kernels of this machine (hs_kernels.product), which give the same bits on every processor that has AVX2; by the
 * BLAS where there are none. */
void hs_gemm(bool transpose_a, bool transpose_b, size_t M, size_t N, size_t K, float alpha, const float *A, size_t lda,
             const float *B, size_t ldb, float beta, float *C, size_t ldc);
/* The same by the BLAS everywhere: what the micro-kernels are measured against. */
void hs_gemm_blas(bool transpose_a, bool transpose_b, size_t M, size_t N, size_t K, float alpha, const float *A,
                  size_t lda, const float *B, size_t ldb, float beta, float *C, size_t ldc);

/* ---------------------------------------------------------------- small linear algebra, in double (LAPACK) */

/* Eigenvalues of the symmetric A (n,n), ascending, into value (n). A is overwritten. HS_ERR_FAILED: no LAPACK, or it did not
 * converge. */
hs_status hs_eigenvalues(size_t n, double *A, double *value, hs_error *err);
/* X of A X = B for symmetric positive definite A (n,n): B holds n_rhs right-hand sides of n numbers, one after another, and is
 * overwritten with the solutions; A is overwritten. HS_ERR_FAILED: no LAPACK, or A is not positive definite. */
hs_status hs_solve_positive(size_t n, double *A, size_t n_rhs, double *B, hs_error *err);

/* ---------------------------------------------------------------- kernels */

/* A ragged batch of B sequences as attention sees it. With `query` rows (R of them, ascending), only those attend;
 * NULL means every row does. Row i of q, out and prob is the i-th query row. */
typedef struct hs_attention {
    uint32_t B;
    const uint32_t *start; /* (B+1) first row of each sequence */
    uint32_t R;
    const uint32_t *query; /* (R) or NULL */
    uint32_t H, dh;        /* heads, width of a head; D = H*dh */
    uint32_t T;            /* at least the longest sequence; stride of prob */
    const float *q;        /* (R,D), rows ldq apart */
    const float *k, *v;    /* (N,D), rows ldk apart */
    size_t ldq, ldk;
    float *prob;           /* (R,H,T) */
    const float *drop;     /* (R,H,T) factors 0 or 1/(1-p), or NULL */
} hs_attention;

/* Causal softmax attention; out (R,D) rows ldo apart. Fills a->prob: of row i, the keys that it sees. Sequences of at
 * least HS_ATTEND_KEYS tokens with at least HS_ATTEND_QUERIES query rows go in blocks of matrix products, others row by
 * row; the choice, so every bit, follows from a sequence alone. */
void hs_attend(const hs_attention *a, float *out, size_t ldo);
/* d_q (R,D) rows ldq, d_k, d_v (N,D) rows ldk: overwritten. d_out (R,D) rows ldo apart; a->prob as hs_attend left it.
 */
void hs_attend_backward(const hs_attention *a, const float *d_out, size_t ldo, float *d_q, float *d_k, float *d_v);
enum { HS_ATTEND_KEYS = 32, HS_ATTEND_QUERIES = 8 };

/* Parameters of one AdamW, Lion ... pass over n elements. `rate` is the rate times the schedule. */
typedef struct hs_adam {
    float rate, beta1, beta2, eps, decay; /* decay: w -= rate * decay * w, first (decoupled) */
    float correction1, correction2;       /* 1 - beta^t */
} hs_adam;

typedef struct hs_kernels {
    const char *isa;
    /* y (N,D) = (x - mean) * rstd * w + b; mean, rstd (N) out. b may be NULL. */
    void (*layer_norm)(size_t N, size_t D, const float *x, const float *w, const float *b, float eps, float *y,
                       float *mean, float *rstd);
    /* d_x (N,D) += gradient; d_w, d_b (D) += gradient (d_b may be NULL). */
    void (*layer_norm_backward)(size_t N, size_t D, const float *d_y, const float *x, const float *w, const float *mean,
                                const float *rstd, float *d_x, float *d_w, float *d_b);
    /* y (N,D) = x * rrms * w, rrms = 1/sqrt(mean(x^2) + eps); w NULL = 1. rrms (N) out. */
    void (*rms_norm)(size_t N, size_t D, const float *x, const float *w, float eps, float *y, float *rrms);
    /* d_x (N,D) += gradient; d_w (D) += gradient or NULL. */
    void (*rms_norm_backward)(size_t N, size_t D, const float *d_y, const float *x, const float *w, const float *rrms,
                              float *d_x, float *d_w);
    /* u = x + b; act = gelu_new(u), x is overwritten with gelu_new'(u). x, act (N,F); b (F) or NULL. */
    void (*gelu)(size_t N, size_t F, float *x, const float *b, float *act);
    /* u (N,2F): gate | up. act (N,F) = silu(gate) * up. */
    void (*swiglu)(size_t N, size_t F, const float *u, float *act);
    /* d_u (N,2F) = gradient of swiglu from d_act (N,F). */
    void (*swiglu_backward)(size_t N, size_t F, const float *u, const float *d_act, float *d_u);
    /* y[i] *= x[i] */
    void (*multiply)(size_t n, const float *x, float *y);
    /* y[i] += a * x[i] */
    void (*axpy)(size_t n, float a, const float *x, float *y);
    /* y[i] *= a */
    void (*scale)(size_t n, float a, float *y);
    /* x (N,D) rows += b (D) */
    void (*add_bias)(size_t N, size_t D, const float *b, float *x);
    /* y (N,D) = x (N,D) + b (D) */
    void (*copy_bias)(size_t N, size_t D, const float *x, const float *b, float *y);
    /* sum (D) += column sums of x (N,D), rows ldx apart */
    void (*column_sums)(size_t N, size_t D, const float *x, size_t ldx, float *sum);
    /* Causal softmax attention row by row; out (R,D) rows ldo apart. Fills a->prob. start[0] may be above 0: rows
     * before it belong to other calls. Callers take hs_attend, which does long sequences in blocks. */
    void (*attention)(const hs_attention *a, float *out, size_t ldo);
    /* d_q (R,D) rows ldq, d_k, d_v (N,D) rows ldk: overwritten. d_out (R,D) rows ldo apart. */
    void (*attention_backward)(const hs_attention *a, const float *d_out, size_t ldo, float *d_q, float *d_k, float *d_v);
    /* x (width) = softmax of its first n, zeros behind them. */
    void (*softmax_row)(size_t n, size_t width, float *x);
    /* d (width): in: the gradient of the probabilities as they were used; out: norm times that of the scores. drop (n)
     * factors or NULL; dropped (width) = prob * drop. Zeros behind the first n. */
    void (*softmax_row_backward)(size_t n, size_t width, const float *prob, const float *drop, float norm,
                                 float *dropped, float *d);
    /* x (P,V) logits in; out: gradient w.r.t. them, weight[p] * (softmax - target). Returns sum of weight * loss;
     * *correct += rows whose top entry is right. weight NULL: x is left as it is and the loss is unweighted. With
     * several right answers (also_start not NULL) the loss is -log of their total probability. `smoothing` e mixes a
     * uniform distribution into the target: 1 - e times that loss, plus e times the mean of -log over all V entries
     * (label smoothing, Szegedy et al., arXiv 1512.00567, 7). */
    double (*cross_entropy)(size_t P, size_t V, float *x, const uint32_t *target, const float *weight, float smoothing,
                            const uint64_t *also_start, const uint32_t *also, uint32_t *correct);
    /* The same for StableMax, s(x) = x + 1 (x >= 0), 1 / (1 - x) (x < 0) (Prieto et al., arXiv 2501.04697, eq. 5). */
    double (*stablemax)(size_t P, size_t V, float *x, const uint32_t *target, const float *weight, float smoothing,
                        const uint64_t *also_start, const uint32_t *also, uint32_t *correct);
    /* Index of the largest of x (n), the first of equals. */
    size_t (*argmax)(size_t n, const float *x);
    /* Sums in double over fixed lanes. */
    double (*sum_squares)(size_t n, const float *x);
    double (*dot)(size_t n, const float *x, const float *y);
    /* Optimizers; g (n) gradient (already clipped: g * gscale), state m, v (n). */
    void (*adamw)(size_t n, const hs_adam *p, float gscale, const float *g, float *m, float *v, float *w);
    void (*adam_atan2)(size_t n, const hs_adam *p, float gscale, const float *g, float *m, float *v, float *w);
    void (*lion)(size_t n, const hs_adam *p, float gscale, const float *g, float *m, float *w);
    void (*signsgd)(size_t n, const hs_adam *p, float gscale, const float *g, float *w);
    /* hs_gemm by micro-kernels of our own, the same bits on every instruction set that has them; scratch:
     * HS_PRODUCT_SCRATCH floats (tensor/product.h), 64-byte aligned. NULL where there is no fused multiply-add. */
    void (*product)(bool transpose_a, bool transpose_b, size_t M, size_t N, size_t K, float alpha, const float *A,
                    size_t lda, const float *B, size_t ldb, float beta, float *C, size_t ldc, float *scratch);
    /* Inverted dropout factors for n elements named by (key, ctr3): out[i] = 0 or 1/(1-p). Philox, 16 bits an element. */
    void (*dropout)(size_t n, const uint32_t key[2], uint32_t c1, uint32_t c2, uint32_t c3, float p, float *out);
} hs_kernels;

/* The kernels for this machine; HOPSCOPE_ISA=baseline|avx2|avx512 (environment) forces one that the machine has. */
const hs_kernels *hs_kernels_get(void);
/* HS_ERR_USAGE when HOPSCOPE_ISA names kernels that are unknown or that this machine cannot run; hs_tensor_open asks this. */
hs_status hs_kernels_check(hs_error *err);
/* A named set, or NULL if this build or machine has none: for tests. */
const hs_kernels *hs_kernels_named(const char *isa);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
