/* clones.h - marks a function to be compiled for several instruction sets and chosen by the loader. Such functions use
 * only element-wise arithmetic and sums over 16 explicit lanes, so every version gives the same bits. */
#ifndef HOPSCOPE_MODEL_CLONES_H
#define HOPSCOPE_MODEL_CLONES_H

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) &&               \
    !defined(__SANITIZE_THREAD__)
#define HS_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define HS_CLONES
#endif
/* For the declaration of such a function: the compiler does not hide it by itself. */
#define HS_CLONED __attribute__((visibility("hidden")))

#endif
