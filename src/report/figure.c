/* figure.c - panels of lines, points, heat maps and arrows as SVG, PNG or PDF, drawn by gnuplot.
 *
 * gnuplot is called as a program, without a shell: it reads the script on its standard input and writes a temporary
 * file that is renamed when it is whole. Invariants: text from outside gets into the script only between single quotes,
 * where gnuplot substitutes nothing; numbers only in data blocks; every point of a series is written. */
#include "hopscope/report.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { PATH_SIZE = 4096, N_COLORS = 12 };

/* Okabe & Ito's palette, then four that differ from it in lightness. */
static const char *const palette[N_COLORS] = {"#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9",
                                              "#000000", "#6A3D9A", "#8C564B", "#B2A100", "#7F7F7F", "#A50026"};

/* viridis; and blue over white to red (ColorBrewer's RdBu) for differences. Both are read without color sight. */
static const char *const heat_palette = "0 '#440154', 1 '#482878', 2 '#3E4989', 3 '#31688E', 4 '#26828E', 5 '#1F9E89', "
                                        "6 '#35B779', 7 '#6DCD59', 8 '#B4DE2C', 9 '#FDE725'";
static const char *const change_palette =
    "0 '#2166AC', 1 '#67A9CF', 2 '#D1E5F0', 3 '#F7F7F7', 4 '#FDDBC7', 5 '#EF8A62', "
    "6 '#B2182B'";

typedef enum format { FORMAT_NONE, FORMAT_SVG, FORMAT_PNG, FORMAT_PDF } format;

static format format_of(const char *path)
{
    static const char *const ending[] = {"", ".svg", ".png", ".pdf"};
    const size_t len = strlen(path);
    for (int f = FORMAT_SVG; f <= FORMAT_PDF; f++)
        if (len > 4 && strcmp(path + len - 4, ending[f]) == 0)
            return (format)f;
    return FORMAT_NONE;
}

/* ---------------------------------------------------------------- script */

/* 'text', quotes doubled, control characters as blanks. */
static void add_quoted(hs_str *out, const char *text)
{
    hs_str_add(out, "'", 1);
    for (const char *c = text; *c; c++) {
        const char plain = (unsigned char)*c < 32 || *c == 127 ? ' ' : *c;
        hs_str_add(out, *c == '\'' ? "''" : &plain, *c == '\'' ? 2 : 1);
    }
    hs_str_add(out, "'", 1);
}

static bool is_heat(const hs_series *s)
{
    return s->mark == HS_MARK_HEAT || s->mark == HS_MARK_CHANGE;
}

static void add_number(hs_str *out, double value)
{
    if (isfinite(value))
        hs_str_addf(out, "%.17g", value);
    else
        hs_str_add(out, "NaN", 3);
}

/* An end that is not given is by the data. */
static void add_end(hs_str *out, bool given, double value)
{
    if (given && isfinite(value))
        add_number(out, value);
    else
        hs_str_add(out, "*", 1);
}

static void add_range(hs_str *out, const char *axis, double low, double high)
{
    const bool given = low != 0 || high != 0;
    hs_str_addf(out, "set %srange [", axis);
    add_end(out, given && !(low == 0 && axis[0] == 'x'), low);
    hs_str_add(out, ":", 1);
    add_end(out, given, high);
    hs_str_add(out, "]\n", 2);
}

/* Numbers of a point, as gnuplot reads them; returns how many. */
static int point_numbers(const hs_series *s, size_t i, double out[4])
{
    const bool ends = s->mark == HS_MARK_RANGE || s->mark == HS_MARK_BAND || s->mark == HS_MARK_ARROW;
    out[0] = s->x[i];
    out[1] = s->mark == HS_MARK_BAND ? s->low[i] : s->y[i];
    if (is_heat(s))
        out[2] = s->value[i];
    if (ends) {
        out[2] = s->low[i];
        out[3] = s->high[i];
    }
    return ends ? 4 : is_heat(s) ? 3 : 2;
}

/* Points of a series, one a line. An empty series has one point that is not drawn, so that blocks can be counted. */
static void add_points(hs_str *out, const hs_series *s)
{
    if (s->n == 0)
        hs_str_addf(out, "NaN NaN NaN NaN\n");
    for (size_t i = 0; i < s->n; i++) {
        double value[4];
        const int n = point_numbers(s, i, value);
        for (int k = 0; k < n; k++) {
            hs_str_add(out, " ", k > 0);
            add_number(out, value[k]);
        }
        hs_str_add(out, "\n", 1);
    }
}

static void add_look(hs_str *out, const hs_series *s)
{
    static const char *const with[] = {[HS_MARK_LINE] = "lines",
                                       [HS_MARK_POINT] = "points pointtype 7 pointsize 0.6",
                                       [HS_MARK_CENSORED] = "points pointtype 8 pointsize 0.9",
                                       [HS_MARK_RANGE] = "xerrorbars pointtype 2 pointsize 0.8",
                                       [HS_MARK_BAND] = "filledcurves",
                                       [HS_MARK_NODE] = "points pointtype 7 pointsize 2.2",
                                       [HS_MARK_ARROW] = "vectors head filled size screen 0.009,18,60"};
    hs_str_addf(out, " with %s linecolor rgb '%s'", with[s->mark], palette[s->color % N_COLORS]);
    if (s->mark == HS_MARK_BAND)
        hs_str_addf(out, " fillstyle transparent solid 0.15 noborder");
    else
        hs_str_addf(out, " linewidth %.3g", s->width > 0 ? s->width : 1.5);
    if (s->dashed || s->dotted)
        hs_str_addf(out, s->dashed ? " dashtype (12,6)" : " dashtype (2,5)");
    if (s->name) {
        hs_str_addf(out, " title ");
        add_quoted(out, s->name);
    } else {
        hs_str_addf(out, " notitle");
    }
}

static void add_source(hs_str *out, size_t block, const char *data)
{
    if (data) {
        add_quoted(out, data);
        hs_str_addf(out, " index %zu", block);
    } else {
        hs_str_addf(out, "$d%zu", block);
    }
}

/* Squares, then their numbers in black or white, whichever is easier to read on the square. */
static void add_heat(hs_str *out, const hs_series *s, size_t block, const char *data)
{
    const bool change = s->mark == HS_MARK_CHANGE;
    if (s->n == 0) { /* gnuplot 5.4 crashes on squares that are all undefined */
        hs_str_addf(out, "NaN notitle");
        return;
    }
    add_source(out, block, data);
    hs_str_addf(out, " using 1:2:($1-0.5):($1+0.5):($2-0.5):($2+0.5):3 with boxxyerror fillstyle solid noborder "
                     "linecolor palette notitle, \\\n  ");
    add_source(out, block, data);
    hs_str_addf(out, " using 1:2:(sprintf('%s',$3)):(%s ? 0 : 16777215) with labels textcolor rgb variable notitle",
                change ? "%+.2f" : "%.2f", change ? "abs($3) < 0.6" : "$3 > 0.6");
}

static void add_series(hs_str *out, const hs_series *s, size_t block, const char *data)
{
    static const char *const columns[] = {[HS_MARK_LINE] = "1:2",
                                          [HS_MARK_POINT] = "1:2",
                                          [HS_MARK_CENSORED] = "1:2",
                                          [HS_MARK_RANGE] = "1:2:3:4",
                                          [HS_MARK_BAND] = "1:3:4",
                                          [HS_MARK_NODE] = "1:2",
                                          [HS_MARK_ARROW] = "1:2:($3-$1):($4-$2)"};
    if (is_heat(s)) {
        add_heat(out, s, block, data);
        return;
    }
    add_source(out, block, data);
    hs_str_addf(out, " using %s", columns[s->mark]);
    add_look(out, s);
}

static void add_tics(hs_str *out, char axis, const char *const *names, size_t n)
{
    hs_str_addf(out, names ? "set %ctics (" : "set %ctics autofreq", axis);
    for (size_t i = 0; i < n; i++) {
        hs_str_addf(out, "%s", i ? ", " : "");
        add_quoted(out, names[i]);
        hs_str_addf(out, " %zu", i);
    }
    hs_str_addf(out, "%s\n", names ? ")" : "");
}

static void add_panel(hs_str *out, const hs_panel *p, size_t first, const char *data)
{
    const struct {
        const char *command, *text;
    } texts[] = {{"title", p->title}, {"xlabel", p->x_label}, {"ylabel", p->y_label}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        hs_str_addf(out, "set %s ", texts[i].command);
        add_quoted(out, texts[i].text ? texts[i].text : "");
        hs_str_add(out, "\n", 1);
    }
    hs_str_addf(out, "%s logscale x\n", p->log_x ? "set" : "unset");
    add_range(out, "x", p->x_low, p->x_high);
    add_range(out, "y", p->y_low, p->y_high);
    hs_str_addf(out, p->legend ? "set key outside right center vertical Left reverse samplen 2\n" : "unset key\n");
    add_tics(out, 'x', p->x_names, p->n_x_names);
    add_tics(out, 'y', p->y_names, p->n_y_names);
    for (size_t i = 0; i < p->n; i++)
        if (is_heat(&p->series[i])) /* one of the two in a panel */
            hs_str_addf(out, "set palette defined (%s)\nset cbrange [%d:1]\n",
                        p->series[i].mark == HS_MARK_HEAT ? heat_palette : change_palette,
                        p->series[i].mark == HS_MARK_HEAT ? 0 : -1);
    hs_str_addf(out, "plot ");
    for (size_t i = 0; i < p->n; i++) {
        hs_str_addf(out, "%s", i ? ", \\\n  " : "");
        add_series(out, &p->series[i], first + i, data);
    }
    hs_str_addf(out, "%s\n", p->n ? "" : "NaN notitle");
}

static void add_terminal(hs_str *out, const hs_figure *f, format form)
{
    if (form == FORMAT_SVG)
        hs_str_addf(out, "set terminal svg size %u,%u dynamic font 'Helvetica,13'", f->width, f->height);
    else if (form == FORMAT_PNG)
        hs_str_addf(out, "set terminal pngcairo size %u,%u font 'Helvetica,11'", f->width, f->height);
    else
        hs_str_addf(out, "set terminal pdfcairo size %.3fin,%.3fin font 'Helvetica,9'", f->width / 96.0,
                    f->height / 96.0);
    hs_str_addf(out, " background '#ffffff' noenhanced\n");
}

/* With `data`, a file name: the points are read from there. Without: they stand in the script. */
static void add_script(hs_str *out, const hs_figure *f, format form, const char *output, const char *data)
{
    add_terminal(out, f, form);
    hs_str_addf(out, "set encoding utf8\nset output ");
    add_quoted(out, output);
    hs_str_addf(out,
                "\nset grid linetype 1 linewidth 0.6 linecolor rgb '#e0e0e0'\nset border 3\nset tics nomirror out\n"
                "set format x '%%.10g'\nset bars small\nunset colorbox\n");
    if (!data) {
        size_t block = 0;
        for (size_t p = 0; p < f->n; p++)
            for (size_t s = 0; s < f->panel[p].n; s++) {
                hs_str_addf(out, "$d%zu << EOD\n", block++);
                add_points(out, &f->panel[p].series[s]);
                hs_str_addf(out, "EOD\n");
            }
    }
    const size_t columns = f->columns ? f->columns : 1;
    hs_str_addf(out, "set multiplot layout %zu,%zu", (f->n + columns - 1) / columns, columns);
    if (f->title && *f->title) {
        hs_str_addf(out, " title ");
        add_quoted(out, f->title);
    }
    hs_str_add(out, "\n", 1);
    for (size_t p = 0, first = 0; p < f->n; first += f->panel[p].n, p++)
        add_panel(out, &f->panel[p], first, data);
    hs_str_addf(out, "unset multiplot\nset output\n");
}

/* ---------------------------------------------------------------- gnuplot */

static hs_status fail_missing(hs_error *err, int code)
{
    hs_fail(err, HS_ERR_FAILED, "cannot start gnuplot: %s", strerror(code));
    return hs_error_hint(err, "figures need it: apt-get install gnuplot-nox");
}

/* The last line that gnuplot said: the error stands there. */
static void last_words(int fd, char *out, size_t size)
{
    char text[4096];
    const ssize_t n = pread(fd, text, sizeof text - 1, 0);
    text[n > 0 ? n : 0] = 0;
    snprintf(out, size, "no message");
    for (char *save, *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
        if (line[strspn(line, " \t")])
            snprintf(out, size, "%.200s", line + strspn(line, " \t"));
}

static hs_status spawn_gnuplot(int in, int said, hs_error *err)
{
    posix_spawn_file_actions_t actions;
    if (posix_spawn_file_actions_init(&actions) != 0)
        return hs_fail_memory(err, sizeof actions);
    int code = posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
    if (code == 0)
        code = posix_spawn_file_actions_adddup2(&actions, said, STDOUT_FILENO);
    if (code == 0)
        code = posix_spawn_file_actions_adddup2(&actions, said, STDERR_FILENO);
    char *const argv[] = {"gnuplot", "-d", NULL}; /* -d: not the user's settings */
    pid_t child = 0;
    if (code == 0)
        code = posix_spawnp(&child, "gnuplot", &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (code != 0)
        return fail_missing(err, code);
    int status = 0;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return hs_fail(err, HS_ERR_FAILED, "cannot wait for gnuplot: %s", strerror(errno));
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
        return fail_missing(err, ENOENT);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return HS_OK;
    char words[256];
    last_words(said, words, sizeof words);
    return hs_fail(err, HS_ERR_FAILED, "gnuplot failed: %s", words);
}

static hs_status run_gnuplot(const hs_str *script, hs_error *err)
{
    const int in = memfd_create("script", MFD_CLOEXEC), said = memfd_create("said", MFD_CLOEXEC);
    hs_status status = HS_OK;
    if (in < 0 || said < 0)
        status = hs_fail(err, HS_ERR_IO, "cannot hand the script to gnuplot: %s", strerror(errno));
    for (size_t done = 0; status == HS_OK && done < script->len;) {
        const ssize_t n = write(in, script->s + done, script->len - done);
        if (n < 0 && errno != EINTR)
            status = hs_fail(err, HS_ERR_IO, "cannot hand the script to gnuplot: %s", strerror(errno));
        done += n > 0 ? (size_t)n : 0;
    }
    if (status == HS_OK && lseek(in, 0, SEEK_SET) == 0)
        status = spawn_gnuplot(in, said, err);
    if (in >= 0)
        close(in);
    if (said >= 0)
        close(said);
    return status;
}

/* Take the drawn file's bytes and put them in place, durable and atomic; the temporary goes. */
static hs_status put_in_place(const char *drawn, const char *path, hs_error *err)
{
    char *data;
    size_t size;
    hs_status status = hs_file_read(drawn, (size_t)1 << 31, &data, &size, err);
    (void)unlink(drawn);
    HS_TRY(status);
    status = size ? hs_file_write(path, data, size, err) : hs_fail(err, HS_ERR_FAILED, "gnuplot drew nothing");
    hs_free(data);
    return status;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* NAME.gp and NAME.dat beside the figure. */
static hs_status keep(const hs_figure *f, format form, const char *path, hs_error *err)
{
    char script_path[PATH_SIZE + 8], data_path[PATH_SIZE + 8];
    const int len = (int)strlen(path) - 4;
    snprintf(script_path, sizeof script_path, "%.*s.gp", len, path);
    snprintf(data_path, sizeof data_path, "%.*s.dat", len, path);
    hs_str data = {0}, script = {0};
    for (size_t p = 0; p < f->n; p++)
        for (size_t s = 0; s < f->panel[p].n; s++) {
            hs_str_addf(&data, "# panel %zu, %s\n", p + 1,
                        f->panel[p].series[s].name ? f->panel[p].series[s].name : "-");
            add_points(&data, &f->panel[p].series[s]);
            hs_str_addf(&data, "\n\n");
        }
    hs_str_addf(&script, "# gnuplot %s draws %s\n", base_name(script_path), base_name(path));
    add_script(&script, f, form, base_name(path), base_name(data_path));
    hs_status status = data.failed || script.failed ? hs_fail_memory(err, data.len + script.len) : HS_OK;
    if (status == HS_OK)
        status = hs_file_write(data_path, data.s ? data.s : "", data.len, err);
    if (status == HS_OK)
        status = hs_file_write(script_path, script.s, script.len, err);
    hs_str_free(&data);
    hs_str_free(&script);
    return status;
}

hs_status hs_figure_draw(const hs_figure *figure, const char *path, bool keep_script, hs_error *err)
{
    const format form = format_of(path);
    if (form == FORMAT_NONE) {
        hs_fail(err, HS_ERR_USAGE, "no known kind of picture");
        hs_error_value(err, path, strlen(path));
        return hs_error_hint(err, "end the name in .svg, .png or .pdf");
    }
    if (strlen(path) >= PATH_SIZE)
        return hs_fail(err, HS_ERR_USAGE, "path of %zu bytes is too long", strlen(path));
    if (keep_script)
        HS_TRY(keep(figure, form, path, err));
    /* Drawn in the folder of temporary files: gnuplot says little about a folder it cannot write to, we say it all. */
    char drawn[PATH_SIZE];
    const char *temporary = getenv("TMPDIR");
    HS_TRY(hs_path_join(drawn, sizeof drawn, temporary && temporary[0] ? temporary : "/tmp", "hopscope-figure-XXXXXX",
                        err));
    const int fd = mkstemp(drawn);
    if (fd < 0) {
        hs_fail(err, HS_ERR_IO, "cannot make a temporary file: %s", strerror(errno));
        return hs_error_where(err, "%s", drawn);
    }
    close(fd);
    hs_str script = {0};
    add_script(&script, figure, form, drawn, NULL);
    hs_status status = script.failed ? hs_fail_memory(err, script.len) : run_gnuplot(&script, err);
    hs_str_free(&script);
    if (status == HS_OK)
        return put_in_place(drawn, path, err);
    (void)unlink(drawn);
    return status;
}
