/* verdict.c - what a model did with its training: none, memorized, grokked with the bridge, fake grokking.
 *
 * arXiv 2601.09049: a model has the generalization circuit where the bridge is explicitly recovered in intermediate layers, and
 * grokking without it is fake. Here a bridge counts as recovered where the lens reads it (at its hop's end, before the answer) or
 * where the answers hang on the state there; so that fake grokking takes both to fail, a circuit whose bridge is held in a
 * form of its own is not called fake.
 *
 * Invariant: a pure function of the numbers; docs/interpret.md, "verdict", says how to read it. */
#include "hopscope/interp.h"

#include <math.h>

const char *hs_verdict_name(hs_verdict_kind kind)
{
    static const char *const names[] = {"unknown", "none", "memorized", "grokked with the bridge", "fake grokking"};
    return names[kind];
}

void hs_verdict_thresholds_default(hs_verdict_thresholds *t)
{
    *t = (hs_verdict_thresholds){.train = 0.9, .accuracy = 0.5, .lens = 0.5, .strength = 0.5};
}

static bool known(const hs_share *s)
{
    return !isnan(s->value);
}

/* Does the interval lie on one side of the threshold? */
static bool is_clear(const hs_share *s, double threshold)
{
    return s->value >= threshold ? s->low >= threshold : s->high < threshold;
}

static hs_verdict_kind decide(const hs_verdict_input *in, const hs_verdict_thresholds *t, bool *clear)
{
    *clear = false;
    if (!known(&in->train) || !known(&in->accuracy))
        return HS_VERDICT_UNKNOWN;
    *clear = is_clear(&in->train, t->train);
    if (in->train.value < t->train)
        return HS_VERDICT_NONE;
    *clear &= is_clear(&in->accuracy, t->accuracy);
    if (in->accuracy.value < t->accuracy)
        return HS_VERDICT_MEMORIZED;
    const bool lens = known(&in->lens), strength = known(&in->strength);
    if (!lens && !strength) {
        *clear = false;
        return HS_VERDICT_UNKNOWN;
    }
    const bool read = lens && in->lens.value >= t->lens, used = strength && in->strength.value >= t->strength;
    *clear &= lens && strength && read == used && is_clear(&in->lens, t->lens) && is_clear(&in->strength, t->strength);
    return read || used ? HS_VERDICT_GROKKED : HS_VERDICT_FAKE;
}

/* "NAME 0.123 (0.100 to 0.150)". */
static void add(hs_str *out, const char *name, const hs_share *s)
{
    if (known(s))
        hs_str_addf(out, "%s %.3f (%.3f to %.3f)", name, s->value, s->low, s->high);
    else
        hs_str_addf(out, "%s not measured", name);
}

void hs_verdict_decide(const hs_verdict_input *input, const hs_verdict_thresholds *thresholds, hs_verdict *out)
{
    hs_verdict_thresholds standard;
    hs_verdict_thresholds_default(&standard);
    *out = (hs_verdict){0};
    out->kind = decide(input, thresholds ? thresholds : &standard, &out->clear);
    hs_str text = {0};
    hs_str_addf(&text, "verdict on %s: %s%s; ", input->split, hs_verdict_name(out->kind),
                out->kind == HS_VERDICT_UNKNOWN ? ""
                : out->clear                    ? ", clear"
                                                : ", borderline");
    add(&text, "training", &input->train);
    add(&text, ", held-out", &input->accuracy);
    add(&text, ", bridge in the lens", &input->lens);
    add(&text, ", answers hang on it", &input->strength);
    snprintf(out->text, sizeof out->text, "%s", text.s ? text.s : hs_verdict_name(out->kind));
    hs_str_free(&text);
}
