/* lapack.c - the little linear algebra that interpretation needs, by the LAPACK inside OpenBLAS. In double.
 *
 * LAPACK is column-major; all matrices here are symmetric or handed over transposed, so nothing is copied for it. */
#include "hopscope/tensor.h"
#include "tensor/blas.h"

typedef void (*dsyev_fn)(const char *job, const char *uplo, const int *n, double *a, const int *lda, double *w,
                         double *work, const int *n_work, int *info);
typedef void (*dposv_fn)(const char *uplo, const int *n, const int *n_rhs, double *a, const int *lda, double *b,
                         const int *ldb, int *info);

static hs_status no_lapack(hs_error *err)
{
    hs_fail(err, HS_ERR_FAILED, "the OpenBLAS found has no LAPACK");
    return hs_error_hint(err, "Debian's libopenblas0-pthread has it");
}

hs_status hs_eigenvalues(size_t n, double *A, double *value, hs_error *err)
{
    dsyev_fn dsyev;
    hs_blas_find("dsyev_", &dsyev);
    if (!dsyev)
        return no_lapack(err);
    const int size = (int)n, n_work = 34 * size + 1;
    double *work = hs_alloc((size_t)n_work * sizeof *work);
    if (!work)
        return hs_fail_memory(err, (size_t)n_work * sizeof *work);
    int info = 0;
    if (n > 0)
        dsyev("N", "U", &size, A, &size, value, work, &n_work, &info);
    hs_free(work);
    return info == 0 ? HS_OK : hs_fail(err, HS_ERR_FAILED, "eigenvalues were not found (LAPACK dsyev, info %d)", info);
}

hs_status hs_solve_positive(size_t n, double *A, size_t n_rhs, double *B, hs_error *err)
{
    dposv_fn dposv;
    hs_blas_find("dposv_", &dposv);
    if (!dposv)
        return no_lapack(err);
    const int size = (int)n, columns = (int)n_rhs;
    int info = 0;
    if (n > 0 && n_rhs > 0)
        dposv("U", &size, &columns, A, &size, B, &size, &info);
    return info == 0 ? HS_OK
                     : hs_fail(err, HS_ERR_FAILED, "the matrix is not positive definite (LAPACK dposv, info %d)", info);
}
