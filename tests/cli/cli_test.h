/* cli_test.h - for tests that run the program as its users do: a folder of their own, a shell line, exit code and
 * texts. */
#ifndef HOPSCOPE_TESTS_CLI_H
#define HOPSCOPE_TESTS_CLI_H

#include "check.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[256], out[65536], message[65536];

static inline int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "%s/cli_XXXXXX", TEST_BINARY_DIR);
    return mkdtemp(folder) && chdir(folder) == 0 ? 0 : -1;
}

static inline int tear_down(void **state)
{
    (void)state;
    char command[700];
    snprintf(command, sizeof command, "chmod -R u+w '%s'; rm -rf '%s'", folder, folder);
    return chdir("/") == 0 ? system(command) : -1;
}

static inline void read_all(const char *path, char *text, size_t size)
{
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    text[fread(text, 1, size - 1, f)] = 0;
    fclose(f);
}

/* Run a shell line in which $H is the program; stdout to `out`, stderr to `message`; returns the exit code. */
static inline int sh(const char *line)
{
    char command[3000];
    const int n = snprintf(command, sizeof command, "H='%s/hopscope'; { %s\n} > .out 2> .err", TEST_BINARY_DIR, line);
    assert_true(n > 0 && (size_t)n < sizeof command);
    const int status = system(command);
    read_all(".out", out, sizeof out);
    read_all(".err", message, sizeof message);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000;
}

/* The exit code, a part of stdout and a part of stderr. */
static inline void assert_sh(int expected, const char *line, const char *in_out, const char *in_message)
{
    const int code = sh(line);
    if (code != expected || !strstr(out, in_out) || !strstr(message, in_message))
        fail_msg("%s\nexit code %d, expected %d\n--- stdout (expected '%s')\n%s\n--- stderr (expected '%s')\n%s", line,
                 code, expected, in_out, out, in_message, message);
}

/* Nothing of this name, nor of a half-written one, is there. */
static inline void assert_nothing_at(const char *name)
{
    char line[600];
    snprintf(line, sizeof line, "ls -d %s %s.tmp* 2> /dev/null", name, name);
    sh(line);
    assert_string_equal(out, "");
}

static inline void write_file(const char *path, const char *text)
{
    assert_int_equal(hs_file_write(path, text, strlen(text), NULL), HS_OK);
}

#endif
