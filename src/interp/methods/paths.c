/* paths.c - path patching between states, and the circuit that is left (arXiv 2405.15071, appendix D, describes it
 * between states; Wang et al., arXiv 2211.00593 and Goldowsky-Dill et al., arXiv 2304.05969, the method).
 *
 * A node is all that the model holds at (level, position); levels are stages: of a decoder every one (thinned evenly to 8), of
 * TRM its input and each H step; at the last level only the position of the answer counts. What a model adds later from the
 * question itself (injected embeddings, TRM's input) stays the normal question's.
 * An edge joins a node to a node of the next level that it can reach. The corrupted run is another question of the split
 * with another answer.
 *     edge          the sender is corrupted; what this makes of the receiver, and nothing else, is put into the normal
 *                   run: share of right answers that change
 *     edge_effect   fall of (logit of the answer - logit of the corrupted run's answer), as a share of the whole fall
 * position = receiver, role = sender and its stage ("r1@1"), stage = the receiver's.
 * The circuit holds the edges with `edge` at least interpret.edge. It is run with every other edge carrying the
 * corrupted run's states:
 *     faithfulness  (m(circuit) - m(no edge)) / (m(normal) - m(no edge)), m = that logit difference (MIB, arXiv 2504.13151);
 *                   role "circuit", control "random": circuits with as many edges, drawn at random, level by level
 *     accuracy      right answers of the circuit's run
 *     edges         number of edges kept, and of all
 *
 * Invariant: items are independent; the donor of an item and the random circuits follow from interpret.seed. */
#include "interp/look.h"

#include <math.h>
#include <string.h>

enum { HS_MAX_LEVEL_STAGES = 512, MAX_LEVELS = 8, MAX_EDGES = MAX_LEVELS * HS_MAX_PLACES * HS_MAX_PLACES, DRAWS = 64 };

typedef struct edge {
    uint32_t level;                  /* of the sender */
    uint32_t from, to;               /* places */
    uint32_t strength, effect, base; /* cells */
    bool kept;
} edge;

typedef struct circuit {
    bool kept[MAX_EDGES];
    uint32_t margin, accuracy; /* cells */
} circuit;

typedef struct paths_job {
    const hs_look *look;
    const hs_sample *sample;
    hs_table *table;
    uint32_t n_places, answer;            /* places, and the one where the answer is read */
    uint32_t n_levels, level[MAX_LEVELS]; /* stages */
    uint32_t n_edges;
    edge edge[MAX_EDGES];
    const circuit *circuit; /* the one being run */
    uint32_t normal;        /* cell: margin of the normal run */
    uint32_t donor;         /* cell: the corrupted question, as an index in the split; for --items */
} paths_job;

static void choose_levels(paths_job *j)
{
    const hs_model *model = j->look->model;
    uint32_t stage[HS_MAX_LEVEL_STAGES], n = 0;
    const uint32_t head = hs_model_stage(model, model->n_stages).stream;
    for (uint32_t s = 0; s <= model->n_stages && n < HS_MAX_LEVEL_STAGES; s++)
        if (s == 0 || hs_model_stage(model, s).stream == head)
            stage[n++] = s;
    j->n_levels = n < MAX_LEVELS ? n : MAX_LEVELS;
    for (uint32_t l = 0; l < j->n_levels; l++)
        j->level[l] = stage[(uint64_t)l * (n - 1) / (j->n_levels - 1)];
}

/* Only the answer's position counts at the last level. */
static bool has_node(const paths_job *j, uint32_t level, uint32_t place)
{
    return level + 1 < j->n_levels || place == j->answer;
}

/* Can a state reach another one? In a causal model only what stands behind it. */
static bool reaches(const paths_job *j, uint32_t from, uint32_t to)
{
    return hs_model_predicts_in_place(j->look->model) || from <= to;
}

static hs_status add_edges(paths_job *j, hs_error *err)
{
    const hs_sample *s = j->sample;
    for (uint32_t l = 0; l + 1 < j->n_levels; l++)
        for (uint32_t from = 0; from < j->n_places; from++)
            for (uint32_t to = 0; to < j->n_places; to++) {
                if (!has_node(j, l + 1, to) || !reaches(j, from, to))
                    continue;
                edge *e = &j->edge[j->n_edges++];
                char role[2 * HS_ROLE_SIZE];
                const int32_t stage = (int32_t)j->level[l + 1];
                *e = (edge){.level = l, .from = from, .to = to};
                snprintf(role, sizeof role, "%s@%u", s->place[from].role, j->level[l]);
                HS_TRY(hs_table_add(j->table, stage, s->place[to].role, role, "edge", HS_SUM_SHARE, &e->strength, err));
                HS_TRY(
                    hs_table_add(j->table, stage, s->place[to].role, role, "edge_base", HS_SUM_HIDDEN, &e->base, err));
                HS_TRY(hs_table_add(j->table, stage, s->place[to].role, role, "edge_effect", HS_SUM_RATIO, &e->effect,
                                    err));
                j->table->cell[e->effect].base = e->base;
            }
    return HS_OK;
}

/* ---------------------------------------------------------------- a chunk: normal run 0, corrupted run 1 */

typedef struct paths_chunk {
    hs_forward *f;
    uint32_t first, n;
    const uint32_t *target;
    uint32_t rival[HS_CHUNK]; /* answer of the corrupted run, HS_NO_ID: no donor */
} paths_chunk;

static double margin(const paths_chunk *c, const float *logits, uint32_t b)
{
    const float *x = logits + b * c->f->V;
    return (double)x[c->target[b]] - (double)x[c->rival[b]];
}

static void put(paths_job *j, uint32_t cell, uint32_t item, double value)
{
    hs_table_column(j->table, cell)[item] = (float)value;
}

/* Another item with another answer; HS_NO_ID if none was found. */
static uint32_t donor_of(const paths_job *j, uint32_t item)
{
    const hs_sample *s = j->sample;
    const uint32_t *target = s->asked[s->target].token;
    hs_rng rng;
    hs_rng_init(&rng, j->look->config->seed, HS_PURPOSE('d', 'o', 'n', 'r'), s->item[item], 0);
    for (int draw = 0; draw < DRAWS; draw++) {
        const uint32_t other = (uint32_t)hs_rng_below(&rng, s->n);
        if (target[other] != target[item])
            return other;
    }
    return HS_NO_ID;
}

static void load(paths_job *j, paths_chunk *c)
{
    const hs_sample *s = j->sample;
    uint32_t tokens[HS_CHUNK * HS_MAX_PLACES];
    const uint32_t *normal = s->token + (size_t)c->first * s->T;
    c->target = s->asked[s->target].token + c->first;
    for (uint32_t b = 0; b < c->n; b++) {
        const uint32_t donor = donor_of(j, c->first + b);
        c->rival[b] = donor == HS_NO_ID ? HS_NO_ID : s->asked[s->target].token[donor];
        memcpy(tokens + b * s->T, donor == HS_NO_ID ? normal + b * s->T : s->token + (size_t)donor * s->T,
               s->T * sizeof *tokens);
    }
    hs_forward_run(c->f, 0, normal, s->T, c->n);
    hs_forward_run(c->f, 1, tokens, s->T, c->n);
}

static uint32_t column_of(const paths_job *j, uint32_t place)
{
    return j->sample->place[place].column;
}

/* The receiver of an edge as the corrupted sender made it (in `moved`), put into the normal run. */
static void try_edge(paths_job *j, paths_chunk *c, const edge *e, float *moved)
{
    const size_t stage = j->level[e->level + 1];
    for (uint32_t b = 0; b < c->n; b++)
        hs_forward_put_all(c->f, stage, b, column_of(j, e->to), moved);
    hs_forward_from(c->f, 0, stage, NULL);
    for (uint32_t b = 0; b < c->n; b++) {
        if (c->rival[b] == HS_NO_ID)
            continue;
        if (hs_forward_top(c->f, c->f->answer[0], b) == c->target[b])
            put(j, e->strength, c->first + b, hs_forward_top(c->f, c->f->logits, b) != c->target[b]);
        put(j, e->effect, c->first + b, margin(c, c->f->answer[0], b) - margin(c, c->f->logits, b));
        put(j, e->base, c->first + b, margin(c, c->f->answer[0], b) - margin(c, c->f->answer[1], b));
    }
}

static void edges_of_chunk(void *ctx, hs_forward *f, uint32_t first, uint32_t n)
{
    paths_job *j = ctx;
    paths_chunk c = {.f = f, .first = first, .n = n};
    float *moved = f->extra[0];
    load(j, &c);
    for (uint32_t b = 0; b < n; b++)
        if (c.rival[b] != HS_NO_ID)
            put(j, j->donor, first + b, (double)j->sample->item[donor_of(j, first + b)]);
    for (uint32_t i = 0; i < j->n_edges; i++) {
        const edge *e = &j->edge[i];
        if (i == 0 || e->level != e[-1].level || e->from != e[-1].from) { /* a new sender */
            for (uint32_t b = 0; b < n; b++)
                hs_forward_put_all(f, j->level[e->level], b, column_of(j, e->from), f->states[1]);
            hs_forward_from(f, 0, j->level[e->level], moved);
        }
        try_edge(j, &c, e, moved);
    }
}

/* ---------------------------------------------------------------- circuits */

/* One receiver in the circuit: senders along kept edges as the circuit has them (in `have`), the others corrupted. Its states are
 * entered into `have`. `made` is scratch. */
static void run_receiver(paths_job *j, paths_chunk *c, uint32_t level, uint32_t to, float *have, float *made)
{
    hs_forward *f = c->f;
    const size_t stage = j->level[level], above = j->level[level + 1];
    bool kept[HS_MAX_PLACES] = {false};
    uint32_t writer[HS_MAX_STREAMS];
    for (uint32_t i = 0; i < j->n_edges; i++)
        if (j->edge[i].level == level && j->edge[i].to == to)
            kept[j->edge[i].from] = j->circuit->kept[i];
    for (uint32_t p = 0; p < j->n_places; p++)
        for (uint32_t b = 0; b < c->n; b++)
            hs_forward_put_all(f, stage, b, column_of(j, p), kept[p] ? have : f->states[1]);
    hs_forward_from(f, 0, stage, made);
    const uint32_t n = hs_forward_writers(f, above, writer);
    for (uint32_t s = 0; s < n; s++)
        for (uint32_t b = 0; writer[s] != HS_NO_ID && b < c->n; b++)
            memcpy(hs_forward_state_in(f, have, writer[s], b, column_of(j, to)),
                   hs_forward_state_in(f, made, writer[s], b, column_of(j, to)), f->D * sizeof *have);
}

static void circuit_of_chunk(void *ctx, hs_forward *f, uint32_t first, uint32_t n)
{
    paths_job *j = ctx;
    paths_chunk c = {.f = f, .first = first, .n = n};
    float *made = f->extra[0], *have = f->extra[1];
    load(j, &c);
    memcpy(have, f->states[0], (f->S + 1) * f->M * f->D * sizeof *have); /* the embeddings are the question's own */
    for (uint32_t l = 0; l + 1 < j->n_levels; l++)
        for (uint32_t to = 0; to < j->n_places; to++)
            if (has_node(j, l + 1, to))
                run_receiver(j, &c, l, to, have, made);
    const size_t last = j->level[j->n_levels - 1];
    for (uint32_t b = 0; b < n; b++)
        hs_forward_put_all(f, last, b, column_of(j, j->answer), have);
    hs_forward_from(f, 0, last, NULL);
    for (uint32_t b = 0; b < n; b++) {
        if (c.rival[b] == HS_NO_ID)
            continue;
        put(j, j->circuit->margin, first + b, margin(&c, f->logits, b));
        put(j, j->circuit->accuracy, first + b, hs_forward_top(f, f->logits, b) == c.target[b]);
        put(j, j->normal, first + b, margin(&c, f->answer[0], b));
    }
}

/* Runs a circuit: its margins and accuracy into new cells, its faithfulness beside the empty circuit's margins (`empty`, NULL
 * while that one is run). */
static hs_status run_circuit(paths_job *j, circuit *of, const char *role, const circuit *empty, hs_error *err)
{
    uint32_t faithful, base;
    HS_TRY(hs_table_add(j->table, HS_ALL_STAGES, "", role, "margin", HS_SUM_HIDDEN, &of->margin, err));
    HS_TRY(hs_table_add(j->table, HS_ALL_STAGES, "", role, "accuracy", HS_SUM_SHARE, &of->accuracy, err));
    j->circuit = of;
    HS_TRY(hs_look_each(j->look, j->sample->n, j->sample->T, circuit_of_chunk, j, err));
    if (!empty)
        return HS_OK;
    HS_TRY(hs_table_add(j->table, HS_ALL_STAGES, "", role, "whole", HS_SUM_HIDDEN, &base, err));
    HS_TRY(hs_table_add(j->table, HS_ALL_STAGES, "", role, "faithfulness", HS_SUM_RATIO, &faithful, err));
    j->table->cell[faithful].base = base;
    for (uint32_t i = 0; i < j->sample->n; i++) {
        const float floor = hs_table_column(j->table, empty->margin)[i];
        hs_table_column(j->table, base)[i] = hs_table_column(j->table, j->normal)[i] - floor;
        hs_table_column(j->table, faithful)[i] = hs_table_column(j->table, of->margin)[i] - floor;
    }
    return HS_OK;
}

/* As many edges of each level as `like` has, drawn. */
static void draw_circuit(const paths_job *j, const circuit *like, uint32_t number, circuit *out)
{
    hs_rng rng;
    hs_rng_init(&rng, j->look->config->seed, HS_PURPOSE('c', 'i', 'r', 'c'), number, 0);
    for (uint32_t l = 0; l + 1 < j->n_levels; l++) {
        uint32_t index[MAX_EDGES], n = 0, kept = 0;
        for (uint32_t i = 0; i < j->n_edges; i++)
            if (j->edge[i].level == l) {
                index[n++] = i;
                kept += like->kept[i];
                out->kept[i] = false;
            }
        hs_rng_shuffle_u32(&rng, index, n);
        for (uint32_t i = 0; i < kept; i++)
            out->kept[index[i]] = true;
    }
}

/* Edges whose share of changed answers reaches the threshold. */
static uint32_t choose_circuit(paths_job *j, circuit *out)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < j->n_edges; i++) {
        const float *x = hs_table_column(j->table, j->edge[i].strength);
        double sum = 0, n = 0;
        for (uint32_t k = 0; k < j->sample->n; k++)
            if (!isnan(x[k])) {
                sum += (double)x[k];
                n++;
            }
        out->kept[i] = n > 0 && sum / n >= j->look->config->edge;
        kept += out->kept[i];
    }
    return kept;
}

static hs_status report_size(paths_job *j, const char *role, uint32_t edges, hs_error *err)
{
    uint32_t cell;
    HS_TRY(hs_table_add(j->table, HS_ALL_STAGES, "", role, "edges", HS_SUM_MEAN, &cell, err));
    for (uint32_t i = 0; i < j->sample->n; i++)
        hs_table_column(j->table, cell)[i] = (float)edges;
    return HS_OK;
}

static hs_status trace_paths(paths_job *j, circuit *circuits, hs_error *err)
{
    circuit *empty = &circuits[0], *found = &circuits[1], *random = &circuits[2];
    HS_TRY(hs_table_add(j->table, HS_ALL_STAGES, "", "", "donor", HS_SUM_HIDDEN, &j->donor, err));
    HS_TRY(add_edges(j, err));
    HS_TRY(hs_look_each(j->look, j->sample->n, j->sample->T, edges_of_chunk, j, err));
    const uint32_t kept = choose_circuit(j, found);
    HS_TRY(hs_table_add(j->table, HS_ALL_STAGES, "", "", "normal", HS_SUM_HIDDEN, &j->normal, err));
    HS_TRY(run_circuit(j, empty, "none", NULL, err));
    HS_TRY(run_circuit(j, found, "circuit", empty, err));
    HS_TRY(report_size(j, "circuit", kept, err));
    HS_TRY(report_size(j, "all", j->n_edges, err));
    for (uint32_t r = 0; r < j->look->config->random_circuits; r++) {
        char role[2 * HS_ROLE_SIZE];
        snprintf(role, sizeof role, "random %u", r + 1);
        draw_circuit(j, found, r, random);
        HS_TRY(run_circuit(j, random, role, empty, err));
    }
    return HS_OK;
}

static hs_status run(const hs_look *look, hs_table *out, hs_error *err)
{
    const hs_sample *s = look->sample;
    paths_job *j = hs_calloc(1, sizeof *j);
    circuit *circuits = hs_calloc(3, sizeof *circuits);
    hs_status status = HS_OK;
    if (j && circuits) {
        *j = (paths_job){.look = look, .sample = s, .table = out, .n_places = s->n_places, .answer = s->n_places - 1};
        const int in_place = hs_sample_place(s, s->asked[s->target].role);
        for (uint32_t p = 0; p < s->n_places; p++)
            if (in_place >= 0 ? p == (uint32_t)in_place : s->place[p].column + 1 == s->T)
                j->answer = p;
        choose_levels(j);
        status = trace_paths(j, circuits, err);
    } else {
        status = hs_fail_memory(err, sizeof *j);
    }
    hs_free(j);
    hs_free(circuits);
    return status;
}

static const char *unfit(const hs_model *model, const hs_dataset *data, const hs_split *split)
{
    (void)data;
    if (model->n_stages < 2)
        return "a model of at least two block applications";
    const bool fits = split && split->n > 1 && split->kind != HS_ITEM_OTHER && split->width <= HS_MAX_PLACES;
    return fits ? NULL : "a split of facts, queries or comparisons";
}

const hs_method hs_method_paths = {.name = "paths",
                                   .help = "which state feeds which, and is that circuit enough",
                                   .paper = "arXiv 2405.15071 appendix D; arXiv 2304.05969; arXiv 2504.13151",
                                   .cheap = false,
                                   .unfit = unfit,
                                   .run = run};
