/* page.c - the file: template, style, scripts, bundle and looks put together; and the bundle itself.
 *
 * The files of web/ are part of the program: the assembler puts their bytes between two symbols; a list that CMake
 * writes (assets.h) names them in the order in which the page has them.
 *
 * Invariant: what is written needs nothing but itself. Text from runs stands only inside JSON, escaped
 * (hs_page_escape). */
#include "report/page/page.h"

#include <math.h>
#include <string.h>

#define HS_X(symbol, name, path)                                                                                       \
    __asm__(".section .rodata\n.balign 16\n.local hs_page_begin_" #symbol "\nhs_page_begin_" #symbol                   \
            ":\n.incbin \"" path "\"\n.local hs_page_end_" #symbol "\nhs_page_end_" #symbol                            \
            ":\n.byte 0\n.previous\n");                                                                                \
    extern const char hs_page_begin_##symbol[] __attribute__((visibility("hidden")));                                  \
    extern const char hs_page_end_##symbol[] __attribute__((visibility("hidden")));
#include "report/page/assets.h"
#undef HS_X

#define HS_X(symbol, file, path) {file, hs_page_begin_##symbol, hs_page_end_##symbol},
static const hs_page_asset assets[] = {
#include "report/page/assets.h"
};
#undef HS_X

const hs_page_asset *hs_page_assets(size_t *n)
{
    *n = sizeof assets / sizeof *assets;
    return assets;
}

/* ---------------------------------------------------------------- template */

static bool ends_with(const char *name, const char *end)
{
    const size_t a = strlen(name), b = strlen(end);
    return a >= b && strcmp(name + a - b, end) == 0;
}

static void add_asset(hs_str *out, const char *name)
{
    for (size_t i = 0; i < sizeof assets / sizeof *assets; i++)
        if (strcmp(assets[i].name, name) == 0)
            hs_str_add(out, assets[i].text, (size_t)(assets[i].end - assets[i].text));
}

static void add_scripts(hs_str *out)
{
    for (size_t i = 0; i < sizeof assets / sizeof *assets; i++) {
        if (!ends_with(assets[i].name, ".js"))
            continue;
        if (strcmp(assets[i].name, "echarts.min.js") == 0) { /* what its licence asks for */
            hs_str_addf(out, "<!-- ");
            add_asset(out, "ECHARTS-NOTICE");
            hs_str_addf(out, " -->\n");
        }
        hs_str_addf(out, "<script>");
        add_asset(out, assets[i].name);
        hs_str_addf(out, "</script>\n");
    }
}

/* page.html with {{style}}, {{data}} and {{scripts}} filled in, each where it stands. */
static void add_page(hs_str *out, const hs_str *data)
{
    hs_str page = {0};
    add_asset(&page, "page.html");
    const char *text = page.s ? page.s : "";
    for (const char *mark; (mark = strstr(text, "{{")) != NULL;) {
        const char *end = strstr(mark, "}}");
        if (!end)
            break;
        hs_str_add(out, text, (size_t)(mark - text));
        text = end + 2;
        if (strncmp(mark, "{{style}}", 9) == 0)
            add_asset(out, "style.css");
        else if (strncmp(mark, "{{data}}", 8) == 0)
            hs_str_add(out, data->s ? data->s : "", data->len);
        else if (strncmp(mark, "{{scripts}}", 11) == 0)
            add_scripts(out);
    }
    hs_str_add(out, text, strlen(text));
    hs_str_free(&page);
}

void hs_page_live(hs_str *out)
{
    hs_str data = {0};
    hs_str_addf(&data, "<script type=\"application/json\" id=\"hs-live\">{\"live\": true}</script>\n");
    add_page(out, &data);
    out->failed |= data.failed;
    hs_str_free(&data);
}

/* ---------------------------------------------------------------- bundle */

static const hs_page_options defaults = {0};

static void add_command(const char *const *dirs, size_t n, const hs_page_options *options, hs_str *out)
{
    hs_str command = {0};
    hs_str_addf(&command, "hopscope %s", options->live ? "serve" : "report");
    for (size_t i = 0; i < n; i++)
        hs_str_addf(&command, " %s", dirs[i]);
    hs_page_key_text(out, "command", options->command ? options->command : command.s);
    hs_str_free(&command);
}

static void begin_bundle(const char *const *dirs, size_t n, const hs_page_options *options, hs_str *out)
{
    hs_page_open(out, '{');
    hs_page_key_text(out, "format", "hopscope-page");
    hs_page_key_whole(out, "version", 1);
    hs_page_key_text(out, "made_by", "hopscope " HS_VERSION);
    add_command(dirs, n, options, out);
    hs_page_key(out, "live");
    hs_page_bool(out, options->live);
    hs_page_key(out, "runs");
    hs_page_open(out, '[');
}

/* What is missing in runs, for the head of the page: "demo: No evaluation yet." */
static void end_bundle(const hs_str *missing, hs_str *out)
{
    hs_page_close(out, ']');
    hs_page_key(out, "missing");
    hs_page_open(out, '[');
    hs_str_add(out, missing->s ? missing->s : "", missing->len);
    hs_page_close(out, ']');
    hs_page_close(out, '}');
}

/* A run without any number or look is named at the head of the page too. */
static void note_empty(const hs_page_run *r, hs_str *missing)
{
    if (r->n_evals > 0)
        return;
    char text[400];
    snprintf(text, sizeof text, "%s: no evaluation; see the run's own list", r->id);
    if (missing->len)
        hs_str_add(missing, ",", 1);
    hs_str clean = {0};
    hs_page_text(&clean, text);
    hs_str_add(missing, clean.s ? clean.s : "null", clean.s ? clean.len : 4);
    hs_str_free(&clean);
}

/* More JSON than this stands in the file as gzip in base64. */
enum { PLAIN_BYTES = 1 << 18 };

/* Bytes that this much of the bundle costs in the file. */
static hs_status measure(const char *json, size_t len, size_t *bytes, hs_error *err)
{
    hs_str packed = {0};
    *bytes = len;
    if (len <= PLAIN_BYTES)
        return HS_OK;
    const hs_status status = hs_page_pack(&packed, json, len, err);
    *bytes = packed.len;
    hs_str_free(&packed);
    return status;
}

/* The looks of run number `number`, packed, as a script of their own, within `bytes` (0: any) beside `bundled` bytes.
 */
static hs_status add_looks(hs_page_run *run, hs_page_looks *looks, size_t number, size_t bytes, size_t bundled,
                           hs_str *out, hs_error *err)
{
    hs_str packed = {0};
    HS_TRY(hs_page_looks_pack(run, looks, &packed, err));
    while (bytes && packed.len + bundled > bytes && looks->n > 2) {
        hs_str_free(&packed);
        hs_page_looks_halve(run, looks);
        HS_TRY(hs_page_looks_pack(run, looks, &packed, err));
    }
    hs_str_addf(out, "<script type=\"text/plain\" id=\"hs-looks-%zu\">", number);
    hs_str_add(out, packed.s ? packed.s : "", packed.len);
    hs_str_addf(out, "</script>\n");
    out->failed |= packed.failed;
    hs_str_free(&packed);
    return HS_OK;
}

typedef struct maker {
    const hs_page_options *options;
    const hs_signals *signals;
    const hs_events *events;
    size_t bytes;           /* of a run: JSON and looks; 0 = any */
    hs_str *bundle, *looks; /* looks NULL: none are made */
    hs_str missing;
} maker;

static hs_status add_run(maker *m, const hs_page_folder *folder, size_t number, hs_error *err)
{
    hs_page_looks looks = {0};
    hs_page_run *run = hs_calloc(1, sizeof *run);
    if (!run)
        return hs_fail_memory(err, sizeof *run);
    run->brief = m->looks != NULL;
    run->events = m->events;
    hs_status status = hs_page_run_open(run, folder, m->options, err);
    if (status == HS_OK && m->looks)
        status = hs_page_afford(run, m->options, err);
    if (status == HS_OK && m->looks)
        status = hs_page_looks_make(run, m->options, m->signals, m->events, &looks, err);
    const size_t before = m->bundle->len;
    if (status == HS_OK)
        hs_page_run_json(run, m->options, m->signals, m->bundle);
    size_t bundled = 0;
    if (status == HS_OK && looks.n > 0 && !m->bundle->failed)
        status = measure(m->bundle->s + before, m->bundle->len - before, &bundled, err);
    if (status == HS_OK && looks.n > 0)
        status = add_looks(run, &looks, number, m->bytes, bundled, m->looks, err);
    if (status == HS_OK) {
        hs_page_run_end(run, m->bundle);
        note_empty(run, &m->missing);
        status = hs_signals_status(m->signals);
    }
    hs_page_looks_free(&looks);
    hs_page_run_close(run);
    hs_free(run);
    return status;
}

/* A run that went away since it was found, or that nothing can be made of, is named where the page is live: the others
 * are shown. */
static hs_status lost(maker *m, const hs_page_folder *folder, hs_status status, const hs_error *err)
{
    if ((status != HS_ERR_IO && status != HS_ERR_DATA) || !m->options->live)
        return status;
    hs_str text = {0};
    hs_str_addf(&text, "%s: %s", folder->id, err ? err->what : hs_status_sentence(status));
    if (m->missing.len)
        hs_str_add(&m->missing, ",", 1);
    hs_str_add_json(&m->missing, text.s ? text.s : "", text.len);
    hs_str_free(&text);
    return HS_OK;
}

/* Bundle, and looks where m->looks takes them; `taken`: bytes of the file that hold neither. */
static hs_status build_of(maker *m, const char *const *dirs, size_t n, const hs_page_folder *folder, size_t n_runs,
                          size_t taken, hs_error *err)
{
    const size_t file = m->options->bytes ? m->options->bytes : 5000000 + 2000000 * (n_runs ? n_runs - 1 : 0);
    m->bytes = file > taken ? (file - taken) / (n_runs ? n_runs : 1) : 1;
    begin_bundle(dirs, n, m->options, m->bundle);
    hs_status status = HS_OK;
    for (size_t i = 0; i < n_runs && status == HS_OK; i++)
        status = lost(m, &folder[i], add_run(m, &folder[i], i, err), err);
    end_bundle(&m->missing, m->bundle);
    m->bundle->failed |= m->missing.failed;
    hs_str_free(&m->missing);
    return status == HS_OK && m->bundle->failed ? hs_fail_memory(err, m->bundle->len) : status;
}

static hs_status build(maker *m, const char *const *dirs, size_t n, size_t taken, hs_error *err)
{
    hs_page_folder *folder;
    size_t n_runs;
    HS_TRY(hs_page_folders(dirs, n, &folder, &n_runs, err));
    const hs_status status = build_of(m, dirs, n, folder, n_runs, taken, err);
    hs_free(folder);
    return status;
}

hs_status hs_page_bundle(const char *const *dirs, size_t n, const hs_page_options *options, const hs_signals *signals,
                         hs_str *out, hs_error *err)
{
    maker m = {.options = options ? options : &defaults, .signals = signals, .bundle = out};
    return build(&m, dirs, n, 0, err);
}

hs_status hs_page_bundle_of(const hs_page_folder *folder, size_t n, const hs_page_options *options,
                            const hs_signals *signals, hs_str *out, hs_error *err)
{
    maker m = {.options = options, .signals = signals, .bundle = out};
    return build_of(&m, NULL, 0, folder, n, 0, err);
}

/* ---------------------------------------------------------------- the file */

static hs_status add_data(const hs_str *bundle, const hs_str *looks, hs_str *out, hs_error *err)
{
    const bool plain = bundle->len <= PLAIN_BYTES;
    hs_str_addf(out, "<script type=\"%s\" id=\"hs-data\">", plain ? "application/json" : "text/plain");
    if (plain)
        hs_page_escape(out, bundle->s, bundle->len);
    else
        HS_TRY(hs_page_pack(out, bundle->s, bundle->len, err));
    hs_str_addf(out, "</script>\n");
    hs_str_add(out, looks->s ? looks->s : "", looks->len);
    return looks->failed || out->failed ? hs_fail_memory(err, out->len) : HS_OK;
}

hs_status hs_page_write(const char *const *dirs, size_t n, const hs_page_options *options, const char *path,
                        const hs_signals *signals, const hs_events *events, hs_error *err)
{
    hs_str bundle = {0}, looks = {0}, data = {0}, page = {0};
    add_page(&page, &data); /* without data: for its size */
    maker m = {.options = options ? options : &defaults,
               .signals = signals,
               .events = events,
               .bundle = &bundle,
               .looks = &looks};
    hs_status status = build(&m, dirs, n, page.len, err);
    hs_str_free(&page);
    if (status == HS_OK)
        status = add_data(&bundle, &looks, &data, err);
    if (status == HS_OK) {
        add_page(&page, &data);
        status = page.failed ? hs_fail_memory(err, page.len) : hs_file_write(path, page.s, page.len, err);
    }
    hs_str_free(&bundle);
    hs_str_free(&looks);
    hs_str_free(&data);
    hs_str_free(&page);
    return status;
}

#define LEAST_FLOP 5e9 /* a fraction of a second, which even the shortest run may cost more */

void hs_page_after_run(const hs_config *config, const char *dir, const hs_experiment_result *results, uint32_t n,
                       const hs_signals *signals, const hs_events *events)
{
    double flop = 0;
    for (uint32_t i = 0; i < n; i++)
        flop += results[i].cost.step_flop * (double)results[i].train.steps / n / 50;
    const hs_page_options how = {.flop = fmin(fmax(flop, LEAST_FLOP), HS_PAGE_FLOP),
                                 .threads = config->train.threads,
                                 .verdict = n == 1 ? &results[0].verdict : NULL};
    char path[4096];
    hs_error err = {0};
    if (!config->report.page || n == 0)
        return;
    hs_status status = hs_path_join(path, sizeof path, dir, "report.html", &err);
    if (status == HS_OK)
        status = hs_page_write(&dir, 1, &how, path, signals, events, &err);
    if (status != HS_OK && !hs_status_stopped(status)) {
        char text[1200];
        hs_error_format(&err, text, sizeof text);
        text[strcspn(text, "\n")] = 0;
        hs_event_send(events, HS_EVENT_WARNING, "page", "no report.html: %s", text);
    }
}
