/* paths.c - files that settings name: relative to the experiment file, absolute once they are found.
 *
 * Invariant: what a run directory keeps is absolute wherever the file was there, so a run goes on from any folder. */
#include "experiment/internal.h"

#include <stdlib.h>
#include <string.h>

/* The absolute form of a path that exists into `out` (size of the setting); false if it is not there or does not fit. */
static bool absolute(const char *path, char *out, size_t size)
{
    char *real = realpath(path, NULL);
    const bool fits = real && strlen(real) < size;
    if (fits)
        snprintf(out, size, "%s", real);
    free(real);
    return fits;
}

static bool is_file_name(const hs_config_key *key, const char *value)
{
    if (value[0] == 0 || value[0] == '/')
        return false;
    return strcmp(key->key, "graph.path") != 0 || (strcmp(value, "-") != 0 && strcmp(value, "world") != 0);
}

/* One name, in place; `size`: of the setting. */
static void place_name(hs_config *config, const hs_config_key *key, char *name, size_t size, const char *file)
{
    char beside[4096];
    if (!is_file_name(key, name))
        return;
    const char *slash = file ? strrchr(file, '/') : NULL;
    if (!slash) { /* from the command line, or a file in this folder */
        (void)absolute(name, name, size);
        return;
    }
    const int len = snprintf(beside, sizeof beside, "%.*s/%s", (int)(slash - file), file, name);
    if (len < 0 || (size_t)len >= sizeof beside || absolute(beside, name, size))
        return;
    char here[4096];
    if (absolute(name, here, sizeof here) && strlen(here) < size) {
        snprintf(config->note, sizeof config->note,
                 "%s: %.300s is not beside the experiment file; the one in this folder is taken", key->key, name);
        snprintf(name, size, "%s", here);
    } else if ((size_t)len < size) {
        snprintf(name, size, "%s", beside); /* so that the error names where it was looked for */
    }
}

void hs_config_place(hs_config *config, const hs_config_key *key, const char *file)
{
    char *field = (char *)config + key->setting.offset, name[4096];
    if (!(key->setting.flags & HS_SETTING_LIST)) {
        place_name(config, key, field, key->setting.size, file);
        return;
    }
    hs_str list = {0};
    bool found = false;
    for (size_t i = 0; hs_list_get(field, i, name, sizeof name); i++) {
        const size_t blanks = strspn(name, " ");
        memmove(name, name + blanks, strlen(name + blanks) + 1);
        char before[sizeof name];
        snprintf(before, sizeof before, "%s", name);
        place_name(config, key, name, sizeof name, file);
        found |= strcmp(before, name) != 0;
        hs_list_add(&list, name, strlen(name));
    }
    if (found && list.s && !list.failed && list.len < key->setting.size) /* else as it was written */
        snprintf(field, key->setting.size, "%s", list.s);
    hs_str_free(&list);
}

bool hs_config_same_file(const hs_config *a, const hs_config *b, const hs_config_key *key)
{
    const char *x = (const char *)a + key->setting.offset, *y = (const char *)b + key->setting.offset;
    const char *name_x = strrchr(x, '/'), *name_y = strrchr(y, '/');
    return (key->setting.flags & HS_SETTING_PATH) && x[0] && y[0] && !hs_file_exists(x) &&
           strcmp(name_x ? name_x + 1 : x, name_y ? name_y + 1 : y) == 0;
}
