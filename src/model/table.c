/* table.c - the table of families and the table of tensors. */
#include "model/ops.h"

#include <stdio.h>
#include <string.h>

/* ---------------------------------------------------------------- families */

#define DECLARE(constant, name) extern const hs_model_ops hs_##name##_ops;
HS_MODELS(DECLARE)

static const hs_model_ops *const families[] = {
#define ENTER(constant, name) [HS_MODEL_##constant] = &hs_##name##_ops,
    HS_MODELS(ENTER)};

const hs_model_ops *hs_model_ops_of(hs_model_kind kind)
{
    return (unsigned)kind < HS_MODEL_KINDS ? families[kind] : NULL;
}

const hs_model_traits *hs_model_kind_traits(hs_model_kind kind)
{
    const hs_model_ops *ops = hs_model_ops_of(kind);
    return ops ? &ops->traits : NULL;
}

const hs_model_traits *hs_model_traits_of(const hs_model *model)
{
    return &model->ops->traits;
}

void hs_model_kinds_text(char *out, size_t size)
{
    size_t used = 0;
    for (unsigned i = 0; i < HS_MODEL_KINDS && used < size; i++) {
        const char *before = i == 0 ? "" : i + 1 == HS_MODEL_KINDS ? " or " : ", ";
        used += (size_t)snprintf(out + used, size - used, "%s%s", before, families[i]->traits.name);
    }
}

static uint32_t answer_offset(const hs_model_config *config)
{
    return hs_model_kind_traits(config->kind)->in_place && !config->next_token;
}

uint32_t hs_model_positions_for(const hs_model_config *config, uint32_t width)
{
    return width < 2 ? width : width - 1 + answer_offset(config);
}

uint32_t hs_model_answer_offset(const hs_model *model)
{
    return answer_offset(&model->config);
}

uint32_t hs_model_longest_prompt(const hs_model *model)
{
    return model->config.n_positions - hs_model_answer_offset(model);
}

uint32_t hs_model_sequence_rows(const hs_model *model, uint32_t T)
{
    return model->ops->traits.in_place ? model->config.prefix + model->config.n_positions : T;
}

/* ---------------------------------------------------------------- tensors */

static hs_status enter(hs_model *model, const char *prefix, const char *name, const hs_tensor_spec *spec, hs_error *err)
{
    enum { STEP = 64 };
    if (model->n_tensors % STEP == 0) {
        const size_t old = model->n_tensors * sizeof *model->tensor;
        hs_tensor *grown = hs_realloc(model->tensor, old, old + STEP * sizeof *model->tensor);
        if (!grown)
            return hs_fail_memory(err, old + STEP * sizeof *model->tensor);
        model->tensor = grown;
    }
    hs_tensor *t = &model->tensor[model->n_tensors++];
    *t = (hs_tensor){.ndim = spec->rows ? 2 : 1,
                     .shape = {spec->rows ? spec->rows : spec->columns, spec->rows ? spec->columns : 0},
                     .size = (size_t)(spec->rows ? spec->rows : 1) * spec->columns,
                     .init = spec->init,
                     .std = (float)spec->std,
                     .decay = spec->group != HS_GROUP_BUFFER && (spec->rows > 0 || spec->decay),
                     .group = spec->group,
                     .splits = spec->splits ? spec->splits : 1,
                     .split_columns = spec->split_columns};
    snprintf(t->name, sizeof t->name, "%s%s", prefix, name);
    return HS_OK;
}

size_t hs_walk_tensor(hs_walk *walk, const char *prefix, const char *name, const hs_tensor_spec *spec)
{
    if (!walk->model)
        return walk->table->tensor[walk->next++].offset;
    if (walk->status == HS_OK)
        walk->status = enter(walk->model, prefix, name, spec, walk->err);
    return 0;
}
