/* methods.h - the table of methods: one file and one line each. The order is that of runs and of docs/interpret.md. */
#ifndef HOPSCOPE_INTERP_METHODS_H
#define HOPSCOPE_INTERP_METHODS_H

#include "hopscope/interp.h"

#define HS_METHOD_MAP(X)                                                                                               \
    X(lens)                                                                                                            \
    X(trace)                                                                                                           \
    X(paths)                                                                                                           \
    X(cross)                                                                                                           \
    X(decode)                                                                                                          \
    X(cohesion)                                                                                                        \
    X(realign)                                                                                                         \
    X(linear)                                                                                                          \
    X(ablate)                                                                                                          \
    X(progress)

#define HS_X(name) extern const hs_method hs_method_##name;
HS_METHOD_MAP(HS_X)
#undef HS_X

#endif
