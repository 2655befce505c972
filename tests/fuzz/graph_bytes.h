/* graph_bytes.h - a fuzzer's bytes as a file in memory, read as one format; whatever reads must hold the invariants. */
#ifndef HOPSCOPE_FUZZ_GRAPH_BYTES_H
#define HOPSCOPE_FUZZ_GRAPH_BYTES_H

#include "hopscope/graph.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void must(bool holds)
{
    if (!holds)
        abort();
}

static inline int read_bytes(const uint8_t *data, size_t size, hs_read_options options)
{
    char path[64];
    int fd = memfd_create("fuzz", 0);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    hs_graph g;
    hs_graph_stats stats;
    hs_error err = {0};
    hs_read_report report = {0};
    hs_status status = hs_graph_read(&g, path, &options, &report, &err);
    if (status == HS_OK) {
        must(g.n_facts > 0 && report.facts == g.n_facts && g.out_start[g.entities.n] == g.n_facts);
        must(hs_graph_stats_compute(&g, 3.6, &stats, &err) == HS_OK);
        must(stats.two_hop <= stats.two_hop_all && stats.functional_two_hop <= stats.two_hop);
        hs_graph_stats_free(&stats);
    } else {
        must(status == HS_ERR_DATA && err.what[0] != '\0' && g.facts == NULL);
    }
    hs_question *questions = NULL;
    size_t n = 0;
    if (status == HS_OK && strcmp(options.format, "2wiki") == 0)
        must(hs_questions_read(&g, path, &options, &questions, &n, &err) == HS_OK);
    hs_questions_free(questions, n);
    hs_graph_free(&g);
    close(fd);
    return 0;
}

#endif
