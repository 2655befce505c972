/* find.c - what `hopscope run` is given: an experiment file, a run directory, or a graph alone.
 *
 * A graph alone gets the recipe below, measured on a graph of 3,100 facts (docs/howto-own-graph.md): two blocks, strong weight decay
 * and a cosine schedule. Its settings are written to the run directory like any other. */
#include "experiment/internal.h"

#include <string.h>
#include <sys/stat.h>

static const char recipe[] = "augment:\n  per_bridge: 16\n"
                             "data:\n  task: composition\n  holdout: 0.3\n  ood_fraction: 0\n  cover: true\n"
                             "model:\n  n_layer: 2\n  n_embd: 128\n  n_head: 4\n"
                             "train:\n  optimizer: muon\n  lr: 1e-3\n  weight_decay: 3\n  schedule: cosine\n"
                             "  batch: 512\n  steps: 1500\n";

bool hs_is_graph_file(const char *path)
{
    static const char *const endings[] = {".tsv", ".csv", ".nt", ".ttl", ".json", ".jsonl"};
    size_t len = strlen(path);
    if (len > 4 && strcmp(path + len - 4, ".zst") == 0)
        len -= 4;
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        const size_t n = strlen(endings[i]);
        if (len > n && strncmp(path + len - n, endings[i], n) == 0)
            return true;
    }
    return strcmp(path, "world") == 0;
}

static hs_status for_graph(hs_config *out, const char *path, const char *const *set, size_t n_set, hs_error *err)
{
    hs_str text = {0};
    hs_str_addf(&text, "graph:\n  path: ");
    hs_str_add_json(&text, path, strlen(path)); /* a JSON string is a YAML one */
    hs_str_addf(&text, "\n%s", recipe);
    hs_status status = text.failed ? hs_fail_memory(err, text.len)
                                   : hs_config_parse(out, "recipe for a graph", text.s, text.len, set, n_set, err);
    hs_str_free(&text);
    if (status == HS_OK)
        snprintf(out->note, sizeof out->note,
                 "no experiment file: the settings for a graph of one's own (hopscope run --help)");
    return status;
}

hs_status hs_config_find(hs_config *out, const char *path, const char *const *set, size_t n_set, hs_error *err)
{
    struct stat st;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
        char yaml[4096];
        HS_TRY(hs_path_join(yaml, sizeof yaml, path, "experiment.yaml", err));
        if (!hs_file_exists(yaml)) {
            hs_fail(err, HS_ERR_IO, "this is no run directory: experiment.yaml is not there");
            return hs_error_where(err, "%s", path);
        }
        return hs_config_read(out, yaml, set, n_set, err);
    }
    return hs_is_graph_file(path) ? for_graph(out, path, set, n_set, err) : hs_config_read(out, path, set, n_set, err);
}
