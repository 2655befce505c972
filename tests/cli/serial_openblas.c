/* serial_openblas.c - what Debian's serial OpenBLAS says of itself, and nothing more: loading it must be refused. */
#define SHOWN __attribute__((visibility("default")))

SHOWN void cblas_sgemm(void);
SHOWN int openblas_get_parallel(void);

void cblas_sgemm(void) {}

int openblas_get_parallel(void)
{
    return 0;
}
