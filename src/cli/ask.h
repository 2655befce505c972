/* ask.h - what the files of `hopscope ask` share: cmd_ask.c, a question and examples; ask_file.c, a file of questions.
 */
#ifndef HOPSCOPE_CLI_ASK_H
#define HOPSCOPE_CLI_ASK_H

#include "cli/cli.h"

/* Every question of `file` (a line each, names separated by tabs; "-": standard input), answered as CSV in `path`,
 * NULL: standard output. Returns the exit code; after an error nothing is written. */
int hs_ask_file_command(const hs_run *run, const char *file, const char *path);
/* The name of an entity, one or two tokens (HS_NO_ID: one), appended. */
void hs_ask_add_entity(hs_str *out, const hs_dataset *data, uint32_t token, uint32_t second);

#endif
