/* folder.h - a folder that appears whole or not at all: make "DIR.tmp-PID", write into it, then commit (rename) or abort
 * (remove). */
#ifndef HOPSCOPE_DATA_FOLDER_H
#define HOPSCOPE_DATA_FOLDER_H

#include "hopscope/core.h"

typedef struct hs_folder {
    char dir[4096], tmp[4096 + 32];
} hs_folder;
hs_status hs_folder_open(hs_folder *folder, const char *dir, hs_error *err);
hs_status hs_folder_commit(hs_folder *folder, hs_error *err);
void hs_folder_abort(hs_folder *folder);
/* Writes text as folder->tmp/name. */
hs_status hs_folder_put(const hs_folder *folder, const char *name, const hs_str *text, hs_error *err);

#endif
