/* augment.c - new facts by a language model, on demand, round by round (arXiv 2504.20752, Algorithms 1 and 2).
 *
 * A goal is a bridge of real two-hop facts that is to get facts, or a value that is to get entities. A round takes the
 * ROUND goals that are furthest behind, asks one question about each, and looks at the answers in the order of the
 * goals. Two questions without a fact that passes, and a goal is given up.
 *
 * Invariant: what a round asks follows from the graph, the options and the answers of earlier rounds, and from nothing
 * else: not from how fast answers came, nor from how often the work was stopped. */
#include "lm/augment.h"

#include <stdlib.h>
#include <string.h>

enum { ROUND = 16, PATIENCE = 2, EACH = 5 };

/* ---------------------------------------------------------------- goals */

uint64_t hs_lm_goal_has(const hs_lm_draft *d, const hs_lm_goal *goal)
{
    const hs_plan_entity *e = &d->plan.entity[goal->entity];
    if (d->options->per_value == 0)
        return e->in;
    uint64_t n = 0;
    for (uint64_t i = e->first_in; i != 0; i = d->plan.link[i - 1].next_in)
        n += d->plan.out->facts[i - 1].relation == goal->relation;
    return n;
}

uint32_t hs_lm_goal_lacks(const hs_lm_draft *d, const hs_lm_goal *goal)
{
    const hs_lm_augment_options *o = d->options;
    const uint64_t has = hs_lm_goal_has(d, goal), target = o->per_value > 0 ? o->per_value : o->per_bridge;
    if (has < target)
        return target - has < o->each ? (uint32_t)(target - has) : o->each;
    return o->per_value == 0 && o->phi > 0 ? o->each : 0;
}

static hs_status add_goal(hs_lm_draft *d, uint32_t entity, uint32_t relation, hs_error *err)
{
    void *p = d->goal;
    const hs_status status = hs_grow(&p, &d->cap_goals, d->n_goals + 1, sizeof *d->goal, err);
    d->goal = p;
    HS_TRY(status);
    hs_lm_goal *goal = &d->goal[d->n_goals++];
    *goal = (hs_lm_goal){.entity = entity, .relation = relation};
    goal->counted = hs_lm_goal_lacks(d, goal) > 0;
    d->report.wanted += goal->counted;
    return HS_OK;
}

/* Is entity e a bridge at which facts may arrive? With a target of phi each that arrives has to make more two-hop facts
 * than that, once every relation that may leave e does: *out counts them. */
static bool is_goal(hs_lm_draft *d, uint32_t e, uint64_t *out)
{
    bool arrives = false;
    *out = d->plan.entity[e].out;
    if (!hs_plan_is_bridge(&d->plan, e))
        return false;
    for (uint32_t r = 0; r < d->g->relations.n; r++) {
        arrives |= d->usable[r] && hs_lm_may_arrive(d, e, r);
        *out += d->usable[r] && hs_lm_may_leave(d, e, r);
    }
    return arrives;
}

static hs_status add_bridges(hs_lm_draft *d, hs_error *err)
{
    const double phi = d->options->phi;
    uint64_t most = 0, out;
    for (uint32_t e = 0; e < d->g->entities.n; e++) {
        if (!is_goal(d, e, &out))
            continue;
        most = out > most ? out : most;
        if ((double)out > phi)
            HS_TRY(add_goal(d, e, 0, err));
    }
    if (d->n_goals > 0 || most == 0 || hs_plan_phi(&d->plan) >= phi)
        return HS_OK;
    hs_fail(err, HS_ERR_DATA, "phi %.3g is out of reach: at most %llu facts can leave one entity", phi,
            (unsigned long long)most);
    return hs_error_hint(err, "ask for a phi below that, or for facts at each bridge");
}

static hs_status add_goals(hs_lm_draft *d, hs_error *err)
{
    const hs_lm_augment_options *o = d->options;
    if (o->per_value == 0)
        HS_TRY(add_bridges(d, err));
    for (uint32_t r = 0; o->per_value > 0 && r < d->g->relations.n; r++) {
        uint32_t last = HS_NO_ID;
        for (uint32_t e = 0; d->usable[r] && e < d->g->entities.n; e++)
            for (uint64_t i = d->g->in_start[e]; i < d->g->in_start[e + 1] && last != e; i++)
                if (d->g->facts[d->g->in_fact[i]].relation == r) {
                    last = e;
                    HS_TRY(add_goal(d, e, r, err));
                }
    }
    if (o->per_value == 0 && o->phi > 0 && hs_plan_phi(&d->plan) >= o->phi)
        return HS_OK;
    return d->n_goals > 0
               ? HS_OK
               : hs_fail(err, HS_ERR_DATA, "there is nothing to raise: no bridge of two-hop facts, or no value");
}

/* What one fact more at a goal would bring: two-hop facts; for values, how far it is behind. */
static double worth(const hs_lm_draft *d, const hs_lm_goal *goal)
{
    const hs_plan_entity *e = &d->plan.entity[goal->entity];
    if (d->options->per_value > 0)
        return hs_lm_goal_lacks(d, goal);
    return e->in > e->out ? e->in : e->out;
}

typedef struct ranked {
    uint32_t goal, asked;
    double worth;
} ranked;

static int by_rank(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    if (x->asked != y->asked)
        return x->asked < y->asked ? -1 : 1;
    if (x->worth != y->worth)
        return x->worth > y->worth ? -1 : 1;
    return (x->goal > y->goal) - (x->goal < y->goal);
}

/* ---------------------------------------------------------------- rounds */

typedef struct round {
    hs_lm_draft *d;
    uint32_t goal[ROUND];
    size_t n;
} round_t;

static hs_status choose(round_t *r, hs_error *err)
{
    hs_lm_draft *d = r->d;
    ranked *list = hs_alloc((d->n_goals + 1) * sizeof *list);
    size_t n = 0;
    if (!list)
        return hs_fail_memory(err, d->n_goals * sizeof *list);
    for (uint32_t k = 0; k < d->n_goals; k++)
        if (d->goal[k].fruitless < PATIENCE && hs_lm_goal_lacks(d, &d->goal[k]) > 0)
            list[n++] = (ranked){k, d->goal[k].asked, worth(d, &d->goal[k])};
    qsort(list, n, sizeof *list, by_rank);
    r->n = n < ROUND ? n : ROUND;
    for (size_t k = 0; k < r->n; k++)
        r->goal[k] = list[k].goal;
    hs_free(list);
    return HS_OK;
}

/* A question of this round; the draft does not change while they are made. */
static hs_status make(void *user, size_t i, hs_lm_question *out, hs_error *err)
{
    round_t *r = user;
    return hs_lm_propose(r->d, &r->d->goal[r->goal[i]], r->d->options->seed + r->d->report.rounds, out, err);
}

static bool reached(const hs_lm_draft *d)
{
    const hs_lm_augment_options *o = d->options;
    const uint64_t real = d->g->n_facts, most = o->max_facts ? o->max_facts : real < 100 ? 10000 : real * 100;
    return d->plan.out->n_facts - real >= most || (o->per_value == 0 && o->phi > 0 && hs_plan_phi(&d->plan) >= o->phi);
}

static hs_status look_at(round_t *r, const hs_lm_answer *answers, hs_error *err)
{
    for (size_t i = 0; i < r->n && !reached(r->d); i++) {
        hs_lm_goal *goal = &r->d->goal[r->goal[i]];
        uint32_t taken = 0;
        if (!answers[i].known)
            continue;
        HS_TRY(hs_lm_check(r->d, goal, &answers[i], &taken, err));
        goal->asked++;
        goal->fruitless = taken > 0 ? 0 : goal->fruitless + 1;
    }
    return HS_OK;
}

static hs_status ask_round(round_t *r, hs_lm *lm, const hs_signals *signals, hs_error *err)
{
    hs_lm_answer *answers = hs_calloc(r->n + 1, sizeof *answers);
    if (!answers)
        return hs_fail_memory(err, r->n * sizeof *answers);
    hs_status status = hs_lm_ask(lm, r->n, make, r, answers, signals, err);
    if (status == HS_OK)
        status = look_at(r, answers, err);
    hs_lm_answers_free(answers, r->n);
    r->d->report.rounds++;
    return status;
}

static hs_status run(hs_lm_draft *d, hs_lm *lm, hs_lm_show_fn show, void *user, const hs_signals *signals,
                     hs_error *err)
{
    round_t r = {.d = d};
    for (;;) {
        HS_TRY(choose(&r, err));
        if (r.n == 0 || reached(d) || (lm && hs_lm_counted(lm)->capped))
            return HS_OK;
        for (size_t i = 0; !lm && show && i < r.n; i++) {
            hs_lm_question q;
            HS_TRY(make(&r, i, &q, err));
            show(user, i, r.n, &q);
        }
        if (!lm)
            return HS_OK;
        HS_TRY(ask_round(&r, lm, signals, err));
        hs_event_send(lm->events, HS_EVENT_INFO, "lm", "round %llu: %llu new facts, phi %.3f",
                      (unsigned long long)d->report.rounds, (unsigned long long)(d->plan.out->n_facts - d->g->n_facts),
                      hs_plan_phi(&d->plan));
    }
}

/* ---------------------------------------------------------------- the whole */

static hs_status choose_relations(hs_lm_draft *d, hs_error *err)
{
    const hs_lm_augment_options *o = d->options;
    d->usable = hs_calloc((size_t)d->g->relations.n + 1, sizeof *d->usable);
    if (!d->usable)
        return hs_fail_memory(err, d->g->relations.n);
    for (uint32_t r = 0; !o->relations && r < d->g->relations.n; r++)
        d->usable[r] = true;
    for (size_t k = 0; o->relations && k < o->n_relations; k++) {
        const uint32_t r = hs_names_find(&d->g->relations, o->relations[k], strlen(o->relations[k]));
        if (r == HS_NO_ID)
            return hs_graph_no_relation(d->g, o->relations[k], err);
        d->usable[r] = true;
    }
    return HS_OK;
}

static hs_status begin(hs_lm_draft *d, hs_graph *out, hs_error *err)
{
    const hs_lm_augment_options *o = d->options;
    if (o->per_value == 0 && o->phi == 0 && o->per_bridge == 0)
        return hs_fail(err, HS_ERR_USAGE, "no target: phi, facts of a bridge, or entities of a value");
    if (o->phi > 0 && o->per_bridge > 0)
        return hs_fail(err, HS_ERR_USAGE, "two targets: phi, and facts of a bridge");
    if (o->per_value > 0 && !o->relations)
        return hs_fail(err, HS_ERR_USAGE, "comparison needs at least one attribute relation");
    d->plan_options = (hs_augment_options){.seed = o->seed, .tails_of_type = true};
    HS_TRY(hs_plan_open(&d->plan, d->g, &d->plan_options, out, err));
    hs_graph_stats stats; /* the plan counts only what is added to it */
    HS_TRY(hs_graph_stats_compute(d->g, 0, &stats, err));
    d->plan.two_hop = stats.two_hop;
    hs_graph_stats_free(&stats);
    for (uint32_t e = 0; e < d->g->entities.n; e++)
        HS_TRY(hs_lm_enter_name(d, e, err));
    HS_TRY(choose_relations(d, err));
    return add_goals(d, err);
}

static void conclude(hs_lm_draft *d)
{
    hs_lm_augment_report *r = &d->report;
    r->phi_after = hs_plan_phi(&d->plan);
    r->added_facts = d->plan.out->n_facts - d->g->n_facts;
    r->added_entities = d->plan.out->entities.n - d->g->entities.n;
    r->added_two_hop = d->plan.two_hop - r->added_two_hop;
    for (size_t k = 0; k < d->n_goals; k++) {
        const hs_lm_goal *goal = &d->goal[k];
        const uint64_t target = d->options->per_value > 0 ? d->options->per_value : d->options->per_bridge;
        r->reached += goal->counted && target > 0 && hs_lm_goal_has(d, goal) >= target;
        r->given_up += goal->fruitless >= PATIENCE;
    }
}

hs_status hs_lm_augment(const hs_graph *g, hs_lm *lm, const hs_lm_augment_options *options, hs_graph *out,
                        hs_str *origin, hs_lm_augment_report *report, hs_lm_show_fn show, void *user,
                        const hs_signals *signals, hs_error *err)
{
    hs_lm_augment_options own = *options;
    own.each = own.each ? own.each : EACH;
    hs_lm_draft d = {.g = g, .options = &own, .origin = origin, .model = lm ? lm->options.model : ""};
    *out = (hs_graph){0};
    hs_status status = begin(&d, out, err);
    if (status == HS_OK) {
        d.report.phi_before = hs_plan_phi(&d.plan);
        d.report.added_two_hop = d.plan.two_hop;
        status = run(&d, lm, show, user, signals, err);
    }
    if (status == HS_OK) {
        conclude(&d);
        status = hs_graph_index(out, err);
    }
    if (status == HS_OK && origin && origin->failed)
        status = hs_fail_memory(err, origin->len);
    if (status == HS_OK && report)
        *report = d.report;
    hs_plan_close(&d.plan);
    hs_free(d.usable);
    hs_free(d.goal);
    hs_names_free(&d.name);
    hs_free(d.entity);
    hs_free(d.seen);
    hs_free(d.stack);
    hs_str_free(&d.text);
    hs_str_free(&d.schema);
    if (status != HS_OK)
        hs_graph_free(out);
    return status;
}
