/* Fuzz target: the TSV reader. Corpus: tests/fuzz/corpus/graph_tsv */
#include "graph_bytes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return read_bytes(data, size, (hs_read_options){.format = "tsv"});
}
