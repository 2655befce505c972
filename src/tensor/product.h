/* product.h - the scratch memory of a matrix product (kernels/product.c), for its caller gemm.c. */
#ifndef HOPSCOPE_TENSOR_PRODUCT_H
#define HOPSCOPE_TENSOR_PRODUCT_H

enum {
    HS_PRODUCT_DEPTH = 384,                                     /* terms summed in one run: a panel of B near L1 */
    HS_PRODUCT_PACK_B = 32 * HS_PRODUCT_DEPTH,                  /* floats of a packed panel of B */
    HS_PRODUCT_PACK_A = 384 * HS_PRODUCT_DEPTH,                 /* floats of packed A: within L2 */
    HS_PRODUCT_SCRATCH = HS_PRODUCT_PACK_B + HS_PRODUCT_PACK_A, /* floats a thread */
};

#endif
