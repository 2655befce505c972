/* take.c - weights of one model into another that has other tokens or more positions.
 *
 * Which tensors have a row a token, and which a row a position, is found by describing the model once with another
 * number of each: a family's table of tensors is all there is to know. */
#include "model/ops.h"

#include <string.h>

static void shape_text(const hs_tensor *t, char out[48])
{
    if (t->ndim == 1)
        snprintf(out, 48, "%u", t->shape[0]);
    else
        snprintf(out, 48, "%u x %u", t->shape[0], t->shape[1]);
}

static hs_status fail_shape(const hs_tensor *have, const hs_tensor *want, hs_error *err)
{
    char is[48], was[48];
    shape_text(want, is);
    shape_text(have, was);
    return hs_fail(err, HS_ERR_DATA, "tensor %s is %s in the weights to start from and %s in this model", want->name,
                   was, is);
}

/* Has the tensor a row for each of something that `other`, described with one fewer of it, has one fewer of? */
static bool has_row_each(const hs_tensor *t, const hs_tensor *other)
{
    return t->ndim == 2 && other->ndim == 2 && t->group == HS_GROUP_EMBEDDING && t->shape[0] == other->shape[0] + 1 &&
           t->shape[1] == other->shape[1];
}

static void copy_rows(const hs_model *from, const hs_tensor *have, uint32_t row, hs_model *to, const hs_tensor *want,
                      uint32_t at, uint32_t rows)
{
    const size_t D = want->shape[1];
    memcpy(to->param + want->offset + at * D, from->param + have->offset + row * D, rows * D * sizeof(float));
}

/* The tensor of both as one with a row a token (after the rows that stand for none), a row a position, or the same. */
static hs_status take_tensor(hs_model *to, const hs_tensor *want, const hs_model *from, uint32_t i,
                             const hs_model *tokens, const hs_model *positions, const uint32_t *token, hs_error *err)
{
    const hs_tensor *have = &from->tensor[i];
    const bool same_columns = have->ndim == 2 && want->ndim == 2 && have->shape[1] == want->shape[1];
    if (has_row_each(have, &tokens->tensor[i]) && same_columns) {
        const uint32_t before = have->shape[0] - from->config.vocab;
        copy_rows(from, have, 0, to, want, 0, before);
        for (uint32_t t = 0; t < to->config.vocab; t++)
            if (token[t] != HS_NO_TARGET)
                copy_rows(from, have, before + token[t], to, want, before + t, 1);
        return HS_OK;
    }
    if (has_row_each(have, &positions->tensor[i]) && same_columns && want->shape[0] >= have->shape[0]) {
        copy_rows(from, have, 0, to, want, 0, have->shape[0]);
        return HS_OK;
    }
    if (have->ndim != want->ndim || memcmp(have->shape, want->shape, sizeof have->shape) != 0)
        return fail_shape(have, want, err);
    memcpy(to->param + want->offset, from->param + have->offset, have->size * sizeof(float));
    return HS_OK;
}

/* `model` described with one token or one position fewer. */
static hs_status describe_smaller(hs_model *out, const hs_model *model, bool tokens, hs_error *err)
{
    hs_model_config config = model->config;
    *(tokens ? &config.vocab : &config.n_positions) -= 1;
    return hs_model_describe(out, &config, err);
}

static hs_status take(hs_model *to, const hs_model *from, const hs_model *tokens, const hs_model *positions,
                      const uint32_t *token, hs_error *err)
{
    for (uint32_t i = 0; i < to->n_tensors; i++)
        if (!hs_model_tensor(from, to->tensor[i].name))
            return hs_fail(err, HS_ERR_DATA, "the weights to start from have no tensor %s", to->tensor[i].name);
    for (uint32_t i = 0; i < from->n_tensors; i++) {
        const hs_tensor *want = hs_model_tensor(to, from->tensor[i].name);
        if (!want)
            return hs_fail(err, HS_ERR_DATA, "the weights to start from have a tensor %s, which this model has not",
                           from->tensor[i].name);
        HS_TRY(take_tensor(to, want, from, i, tokens, positions, token, err));
    }
    return HS_OK;
}

hs_status hs_model_take(hs_model *to, const hs_model *from, const uint32_t *token, hs_error *err)
{
    hs_model tokens = {0}, positions = {0};
    hs_status status = from->config.vocab > 1 && from->config.n_positions > 1
                           ? describe_smaller(&tokens, from, true, err)
                           : hs_fail(err, HS_ERR_DATA, "a model of one token or one position has nothing to give");
    if (status == HS_OK)
        status = describe_smaller(&positions, from, false, err);
    if (status == HS_OK)
        status = take(to, from, &tokens, &positions, token, err);
    hs_model_free(&tokens);
    hs_model_free(&positions);
    return status;
}
