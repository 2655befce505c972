/* world.c - the graph that is part of the program: countries, their parts, currencies, languages (data/world).
 *
 * The assembler puts the file's bytes between two symbols; layer.cmake names the file and makes it a dependency.
 */
#include "graph/read/format.h"

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

static hs_status read_world(hs_graph *g, const hs_source *from, const hs_read_options *options, hs_read_report *report,
                            hs_error *err)
{
    (void)options;
    uint64_t line = 0;
    hs_columns columns;
    HS_TRY(hs_columns_begin(&columns, "hrt", err));
    for (const char *s = hs_world_begin; s < hs_world_end;) {
        const char *newline = memchr(s, '\n', (size_t)(hs_world_end - s));
        const char *end = newline == NULL ? hs_world_end : newline;
        line++;
        HS_TRY(hs_columns_add_line(&columns, g, s, (size_t)(end - s), from->path, line, report, err));
        s = end + 1;
    }
    return HS_OK;
}

const hs_graph_format hs_format_world = {.endings = "", .path = "world", .read = read_world};
