/* JSONL import: any text is refused or becomes a dataset that can be audited and written again. */
#include "hopscope/data.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    int fd = memfd_create("fuzz", 0);
    if (fd < 0 || write(fd, bytes, size) != (ssize_t)size)
        abort();
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    hs_dataset d = {0};
    hs_error err;
    if (hs_dataset_read_jsonl(&d, path, &err) == HS_OK) {
        if (!d.card || d.n_splits == 0 || hs_dataset_audit(&d, &err) != HS_OK)
            abort();
        hs_dataset_free(&d);
    } else if (d.splits) {
        abort();
    }
    close(fd);
    return 0;
}
