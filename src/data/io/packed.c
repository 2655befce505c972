/* packed.c - one split as bytes: a header of fixed size, then arrays, little-endian, with XXH3 checksums of both.
 *
 *   0  "HSSPLIT\0"    8  version (1)    12 role    16 kind    20 hops    24 width    28 prompt    32 answer
 *   36 answers        40 bridges        44 flags (1 = synthetic, 2 = also)
 *   48 n (64 bits)    56 number of further answers (64 bits)    64 name (48 bytes, 0-padded)
 *   112 XXH3 of the arrays    120 XXH3 of bytes 0..119
 *   128 tokens (n, width) · bridge (n, bridges) · also_start (n + 1, 64 bits) · also · synthetic (n bytes)
 *
 * The reader trusts nothing: sizes are computed without overflow before anything is allocated. */
#include "data/internal.h"

#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "packed files and content hashes are little-endian; a big-endian machine needs byte swapping here"
#endif

enum { VERSION = 1, HEADER = 128, HAS_SYNTHETIC = 1, HAS_ALSO = 2, MAX_WIDTH = 64 };
static const char MAGIC[8] = "HSSPLIT";

typedef struct header {
    char magic[8];
    uint32_t version, role, kind, hops, width, prompt, answer, answers, bridges, flags;
    uint64_t n, n_also;
    char name[48];
    uint64_t payload_hash, header_hash;
} header;
_Static_assert(sizeof(header) == HEADER, "the header has no padding");

/* Bytes of the arrays; UINT64_MAX if that does not fit. */
static uint64_t payload_size(const header *h)
{
    uint64_t size, part, ids = (uint64_t)h->width + h->bridges;
    if (__builtin_mul_overflow(h->n, ids * sizeof(uint32_t), &size))
        return UINT64_MAX;
    if (h->flags & HAS_ALSO) {
        if (h->n >= UINT64_MAX / 16 || h->n_also >= UINT64_MAX / 16)
            return UINT64_MAX;
        part = (h->n + 1) * sizeof(uint64_t) + h->n_also * sizeof(uint32_t);
        if (__builtin_add_overflow(size, part, &size))
            return UINT64_MAX;
    }
    if (h->flags & HAS_SYNTHETIC && __builtin_add_overflow(size, h->n, &size))
        return UINT64_MAX;
    return size;
}

hs_status hs_split_encode(const hs_split *s, hs_str *out, hs_error *err)
{
    header h = {.version = VERSION,
                .role = (uint32_t)s->role,
                .kind = (uint32_t)s->kind,
                .hops = s->hops,
                .width = s->width,
                .prompt = s->prompt,
                .answer = s->answer,
                .answers = s->answers,
                .bridges = s->bridges,
                .flags = (s->synthetic ? HAS_SYNTHETIC : 0u) | (s->also_start ? HAS_ALSO : 0u),
                .n = s->n,
                .n_also = s->also_start ? s->also_start[s->n] : 0};
    memcpy(h.magic, MAGIC, sizeof h.magic);
    memcpy(h.name, s->name, strnlen(s->name, sizeof h.name - 1));
    size_t at = out->len;
    hs_str_add(out, (const char *)&h, sizeof h);
    hs_str_add(out, (const char *)s->tokens, s->n * s->width * sizeof *s->tokens);
    if (s->bridges)
        hs_str_add(out, (const char *)s->bridge, s->n * s->bridges * sizeof *s->bridge);
    if (s->also_start) {
        hs_str_add(out, (const char *)s->also_start, (s->n + 1) * sizeof *s->also_start);
        if (h.n_also)
            hs_str_add(out, (const char *)s->also, h.n_also * sizeof *s->also);
    }
    if (s->synthetic)
        hs_str_add(out, (const char *)s->synthetic, s->n);
    if (out->failed)
        return hs_fail_memory(err, (size_t)payload_size(&h));
    h.payload_hash = hs_hash(out->s + at + HEADER, out->len - at - HEADER, 0);
    h.header_hash = hs_hash(&h, HEADER - sizeof h.header_hash, 0);
    memcpy(out->s + at, &h, sizeof h);
    return HS_OK;
}

static hs_status bad(hs_error *err, const char *what)
{
    return hs_fail(err, HS_ERR_DATA, "not a whole packed split: %s", what);
}

static hs_status check_header(const header *h, size_t size, hs_error *err)
{
    if (memcmp(h->magic, MAGIC, sizeof MAGIC) != 0)
        return bad(err, "it does not begin with HSSPLIT");
    if (hs_hash(h, HEADER - sizeof h->header_hash, 0) != h->header_hash)
        return bad(err, "the checksum of its header is wrong");
    if (h->version != VERSION)
        return bad(err, "it is of a version this program does not read");
    if (h->role > HS_SPLIT_WATCH || h->kind >= HS_N_ITEM_KINDS || h->flags > (HAS_SYNTHETIC | HAS_ALSO) ||
        memchr(h->name, 0, sizeof h->name) == NULL || h->name[0] == 0 ||
        hs_utf8_invalid(h->name, strlen(h->name)) != SIZE_MAX)
        return bad(err, "a field of its header is out of range");
    if (h->width == 0 || h->width > MAX_WIDTH || h->prompt == 0 || h->prompt >= h->width || h->answer < h->prompt ||
        h->answers == 0 || h->answers > h->width - h->answer || h->hops > h->prompt || h->bridges > MAX_WIDTH)
        return bad(err, "the form of its items makes no sense");
    if (payload_size(h) > size - HEADER)
        return bad(err, "it ends too early");
    return HS_OK;
}

static void *copy(const char **at, uint64_t size)
{
    void *p = hs_alloc((size_t)(size ? size : 1));
    if (p) {
        memcpy(p, *at, (size_t)size);
        *at += size;
    }
    return p;
}

static hs_status check_tokens(const uint32_t *token, uint64_t n, uint32_t vocab_size, bool pad, hs_error *err)
{
    for (uint64_t i = 0; i < n; i++)
        if (token[i] >= vocab_size && !(pad && token[i] == HS_PAD))
            return bad(err, "a token is not in the vocabulary");
    return HS_OK;
}

static hs_status check_content(const hs_split *s, uint64_t n_also, uint32_t vocab_size, hs_error *err)
{
    HS_TRY(check_tokens(s->tokens, s->n * s->width, vocab_size, false, err));
    if (s->bridges)
        HS_TRY(check_tokens(s->bridge, s->n * s->bridges, vocab_size, true, err));
    for (uint64_t i = 0; s->synthetic && i < s->n; i++)
        if (s->synthetic[i] > 1)
            return bad(err, "a synthetic mark is neither 0 nor 1");
    if (!s->also_start)
        return HS_OK;
    for (uint64_t i = 0; i < s->n; i++)
        if (s->also_start[i] > s->also_start[i + 1])
            return bad(err, "its further answers are out of order");
    if (s->also_start[0] != 0 || s->also_start[s->n] != n_also)
        return bad(err, "its further answers do not add up");
    return check_tokens(s->also, n_also, vocab_size, false, err);
}

hs_status hs_split_decode(hs_split *out, const void *bytes, size_t size, uint32_t vocab_size, size_t *used,
                          hs_error *err)
{
    header h;
    *out = (hs_split){0};
    if (size < HEADER)
        return bad(err, "it is shorter than a header");
    memcpy(&h, bytes, sizeof h);
    HS_TRY(check_header(&h, size, err));
    uint64_t payload = payload_size(&h);
    const char *at = (const char *)bytes + HEADER;
    if (hs_hash(at, (size_t)payload, 0) != h.payload_hash)
        return bad(err, "the checksum of its content is wrong");
    hs_split s = {.role = (hs_split_role)h.role,
                  .kind = (hs_split_kind)h.kind,
                  .hops = h.hops,
                  .n = h.n,
                  .width = h.width,
                  .prompt = h.prompt,
                  .answer = h.answer,
                  .answers = h.answers,
                  .bridges = h.bridges};
    memcpy(s.name, h.name, sizeof s.name);
    bool ok = (s.tokens = copy(&at, s.n * s.width * sizeof *s.tokens)) != NULL;
    if (ok && s.bridges)
        ok = (s.bridge = copy(&at, s.n * s.bridges * sizeof *s.bridge)) != NULL;
    if (ok && h.flags & HAS_ALSO)
        ok = (s.also_start = copy(&at, (s.n + 1) * sizeof *s.also_start)) != NULL &&
             (s.also = copy(&at, h.n_also * sizeof *s.also)) != NULL;
    if (ok && h.flags & HAS_SYNTHETIC)
        ok = (s.synthetic = copy(&at, s.n)) != NULL;
    hs_status status = ok ? check_content(&s, h.n_also, vocab_size, err) : hs_fail_memory(err, (size_t)payload);
    if (status != HS_OK) {
        hs_split_free(&s);
        return status;
    }
    s.hash = hs_split_hash(&s);
    *used = HEADER + (size_t)payload;
    *out = s;
    return HS_OK;
}
