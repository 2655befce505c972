/* world.c - the graph that is part of the program: countries, their parts, currencies, languages (data/world).
 *
 * The assembler puts the file's bytes between two symbols; layer.cmake names the file and makes it a dependency.
 */
#include "graph/read/readers.h"

#include <string.h>

__asm__(".section .rodata\n"
        ".balign 16\n"
        ".local hs_world_begin\n"
        "hs_world_begin:\n"
        ".incbin \"" HS_WORLD_FILE "\"\n"
        ".local hs_world_end\n"
        "hs_world_end:\n"
        ".byte 0\n"
        ".previous\n");
extern const char hs_world_begin[] __attribute__((visibility("hidden")));
extern const char hs_world_end[] __attribute__((visibility("hidden")));

hs_status hs_read_world(hs_graph *g, hs_read_report *report, hs_error *err)
{
    uint64_t line = 0;
    for (const char *s = hs_world_begin; s < hs_world_end;) {
        const char *newline = memchr(s, '\n', (size_t)(hs_world_end - s));
        const char *end = newline == NULL ? hs_world_end : newline;
        line++;
        report->records++;
        HS_TRY(hs_read_tsv_line(g, s, (size_t)(end - s), "world", line, err));
        s = end + 1;
    }
    return HS_OK;
}
