/* Fuzz target: the CSV reader. Corpus: tests/fuzz/corpus/graph_csv */
#include "graph_bytes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return read_bytes(data, size, (hs_read_options){.format = "csv"});
}
