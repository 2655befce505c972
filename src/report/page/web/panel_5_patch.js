/* panel_5_patch.js - Patch map: how much the answer hangs on the state at each stage and position, the answers before and after one
 * patch, and the realignment patch along alpha.
 *
 * Of the query: LOOK.trace, LOOK.alpha. Of a split: the rows of method trace in run.db, as they stand there; between two
 * measurements the earlier one holds. */
"use strict";
(() => {
    const { draw } = hs;
    const { el } = hs;
    const OWN = "own"; /* instead of a token: each at its own place */
    const ALPHAS = [0, 0.25, 0.5, 0.75, 1];
    const MEASURES = { effect: "fall of the logit difference, as a share of the whole fall", strength: "share of items whose top token is not the right answer", changed: "share of right answers that change", restored: "share of answers that the normal state brings back" };

    const mean = (ctx) => ctx.state.patch === "mean";

    /* ---------------------------------------------------------------- what is shown */

    const of = (ctx, key, all, fallback) => (all.includes(ctx.state[key]) ? ctx.state[key] : all.includes(fallback) ? fallback : all[0]);

    /* The token whose replacement was put in at several places; else each at its own, as the papers print it. */
    function widest(series, tokens) {
        const places = (token) => new Set(series.filter((s) => s.role === token).map((s) => s.position)).size;
        const best = tokens.reduce((a, b) => (places(b) > places(a) ? b : a), tokens[0]);
        return best && places(best) > 1 ? best : OWN;
    }

    /* Choices among the rows of method trace, each within the one before. */
    function choice(ctx) {
        const all = draw.series(ctx.run, { method: "trace" }).filter((s) => s.stage >= 0 && s.position && MEASURES[s.measure]);
        const splits = draw.values(all.map((s) => s.split)), split = of(ctx, "trace_split", splits, draw.firstSplit(ctx.run, splits));
        const ofSplit = all.filter((s) => s.split === split), tokens = draw.values(ofSplit.map((s) => s.role));
        const roles = tokens.length > 1 ? [OWN, ...tokens] : tokens, role = of(ctx, "trace_role", roles, widest(ofSplit, tokens));
        const here = ofSplit.filter((s) => (role === OWN ? s.role === s.position : s.role === role));
        const measures = draw.values(here.map((s) => s.measure)), measure = of(ctx, "trace_measure", measures, "strength");
        return { splits, split, roles, role, measures, measure, series: here.filter((s) => s.measure === measure) };
    }

    /* The grid: {places, stages: [from 1], value(stage, place) -> {value, more} | null, note}. */
    function gridOf(ctx) {
        if (mean(ctx)) {
            const c = choice(ctx), cells = new Map();
            let step = -1;
            for (const s of c.series) {
                const at = draw.at(s.step, ctx.step);
                if (at < 0) continue;
                step = Math.max(step, s.step[at]);
                cells.set(`${s.stage} ${s.position}`, { value: s.value[at], role: s.role, step: s.step[at], n: s.n[at], low: s.low[at], high: s.high[at] });
            }
            const places = draw.ordered(ctx.run, c.series.map((s) => s.position));
            const stages = draw.values(c.series.map((s) => s.stage)).sort((a, b) => a - b);
            return { places, stages, step, value: (stage, i) => cells.get(`${stage} ${places[i]}`) || null };
        }
        const { look } = ctx;
        const trace = look && look.trace;
        if (!trace) return null;
        return {
            places: trace[0].map((_, i) => draw.place(ctx, i)), stages: trace.map((_, s) => s + 1), step: ctx.step,
            value: (stage, i) => {
                const cell = trace[stage - 1][i];
                return cell && cell[0] !== null ? { value: cell[0], after: cell.slice(1) } : null;
            },
        };
    }

    /* The chosen cell [stage, place]: the one asked for, else the middle stage, where the first hop ends. */
    function chosen(ctx, grid) {
        const [stage, at] = String(ctx.state.cell || "").split(",").map(Number);
        if (grid.stages.includes(stage) && at >= 0 && at < grid.places.length) return [stage, at];
        const above = grid.stages.filter((x) => x > 0);
        return [above.length ? above[(above.length - 1) >> 1] : grid.stages[0], grid.places[0] === "h" && grid.places.length > 2 ? 1 : Math.max(0, grid.places.length - 2)];
    }

    /* ---------------------------------------------------------------- the grid's table */

    function build(ctx, grid) {
        const p = ctx.mine;
        p.cells = new Map();
        const head = el("tr", {}, el("th", { scope: "col" }, "Stage"), ...grid.places.map((name) => el("th", { scope: "col" }, name)));
        const body = el("tbody");
        for (const stage of grid.stages.slice().reverse()) {
            const row = el("tr", {}, el("th", { scope: "row" }, draw.stage(ctx.run, stage)));
            grid.places.forEach((_, i) => {
                const button = el("button", { type: "button", tabindex: "-1", on: { click: () => ctx.set({ cell: `${stage},${i}` }) } });
                p.cells.set(`${stage},${i}`, button);
                row.append(el("td", {}, button));
            });
            body.append(row);
        }
        p.table.replaceChildren(el("caption", { class: "hidden" }, "Tracing by stage and position"), el("thead", {}, head), body);
        p.table.classList.toggle("hp-dense", grid.stages.length > 12);
    }

    /* Arrow keys walk over the cells; the page's own arrow keys rest meanwhile. */
    function walk(ctx, e) {
        const p = ctx.mine;
        const by = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [1, 0], ArrowDown: [-1, 0] }[e.key];
        if (e.key === " " || e.key === "Enter") e.stopPropagation();
        if (!by || !p.grid) return;
        e.preventDefault();
        e.stopPropagation();
        const [stage, at] = [...p.cells].find(([, button]) => button === document.activeElement)?.[0].split(",").map(Number) || chosen(ctx, p.grid);
        const s = p.grid.stages.indexOf(stage) + by[0], i = at + by[1];
        const next = p.cells.get(`${p.grid.stages[s]},${i}`);
        if (!next) return;
        for (const button of p.cells.values()) button.tabIndex = button === next ? 0 : -1;
        next.focus();
    }

    function updateGrid(ctx, grid) {
        const p = ctx.mine;
        const shape = `${ctx.run.id} ${grid.stages} ${grid.places}`;
        if (p.shape !== shape) {
            p.shape = shape;
            build(ctx, grid);
        }
        const [stage, at] = chosen(ctx, grid);
        const focused = p.table.contains(document.activeElement);
        for (const [key, button] of p.cells) {
            const [s, i] = key.split(",").map(Number);
            const cell = grid.value(s, i);
            draw.text(button, cell ? draw.two(cell.value) : "–");
            draw.paint(button, draw.shade(cell ? cell.value : 0, "effect"));
            const is = s === stage && i === at;
            if (button.getAttribute("aria-pressed") !== String(is)) button.setAttribute("aria-pressed", String(is));
            if (!focused) button.tabIndex = is ? 0 : -1;
            const label = `${draw.stage(ctx.run, s)}, ${grid.places[i]}: ${cell ? draw.two(cell.value) : "not measured"}`;
            if (button.getAttribute("aria-label") !== label) button.setAttribute("aria-label", label);
        }
    }

    /* ---------------------------------------------------------------- of the query: before, after, alpha */

    function updatePatch(ctx, grid) {
        const p = ctx.mine, { query, look } = ctx;
        const [stage, at] = chosen(ctx, grid), cell = grid.value(stage, at);
        p.before.update(draw.answers(ctx, query, look.answer).slice(0, 3));
        p.after.update(cell ? draw.answers(ctx, query, cell.after) : []);
        const where = `${draw.stage(ctx.run, stage)} at ${grid.places[at]}`;
        draw.text(p.afterTitle, `After the patch: ${where}`);
        const other = look.replaced === null || look.replaced === undefined ? "another one" : ctx.t(look.replaced);
        draw.text(p.said, `${draw.replacedToken(ctx.run, query)} is replaced by ${other}; what the model then holds after ${where} is put into the question as it was. ` +
            `${cell ? `The right answer loses ${draw.fixed(cell.value)} of what it loses when everything is replaced.` : "Not measured here."}`);
        updateAlpha(ctx, query, look, stage);
    }

    const alphaName = (a) => (a === 0 ? "as it is" : a === 1 ? "the bridge's embedding itself" : a === 0.5 ? "half way" : `${a * 100}% of the way`);

    function updateAlpha(ctx, query, look, stage) {
        const p = ctx.mine;
        const on = !!(look.alpha && look.alpha.length);
        draw.show(p.alphaBox, on);
        if (!on) return;
        const at = Math.min(stage, look.alpha.length) - 1;
        const wanted = Number(ctx.state.alpha ?? 0);
        const i = p.alphas.reduce((best, a, k) => (Math.abs(a - wanted) < Math.abs(p.alphas[best] - wanted) ? k : best), 0);
        p.alpha.field.max = p.alphas.length - 1;
        p.alpha.set(i, `${p.alphas[i]}: ${alphaName(p.alphas[i])}`);
        p.moved.update(draw.answers(ctx, query, look.alpha[at][i]));
        draw.text(p.alphaText, `Realignment: the state after ${draw.stage(ctx.run, at + 1)}, where the first hop ends, is moved towards the bridge's embedding. If only its form was wrong, the right answer appears.`);
    }

    /* ---------------------------------------------------------------- the panel */

    function updateMean(ctx, grid) {
        const p = ctx.mine, c = choice(ctx), [stage, at] = chosen(ctx, grid), cell = grid.value(stage, at);
        p.split.set(c.splits.map((s) => [s, s]), c.split);
        p.role.set(c.roles.map((r) => [r, r === OWN ? "each, at its own place" : r]), c.role);
        p.measure.set(c.measures.map((m) => [m, m]), c.measure);
        const late = grid.step > ctx.step ? ` First measured there.` : "";
        draw.text(p.said, `Replaced: ${c.role === OWN ? "the token of each column" : c.role}. ${c.measure}: ${MEASURES[c.measure]}, ${c.split}, step ${ctx.fmt(grid.step)}.${late}` +
            (cell ? ` ${draw.stage(ctx.run, stage)} at ${grid.places[at]}: ${ctx.fmt(cell.value)}${cell.low === null || cell.low === undefined ? "" : ` [${ctx.fmt(cell.low)}, ${ctx.fmt(cell.high)}]`}, n ${cell.n}.` : ""));
    }

    const traceCommand = (run) => `hopscope interpret ${draw.word(run.dir)} --method trace --steps all`;

    function update(ctx) {
        const p = ctx.mine;
        p.switch.set(mean(ctx) ? "mean" : "query");
        const grid = (p.grid = gridOf(ctx));
        const on = !!grid && grid.stages.length > 0;
        const { look } = ctx;
        draw.show(p.missing, !on);
        draw.show(p.columns, on);
        draw.show(p.meanBox, mean(ctx) && on);
        draw.show(p.queryBox, !mean(ctx) && on);
        if (!on) {
            draw.notice(p.missing, mean(ctx) ? `Not measured for any split: ${traceCommand(ctx.run)}` : look ? "This question cannot be traced: no other head changes its right answer." : draw.waiting(ctx));
            draw.text(p.said, "");
            return;
        }
        updateGrid(ctx, grid);
        if (mean(ctx)) updateMean(ctx, grid);
        else updatePatch(ctx, grid);
    }

    hs.panel({
        id: "patch",
        title: "Patch map",
        help: "One input token is replaced, and the state this gives at one place is put into the normal run: the darker the cell, the more the answer hangs on that place. Choose a cell to see the answers before and after; a state that holds the bridge and changes nothing is decodable but not used.",
        needs: (run) => (draw.lacks(run) && !draw.series(run, { method: "trace" }).length ? `No look inside yet: ${traceCommand(run)}` : null),
        mount(box, ctx) {
            const p = Object.assign(ctx.mine, { alphas: ALPHAS });
            ctx.looks(ctx.run).then((looks) => {
                if (looks && looks.alphas && looks.alphas.length) p.alphas = looks.alphas;
            }, () => {});
            p.switch = draw.radios("Show", [["query", "this question"], ["mean", "mean of a split"]], (value) => ctx.set({ patch: value === "mean" ? "mean" : "" }));
            p.split = draw.select("Split", (v) => ctx.set({ trace_split: v }));
            p.role = draw.select("Replaced", (v) => ctx.set({ trace_role: v }));
            p.measure = draw.select("Measure", (v) => ctx.set({ trace_measure: v }));
            p.meanBox = el("div", { class: "controls" }, p.split.node, p.role.node, p.measure.node);
            p.missing = el("div");
            p.table = el("table", { class: "hp-patch", on: { keydown: (e) => walk(ctx, e) } });
            p.before = draw.bars("Answers before the patch", 3);
            p.after = draw.bars("Answers after the patch", 3);
            p.afterTitle = el("h3", {}, "After the patch");
            p.alpha = draw.slider("alpha", { min: 0, max: ALPHAS.length - 1, step: 1 }, (i) => ctx.set({ alpha: p.alphas[i] }));
            p.moved = draw.bars("Answers with the state moved", 3);
            p.alphaText = el("p", { class: "note" });
            p.alphaBox = el("div", { class: "hp-alpha" }, el("h3", {}, "Move the state"), p.alphaText, p.alpha.node, p.moved.node);
            p.queryBox = el("div", { class: "hp-answers" }, el("div", {}, el("h3", {}, "As it is"), p.before.node), el("div", {}, p.afterTitle, p.after.node), p.alphaBox);
            p.said = el("p", { class: "hp-said" });
            p.columns = el("div", { class: "hp-columns" }, el("div", {}, el("div", { class: "hp-scroll" }, p.table), p.said), p.queryBox);
            box.append(p.switch.node, p.meanBox, p.missing, p.columns);
        },
        update,
        command: (ctx) => `hopscope interpret ${draw.word(ctx.run.dir)} --method trace --steps ${ctx.step}${mean(ctx) ? "" : " --items trace.csv"}`,
        table(ctx) {
            const grid = gridOf(ctx), { query } = ctx;
            const rows = [];
            if (!grid) return { columns: ["stage"], rows };
            const c = mean(ctx) ? choice(ctx) : null;
            for (const stage of grid.stages)
                grid.places.forEach((name, i) => {
                    const cell = grid.value(stage, i);
                    if (!cell) return;
                    if (c) rows.push([cell.step, c.split, stage, draw.stage(ctx.run, stage), name, cell.role, c.measure, cell.n, cell.value, cell.low, cell.high]);
                    else rows.push([ctx.step, draw.words(ctx, query).join(" "), stage, draw.stage(ctx.run, stage), name, cell.value, ...[0, 2, 4].flatMap((k) => (cell.after[k] === undefined || cell.after[k] === null ? [null, null] : [ctx.t(cell.after[k]), cell.after[k + 1]]))]);
                });
            return {
                columns: c ? ["step", "split", "stage", "stage name", "position", "role", "measure", "n", "value", "low", "high"]
                    : ["step", "question", "stage", "stage name", "position", "effect", "after 1", "p 1", "after 2", "p 2", "after 3", "p 3"],
                rows,
            };
        },
        svg(ctx) {
            const grid = gridOf(ctx) || { places: [], stages: [], step: ctx.step }, up = grid.stages.slice().reverse();
            return draw.gridFigure(`Tracing at step ${ctx.fmt(grid.step)}`, grid.places, up.map((s) => draw.stage(ctx.run, s)), (r, i) => {
                const cell = grid.value(up[r], i);
                return { ...draw.shade(cell ? cell.value : 0, "effect"), lines: [cell ? draw.two(cell.value) : "–"] };
            });
        },
    });
})();
