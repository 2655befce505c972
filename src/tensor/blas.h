/* blas.h - the loaded BLAS for the files of this layer. */
#ifndef HOPSCOPE_TENSOR_BLAS_H
#define HOPSCOPE_TENSOR_BLAS_H

/* The function `name` of the loaded library into *function (a pointer to a function), NULL if it has none. After
 * hs_tensor_open. */
void hs_blas_find(const char *name, void *function);

#endif
