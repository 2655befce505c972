/* table.c - the update rules by number, from HS_OPTIMIZER_MAP. */
#include "train/optimizer/optimizer.h"

static const hs_optimizer_rule *const rules[] = {
#define HS_X(constant, name) [HS_OPT_##constant] = &hs_rule_##name,
    HS_OPTIMIZER_MAP(HS_X)
#undef HS_X
};

const char *const hs_optimizer_names[] = {
#define HS_X(constant, name) #name,
    HS_OPTIMIZER_MAP(HS_X)
#undef HS_X
        NULL};

const hs_optimizer_rule *hs_optimizer_rule_of(hs_optimizer_kind kind)
{
    return rules[kind];
}

const char *hs_optimizer_state_name(hs_optimizer_kind kind, int i)
{
    return rules[kind]->state[i];
}
