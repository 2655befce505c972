/* ask.c - asks the model of a run: its most probable answers, and whether the bridge stands in a middle layer.
 * usage: ask RUN HEAD RELATION [RELATION] */
#include <hopscope/experiment.h>

static void print(const hs_run *run, const hs_answer *a)
{
    char text[32];
    printf("step %llu\n", (unsigned long long)run->step);
    for (uint32_t i = 0; i < a->n_best; i++)
        printf("%6.1f%%  %s%s\n", 100 * a->probability[i], hs_answer_name(&run->data, a->best[i], text),
               a->best[i] == a->known ? "   <- as the facts say" : "");
    if (a->bridge != HS_NO_ID) /* the entity after the first hop, by the facts */
        printf("bridge %s: %s\n", hs_names_get(&run->data.vocab, a->bridge),
               a->bridge_found ? "read by the logit lens" : "not on top in any middle layer");
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: ask RUN HEAD RELATION [RELATION]\n");
        return 2;
    }
    hs_error err = {0};
    hs_answer answer = {0};
    hs_run *run = hs_calloc(1, sizeof *run); /* zeroed; large for a stack */
    hs_status status = run ? hs_run_open(run, argv[1], HS_LATEST, &err) : hs_fail_memory(&err, sizeof *run);
    if (status == HS_OK) {
        status = hs_ask(&run->model, &run->data, (const char *const *)argv + 2, (uint32_t)argc - 2, &answer, &err);
        if (status == HS_OK)
            print(run, &answer);
        hs_answer_free(&answer);
        hs_run_close(run);
    }
    if (status != HS_OK) {
        char text[1200]; /* an unknown name: also the nearest known one */
        hs_error_format(&err, text, sizeof text);
        fprintf(stderr, "ask: %s\n", text);
    }
    hs_free(run);
    return hs_status_exit_code(status);
}
