/* setting.h - rows of the tables of settings (hs_setting): one row a setting, in the layer whose struct it is.
 *
 * Invariant: a row's type, place and size are taken from the struct by the compiler, so a row cannot disagree with it. */
#ifndef HOPSCOPE_CORE_SETTING_H
#define HOPSCOPE_CORE_SETTING_H

#include "hopscope/core.h"

#define HS_SETTING_MAX32 4294967295.0
#define HS_SETTING_MAX64 9007199254740992.0 /* 2^53: exact in JSON and YAML readers everywhere */
#define HS_SETTING_MAX_REAL 1e300           /* any number */

/* An enum of ours is an unsigned int to gcc and clang: what tells it from a number is that it has names,
 * not NULL; comparing with that would be no constant under sanitizers. */
#define HS_SETTING_TYPE(s, f, names)                                                                                   \
    _Generic(((s *)0)->f,                                            \
        bool: HS_SETTING_BOOL,                                         \
        uint32_t: _Generic((names), void *: HS_SETTING_U32, default: HS_SETTING_ENUM), \
        uint64_t: HS_SETTING_U64,                                      \
        float: HS_SETTING_FLOAT,                                       \
        double: HS_SETTING_DOUBLE,                                     \
        char *: HS_SETTING_STRING)
/* The row of member `f` of struct `s`, under the name `key`. */
#define HS_SETTING(s, f, key, min, max, names, flags, help)                                                            \
    {                                                                                                                  \
        key, HS_SETTING_TYPE(s, f, names), offsetof(s, f), sizeof((s *)0)->f, min, max, names, flags, help             \
    }

#endif
