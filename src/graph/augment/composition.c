/* composition.c - which synthetic facts to add so that phi reaches a target (arXiv 2504.20752, Algorithm 2, without a
 * language model).
 *
 * First every bridge of real two-hop facts gets its number of arriving facts (`raise_bridges`). Then two moves take
 * turns until every target holds. `raise_phi` adds the fact of greatest gain while the overall phi is below the target.
 * `raise_relation` takes one relation below its target and works on the bridges of its facts: more facts that leave
 * their tails, more facts that arrive at their heads. A fact lowers the phi of its own relation if it makes fewer
 * two-hop facts than the target, so those that make at least as many go first. Each move either makes progress or says
 * that there is none to make; max_facts bounds the whole. A relation that makes none is set aside and tried once more
 * when the others are done, since their facts may be what it lacked. When the overall phi cannot be had with facts
 * spread over the bridges, all of it is done again with facts piled up where they make the most two-hop facts.
 */
#include "graph/augment/planner.h"

#include <math.h>
#include <string.h>

void hs_augment_options_default(hs_augment_options *options)
{
    *options = (hs_augment_options){.phi = 6.25, .per_relation = true, .new_entities = true};
}

typedef struct run {
    hs_plan plan;
    const hs_graph *g;
    const hs_augment_options *options;
    uint64_t max_facts;
    uint64_t two_hop;     /* of g */
    uint64_t max_leaving; /* most facts of g that leave the tail of a usable relation */
    uint8_t *aside;       /* (relations) set aside: 1 once, 2 for good */
    double best;          /* highest overall phi on the way */
    bool out_of_reach;    /* the overall phi was */
} run;

/* ---------------------------------------------------------------- which relations */

/* Can a relation be a hop of two-hop facts: do its heads stand somewhere as tails, or can its tails be heads? */
static hs_status find_capable(run *s, hs_error *err)
{
    const hs_graph *g = s->g;
    uint8_t *is_tail = hs_calloc((size_t)g->entities.n + 1, 1);
    if (is_tail == NULL)
        return hs_fail_memory(err, g->entities.n);
    for (uint64_t i = 0; i < g->n_facts; i++)
        is_tail[g->facts[i].tail] = 1;
    for (uint64_t i = 0; i < g->n_facts; i++) {
        hs_plan_relation *relation = &s->plan.relation[g->facts[i].relation];
        if (relation->usable || g->facts[i].head == g->facts[i].tail)
            continue;
        relation->usable =
            is_tail[g->facts[i].head] || g->out_start[g->facts[i].tail + 1] > g->out_start[g->facts[i].tail];
    }
    hs_free(is_tail);
    return HS_OK;
}

static hs_status choose_relations(run *s, hs_error *err)
{
    const hs_augment_options *o = s->options;
    if (o->relations == NULL)
        HS_TRY(find_capable(s, err));
    for (size_t k = 0; o->relations != NULL && k < o->n_relations; k++) {
        uint32_t r = hs_names_find(&s->g->relations, o->relations[k], strlen(o->relations[k]));
        if (r == HS_NO_ID)
            return hs_graph_no_relation(s->g, o->relations[k], err);
        s->plan.relation[r].usable = true;
    }
    bool any = false;
    for (uint32_t r = 0; r < s->g->relations.n; r++) {
        hs_plan_relation *relation = &s->plan.relation[r];
        relation->usable = relation->usable && relation->real > 0;
        relation->target = relation->usable && o->per_relation;
        any = any || relation->usable;
    }
    if (!any)
        return hs_fail(err, HS_ERR_DATA, "no relation of this graph can take part in two-hop facts");
    return HS_OK;
}

static double lowest_phi_r(const run *s, uint32_t *lowest)
{
    double phi = 0;
    *lowest = HS_NO_ID;
    for (uint32_t r = 0; r < s->g->relations.n; r++) {
        double phi_r = hs_plan_phi_r(&s->plan, r);
        if (s->plan.relation[r].target && (*lowest == HS_NO_ID || phi_r < phi)) {
            phi = phi_r;
            *lowest = r;
        }
    }
    return phi;
}

static bool has_room(const run *s)
{
    return s->plan.out->n_facts - s->g->n_facts < s->max_facts;
}

/* ---------------------------------------------------------------- overall phi */

typedef struct candidate {
    uint32_t x, r, y;
    double score;
} candidate;

/* Keeps the mix of relations near that of g: of equals the one with the fewest synthetic facts for its real ones. */
static double mix(const run *s, uint32_t r)
{
    const hs_plan_relation *relation = &s->plan.relation[r];
    return 1e-3 * (double)relation->real / (double)(relation->real + relation->added);
}

static void keep_better(const run *s, candidate c, candidate *best)
{
    if (c.x == HS_NO_ID || c.y == HS_NO_ID || hs_plan_yield(&s->plan, c.x, c.y) == 0)
        return;
    c.score += mix(s, c.r);
    if (best->x == HS_NO_ID || c.score > best->score)
        *best = c;
}

/* *room: some bridge still lacks a fact that could leave it. */
static hs_status best_candidate(run *s, candidate *best, bool *room, hs_error *err)
{
    *best = (candidate){.x = HS_NO_ID};
    *room = false;
    for (uint32_t r = 0; r < s->g->relations.n; r++) {
        candidate c = {.r = r};
        double head_gain, tail_gain;
        if (!s->plan.relation[r].usable)
            continue;
        HS_TRY(hs_plan_best_tail(&s->plan, r, HS_NO_ID, &c.y, &tail_gain, err));
        if (c.y == HS_NO_ID)
            continue;
        HS_TRY(hs_plan_best_head(&s->plan, r, c.y, &c.x, &head_gain, err));
        c.score = head_gain + tail_gain;
        keep_better(s, c, best);
        /* The best head may need another tail. */
        HS_TRY(hs_plan_best_head(&s->plan, r, HS_NO_ID, &c.x, &head_gain, err));
        if (c.x == HS_NO_ID || c.x == HS_PLAN_NEW)
            continue;
        *room = *room || head_gain > 1e-5;
        HS_TRY(hs_plan_best_tail(&s->plan, r, c.x, &c.y, &tail_gain, err));
        c.score = head_gain + tail_gain;
        keep_better(s, c, best);
    }
    return HS_OK;
}

/* *stuck: nothing that can be added would raise phi. */
static hs_status raise_phi(run *s, bool *stuck, hs_error *err)
{
    double target = s->options->phi;
    *stuck = false;
    for (double phi; (phi = hs_plan_phi(&s->plan)) < target && has_room(s);) {
        candidate best;
        bool room;
        s->best = phi > s->best ? phi : s->best;
        HS_TRY(best_candidate(s, &best, &room, err));
        bool helps = best.x != HS_NO_ID && (double)hs_plan_yield(&s->plan, best.x, best.y) > target;
        /* Piled up, a fact that makes too few two-hop facts now may still make many in the end, since others come to
         * meet it: all but those of invented heads, where nothing ever arrives. */
        bool invests = best.x != HS_NO_ID && best.x != HS_PLAN_NEW;
        if (best.x == HS_NO_ID || (!helps && !(s->plan.plain_gain ? invests : room))) {
            /* With diminishing returns: every bridge has all its facts. Then only the largest bridges can help. */
            *stuck = s->plan.plain_gain;
            if (s->plan.plain_gain)
                return HS_OK;
            s->plan.plain_gain = true;
            HS_TRY(hs_plan_rebuild(&s->plan, err));
            continue;
        }
        HS_TRY(hs_plan_add(&s->plan, best.x, best.r, best.y, err));
    }
    return HS_OK;
}

/* ---------------------------------------------------------------- phi of one relation */

/* Best fact that arrives at b (or leaves it) by a relation other than r, or by r itself when it makes enough. */
static hs_status best_at(run *s, uint32_t b, uint32_t r, bool arriving, candidate *best, hs_error *err)
{
    double target = s->options->phi;
    *best = (candidate){.x = HS_NO_ID};
    for (uint32_t r2 = 0; r2 < s->g->relations.n; r2++) {
        candidate c = {.r = r2};
        double gain = 0;
        if (!s->plan.relation[r2].usable)
            continue;
        if (arriving) {
            if (!hs_plan_may_tail(&s->plan, b, r2))
                continue;
            c.y = b;
            HS_TRY(hs_plan_best_head(&s->plan, r2, b, &c.x, &gain, err));
        } else {
            if (hs_plan_taken(&s->plan, b, r2) || !hs_plan_may_head(&s->plan, b, r2))
                continue;
            c.x = b;
            HS_TRY(hs_plan_best_tail(&s->plan, r2, b, &c.y, &gain, err));
            if (c.y == HS_NO_ID)
                continue;
        }
        if (c.x == HS_NO_ID)
            continue;
        bool enough = (double)hs_plan_yield(&s->plan, c.x, c.y) >= target;
        if (r2 == r && !enough)
            continue;
        c.score = gain + mix(s, r2) + (enough ? 10 : 0);
        if (best->x == HS_NO_ID || c.score > best->score)
            *best = c;
    }
    return HS_OK;
}

static double shortfall(const run *s, uint32_t r)
{
    const hs_plan_relation *relation = &s->plan.relation[r];
    return s->options->phi * (double)(relation->real + relation->added) - (double)relation->either;
}

/* One more fact at the bridge b, if that brings r nearer to its target. */
static hs_status work_on(run *s, uint32_t r, uint32_t b, bool arriving, bool *progress, hs_error *err)
{
    candidate best;
    double before = shortfall(s, r);
    HS_TRY(best_at(s, b, r, arriving, &best, err));
    if (best.x == HS_NO_ID)
        return HS_OK;
    HS_TRY(hs_plan_add(&s->plan, best.x, best.r, best.y, err));
    *progress = *progress || shortfall(s, r) < before;
    return HS_OK;
}

/* Once along the facts of r, each bridge with the fewest facts of its kind first served in the order of the facts. */
static hs_status raise_relation(run *s, uint32_t r, bool *progress, hs_error *err)
{
    *progress = false;
    hs_plan *plan = &s->plan;
    for (int side = 0; side < 2 && !*progress; side++) {
        bool arriving = side == 1;
        uint64_t degrees = 0, bridges = 0, n = plan->out->n_facts;
        for (uint64_t i = 0; i < n; i++) {
            const hs_fact *fact = &plan->out->facts[i];
            if (fact->relation != r || fact->head == fact->tail)
                continue;
            const hs_plan_entity *b = &plan->entity[arriving ? fact->head : fact->tail];
            degrees += arriving ? b->in : b->out;
            bridges++;
        }
        for (uint64_t i = 0; i < n && shortfall(s, r) > 0 && has_room(s); i++) {
            hs_fact fact = plan->out->facts[i];
            if (fact.relation != r || fact.head == fact.tail)
                continue;
            uint32_t b = arriving ? fact.head : fact.tail;
            uint64_t degree = arriving ? plan->entity[b].in : plan->entity[b].out;
            if (degree * bridges <= degrees) /* not above the mean: the others catch up first */
                HS_TRY(work_on(s, r, b, arriving, progress, err));
        }
    }
    return HS_OK;
}

/* ---------------------------------------------------------------- bridges */

/* Best fact that arrives at b, of the usable relation that has the fewest synthetic facts for its real ones. */
static hs_status best_arriving(run *s, uint32_t b, candidate *best, hs_error *err)
{
    *best = (candidate){.x = HS_NO_ID};
    for (uint32_t r = 0; r < s->g->relations.n; r++) {
        candidate c = {.r = r, .y = b, .score = mix(s, r)};
        double gain;
        if (!s->plan.relation[r].usable || !hs_plan_may_tail(&s->plan, b, r))
            continue;
        HS_TRY(hs_plan_best_head(&s->plan, r, b, &c.x, &gain, err));
        if (c.x != HS_NO_ID && (best->x == HS_NO_ID || c.score > best->score))
            *best = c;
    }
    return HS_OK;
}

/* Each bridge of real two-hop facts gets at least per_bridge facts that arrive, so that each of its second hops is used
 * by as many queries. What cannot be had (no head is left) stays. */
static hs_status raise_bridges(run *s, hs_augment_report *report, hs_error *err)
{
    for (uint32_t b = 0; b < s->g->entities.n && s->options->per_bridge > 0; b++) {
        if (!hs_plan_is_bridge(&s->plan, b))
            continue;
        report->bridges++;
        report->bridges_raised += s->plan.entity[b].in < s->options->per_bridge;
        while (s->plan.entity[b].in < s->options->per_bridge) {
            candidate best;
            if (!has_room(s)) {
                hs_fail(err, HS_ERR_DATA, "%u facts at each bridge are out of reach with the facts allowed",
                        s->options->per_bridge);
                return hs_error_hint(err, "%llu synthetic facts were tried: raise the limit or ask for less",
                                     (unsigned long long)s->max_facts);
            }
            HS_TRY(best_arriving(s, b, &best, err));
            if (best.x == HS_NO_ID)
                break;
            HS_TRY(hs_plan_add(&s->plan, best.x, best.r, best.y, err));
        }
    }
    return HS_OK;
}

/* ---------------------------------------------------------------- the whole */

/* A phi that can be had. With invented heads: what as many synthetic facts as real ones give, each at a tail that the
 * most facts leave. */
static double can_be_had(const run *s)
{
    uint64_t real = s->g->n_facts, more = s->max_facts < real ? s->max_facts : real;
    double phi = (double)s->two_hop + (double)s->max_leaving * (double)more;
    phi /= (double)(real + more);
    return s->options->new_entities && phi > s->best ? phi : s->best;
}

static hs_status fail_phi(const run *s, uint32_t r, hs_error *err)
{
    double can = r == HS_NO_ID ? can_be_had(s) : hs_plan_phi_r(&s->plan, r);
    bool full = !has_room(s);
    can = floor(can * 100) / 100; /* what is said must hold */
    hs_fail(err, HS_ERR_DATA, "phi %.2f is out of reach: at least %.2f can be had%s", s->options->phi, can,
            full ? " with the facts allowed" : "");
    if (r != HS_NO_ID)
        hs_error_where(err, "relation \"%s\"", hs_names_get(&s->g->relations, r));
    else
        hs_error_where(err, "the whole graph");
    if (full)
        return hs_error_hint(err, "%llu synthetic facts were tried: raise the limit or ask for less",
                             (unsigned long long)s->max_facts);
    uint64_t most = s->options->tails_of_type ? UINT64_MAX : s->plan.most_out;
    if (r == HS_NO_ID && (double)most <= s->options->phi)
        return hs_error_hint(err,
                             "at most %llu facts can leave a bridge, so phi stays below %llu; for held-out queries, "
                             "facts at each bridge do more: --bridges 16 (augment.per_bridge)",
                             (unsigned long long)most, (unsigned long long)most);
    return hs_error_hint(err, "ask for phi %.2f%s%s", can,
                         s->options->relations != NULL ? ", choose more relations (their facts can be added too)" : "",
                         s->options->new_entities ? "" : ", allow new entities");
}

/* Relation r makes no progress: set aside, and after a second time for good. */
static void set_aside(run *s, uint32_t r)
{
    s->plan.relation[r].target = false;
    s->aside[r]++;
}

/* Those set aside once that still are below the target are aimed at again. False: there is none. */
static bool try_again(run *s)
{
    bool any = false;
    for (uint32_t r = 0; r < s->g->relations.n; r++) {
        if (s->aside[r] != 1 || hs_plan_phi_r(&s->plan, r) >= s->options->phi)
            continue;
        s->plan.relation[r].target = any = true;
    }
    return any;
}

static hs_status raise_all(run *s, hs_error *err)
{
    for (;;) {
        bool stuck, progress;
        uint32_t lowest;
        HS_TRY(raise_phi(s, &stuck, err));
        if (stuck || hs_plan_phi(&s->plan) < s->options->phi) {
            s->out_of_reach = true;
            return fail_phi(s, HS_NO_ID, err);
        }
        if (lowest_phi_r(s, &lowest) >= s->options->phi || lowest == HS_NO_ID) {
            if (!try_again(s))
                return HS_OK;
            continue;
        }
        if (!has_room(s))
            return fail_phi(s, lowest, err);
        HS_TRY(raise_relation(s, lowest, &progress, err));
        if (!progress)
            set_aside(s, lowest);
    }
}

/* At the end, with the phi that each has then: relations below the target are told, or are an error if asked for. */
static hs_status settle(run *s, uint64_t *given_up, hs_error *err)
{
    *given_up = 0;
    for (uint32_t r = 0; r < s->g->relations.n; r++) {
        if (s->aside[r] == 0)
            continue;
        s->plan.relation[r].target = hs_plan_phi_r(&s->plan, r) >= s->options->phi;
        if (s->plan.relation[r].target)
            continue;
        if (s->options->relations != NULL)
            return fail_phi(s, r, err);
        ++*given_up;
    }
    for (uint32_t r = 0; r < s->g->relations.n; r++)
        if (s->aside[r] > 0 && !s->plan.relation[r].target)
            hs_event_send(s->options->events, HS_EVENT_WARNING, "graph",
                          "augment: phi of \"%s\" stays at %.2f, the target %.2f is out of reach",
                          hs_names_get(&s->g->relations, r), hs_plan_phi_r(&s->plan, r), s->options->phi);
    return HS_OK;
}

static hs_status prepare(run *s, hs_augment_report *report, hs_error *err)
{
    const hs_graph *g = s->g;
    hs_graph_stats stats;
    HS_TRY(hs_graph_stats_compute(g, 0, &stats, err));
    for (uint64_t i = 0; i < stats.relations; i++)
        s->plan.relation[stats.relation[i].relation].either = stats.relation[i].either;
    s->plan.two_hop = s->two_hop = stats.two_hop;
    hs_graph_stats_free(&stats);
    uint32_t lowest;
    report->phi_before = hs_plan_phi(&s->plan);
    report->min_phi_r_before = lowest_phi_r(s, &lowest);
    for (uint32_t r = 0; r < g->relations.n; r++)
        report->relations_chosen += s->plan.relation[r].usable;
    for (uint64_t i = 0; i < g->n_facts; i++) {
        uint64_t leaving = s->plan.entity[g->facts[i].tail].out;
        if (s->plan.relation[g->facts[i].relation].usable && leaving > s->max_leaving)
            s->max_leaving = leaving;
    }
    return hs_plan_rebuild(&s->plan, err);
}

static hs_status check_options(const hs_graph *g, const hs_augment_options *o, hs_error *err)
{
    bool bridges_only = o->phi == 0 && o->per_bridge > 0;
    if (!bridges_only && (!(o->phi > 0) || o->phi > 1e6))
        return hs_fail(err, HS_ERR_USAGE, "the target phi must be above 0 and at most a million, not %g", o->phi);
    if (g->n_facts == 0)
        return hs_fail(err, HS_ERR_DATA, "the graph has no facts to augment");
    return HS_OK;
}

/* From g to out in one way: facts spread over the bridges, or piled up from the beginning. */
static hs_status attempt(run *s, bool pile_up, hs_graph *out, hs_augment_report *report, hs_error *err)
{
    uint32_t lowest;
    *report = (hs_augment_report){0};
    s->out_of_reach = false;
    s->best = 0; /* of the last attempt only: piled up, the way does not depend on the target, so it can be had again */
    memset(s->aside, 0, s->g->relations.n);
    hs_status status = hs_plan_open(&s->plan, s->g, s->options, out, err);
    s->plan.plain_gain = pile_up;
    if (status == HS_OK)
        status = choose_relations(s, err);
    if (status == HS_OK)
        status = prepare(s, report, err);
    if (status == HS_OK)
        status = raise_bridges(s, report, err);
    if (status == HS_OK && s->options->phi > 0)
        status = raise_all(s, err);
    if (status == HS_OK)
        status = settle(s, &report->relations_given_up, err);
    if (status == HS_OK) {
        report->added_facts = out->n_facts - s->g->n_facts;
        report->added_entities = s->plan.added_entities;
        report->added_two_hop = s->plan.two_hop - s->two_hop;
        report->phi_after = hs_plan_phi(&s->plan);
        report->min_phi_r_after = lowest_phi_r(s, &lowest);
        report->collisions = s->plan.collisions;
        status = hs_graph_index(out, err);
    }
    hs_plan_close(&s->plan);
    if (status != HS_OK)
        hs_graph_free(out);
    return status;
}

hs_status hs_graph_augment(const hs_graph *g, const hs_augment_options *options, hs_graph *out,
                           hs_augment_report *report, hs_error *err)
{
    hs_augment_report counts;
    *out = (hs_graph){0};
    HS_TRY(check_options(g, options, err));
    run s = {.g = g, .options = options, .max_facts = options->max_facts};
    if (s.max_facts == 0)
        s.max_facts = g->n_facts < 100 ? 10000 : g->n_facts * 100;
    s.aside = hs_alloc((size_t)g->relations.n + 1);
    if (s.aside == NULL)
        return hs_fail_memory(err, g->relations.n);
    hs_status status = attempt(&s, false, out, &counts, err);
    if (status == HS_ERR_DATA && s.out_of_reach)
        status = attempt(&s, true, out, &counts, err);
    hs_free(s.aside);
    if (status == HS_OK && report != NULL)
        *report = counts;
    return status;
}
