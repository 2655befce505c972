/* panel_9_tour.js - Tour: at most seven short steps for a class. Each sets the panels and says what to see there; the last is a
 * question to predict before the answer is shown.
 *
 * Invariants: every sentence is made of the open run's own numbers, and a step whose numbers the run has not got is left out; the
 * question of the last step is shown in no panel before a guess. The step's text stands in a box over the page (the coach), which
 * takes the keyboard's focus when a step begins and gives it back when the tour ends. */
"use strict";
(() => {
    const { draw } = hs;
    const { el } = hs;
    const MOST = 7;

    /* ---------------------------------------------------------------- what the run tells */

    const stopFrom = (run, step) => hs.stops(run).find((s) => s >= step) ?? hs.stops(run).at(-1);
    const share = (x) => `${Math.floor(x * 1000 + 1e-9) / 10}%`;

    /* Accuracy of a split at its last evaluation until a step, or null. */
    function accuracyAt(run, split, step) {
        const e = (run.evaluations || {})[split];
        const at = e ? hs.before(e.step, step) : -1;
        return at < 0 ? null : e.accuracy[at];
    }
    /* First evaluation at which all these splits have at least this accuracy, or null. */
    function firstAbove(run, splits, least) {
        const rows = splits.map((split) => (run.evaluations || {})[split]);
        if (!rows.length || rows.some((e) => !e)) return null;
        const step = rows[0].step.find((s) => splits.every((split) => (accuracyAt(run, split, s) ?? 0) >= least));
        return step === undefined ? null : { step };
    }
    const knowsAll = (run) => firstAbove(run, hs.splitNames(run).filter((s) => !hs.isTest(run, s)), 0.99);
    const answersNew = (run) => (hs.mainSplit(run) ? firstAbove(run, [hs.mainSplit(run)], 0.9) : null);
    const trainSplit = (run) => {
        const trained = hs.splitNames(run).filter((s) => !hs.isTest(run, s));
        return trained.find((s) => !/atomic/.test(s)) || trained[0] || null;
    };
    const question = (run, query) => query.tokens.map((id) => run.vocab[id]).join(", ");
    const lastLook = (run, k) => (run.looks && run.looks.looks.length && run.looks.looks.at(-1)[k]) || null;
    const isRight = (query, look) => !!look && look.answer[0] === query.target;

    /* The question of the tour: of the main split, answered right at the end if there is one. */
    function mainQuery(run) {
        const main = hs.mainSplit(run);
        const all = run.queries.map((q, k) => ({ q, k })).filter(({ q }) => q.split === main);
        const found = all.find(({ q, k }) => isRight(q, lastLook(run, k))) || all[0];
        return found ? found.k : Math.max(0, run.queries.findIndex((q) => !q.trained));
    }

    /* First checkpoint where the lens has the bridge on top where its hop ends, below the last stage, where a second hop can still
     * use it: {step, stage, position} or null. */
    function bridgeSeen(run, k) {
        const looks = run.looks;
        for (let c = 0; looks && c < looks.checkpoints.length; c++) {
            const lens = looks.looks[c] && looks.looks[c][k] && looks.looks[c][k].lens;
            for (let s = 1; lens && s + 1 < lens.length; s++)
                if (lens[s][1] && lens[s].length > 2 && lens[s][1][6] === 0) return { step: looks.checkpoints[c], stage: s, position: 1 };
        }
        return null;
    }

    /* The cell of the last look's trace, before the last position and above the first stage, on which the answer hangs most. */
    function strongest(run, k) {
        const look = lastLook(run, k);
        let best = null;
        ((look && look.trace) || []).forEach((row, s) => row.slice(0, -1).forEach((cell, i) => {
            if (cell && cell[0] !== null && i > 0 && (!best || cell[0] > best.effect)) best = { stage: s + 1, position: i, effect: cell[0], after: cell[1], replaced: look.replaced };
        }));
        return best;
    }

    /* ---------------------------------------------------------------- the steps */

    function stepAsk(run, k) {
        const q = run.queries[k];
        const facts = (run.card && run.card.facts) || (run.facts && run.facts.h.length);
        const walks = draw.walks(run, q) && q.tokens.length > 2, bridge = walks && q.bridge.length ? run.vocab[q.bridge[0]] : "";
        return {
            title: "The question",
            text: `The model was shown ${facts ? `${hs.fmt(facts)} facts` : "facts"} one by one, and questions that need ${walks ? `${q.tokens.length - 1} of them in a row` : "several of them"}. ` +
                (q.trained ? `This is one of them: ${question(run, q)}. ` : `This question was left out: ${question(run, q)}. `) +
                (bridge ? `Its answer goes over ${bridge}, which the question does not name: the bridge.` : ""),
            see: `${walks ? "The drawing shows the way; the bars" : "The bars"} show what the model says at its first checkpoint.`,
            set: { panel: "ask", query: k, step: hs.stops(run)[0] },
        };
    }

    function stepMemorized(run) {
        const time = knowsAll(run), train = trainSplit(run), main = hs.mainSplit(run);
        if (!time || !train || !main) return null;
        const known = accuracyAt(run, train, time.step), held = accuracyAt(run, main, time.step);
        if (known === null || held === null) return null;
        const later = answersNew(run);
        if (later && later.step < time.step)
            return {
                title: "It knows all it was shown",
                text: `Only at step ${hs.fmt(time.step)} it knows every fact and training question (each split at least 99%). By then it already answered ${share(held)} of the questions it was never shown.`,
                see: "A rule can come before the last exception is learned by heart.",
                set: { panel: "curves", step: stopFrom(run, time.step) },
                at: time.step,
            };
        return {
            at: time.step,
            title: held < 0.9 ? "It learns by heart" : "It knows what it was shown",
            text: `At step ${hs.fmt(time.step)} it answers ${share(known)} of the training questions. Of those it never saw (${main}): ${share(held)}. ` +
                (held < 0.5 ? "It knows the answers, not the rule." : held < 0.9 ? "It knows more than it was told, but not yet all." : "Here both came together."),
            see: "Find the step in the curves: the training line is up.",
            set: { panel: "curves", step: stopFrom(run, time.step) },
        };
    }

    function stepGrokked(run) {
        const main = hs.mainSplit(run), time = answersNew(run), known = knowsAll(run);
        if (!time) return null;
        const times = known && time.step >= 1.5 * known.step ? `, ${hs.fmt(Number((time.step / known.step).toPrecision(2)))} times as long as learning by heart took` : "";
        const held = accuracyAt(run, main, time.step);
        return {
            at: time.step,
            title: "It answers what it never saw",
            text: `At step ${hs.fmt(time.step)}${times}, it answers ${share(held)} of the questions that it was never shown (${main}).` +
                (known && time.step < known.step ? ` It did not yet know every fact and question that it was shown (that came at step ${hs.fmt(known.step)}).` : ""),
            see: "A late rise of this line is called grokking.",
            set: { panel: "curves", step: stopFrom(run, time.step) },
        };
    }

    function stepLens(run, k) {
        const seen = bridgeSeen(run, k);
        if (!seen) return null;
        const q = run.queries[k], role = (q.positions || run.roles || [])[seen.position] || "the relation";
        const when = seen.step === run.looks.checkpoints[0] ? `Already at the first checkpoint, step ${hs.fmt(seen.step)},` : `Of the stored checkpoints, the one of step ${hs.fmt(seen.step)} is the first at which`;
        return {
            title: "The bridge lights up",
            text: `Look inside. ${when} the bridge ${run.vocab[q.bridge[0]]} is the most probable token at ${role}, after ${run.stages[seen.stage]}. That is the first hop, done early enough for a second. Whether the answer uses it is another question.`,
            see: "Drag the time slowly to both sides and watch that column.",
            set: { panel: "lens", query: k, step: seen.step, lens: "bridge" },
        };
    }

    function stepPatch(run, k) {
        const cell = strongest(run, k), q = run.queries[k];
        if (!cell || cell.after === undefined || cell.after === null) return null;
        const changes = cell.after !== q.target;
        return {
            title: "Does the answer hang on it?",
            text: `We exchange one state only: that of ${(q.positions || run.roles || [])[cell.position] || `position ${cell.position + 1}`} after ${run.stages[cell.stage]}, with what the model holds there if ${draw.replacedToken(run, q)} is replaced` +
                `${cell.replaced === null || cell.replaced === undefined ? "" : ` by ${run.vocab[cell.replaced]}`}. The answer ${changes ? `becomes ${run.vocab[cell.after]}: this state carries it` : `stays ${run.vocab[q.target]}: no single state carries it`}.`,
            see: "Choose other cells: which of them change the answer, which do not?",
            set: { panel: "patch", query: k, step: hs.stops(run).at(-1), patch: null, cell: `${cell.stage},${cell.position}` },
        };
    }

    function stepCircuit(run) {
        const of = draw.series(run, { method: "paths", role: "circuit" });
        const sizes = of.filter((s) => s.measure === "edges"), size = sizes.find((s) => s.split === hs.mainSplit(run)) || sizes[0], faith = size && of.find((s) => s.measure === "faithfulness" && s.split === size.split);
        const all = size && draw.series(run, { method: "paths", role: "all", measure: "edges", split: size.split })[0];
        if (!faith || !all || all.value.at(-1) <= size.value.at(-1)) return null;
        return {
            title: "The circuit",
            text: `Of ${all.value.at(-1)} connections between states, ${size.value.at(-1)} are enough to do ${share(faith.value.at(-1))} of the model's work (${size.split}).`,
            see: "Move the threshold: which line goes first?",
            set: { panel: "circuit", paths_split: size.split },
        };
    }

    function stepLimits(run) {
        const main = hs.mainSplit(run), end = hs.stops(run).at(-1);
        const others = hs.splitNames(run).filter((s) => hs.isTest(run, s) && s !== main).map((s) => ({ s, x: accuracyAt(run, s, end) })).filter(({ x }) => x !== null);
        const held = accuracyAt(run, main, end);
        if (!others.length || held === null) return null;
        const worst = others.reduce((a, b) => (b.x < a.x ? b : a));
        return {
            title: worst.x < 0.5 ? "What it cannot do" : "Further away",
            text: `At step ${hs.fmt(end)}: ${main} ${share(held)}, but ${worst.s} (${hs.splitLabel(run, worst.s)}) ${share(worst.x)}. `.replace(", but", worst.x < held - 0.1 ? ", but" : ",") +
                (/^test_[io]*o/.test(worst.s) && !draw.injected(run) ? "OOD facts it saw only by themselves, never as part of a longer question." : ""),
            see: "Compare the lines of the tests at the end of the curves.",
            set: { panel: "curves", step: end },
        };
    }

    /* A question whose panels are not shown yet, and what can be guessed; null without looks. */
    function stepGuess(run, k) {
        const all = run.queries.map((q, i) => ({ q, i, look: lastLook(run, i) })).filter(({ q, i, look }) => i !== k && !q.trained && look && look.answer.length);
        const wrong = all.filter((x) => !isRight(x.q, x.look));
        const { q, i, look } = wrong.find((x) => x.q.split !== hs.mainSplit(run)) || wrong[0] || all[0] || {};
        if (!q) return null;
        const ids = draw.values([q.target, look.answer[0], ...(q.bridge || []), ...look.answer.filter((_, at) => at % 2 === 0)]).filter((id) => id !== null && id !== undefined && id >= 0).slice(0, 4);
        const hops = (q.hops || []).map((hop, at) => `hop ${at + 1} ${hop === "ood" ? "OOD" : "ID"}`).join(", ");
        const end = hs.stops(run).at(-1);
        return {
            title: "Your turn",
            text: `${question(run, q)}? It was never trained (${q.split}${hops ? `: ${hops}` : ""}). The facts say ${run.vocab[q.target]}. What will the model answer at step ${hs.fmt(end)}?`,
            see: "Guess first; then the panels show it.",
            guess: { ids: ids.sort((a, b) => a - b), answer: look.answer[0], p: look.answer[1], target: q.target },
            set: { panel: "tour" },
            reveal: { panel: "ask", query: i, step: end },
        };
    }

    function stepsOf(run) {
        if (draw.lacks(run)) return [];
        const k = mainQuery(run);
        const moments = [stepMemorized(run), stepGrokked(run)].filter(Boolean).sort((a, b) => a.at - b.at);
        const found = [stepAsk(run, k), ...moments, stepLens(run, k), stepPatch(run, k), stepCircuit(run), stepLimits(run), stepGuess(run, k)];
        const steps = found.filter(Boolean);
        if (steps.length > MOST) steps.splice(steps.findIndex((s) => s.title === "The circuit"), 1);
        return steps;
    }

    /* ---------------------------------------------------------------- the coach */

    let coach = null, opener = null;

    function makeCoach(ctx) {
        coach = { title: el("h2", { tabindex: "-1", id: draw.id("hp-coach") }), count: el("p", { class: "hp-count" }), text: el("p"), see: el("p", { class: "hp-see" }), guesses: el("div", { class: "hp-guesses", role: "group", "aria-label": "Your guess" }), said: el("p", { class: "hp-said", role: "status" }) };
        coach.back = el("button", { type: "button", class: "btn", on: { click: () => go(ctx, Number(hs.state.tour) - 1) } }, "Back");
        coach.next = el("button", { type: "button", class: "btn", on: { click: () => (Number(hs.state.tour) >= stepsOf(ctx.run).length ? close(ctx) : go(ctx, Number(hs.state.tour) + 1)) } }, "Next");
        const end = el("button", { type: "button", class: "btn", "aria-label": "End the tour", on: { click: () => close(ctx) } }, "✕");
        coach.node = el("section", { class: "hp-coach", role: "dialog", "aria-labelledby": coach.title.id, hidden: true, on: { keydown: (e) => {
            if (e.key !== "Escape") return;
            e.stopPropagation();
            close(ctx);
        } } }, el("div", { class: "hp-coach-head" }, coach.count, end), coach.title, coach.text, coach.guesses, coach.said, coach.see, el("div", { class: "hp-coach-foot" }, coach.back, coach.next));
        document.body.append(coach.node);
    }

    function close(ctx) {
        ctx.set({ tour: null, panel: "tour" });
        draw.show(coach.node, false);
        coach.shown = "";
        if (opener && opener.isConnected) focusSoon(opener);
    }

    /* Begins a step: sets the panels, then speaks. */
    function go(ctx, number) {
        const step = stepsOf(ctx.run)[number - 1];
        if (!step) return;
        if (!coach || coach.node.hidden) opener = document.activeElement;
        ctx.set({ full: null, q: null, ...step.set, tour: number });
        speak(ctx);
        focusSoon(coach.title);
    }

    /* After the frame in which the page goes to the step's panel, which takes the focus there. */
    const focusSoon = (node) => requestAnimationFrame(() => node.focus({ preventScroll: true }));

    function guessed(ctx, step, id) {
        const { answer, p, target } = step.guess, name = (x) => ctx.run.vocab[x];
        for (const button of coach.guesses.children) {
            button.disabled = true;
            if (button.dataset.id === String(answer)) button.dataset.mark = "said";
        }
        coach.said.textContent = `${id === answer ? "You foresaw it" : `You guessed ${name(id)}`}: the model says ${name(answer)} (p ${draw.p(p)}), which is ${answer === target ? "right" : `wrong; right is ${name(target)}`}.`;
        coach.see.textContent = answer === target ? "The panels show how it got there." : "The panels show it: is the bridge there, at the middle stages? If it is, the first hop worked.";
        ctx.set(step.reveal);
        focusSoon(coach.next);
    }

    /* The coach says the step of the address. */
    function speak(ctx) {
        if (!coach) makeCoach(ctx);
        const steps = stepsOf(ctx.run), number = Number(hs.state.tour), step = steps[number - 1];
        draw.show(coach.node, !!step);
        if (!step) return;
        const key = `${ctx.run.id} ${number} ${step.text}`;
        if (coach.shown === key) return;
        coach.shown = key;
        coach.count.textContent = `Step ${number} of ${steps.length}`;
        coach.title.textContent = step.title;
        coach.text.textContent = step.text;
        coach.see.textContent = step.see;
        coach.said.textContent = "";
        coach.guesses.replaceChildren(...(step.guess ? step.guess.ids.map((id) => el("button", { type: "button", class: "btn", "data-id": String(id), on: { click: () => guessed(ctx, step, id) } }, ctx.run.vocab[id])) : []));
        coach.back.disabled = number <= 1;
        coach.next.textContent = number >= steps.length ? "End" : "Next";
    }

    /* ---------------------------------------------------------------- the panel */

    function update(ctx) {
        if (ctx.beside) return;
        const p = ctx.mine, steps = stepsOf(ctx.run);
        const key = steps.map((s) => s.title).join("|");
        if (p.key !== key) {
            p.key = key;
            p.list.replaceChildren(...steps.map((step, i) => el("li", {}, el("button", { type: "button", class: "btn", on: { click: () => go(ctx, i + 1) } }, step.title))));
            draw.text(p.intro, `${steps.length} short steps through this run, for one reader or a class. Each sets the panels${steps.length && steps.at(-1).guess ? "; the last asks you to guess first" : ""}.`);
        }
        if (ctx.state.tour) speak(ctx);
        else if (coach) draw.show(coach.node, false);
    }

    hs.panel({
        id: "tour",
        title: "Tour",
        single: true,
        help: "The tour sets the panels to moments of this run and says in plain words what to see there. Its numbers are this run's own; what the run has not got is left out.",
        needs: draw.lacks,
        mount(box, ctx) {
            const p = ctx.mine;
            p.intro = el("p");
            p.start = el("button", { type: "button", class: "btn strong", on: { click: () => go(ctx, 1) } }, "Start the tour");
            p.list = el("ol", { class: "hp-steps" });
            box.append(p.intro, p.start, p.list);
            ctx.looks(ctx.run);
        },
        update,
        table: (ctx) => ({ columns: ["step", "title", "text", "see"], rows: stepsOf(ctx.run).map((s, i) => [i + 1, s.title, s.text, s.see]) }),
    });
})();
