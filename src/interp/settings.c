/* settings.c - the settings of interpretation: section `interpret` of an experiment file, one row each. */
#include "core/setting.h"
#include "hopscope/interp.h"

#define ROW(f, min, max, flags, help)                                                                                  \
    HS_SETTING(hs_interpret_config, f, #f, min, max, NULL, (flags) | HS_SETTING_RESUME, help)
static const hs_setting table[] = {
    ROW(methods, 0, 0, HS_SETTING_LIST,
        "methods looked through at every evaluation while training (hopscope interpret --list), or all; empty: none. "
        "Changes no bit "
        "of the run"),
    ROW(splits, 0, 0, HS_SETTING_LIST, "splits looked at; empty: the facts, the training queries and every test split"),
    ROW(max, 0, HS_SETTING_MAX32, 0, "items of a split, the same ones each time; 0: all"),
    ROW(exhaustive, 0, 1, 0,
        "tracing: every position behind the replaced one too, and the restoring direction; lens: every role at every "
        "position"),
    ROW(edge, 0, 1, 0, "path patching: the circuit holds the edges that change at least this share of right answers"),
    ROW(random_circuits, 0, 1000, 0, "path patching: random circuits of the same size, as control"),
    ROW(seed, 0, HS_SETTING_MAX64, 0, "seed of replacements, donors and random circuits"),
};

const hs_setting *hs_interpret_settings(size_t *n)
{
    *n = sizeof table / sizeof *table;
    return table;
}

void hs_interpret_config_default(hs_interpret_config *config)
{
    *config = (hs_interpret_config){.max = 128, .edge = 0.1, .random_circuits = 20};
}
