/* patch.c - activation patching: two queries of one form are run; then the first again with the second's state written
 * at the first relation, after each stage in turn. Where the answer changes, that state carried the first hop.
 * usage: patch RUN HEAD RELATION RELATION OTHER-HEAD */
#include <hopscope/experiment.h>
#include <hopscope/tensor.h>

static hs_status patch(const hs_run *run, const char *const *words, hs_error *err)
{
    const hs_model *model = &run->model;
    const uint32_t D = model->config.n_embd, V = model->config.vocab;
    uint32_t token[6]; /* both queries, one after the other: a batch of B = 2, three tokens each */
    const char *const other[] = {words[3], words[1], words[2]};
    HS_TRY(hs_ask_words(&run->data, words, 3, token, err));
    HS_TRY(hs_ask_words(&run->data, other, 3, token + 3, err));
    const uint32_t start[] = {0, 3, 6}, score_row[] = {2, 5}, target[] = {0, 0};
    const hs_batch batch = {
        .B = 2, .N = 6, .P = 2, .token = token, .start = start, .score_row = score_row, .target = target};
    const size_t M = hs_model_state_rows(model, 2, 6), work_size = hs_model_work_size(model, 2, 6, 2, false);
    const size_t n = work_size + 2 * V + (model->n_stages + 1) * M * D; /* scratch, logits (P,V), states (stages,M,D) */
    float *work = hs_alloc(n * sizeof *work), *logits = work + work_size, *states = logits + 2 * V;
    if (!work)
        return hs_fail_memory(err, n * sizeof *work);
    hs_model_run(model, &batch, &(hs_pass){.logits = logits, .states_out = states}, work);
    const hs_kernels *kernels = hs_kernels_get();
    char text[32];
    printf("%-12s %s\n", "first", hs_answer_name(&run->data, (uint32_t)kernels->argmax(V, logits), text));
    printf("%-12s %s\n", "second", hs_answer_name(&run->data, (uint32_t)kernels->argmax(V, logits + V), text));
    const uint32_t row = hs_model_state_row(model, &batch, 0, 1), from = hs_model_state_row(model, &batch, 1, 1);
    for (uint32_t s = 1; s < model->n_stages; s++) {
        const hs_stage stage = hs_model_stage(model, s);
        const hs_patch p = {.stage = s, .stream = stage.stream, .row = row, .x = states + (s * M + from) * D};
        hs_model_run(model, &batch, &(hs_pass){.n_patches = 1, .patch = &p, .logits = logits}, work);
        printf("%-12s %s\n", stage.name, hs_answer_name(&run->data, (uint32_t)kernels->argmax(V, logits), text));
    }
    hs_free(work);
    return HS_OK;
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        fprintf(stderr, "usage: patch RUN HEAD RELATION RELATION OTHER-HEAD\n");
        return 2;
    }
    hs_error err = {0};
    hs_run *run = hs_calloc(1, sizeof *run); /* zeroed; large for a stack */
    hs_status status = run ? hs_run_open(run, argv[1], HS_LATEST, &err) : hs_fail_memory(&err, sizeof *run);
    if (status == HS_OK) {
        status = patch(run, (const char *const *)argv + 2, &err);
        hs_run_close(run);
    }
    if (status != HS_OK)
        fprintf(stderr, "patch: %s: %s '%s'\n  %s\n", err.where, err.what, err.value, err.hint);
    hs_free(run);
    return hs_status_exit_code(status);
}
