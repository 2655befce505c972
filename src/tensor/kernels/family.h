/* family.h - what every family of kernels begins with. A family is one file here, compiled once for each instruction set
 * (HS_ISA names the build), and fills its entries of hs_kernels.
 *
 * Invariants: no multiplication is fused with an addition (-ffp-contract=off); every sum over a row is kept in 16 lanes
 * and folded 8-4-2-1, so that all builds give the same bits. Element-wise loops are plain C and left to the compiler;
 * only sums and exp are written with vector types (lanes.h). */
#ifndef HOPSCOPE_TENSOR_FAMILY_H
#define HOPSCOPE_TENSOR_FAMILY_H

#include "hopscope/tensor.h"

/* Every family, for whoever lists them. */
#define HS_FAMILIES(X) X(norm) X(activation) X(elementwise) X(attention) X(loss) X(optimizer) X(product)

#define HS_FILL2(family, isa) hs_fill_##family##_##isa
#define HS_FILL(family, isa) HS_FILL2(family, isa)

#ifdef HS_ISA
#include "tensor/lanes.h"

/* The head of the function that enters a family's kernels of this build into `k`. */
#define HS_FAMILY(family)                                                                                              \
    void HS_FILL(family, HS_ISA)(hs_kernels * k);                                                                      \
    void HS_FILL(family, HS_ISA)(hs_kernels * k)
#endif

#endif
