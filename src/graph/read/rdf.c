/* rdf.c - facts from N-Triples and Turtle, read as a stream by serd (https://drobilla.net/software/serd).
 *
 * An entity's or relation's name is the last part of its IRI ("http://www.wikidata.org/entity/Q42" is "Q42") where that
 * is one IRI's only, else the whole IRI. Blank nodes are entities named "_:...". Literals are skipped and counted, or
 * become entities when asked for. serd gets one byte at a time, so that errors found here know their line and column
 * too (just after the statement), and so that brackets are counted: serd calls itself for each one that is open and
 * would leave the stack. Prefixes stand in a hash table here; serd's own list of them is searched from end to end.
 */
#include "graph/read/format.h"

#include <string.h>

#ifdef HS_WITH_SERD
#include <serd/serd.h>
#include <stdarg.h>
#include <stdio.h>

enum { MAX_DEPTH = 1000 }; /* brackets open at once */

/* Where a byte of Turtle stands, as far as it decides whether a bracket is one. */
typedef struct nesting {
    enum { PLAIN, IRI, COMMENT, OPENING, SHORT_STRING, LONG_STRING } place;
    bool escaped;
    char quote;      /* of the string at hand */
    unsigned quotes; /* OPENING, LONG_STRING: of these in a row */
    unsigned depth;
} nesting;

typedef struct rdf {
    hs_graph *g;
    const hs_source *from;
    const hs_read_options *options;
    hs_read_report *report;
    SerdEnv *env; /* the base IRI */
    hs_names prefixes;
    char **iri; /* (prefixes.n) */
    size_t cap_iri;
    nesting nesting;
    hs_error *err;
    hs_status status; /* the first failure; kept while serd unwinds */
    uint64_t line, column;
    size_t statement; /* bytes since the last statement; serd holds at most these */
    size_t at, have;
    char chunk[1 << 14];
} rdf;

/* serd keeps the value so that its own later message does not replace ours. */
static SerdStatus failed(rdf *r, hs_status status)
{
    if (r->status == HS_OK)
        r->status = status;
    return SERD_ERR_INTERNAL;
}

static SerdStatus fail_at(rdf *r, const char *what, const char *value, size_t len)
{
    if (r->status == HS_OK) {
        hs_fail(r->err, HS_ERR_DATA, "%s", what);
        hs_error_where(r->err, "%s:%llu:%llu", r->from->path, (unsigned long long)r->line,
                       (unsigned long long)r->column);
        hs_error_value(r->err, value, len);
    }
    return failed(r, HS_ERR_DATA);
}

static void follow_plain(nesting *n, char c)
{
    if (c == '"' || c == '\'') {
        n->place = OPENING;
        n->quote = c;
        n->quotes = 1;
    } else if (c == '<') {
        n->place = IRI;
    } else if (c == '#') {
        n->place = COMMENT;
    } else if (c == '[' || c == '(') {
        n->depth++;
    } else if ((c == ']' || c == ')') && n->depth > 0) {
        n->depth--;
    }
}

static void follow(nesting *n, char c)
{
    if (n->place == OPENING && c == n->quote) { /* "" is empty, three open a long string */
        if (++n->quotes == 3) {
            n->place = LONG_STRING;
            n->quotes = 0;
        }
        return;
    }
    if (n->place == OPENING)
        n->place = n->quotes == 1 ? SHORT_STRING : PLAIN;
    if (n->escaped || (c == '\\' && n->place != COMMENT)) {
        n->escaped = !n->escaped;
        n->quotes = 0;
        return;
    }
    switch (n->place) {
    case PLAIN:
    case OPENING:
        follow_plain(n, c);
        break;
    case IRI:
    case COMMENT:
        if (c == '\n' || (n->place == IRI && c == '>'))
            n->place = PLAIN;
        break;
    case SHORT_STRING:
        if (c == n->quote || c == '\n')
            n->place = PLAIN;
        break;
    case LONG_STRING:
        n->quotes = c == n->quote ? n->quotes + 1 : 0;
        if (n->quotes == 3)
            n->place = PLAIN;
        break;
    }
}

static size_t on_read(void *buf, size_t size, size_t n, void *handle)
{
    rdf *r = handle;
    if (size != 1 || n < 1 || r->status != HS_OK)
        return 0;
    if (r->at == r->have) {
        r->at = 0;
        hs_status status = hs_lines_read(r->from->in, r->chunk, sizeof r->chunk, &r->have, r->err);
        if (status != HS_OK)
            r->have = 0;
        if (status != HS_OK)
            failed(r, status);
        if (r->have == 0)
            return 0;
    }
    if (++r->statement > HS_MAX_RECORD) {
        fail_at(r, "a statement is longer than 64 MiB", r->chunk + r->at, r->have - r->at < 40 ? r->have - r->at : 40);
        return 0;
    }
    char c = r->chunk[r->at++];
    r->column++;
    follow(&r->nesting, c);
    if (r->nesting.depth > MAX_DEPTH) {
        fail_at(r, "brackets are nested more than 1000 deep", &c, 1);
        return 0;
    }
    if (c == '\n') {
        r->line++;
        r->column = 0;
    }
    *(char *)buf = c;
    return 1;
}

static int on_read_error(void *handle)
{
    const rdf *r = handle;
    return r->status != HS_OK;
}

static SerdStatus on_error(void *handle, const SerdError *error)
{
    rdf *r = handle;
    if (r->status != HS_OK)
        return SERD_SUCCESS;
    char what[sizeof r->err->what];
    va_list args;
    va_copy(args, *error->args);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    vsnprintf(what, sizeof what, error->fmt, args);
#pragma GCC diagnostic pop
    va_end(args);
    what[strcspn(what, "\n")] = '\0';
    hs_fail(r->err, HS_ERR_DATA, "%s", what);
    hs_error_where(r->err, "%s:%u:%u", r->from->path, error->line, error->col);
    failed(r, HS_ERR_DATA);
    return SERD_SUCCESS;
}

static SerdStatus on_base(void *handle, const SerdNode *uri)
{
    rdf *r = handle;
    r->statement = 0;
    return serd_env_set_base_uri(r->env, uri);
}

/* A prefix stands for the IRI it was given last. */
static SerdStatus on_prefix(void *handle, const SerdNode *name, const SerdNode *uri)
{
    rdf *r = handle;
    r->statement = 0;
    SerdNode whole = serd_env_expand_node(r->env, uri); /* relative to the base */
    const SerdNode *iri = whole.buf == NULL ? uri : &whole;
    uint32_t known = r->prefixes.n, id;
    void *p = r->iri;
    hs_status status = hs_names_add(&r->prefixes, (const char *)name->buf, name->n_bytes, &id, r->err);
    if (status == HS_OK)
        status = hs_grow(&p, &r->cap_iri, r->prefixes.n, sizeof *r->iri, r->err);
    r->iri = p;
    char *copy = status == HS_OK ? hs_strdup((const char *)iri->buf) : NULL;
    if (status == HS_OK && copy == NULL)
        status = hs_fail_memory(r->err, iri->n_bytes);
    if (id < known && status == HS_OK)
        hs_free(r->iri[id]);
    if (status == HS_OK)
        r->iri[id] = copy;
    else
        r->prefixes.n = known;
    serd_node_free(&whole);
    return status == HS_OK ? SERD_SUCCESS : failed(r, status);
}

/* prefix:rest in full into buf; false if the prefix is not declared. *len may come out too long for buf. */
static bool expand(const rdf *r, const SerdNode *node, char buf[HS_MAX_NAME + 1], size_t *len)
{
    const char *s = (const char *)node->buf, *colon = memchr(s, ':', node->n_bytes);
    uint32_t id = colon == NULL ? HS_NO_ID : hs_names_find(&r->prefixes, s, (size_t)(colon - s));
    if (id == HS_NO_ID)
        return false;
    size_t rest = node->n_bytes - (size_t)(colon + 1 - s), first = strlen(r->iri[id]);
    *len = first + rest;
    if (*len <= HS_MAX_NAME) {
        memcpy(buf, r->iri[id], first);
        memcpy(buf + first, colon + 1, rest);
    }
    return true;
}

static SerdStatus add_name(rdf *r, hs_names *names, const SerdNode *node, uint32_t *id)
{
    char buf[HS_MAX_NAME + 1];
    if (node->type == SERD_BLANK) {
        int n = snprintf(buf, sizeof buf, "_:%s", (const char *)node->buf);
        if (n < 0 || (size_t)n >= sizeof buf)
            return fail_at(r, "a name is longer than 4096 bytes", (const char *)node->buf, 60);
        hs_status status = hs_names_add(names, buf, (size_t)n, id, r->err);
        return status == HS_OK ? SERD_SUCCESS : failed(r, status);
    }
    const char *s = (const char *)node->buf;
    size_t len = node->n_bytes;
    SerdNode expanded = SERD_NODE_NULL;
    if (node->type == SERD_CURIE) {
        if (!expand(r, node, buf, &len))
            return fail_at(r, "this name's prefix is not declared", s, len);
        s = len <= HS_MAX_NAME ? buf : s;
    } else if (node->type == SERD_URI) {
        expanded = serd_env_expand_node(r->env, node);
        if (expanded.buf == NULL)
            return fail_at(r, "this is no IRI", s, len);
        s = (const char *)expanded.buf;
        len = expanded.n_bytes;
    }
    SerdStatus result = SERD_SUCCESS;
    if (len == 0)
        result = fail_at(r, "a name is empty", "", 0);
    else if (len > HS_MAX_NAME)
        result = fail_at(r, "a name is longer than 4096 bytes", s, 60);
    if (result == SERD_SUCCESS) {
        hs_status status = hs_names_add(names, s, len, id, r->err);
        result = status == HS_OK ? SERD_SUCCESS : failed(r, status);
    }
    serd_node_free(&expanded);
    return result;
}

static SerdStatus on_statement(void *handle, SerdStatementFlags flags, const SerdNode *graph, const SerdNode *subject,
                               const SerdNode *predicate, const SerdNode *object, const SerdNode *datatype,
                               const SerdNode *lang)
{
    (void)flags, (void)graph, (void)datatype, (void)lang;
    rdf *r = handle;
    if (r->status != HS_OK)
        return SERD_ERR_INTERNAL;
    r->report->records++;
    r->statement = 0;
    if (object->type == SERD_LITERAL && !r->options->literals) {
        r->report->literals_skipped++;
        return SERD_SUCCESS;
    }
    hs_fact fact;
    SerdStatus result = add_name(r, &r->g->entities, subject, &fact.head);
    if (result == SERD_SUCCESS)
        result = add_name(r, &r->g->relations, predicate, &fact.relation);
    if (result == SERD_SUCCESS)
        result = add_name(r, &r->g->entities, object, &fact.tail);
    if (result != SERD_SUCCESS)
        return result;
    hs_status status = hs_graph_add_ids(r->g, fact, 0, r->err);
    return status == HS_OK ? SERD_SUCCESS : failed(r, status);
}

/* ---------------------------------------------------------------- short names */

/* The part of an IRI after its last '/' or '#', or the whole name. */
static const char *last_part(const char *name)
{
    if (strstr(name, "://") == NULL && strncmp(name, "urn:", 4) != 0)
        return name;
    const char *end = name;
    for (const char *s = name; *s != '\0'; s++)
        if (*s == '/' || *s == '#' || (*s == ':' && strncmp(name, "urn:", 4) == 0))
            end = s + 1;
    return *end == '\0' ? name : end;
}

/* Give every name its last part where that is unique. Ids do not change. */
static hs_status shorten(hs_names *names, hs_error *err)
{
    hs_names parts = {0}, out = {0};
    uint32_t *uses = hs_calloc((size_t)names->n + 1, sizeof *uses);
    hs_status status = uses == NULL ? hs_fail_memory(err, names->n * sizeof *uses) : HS_OK;
    for (uint32_t id = 0; status == HS_OK && id < names->n; id++) {
        const char *part = last_part(hs_names_get(names, id));
        uint32_t k;
        status = hs_names_add(&parts, part, strlen(part), &k, err);
        if (status == HS_OK)
            uses[k]++;
    }
    for (uint32_t id = 0; status == HS_OK && id < names->n; id++) {
        const char *name = hs_names_get(names, id);
        const char *part = last_part(name);
        const char *chosen = uses[hs_names_find(&parts, part, strlen(part))] == 1 ? part : name;
        uint32_t k;
        status = hs_names_add(&out, chosen, strlen(chosen), &k, err);
    }
    hs_names_free(&parts);
    hs_free(uses);
    if (status != HS_OK) {
        hs_names_free(&out);
        return status;
    }
    hs_names_free(names);
    *names = out;
    return HS_OK;
}

static hs_status run_reader(rdf *r, bool turtle, hs_error *err)
{
    SerdReader *reader =
        serd_reader_new(turtle ? SERD_TURTLE : SERD_NTRIPLES, r, NULL, on_base, on_prefix, on_statement, NULL);
    r->env = serd_env_new(NULL);
    if (reader == NULL || r->env == NULL) {
        serd_reader_free(reader);
        serd_env_free(r->env);
        return hs_fail_memory(err, 1 << 16);
    }
    serd_reader_set_strict(reader, true);
    serd_reader_set_error_sink(reader, on_error, r);
    SerdStatus result = serd_reader_read_source(reader, on_read, on_read_error, r, (const uint8_t *)r->from->path, 1);
    serd_reader_free(reader);
    serd_env_free(r->env);
    if (r->status != HS_OK)
        return r->status;
    if (result > SERD_FAILURE) {
        hs_fail(err, HS_ERR_DATA, "%s", (const char *)serd_strerror(result));
        hs_error_where(err, "%s:%llu", r->from->path, (unsigned long long)r->line);
        return HS_ERR_DATA;
    }
    return HS_OK;
}

static void close_rdf(rdf *r)
{
    for (uint32_t i = 0; i < r->prefixes.n; i++)
        hs_free(r->iri[i]);
    hs_free(r->iri);
    hs_names_free(&r->prefixes);
    hs_free(r);
}

static hs_status read_rdf(hs_graph *g, const hs_source *from, bool turtle, const hs_read_options *options,
                          hs_read_report *report, hs_error *err)
{
    hs_error unused;
    rdf *r = hs_calloc(1, sizeof *r);
    if (r == NULL)
        return hs_fail_memory(err, sizeof *r);
    *r = (rdf){.g = g, .from = from, .options = options, .report = report, .line = 1};
    r->err = err == NULL ? &unused : err;
    hs_status status = run_reader(r, turtle, r->err);
    if (status == HS_OK)
        status = shorten(&g->entities, err);
    if (status == HS_OK)
        status = shorten(&g->relations, err);
    close_rdf(r);
    return status;
}

#else

static hs_status read_rdf(hs_graph *g, const hs_source *from, bool turtle, const hs_read_options *options,
                          hs_read_report *report, hs_error *err)
{
    (void)g, (void)turtle, (void)options, (void)report;
    hs_fail(err, HS_ERR_DATA, "this hopscope was built without serd and reads no RDF");
    hs_error_where(err, "%s", from->path);
    return hs_error_hint(err, "install libserd-dev and build again, or convert the file to TSV");
}

#endif

static hs_status read_turtle(hs_graph *g, const hs_source *from, const hs_read_options *options, hs_read_report *report,
                             hs_error *err)
{
    return read_rdf(g, from, true, options, report, err);
}

static hs_status read_ntriples(hs_graph *g, const hs_source *from, const hs_read_options *options,
                               hs_read_report *report, hs_error *err)
{
    return read_rdf(g, from, false, options, report, err);
}

static bool begins(const char *s, size_t len, const char *with)
{
    size_t n = strlen(with);
    return len > n && memcmp(s, with, n) == 0;
}

static bool looks_ntriples(const char *s, size_t len)
{
    return s[0] == '<' || begins(s, len, "_:");
}

static bool looks_turtle(const char *s, size_t len)
{
    return s[0] == '@' || begins(s, len, "PREFIX") || begins(s, len, "BASE");
}

const hs_graph_format hs_format_ntriples = {.endings = ".nt", .looks = looks_ntriples, .read = read_ntriples};
const hs_graph_format hs_format_turtle = {.endings = ".ttl", .looks = looks_turtle, .read = read_turtle};
