/* any.c - a dataset in whatever form lies at a path. */
#include "data/internal.h"

#include <sys/stat.h>

hs_status hs_dataset_read_any(hs_dataset *out, const char *path, hs_error *err)
{
    char inside[4096];
    struct stat st;
    if (stat(path, &st) == 0 && !S_ISDIR(st.st_mode))
        return hs_dataset_read_jsonl(out, path, err);
    HS_TRY(hs_path_join(inside, sizeof inside, path, "train.json", err));
    return hs_file_exists(inside) ? hs_dataset_read_published(out, path, err) : hs_dataset_read(out, path, err);
}
