/* panel_6_circuit.js - Circuit: which state feeds which (rows of method paths in run.db), from a threshold on, and whether that
 * circuit is enough: its faithfulness beside random circuits of as many edges.
 *
 * A row of measure `edge`: stage and position of the receiver, role "r1@1" the sender and its stage. Faithfulness was measured for
 * the circuit of interpret.edge alone; the panel says when the slider shows another one. */
"use strict";
(() => {
    const { draw } = hs;
    const { el, svg } = hs;
    const STEP = 66, LEFT = 118, FOOT = 46; /* pixels between levels, left of the nodes, under them */

    const edgesOf = (run) => draw.series(run, { method: "paths", measure: "edge" });

    function splitOf(ctx) {
        const splits = draw.values(edgesOf(ctx.run).map((s) => s.split));
        return { splits, split: splits.includes(ctx.state.paths_split) ? ctx.state.paths_split : draw.firstSplit(ctx.run, splits) };
    }

    /* Edges of the split as they stood at the step: [{from, level, to, above, value, low, high, n, step}], strongest first. */
    function edgesAt(ctx, split) {
        const found = [];
        for (const s of edgesOf(ctx.run)) {
            const at = s.split === split ? draw.at(s.step, ctx.step) : -1;
            const [from, level] = s.role.split("@");
            if (at >= 0 && level !== undefined)
                found.push({ from, level: Number(level), to: s.position, above: s.stage, value: s.value[at], low: s.low[at], high: s.high[at], n: s.n[at], step: s.step[at] });
        }
        return found.sort((a, b) => b.value - a.value);
    }

    /* One number of the whole circuit, {value, low, high, n}, or null. */
    function whole(ctx, split, role, measure, step) {
        const s = draw.series(ctx.run, { method: "paths", split, role, measure })[0];
        const at = s ? s.step.indexOf(step) : -1;
        return at < 0 || s.value[at] === null ? null : { value: s.value[at], low: s.low[at], high: s.high[at], n: s.n[at] };
    }

    function randoms(ctx, split, step) {
        return draw.series(ctx.run, { method: "paths", split, measure: "faithfulness" }).filter((s) => s.role.startsWith("random"))
            .map((s) => s.value[s.step.indexOf(step)]).filter((v) => v !== undefined && v !== null).sort((a, b) => a - b);
    }

    /* The threshold the circuit was measured with: what the run's record says, else the setting. */
    function measuredEdge(ctx, step) {
        const kept = /(?:^| )edge=([\d.eE+-]+)/.exec((ctx.run.info || {})[`interpret ${step} paths`] || "");
        return Number(kept ? kept[1] : (ctx.run.config || {})["interpret.edge"] || 0.1);
    }

    const threshold = (ctx, step) => (ctx.state.edge === undefined || ctx.state.edge === "" ? measuredEdge(ctx, step) : Number(ctx.state.edge));

    /* ---------------------------------------------------------------- drawing */

    /* A stage's name in the room left of the nodes: in two lines where one is too long. */
    function levelName(name, x, y, room) {
        const words = name.split(" "), half = Math.ceil(words.length / 2);
        const lines = name.length * 7 < room || words.length < 2 ? [name] : [words.slice(0, half).join(" "), words.slice(half).join(" ")];
        return svg("text", { class: "hp-axis", "text-anchor": "end" }, lines.map((line, i) => svg("tspan", { x, y: y + (i - (lines.length - 1) / 2) * 15 }, draw.cut(line, Math.floor(room / 6.5)))));
    }

    function drawCircuit(ctx, edges, least, width) {
        const levels = draw.values(edges.flatMap((e) => [e.level, e.above])).sort((a, b) => a - b);
        const places = draw.ordered(ctx.run, edges.flatMap((e) => [e.from, e.to]));
        const left = width < 480 ? 84 : LEFT, height = (levels.length - 1) * STEP + FOOT + 30;
        const x = (place) => left + 20 + (places.length > 1 ? (places.indexOf(place) * (width - left - 50)) / (places.length - 1) : 0);
        const y = (level) => 24 + (levels.length - 1 - levels.indexOf(level)) * STEP;
        const kept = edges.filter((e) => e.value >= least);
        const used = new Set(kept.flatMap((e) => [`${e.from} ${e.level}`, `${e.to} ${e.above}`]));
        const figure = svg("svg", { class: "hp-circuit", viewBox: `0 0 ${width} ${height}`, width, height, role: "img" },
            svg("title", {}, `${kept.length} of ${edges.length} edges: ${kept.map((e) => `${e.from}@${e.level} to ${e.to}@${e.above}`).join(", ")}`));
        for (const e of kept.slice().reverse()) {
            const [x1, y1, x2, y2] = [x(e.from), y(e.level), x(e.to), y(e.above)];
            figure.append(svg("path", { class: "hp-edge", d: `M${x1} ${y1}L${x2} ${y2}`, "stroke-width": (1 + 7 * Math.max(0, e.value)).toFixed(1) },
                svg("title", {}, `${e.from} at ${draw.stage(ctx.run, e.level)} feeds ${e.to} at ${draw.stage(ctx.run, e.above)}: ${ctx.fmt(e.value)} of the right answers change`)));
        }
        const nodes = draw.values(edges.flatMap((e) => [`${e.from} ${e.level}`, `${e.to} ${e.above}`]));
        for (const node of nodes) {
            const [place, level] = node.split(" ");
            figure.append(svg("circle", { class: `hp-state${used.has(node) ? " hp-used" : ""}`, cx: x(place), cy: y(Number(level)), r: 9 }));
        }
        for (const level of levels) figure.append(levelName(draw.stage(ctx.run, level), left - 6, y(level) + 4, left));
        for (const place of places) figure.append(svg("text", { class: "hp-axis", x: x(place), y: height - 12, "text-anchor": "middle" }, place));
        return { figure, kept };
    }

    /* Faithfulness of the circuit (diamond) and of random ones (dots) on a line from 0 to 1. */
    function drawFaith(ctx, found, others, width) {
        const left = 16, x = (v) => left + Math.min(1.05, Math.max(-0.05, v)) * (width - 2 * left - 20) + 10;
        const figure = svg("svg", { class: "hp-faith", viewBox: `0 0 ${width} 62`, width, height: 62, role: "img" },
            svg("title", {}, `Faithfulness ${draw.fixed(found.value)}; random circuits: ${others.map(draw.fixed).join(", ") || "none"}`),
            svg("line", { class: "hp-line", x1: x(0), x2: x(1), y1: 34, y2: 34 }));
        for (const v of [0, 0.5, 1]) figure.append(svg("text", { class: "hp-axis", x: x(v), y: 56, "text-anchor": "middle" }, String(v)));
        others.forEach((v, i) => figure.append(svg("circle", { class: "hp-random", cx: x(v), cy: 34 - ((i % 5) - 2) * 4, r: 3.5 })));
        const at = x(found.value);
        figure.append(svg("path", { class: "hp-found", d: `M${at} 22l9 12l-9 12l-9 -12z` }));
        return figure;
    }

    /* ---------------------------------------------------------------- the panel */

    function updateFaith(ctx, split, edges, kept) {
        const p = ctx.mine, step = edges[0].step;
        const found = whole(ctx, split, "circuit", "faithfulness", step), size = whole(ctx, split, "circuit", "edges", step);
        const least = measuredEdge(ctx, step), others = randoms(ctx, split, step);
        p.faith.replaceChildren();
        draw.show(p.faithTitle, !!found);
        if (!found) {
            draw.text(p.faithText, "Its faithfulness is not in run.db.");
            return;
        }
        p.faith.append(drawFaith(ctx, found, others, Math.max(260, Math.min(520, p.faith.clientWidth))));
        const middle = others.length ? others[(others.length - 1) >> 1] : null;
        const same = size && size.value === kept.length;
        draw.text(p.faithText, `The circuit of the ${size ? size.value : "?"} edges of at least ${least} keeps ${draw.fixed(found.value)} [${draw.fixed(found.low)}, ${draw.fixed(found.high)}] of what the whole model does (n ${found.n}).` +
            (middle === null ? " No random circuit was measured." : ` ${others.length} random circuits of as many edges: median ${draw.fixed(middle)}, highest ${draw.fixed(others[others.length - 1])}.`) +
            (size && size.value === edges.length ? " All edges are kept, so random circuits are the same one." : "") +
            (same ? "" : ` The slider shows another circuit; to measure that one: hopscope interpret ${draw.word(ctx.run.dir)} --method paths --edge ${threshold(ctx, step)}`));
    }

    function update(ctx) {
        const p = ctx.mine, { splits, split } = splitOf(ctx);
        const edges = edgesAt(ctx, split);
        if (!edges.length) return;
        const step = edges[0].step, least = threshold(ctx, step);
        p.width = p.drawing.clientWidth;
        p.split.set(splits.map((s) => [s, s]), split);
        p.slider.set(least, least.toFixed(2));
        const key = `${ctx.run.id} ${split} ${step} ${least} ${p.width} ${hs.theme()}`;
        if (p.key !== key) {
            p.key = key;
            const { figure, kept } = drawCircuit(ctx, edges, least, Math.max(280, Math.min(760, p.width)));
            p.drawing.replaceChildren(figure);
            updateFaith(ctx, split, edges, kept);
            p.kept = kept.length;
        }
        draw.text(p.said, `Step ${ctx.fmt(step)}${step > ctx.step ? " (first measured there)" : step < ctx.step ? " (last measured there)" : ""}, ${split}: ${p.kept} of ${edges.length} edges change at least ${least.toFixed(2)} of the right answers.`);
    }

    hs.panel({
        id: "circuit",
        title: "Circuit",
        help: "A line joins a state to one above it that it feeds: when only that is corrupted, this share of the right answers changes. Faithfulness says how much of the model's work the kept lines do alone; random circuits of as many lines are the control.",
        needs: (run) => (edgesOf(run).length ? null : `No circuit was measured: hopscope interpret ${draw.word(run.dir)} --method paths`),
        mount(box, ctx) {
            const p = Object.assign(ctx.mine, { key: "", width: 0 });
            p.split = draw.select("Split", (v) => ctx.set({ paths_split: v }));
            p.slider = draw.slider("Edges from", { min: 0, max: 1, step: 0.01 }, (v) => ctx.set({ edge: v }));
            p.drawing = el("div", { class: "hp-drawing" });
            p.said = el("p", { class: "hp-said" });
            p.faithTitle = el("h3", {}, "Faithfulness: ◆ circuit, ● random");
            p.faith = el("div", { class: "hp-drawing" });
            p.faithText = el("p", { class: "note" });
            box.append(el("div", { class: "controls" }, p.split.node, p.slider.node), p.said,
                el("div", { class: "hp-columns" }, el("div", { class: "hp-wide" }, p.drawing), el("div", {}, p.faithTitle, p.faith, p.faithText)));
            new ResizeObserver(() => {
                if (p.key && Math.abs(p.drawing.clientWidth - p.width) > 2) update(ctx);
            }).observe(p.drawing);
        },
        update,
        command(ctx) {
            const edges = edgesAt(ctx, splitOf(ctx).split);
            return `hopscope interpret ${draw.word(ctx.run.dir)} --method paths --steps ${edges.length ? edges[0].step : "last"} --edge ${edges.length ? threshold(ctx, edges[0].step) : 0.1}`;
        },
        table(ctx) {
            const { split } = splitOf(ctx), edges = edgesAt(ctx, split);
            const rows = edges.filter((e) => e.value >= threshold(ctx, e.step)).map((e) => [e.step, split, `${e.from}@${e.level}`, `${e.to}@${e.above}`, "edge", e.n, e.value, e.low, e.high]);
            for (const s of edges.length ? draw.series(ctx.run, { method: "paths", split }).filter((s) => s.stage < 0) : []) {
                const at = s.step.indexOf(edges[0].step);
                if (at >= 0) rows.push([s.step[at], split, s.role, "", s.measure, s.n[at], s.value[at], s.low[at], s.high[at]]);
            }
            return { columns: ["step", "split", "sender or circuit", "receiver", "measure", "n", "value", "low", "high"], rows };
        },
    });
})();
