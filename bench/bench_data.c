/* bench_data.c - how long a dataset takes: generated, split and audited, one thread.
 * Prints one line a case: seconds, training items, peak memory. Usage: bench_data [c1|large|comparison|complex]... */
#include "hopscope/data.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

static int measure(const char *name)
{
    hs_data_config config;
    hs_error err = {0};
    const char *task = strcmp(name, "comparison") == 0 || strcmp(name, "complex") == 0 ? name : "composition";
    hs_data_config_for_task(&config, task, &err);
    if (strcmp(name, "large") == 0)
        config.entities = 50000;
    hs_dataset data = {0};
    double start = hs_now();
    if (hs_dataset_build(&data, &config, NULL, NULL, NULL, &err) != HS_OK) {
        char text[1200];
        hs_error_format(&err, text, sizeof text);
        fprintf(stderr, "bench_data: %s: %s\n", name, text);
        return hs_status_exit_code(err.status);
    }
    double seconds = hs_now() - start;
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf("%-12s %8.3f s  %10llu training items  %7.1f MB peak\n", name, seconds,
           (unsigned long long)data.audit.training_items, (double)usage.ru_maxrss / 1024);
    hs_dataset_free(&data);
    return 0;
}

int main(int argc, char **argv)
{
    static const char *const ALL[] = {"c1", "comparison", "complex", "large"};
    int code = 0;
    for (int i = 1; i < argc && code == 0; i++) {
        bool known = false;
        for (size_t k = 0; k < sizeof ALL / sizeof ALL[0]; k++)
            known |= strcmp(argv[i], ALL[k]) == 0;
        if (!known) {
            fprintf(stderr, "usage: bench_data [c1|comparison|complex|large]...\n");
            return 2;
        }
        code = measure(argv[i]);
    }
    for (size_t k = 0; argc < 2 && k < sizeof ALL / sizeof ALL[0] && code == 0; k++)
        code = measure(ALL[k]);
    return code;
}
