/* trm.c - the Tiny Recursive Model as published (arXiv 2510.04871; run by 2601.09049): scratch memory, the forward
 * pass, taps.
 *
 *     X = sqrt(D) * [prefix vector, zeros, embeddings]
 *     repeat H times: { repeat L times: z_L = Level(z_L, z_H + X) };  z_H = Level(z_H, z_L)
 *     logits = lm_head z_H at the token positions
 *
 * Level adds its two arguments and runs the blocks; a block mixes positions (a SwiGLU over the position axis, or causal
 * attention), then channels (a SwiGLU), each followed by an RMS norm of the sum. One H cycle is kept for the backward
 * pass, the one that ran last, or all with full_gradient. Invariant: hs_trm_layout is the only place that knows scratch
 * memory. */
#include "model/trm/trm.h"

#include "model/decoder.h"
#include "model/llama/rope.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---------------------------------------------------------------- scratch memory */

/* Chunks of an MLP are cut so that gate, up and their product stay in the second-level cache. */
enum { CHUNK_FLOATS = 512 * 1024 };

static size_t chunk(size_t wide, size_t all, size_t step)
{
    size_t n = CHUNK_FLOATS / (3 * wide) / step * step;
    if (n < step)
        n = step;
    return n < all ? n : all;
}

static size_t app_floats(const trm_pass *a)
{
    const hs_model_config *c = &a->model->config;
    hs_carver carver = {0};
    hs_carve(&carver, a->R * a->D); /* in: its own for the first block of a level */
    if (c->mix_attention) {
        hs_carve(&carver, a->R * 3 * a->D);
        hs_carve(&carver, a->R * c->n_head * a->S);
        hs_carve(&carver, a->R * a->D);
    } else {
        hs_carve(&carver, 2 * a->Ft * a->B * a->D);
    }
    hs_carve(&carver, a->R * a->D);
    hs_carve(&carver, c->mix_attention ? a->R : a->B * a->D);
    hs_carve(&carver, a->R * 2 * a->Fc);
    hs_carve(&carver, a->R * a->D);
    hs_carve(&carver, a->R);
    return carver.used;
}

trm_app hs_trm_app_at(const trm_pass *a, size_t slot)
{
    const hs_model_config *c = &a->model->config;
    trm_app t = {0};
    hs_carver carver = {.base = a->apps + slot * a->app_floats};
    t.in = hs_carve(&carver, a->R * a->D);
    if (c->mix_attention) {
        t.gate = hs_carve(&carver, a->R * 3 * a->D);
        t.prob = hs_carve(&carver, a->R * c->n_head * a->S);
        t.ctx = hs_carve(&carver, a->R * a->D);
    } else {
        t.gate = hs_carve(&carver, 2 * a->Ft * a->B * a->D);
    }
    t.mid = hs_carve(&carver, a->R * a->D);
    t.mid_r = hs_carve(&carver, c->mix_attention ? a->R : a->B * a->D);
    t.up = hs_carve(&carver, a->R * 2 * a->Fc);
    t.out = hs_carve(&carver, a->R * a->D);
    t.out_r = hs_carve(&carver, a->R);
    if (slot % c->n_layer != 0) { /* reads what the block before it left */
        trm_app before = hs_trm_app_at(a, slot - slot % c->n_layer);
        t.in = before.out + (slot % c->n_layer - 1) * a->app_floats;
    }
    return t;
}

/* Steps whose applications are kept for the backward pass. */
uint32_t hs_trm_kept_steps(const hs_model_config *c)
{
    return (c->l_cycles + 1) * (c->full_gradient ? c->h_cycles : 1);
}

size_t hs_trm_layout(trm_pass *a, const hs_model *model, uint32_t B, bool backward, float *base)
{
    const hs_model_config *c = &model->config;
    *a = (trm_pass){.model = model, .B = B, .T = c->n_positions, .S = c->prefix + c->n_positions, .D = c->n_embd};
    a->R = a->S * a->B;
    a->Ft = hs_trm_token_inner(c);
    a->Fc = hs_trm_channel_inner(c);
    a->J = chunk(a->Ft, a->B * a->D, 64);
    a->Q = chunk(a->Fc, a->R, 16);
    a->slots = (size_t)c->n_layer * (backward ? hs_trm_kept_steps(c) : 1);
    a->app_floats = app_floats(a);
    hs_carver carver = {.base = base};
    const size_t states = a->R * a->D, most = backward ? a->B * a->T : a->R; /* any row can be asked for */
    const size_t act = a->Ft * a->J > a->Q * a->Fc ? a->Ft * a->J : a->Q * a->Fc;
    a->x = hs_carve(&carver, states);
    a->inject = hs_carve(&carver, states);
    a->z_h = hs_carve(&carver, states);
    a->z_l = hs_carve(&carver, states);
    a->act = hs_carve(&carver, act);
    a->apps = hs_carve(&carver, a->slots * a->app_floats);
    a->row = (uint32_t *)hs_carve(&carver, most);
    a->rows = hs_carve(&carver, most * a->D);
    if (c->mix_attention) {
        const size_t half = a->D / c->n_head / 2;
        a->cos = hs_carve(&carver, a->S * half);
        a->sin = hs_carve(&carver, a->S * half);
        a->start = (uint32_t *)hs_carve(&carver, a->B + 1);
    }
    if (backward) {
        const size_t whole = c->mix_attention ? states : 0; /* attention's gradients are not cut into chunks */
        a->d = hs_carve(&carver, states);
        a->d_x = hs_carve(&carver, states);
        if (c->full_gradient) {
            a->d_h = hs_carve(&carver, states);
            a->d_l = hs_carve(&carver, states);
        }
        a->d_act = hs_carve(&carver, act > whole ? act : whole);
        a->d_up = hs_carve(&carver, 2 * act > 3 * whole ? 2 * act : 3 * whole);
        a->logits = hs_carve(&carver, most * (c->vocab + 1));
        a->d_rows = hs_carve(&carver, most * a->D);
        a->weight = hs_carve(&carver, most);
        a->target = (uint32_t *)hs_carve(&carver, most);
        a->scored = (uint32_t *)hs_carve(&carver, most);
        a->also_start = (uint64_t *)hs_carve(&carver, 2 * (most + 1));
    }
    return carver.used;
}

static size_t work_size(const hs_model *model, uint32_t B, uint32_t N, uint32_t P, bool backward)
{
    trm_pass a;
    (void)N;
    (void)P; /* at most B*T */
    return hs_trm_layout(&a, model, B, backward, NULL);
}

size_t hs_trm_slot(const trm_pass *a, uint32_t cycle, uint32_t step)
{
    const hs_model_config *c = &a->model->config;
    return ((size_t)(c->full_gradient ? cycle : 0) * (c->l_cycles + 1) + step) * c->n_layer;
}

size_t hs_trm_row(const trm_pass *a, size_t position, size_t sequence)
{
    return a->model->config.mix_attention ? sequence * a->S + position : position * a->B + sequence;
}

void hs_trm_start(trm_pass *a, const hs_model *model, const hs_batch *batch, bool backward, float *work)
{
    hs_trm_layout(a, model, batch->B, backward, work);
    a->batch = batch;
    a->k = hs_kernels_get();
    hs_trm_resolve(model, &a->o);
    if (model->config.mix_attention) {
        hs_rope_table(a->S, a->D / model->config.n_head, model->config.rope_theta, a->cos, a->sin);
        for (size_t b = 0; b <= a->B; b++)
            a->start[b] = (uint32_t)(b * a->S);
    }
}

/* ---------------------------------------------------------------- embeddings */

/* Row of the tables of the token at position p of sequence b; 0 is padding. Rows after the first scored one are
 * answers. */
size_t hs_trm_table_row(const hs_batch *batch, size_t b, size_t p, uint32_t visible)
{
    if (p >= visible)
        return 0;
    const uint32_t token = batch->token[batch->start[b] + p];
    return token == UINT32_MAX ? 0 : (size_t)token + 1;
}

/* Rows of sequence b that are input. *next is the first scored row not before it, and moves on. */
uint32_t hs_trm_visible_rows(const hs_batch *batch, size_t b, uint32_t *next)
{
    const uint32_t first = batch->start[b], end = batch->start[b + 1];
    while (*next < batch->P && batch->score_row[*next] < first)
        ++*next;
    return *next < batch->P && batch->score_row[*next] < end ? batch->score_row[*next] + 1 - first : end - first;
}

static void embed(trm_pass *a)
{
    const hs_model *model = a->model;
    const float scale = sqrtf((float)a->D);
    const float *table = model->param + a->o.embed;
    uint32_t next = 0;
    for (size_t b = 0; b < a->B; b++) {
        const uint32_t visible = hs_trm_visible_rows(a->batch, b, &next);
        for (size_t s = 0; s < a->S; s++) {
            float *x = a->x + hs_trm_row(a, s, b) * a->D;
            const float *from = NULL;
            if (s == 0 && model->config.prefix > 0)
                from = model->param + a->o.prefix;
            else if (s >= model->config.prefix)
                from = table + hs_trm_table_row(a->batch, b, s - model->config.prefix, visible) * a->D;
            for (size_t i = 0; i < a->D; i++)
                x[i] = from ? scale * from[i] : 0.0f;
        }
    }
}

/* ---------------------------------------------------------------- a block */

hs_attention hs_trm_attention(const trm_pass *a, const trm_app *app)
{
    const uint32_t H = a->model->config.n_head;
    return (hs_attention){.B = (uint32_t)a->B,
                          .start = a->start,
                          .R = (uint32_t)a->R,
                          .H = H,
                          .dh = (uint32_t)(a->D / H),
                          .T = (uint32_t)a->S,
                          .q = app->gate,
                          .k = app->gate + a->D,
                          .v = app->gate + 2 * a->D,
                          .ldq = 3 * a->D,
                          .ldk = 3 * a->D,
                          .prob = app->prob};
}

static void mix_attention(const trm_pass *a, const trm_block *w, const trm_app *app)
{
    const float *param = a->model->param;
    const size_t R = a->R, D = a->D, H = a->model->config.n_head, half = D / H / 2;
    hs_gemm(false, true, R, 3 * D, D, 1, app->in, D, param + w->mix_up, D, 0, app->gate, 3 * D);
    for (size_t r = 0; r < R; r++) {
        const size_t s = r % a->S;
        hs_rope_row(H, 2 * half, a->cos + s * half, a->sin + s * half, 1, app->gate + r * 3 * D);
        hs_rope_row(H, 2 * half, a->cos + s * half, a->sin + s * half, 1, app->gate + r * 3 * D + D);
    }
    const hs_attention at = hs_trm_attention(a, app);
    hs_attend(&at, app->ctx, D);
    memcpy(app->mid, app->in, R * D * sizeof(float));
    hs_gemm(false, true, R, D, D, 1, app->ctx, D, param + w->mix_down, D, 1, app->mid, D);
    hs_trm_norm_rows(R, D, a->model->config.eps, app->mid, app->mid_r);
}

/* gate (2Ft,J) = W_up (2Ft,S) in (S,J); mid (S,J) = in + W_down (S,Ft) swiglu(gate), a chunk of J columns at a time. */
static void mix_tokens(const trm_pass *a, const trm_block *w, const trm_app *app)
{
    const float *param = a->model->param;
    const size_t S = a->S, M = a->B * a->D, Ft = a->Ft;
    memcpy(app->mid, app->in, S * M * sizeof(float));
    for (size_t m = 0; m < M; m += a->J) {
        const size_t n = M - m < a->J ? M - m : a->J;
        float *gate = app->gate + 2 * Ft * m;
        hs_gemm(false, false, 2 * Ft, n, S, 1, param + w->mix_up, S, app->in + m, M, 0, gate, n);
        a->k->swiglu(1, Ft * n, gate, a->act);
        hs_gemm(false, false, S, n, Ft, 1, param + w->mix_down, Ft, a->act, n, 1, app->mid + m, M);
    }
    hs_trm_norm_columns(S, M, a->model->config.eps, app->mid, app->mid_r);
}

static void block_forward(const trm_pass *a, uint32_t l, const trm_app *app)
{
    const trm_block *w = &a->o.block[l];
    const float *param = a->model->param;
    const size_t R = a->R, D = a->D, Fc = a->Fc;
    if (a->model->config.mix_attention)
        mix_attention(a, w, app);
    else
        mix_tokens(a, w, app);
    memcpy(app->out, app->mid, R * D * sizeof(float));
    for (size_t r = 0; r < R; r += a->Q) {
        const size_t n = R - r < a->Q ? R - r : a->Q;
        float *up = app->up + r * 2 * Fc;
        hs_gemm(false, true, n, 2 * Fc, D, 1, app->mid + r * D, D, param + w->up, D, 0, up, 2 * Fc);
        a->k->swiglu(n, Fc, up, a->act);
        hs_gemm(false, true, n, D, Fc, 1, a->act, Fc, param + w->down, Fc, 1, app->out + r * D, D);
    }
    hs_trm_norm_rows(R, D, a->model->config.eps, app->out, app->out_r);
}

/* ---------------------------------------------------------------- the cycles */

static void broadcast(const trm_pass *a, const float *from, float *z)
{
    for (size_t r = 0; r < a->R; r++)
        memcpy(z + r * a->D, from, a->D * sizeof *z);
}

/* States outside are (B,S,D), here rows stand as hs_trm_row says. */
static void copy_in(const trm_pass *a, const float *state, float *z)
{
    for (size_t b = 0; b < a->B; b++)
        for (size_t s = 0; s < a->S; s++)
            memcpy(z + hs_trm_row(a, s, b) * a->D, state + (b * a->S + s) * a->D, a->D * sizeof *z);
}

static void copy_out(const trm_pass *a, const float *z, float *state)
{
    for (size_t b = 0; b < a->B; b++)
        for (size_t s = 0; s < a->S; s++)
            memcpy(state + (b * a->S + s) * a->D, z + hs_trm_row(a, s, b) * a->D, a->D * sizeof *z);
}

/* Write the patches of a stage, then read what it wrote. */
static void tap(const trm_pass *a, const hs_taps *taps, uint32_t stage, uint32_t *next)
{
    float *stream[HS_TRM_STREAMS] = {a->z_h, a->z_l, a->x};
    for (; *next < taps->n_patches && taps->patch[*next].stage == stage; ++*next) {
        const hs_patch *p = &taps->patch[*next];
        memcpy(stream[p->stream] + hs_trm_row(a, p->row % a->S, p->row / a->S) * a->D, p->x, a->D * sizeof *p->x);
    }
    if (taps->states)
        copy_out(a, stream[hs_model_stage(a->model, stage).stream], taps->states + stage * a->R * a->D);
}

/* One level into slots [slot, slot + n_layer); returns the last block's output. */
static float *level(const trm_pass *a, size_t slot, const float *z, const float *injected)
{
    const uint32_t L = a->model->config.n_layer;
    trm_app app = hs_trm_app_at(a, slot);
    hs_trm_sum(a->R * a->D, z, injected, app.in);
    for (uint32_t l = 0; l < L; l++) {
        app = hs_trm_app_at(a, slot + l);
        block_forward(a, l, &app);
    }
    return app.out;
}

/* What the model holds where the pass begins. */
static void begin(trm_pass *a, const hs_taps *taps)
{
    const float *param = a->model->param;
    const float *given[HS_TRM_STREAMS] = {0};
    for (uint32_t j = 0; taps && taps->given && j < HS_TRM_STREAMS; j++)
        given[j] = taps->stream[j];
    if (given[HS_TRM_X])
        copy_in(a, given[HS_TRM_X], a->x);
    else
        embed(a);
    if (given[HS_TRM_Z_H])
        copy_in(a, given[HS_TRM_Z_H], a->z_h);
    else
        broadcast(a, param + a->o.z_h_init, a->z_h);
    if (given[HS_TRM_Z_L])
        copy_in(a, given[HS_TRM_Z_L], a->z_l);
    else
        broadcast(a, param + a->o.z_l_init, a->z_l);
    a->h = a->z_h;
    a->l = a->z_l;
}

/* Run `stage`, its applications kept from `slot` on; the states are read where the stages before left them. */
static float *run_stage(trm_pass *a, uint32_t stage, size_t slot, bool inject)
{
    const hs_model_config *c = &a->model->config;
    const uint32_t i = (stage - 1) % (c->l_cycles + 1);
    if (i == c->l_cycles)
        return level(a, slot, a->h, a->l);
    if (i == 0 || inject) /* z_H and X stay for a cycle, unless a patch or the beginning lies in it */
        hs_trm_sum(a->R * a->D, a->h, a->x, a->inject);
    return level(a, slot, a->l, a->inject);
}

void hs_trm_begin(trm_pass *a)
{
    begin(a, NULL);
}

void hs_trm_cycle(trm_pass *a, uint32_t cycle)
{
    const hs_model_config *c = &a->model->config;
    const uint32_t steps = c->l_cycles + 1;
    for (uint32_t i = 0; i < steps; i++) {
        const uint32_t stage = cycle * steps + i + 1;
        const float *out = run_stage(a, stage, hs_trm_slot(a, cycle, i), false);
        if (i == c->l_cycles)
            a->h = out;
        else
            a->l = out;
    }
}

const float *hs_trm_cycle_state(const trm_pass *a, uint32_t cycle)
{
    const hs_model_config *c = &a->model->config;
    return hs_trm_app_at(a, hs_trm_slot(a, cycle, c->l_cycles) + c->n_layer - 1).out;
}

/* Without keeping anything: every stage is run in the same slots and copied out of them. */
static void forward(trm_pass *a, const hs_taps *taps)
{
    uint32_t next = 0;
    begin(a, taps);
    tap(a, taps, taps->from, &next);
    for (uint32_t stage = taps->from + 1; stage <= a->model->n_stages; stage++) {
        const bool high = stage % (a->model->config.l_cycles + 1) == 0;
        memcpy(high ? a->z_h : a->z_l, run_stage(a, stage, 0, true), a->R * a->D * sizeof(float));
        tap(a, taps, stage, &next);
    }
}

/* ---------------------------------------------------------------- head, stages */

void hs_trm_head(const hs_model *model, const trm_offsets *o, size_t n, const float *x, float *logits, size_t ld)
{
    const size_t D = model->config.n_embd, V = model->config.vocab;
    const float *table = model->param + o->head;
    hs_gemm(false, true, n, V, D, 1, x, D, table + D, D, 0, logits, ld);
}

void hs_trm_answer_rows(trm_pass *a, uint32_t n, const uint32_t *row)
{
    const hs_batch *batch = a->batch;
    for (uint32_t i = 0, b = 0; i < n; i++) {
        while (row[i] >= batch->start[b + 1])
            b++;
        const uint32_t p = row[i] - batch->start[b] + hs_model_answer_offset(a->model);
        assert(p < a->T);
        a->row[i] = (uint32_t)hs_trm_row(a, a->model->config.prefix + p, b);
    }
}

/* Logits of the rows that are asked for, or of the scored rows' answers. */
static void predict(trm_pass *a, const hs_taps *taps)
{
    const uint32_t n = taps->row ? taps->n_rows : a->batch->P;
    if (!taps->row)
        hs_trm_answer_rows(a, n, a->batch->score_row);
    for (uint32_t i = 0; taps->row && i < n; i++) {
        assert(taps->row[i] < a->R);
        a->row[i] = (uint32_t)hs_trm_row(a, taps->row[i] % a->S, taps->row[i] / a->S);
    }
    hs_gather_rows(n, a->D, a->row, a->h, a->D, a->rows);
    hs_trm_head(a->model, &a->o, n, a->rows, taps->logits, a->model->config.vocab);
}

static void run(const hs_model *model, const hs_batch *batch, const hs_taps *taps, float *work)
{
    trm_pass a;
    hs_trm_start(&a, model, batch, false, work);
    forward(&a, taps);
    if (taps->logits)
        predict(&a, taps);
}

static void stage_of(const hs_model *model, uint32_t s, hs_stage *out)
{
    const uint32_t steps = model->config.l_cycles + 1;
    *out = (hs_stage){.stream = HS_TRM_X};
    if (s == 0) {
        snprintf(out->name, sizeof out->name, "input");
        return;
    }
    out->pass = (s - 1) / steps + 1;
    out->step = s % steps; /* the last step of a cycle is the H step */
    out->stream = out->step ? HS_TRM_Z_L : HS_TRM_Z_H;
    if (out->step)
        snprintf(out->name, sizeof out->name, "H%u L%u", out->pass, out->step);
    else
        snprintf(out->name, sizeof out->name, "H%u", out->pass);
}

static const float *initial(const hs_model *model, uint32_t stream)
{
    trm_offsets o;
    hs_trm_resolve(model, &o);
    return model->param + (stream == HS_TRM_Z_H ? o.z_h_init : o.z_l_init);
}

static void lens(const hs_model *model, uint32_t n, const float *x, float *work, float *logits)
{
    (void)work; /* no norm before the head, as published */
    trm_offsets o;
    hs_trm_resolve(model, &o);
    hs_trm_head(model, &o, n, x, logits, model->config.vocab);
}

/* ---------------------------------------------------------------- cost */

/* All H cycles forward, the last one (or all) backward too, which costs twice its forward pass. T and P do not matter:
 * a sequence always has n_positions, all of which may be scored. */
static double step_flop(const hs_model *model, uint32_t B, uint32_t T, uint32_t P)
{
    (void)T;
    (void)P;
    const hs_model_config *c = &model->config;
    const double D = c->n_embd, S = c->prefix + c->n_positions, rows = B * S;
    const double channel = rows * 6 * D * hs_trm_channel_inner(c);
    const double mix =
        c->mix_attention ? rows * (8 * D * D + 4 * D * (S + 1) / 2) : rows * 6 * D * hs_trm_token_inner(c);
    const double cycle = (c->l_cycles + 1.0) * c->n_layer * (mix + channel);
    return cycle * (c->h_cycles + 2 * (c->full_gradient ? c->h_cycles : 1)) +
           3 * 2.0 * B * c->n_positions * D * (c->vocab + 1.0);
}

const hs_model_ops hs_trm_ops = {.traits = {.name = "trm", .title = "TRM", .in_place = true, .loss = HS_LOSS_STABLEMAX},
                                 .fields = hs_trm_fields,
                                 .check = hs_trm_check,
                                 .complete = hs_trm_complete,
                                 .describe = hs_trm_describe,
                                 .work_size = work_size,
                                 .backward = hs_trm_backward,
                                 .run = run,
                                 .stage = stage_of,
                                 .n_streams = HS_TRM_STREAMS,
                                 .streams = {"z_H", "z_L", "X"},
                                 .initial = initial,
                                 .lens = lens,
                                 .step_flop = step_flop};
