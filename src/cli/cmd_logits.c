/* cmd_logits.c - hopscope logits: what a model says about given token ids, for comparison with other programs. */
#include "cli/cli.h"

#include "hopscope/model.h"
#include "hopscope/tensor.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const hs_usage usage = {
    "logits", "MODEL --ids FILE -o OUT",
    "MODEL is a model file (.safetensors) or a Hugging Face folder. FILE holds one sequence a line, token ids "
    "separated\n"
    "by spaces. OUT becomes a safetensors file with `logits` (rows, vocabulary), one row a token in the order of "
    "FILE,\n"
    "and `start` (sequences + 1), the first row of each sequence. For a TRM each sequence has one row: the logits at "
    "the\n"
    "position after its last token.",
    "  hopscope logits runs/demo/checkpoints/step-00001000.safetensors --ids ids.txt -o out.safetensors"};

typedef struct ids {
    uint32_t *token, *start; /* (N), (B+1) */
    size_t N, B, cap, cap_start;
} ids;

static hs_status read_line(ids *in, const char *line, const hs_model *m, const char *path, uint64_t number,
                           hs_error *err)
{
    const size_t first = in->N;
    for (const char *p = line; *(p += strspn(p, " \t")) != 0;) {
        char *end;
        errno = 0;
        const unsigned long long id = strtoull(p, &end, 10);
        if (end == p || *p == '-' || errno || id >= m->config.vocab) {
            hs_fail(err, HS_ERR_DATA, "not a token id below %u", m->config.vocab);
            hs_error_where(err, "%s:%llu", path, (unsigned long long)number);
            return hs_error_value(err, p, strcspn(p, " \t"));
        }
        void *token = in->token;
        const hs_status status = hs_grow(&token, &in->cap, in->N + 1, sizeof *in->token, err);
        in->token = token;
        HS_TRY(status);
        in->token[in->N++] = (uint32_t)id;
        p = end;
    }
    const size_t most = hs_model_longest_prompt(m);
    if (in->N == first || in->N - first > most) {
        hs_fail(err, HS_ERR_DATA, "%zu tokens where 1 to %zu fit the model", in->N - first, most);
        return hs_error_where(err, "%s:%llu", path, (unsigned long long)number);
    }
    void *start = in->start;
    const hs_status status = hs_grow(&start, &in->cap_start, in->B + 2, sizeof *in->start, err);
    in->start = start;
    HS_TRY(status);
    in->start[0] = 0;
    in->start[++in->B] = (uint32_t)in->N;
    return HS_OK;
}

static hs_status read_ids(ids *in, const char *path, const hs_model *m, hs_error *err)
{
    hs_lines *lines;
    HS_TRY(hs_lines_open(&lines, path, 1 << 20, err));
    hs_status status;
    const char *line;
    size_t len;
    while ((status = hs_lines_next(lines, &line, &len, err)) == HS_OK && line)
        if ((status = read_line(in, line, m, path, hs_lines_number(lines), err)) != HS_OK)
            break;
    hs_lines_close(lines);
    if (status == HS_OK && in->B == 0) {
        hs_fail(err, HS_ERR_DATA, "no sequence in the file");
        status = hs_error_where(err, "%s", path);
    }
    return status;
}

static hs_status write_logits(const hs_model *m, const ids *in, const char *output, hs_error *err)
{
    const uint64_t rows = hs_model_traits_of(m)->in_place ? in->B : in->N, V = m->config.vocab;
    float *logits = hs_calloc((size_t)rows * V, sizeof *logits);
    if (!logits)
        return hs_fail_memory(err, (size_t)(rows * V) * sizeof *logits);
    hs_status status = hs_model_logits_all(m, in->B, in->token, in->start, logits, err);
    const hs_st_tensor out[] = {
        {.name = "logits", .dtype = "F32", .ndim = 2, .shape = {rows, V}, .data = logits, .bytes = rows * V * 4},
        {.name = "start",
         .dtype = "U32",
         .ndim = 1,
         .shape = {in->B + 1},
         .data = in->start,
         .bytes = (in->B + 1) * 4}};
    if (status == HS_OK)
        status = hs_st_write(output, out, 2, NULL, 0, err);
    hs_free(logits);
    return status;
}

/* *result: what was written, to be freed; NULL where there is no memory for it. */
static hs_status run(const char *path, const char *ids_path, const char *output, json_t **result, hs_error *err)
{
    hs_model model = {0};
    ids in = {0};
    HS_TRY(hs_path_check_vacant(output, err));
    HS_TRY(hs_tensor_open(err));
    HS_TRY(hs_model_open(&model, path, err));
    hs_status status = read_ids(&in, ids_path, &model, err);
    if (status == HS_OK)
        status = write_logits(&model, &in, output, err);
    if (status == HS_OK)
        *result = json_pack("{s:s, s:s, s:I, s:I, s:I}", "in", path, "out", output, "sequences", (json_int_t)in.B,
                            "rows", (json_int_t)(hs_model_traits_of(&model)->in_place ? in.B : in.N), "vocab",
                            (json_int_t)model.config.vocab);
    hs_free(in.token);
    hs_free(in.start);
    hs_model_free(&model);
    return status;
}

int hs_cmd_logits(int argc, const char **argv)
{
    char *ids_path = NULL, *output = NULL;
    int code = 0, json = 0;
    json_t *result = NULL;
    const struct poptOption options[] = {
        {"ids", 0, POPT_ARG_STRING, &ids_path, 0, "token ids, one sequence a line", "FILE"},
        {"output", 'o', POPT_ARG_STRING, &output, 0, "the file to write; must not exist", "OUT"},
        {"json", 0, POPT_ARG_NONE, &json, 0, "what was written, as one JSON object", NULL},
        POPT_TABLEEND};
    hs_args args;
    if (hs_args_parse(&args, &usage, argc, argv, options, 1, 1, &code)) {
        hs_error err = {0};
        if (!ids_path || !output)
            code = hs_cli_usage_error("logits", "needs --ids FILE and -o OUT");
        else if (run(args.arg[0], ids_path, output, &result, &err) != HS_OK)
            code = hs_cli_fail(&err);
        else if (json)
            code = hs_cli_print_json(json_incref(result));
        json_decref(result);
        hs_args_free(&args);
    }
    free(ids_path);
    free(output);
    return code;
}
