/* helpers.h - what the tests of the graph layer share: throw-away files, small graphs, errors, memory injection. */
#ifndef HOPSCOPE_TESTS_GRAPH_HELPERS_H
#define HOPSCOPE_TESTS_GRAPH_HELPERS_H

#include "check.h"

#include "hopscope/graph.h"

#include <unistd.h>

static char temp_paths[16][512];
static int n_temp_paths;

static inline void remove_temp_files(void)
{
    for (int i = 0; i < n_temp_paths; i++)
        unlink(temp_paths[i]);
}

/* A file of this test with this content, removed at the end; one file for each ending. */
static inline const char *temp_file(const char *ending, const void *data, size_t size)
{
    char path[512];
    int at = 0;
    snprintf(path, sizeof path, "%s/graph_test_%d%s", TEST_BINARY_DIR, (int)getpid(), ending);
    while (at < n_temp_paths && strcmp(temp_paths[at], path) != 0)
        at++;
    if (n_temp_paths == 0)
        atexit(remove_temp_files);
    assert_true(at < 16);
    if (at == n_temp_paths)
        strcpy(temp_paths[n_temp_paths++], path);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
    return temp_paths[at];
}

static inline const char *temp_text(const char *ending, const char *text)
{
    return temp_file(ending, text, strlen(text));
}

/* File of HOPSCOPE_DATA, or the test is skipped. */
static inline const char *data_file(const char *name)
{
    static char path[1024];
    const char *folder = getenv("HOPSCOPE_DATA");
    if (folder == NULL)
        skip();
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

/* Graph of lines "head relation tail" separated by newlines; words have no spaces. */
static inline void make_graph(hs_graph *g, const char *text)
{
    *g = (hs_graph){0};
    char head[64], relation[64], tail[64];
    int used;
    while (sscanf(text, "%63s %63s %63s%n", head, relation, tail, &used) == 3) {
        assert_ok(hs_graph_add(g, head, relation, tail, err));
        text += used;
    }
    assert_ok(hs_graph_index(g, err));
}

/* n random facts (with repeats, self loops and opposite facts) over few entities. */
static inline void random_graph(hs_graph *g, uint64_t seed, uint32_t entities, uint32_t relations, uint32_t n)
{
    hs_rng rng;
    char head[32], relation[32], tail[32];
    *g = (hs_graph){0};
    hs_rng_init(&rng, seed, HS_PURPOSE('t', 'e', 's', 't'), 0, 0);
    for (uint32_t i = 0; i < n; i++) {
        snprintf(head, sizeof head, "e%u", (unsigned)hs_rng_below(&rng, entities));
        snprintf(relation, sizeof relation, "r%u", (unsigned)hs_rng_below(&rng, relations));
        snprintf(tail, sizeof tail, "e%u", (unsigned)hs_rng_below(&rng, entities));
        assert_ok(hs_graph_add(g, head, relation, tail, err));
    }
    assert_ok(hs_graph_index(g, err));
}

static inline bool has_fact(const hs_graph *g, const char *head, const char *relation, const char *tail)
{
    hs_fact fact = {hs_names_find(&g->entities, head, strlen(head)),
                    hs_names_find(&g->relations, relation, strlen(relation)),
                    hs_names_find(&g->entities, tail, strlen(tail))};
    return fact.head != HS_NO_ID && fact.relation != HS_NO_ID && fact.tail != HS_NO_ID &&
           hs_graph_find(g, fact) != HS_NO_FACT;
}

/* Reading must fail as bad data, with these parts in `what` and `where`, and leave nothing. */
static inline void assert_bad(const char *path, const hs_read_options *options, const char *what, const char *where)
{
    hs_error err = {0};
    hs_graph g;
    hs_status status = hs_graph_read(&g, path, options, NULL, &err);
    if (status != HS_ERR_DATA || strstr(err.what, what) == NULL || strstr(err.where, where) == NULL)
        fail_msg("status %d, what \"%s\", where \"%s\"; expected \"%s\" at \"%s\"", (int)status, err.what, err.where,
                 what, where);
    assert_null(g.facts);
    assert_null(g.entities.text);
    assert_int_equal(g.n_facts, 0);
}

/* Run fn with the n-th allocation failing, for every n until it works; each failure must say so. */
static inline void every_allocation_fails(hs_status (*fn)(hs_error *err))
{
    for (uint64_t n = 1;; n++) {
        hs_error err = {0};
        hs_alloc_fail_after(n);
        hs_status status = fn(&err);
        hs_alloc_fail_after(0);
        if (status == HS_OK) {
            assert_true(n > 1);
            return;
        }
        assert_int_equal(status, HS_ERR_MEMORY);
        assert_true(n < 1000000);
    }
}

#endif
