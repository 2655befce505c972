/* panel_1_curves.js - how accurate the model was on every split through training, above what the microscope found inside at the
 * same steps; phases, seeds, and published curves beside.
 *
 * Invariants: every evaluation is a point, nothing is smoothed or left out; a probe or a published point without a known time is
 * not drawn against seconds, and a note says so. Scrubbing moves one line and the legend's numbers; the chart is not drawn again. */
"use strict";
(() => {
    const SYMBOLS = ["circle", "rect", "triangle", "diamond", "roundRect"];
    const LEFT = 46, RIGHT = 14;

    /* ---------------------------------------------------------------- what there is to draw */

    /* Of several stages the one where the reading is highest, last stage and embeddings apart. */
    function strongest(run, fits) {
        const last = (run.stages || []).length - 1;
        const rows = (run.probes || []).filter((p) => p.stage > 0 && (last < 2 || p.stage < last) && fits(p));
        const top = (p) => Math.max(...p.value.filter((v) => v !== null), -1);
        return rows.sort((a, b) => top(b) - top(a))[0] || null;
    }
    const stageName = (run, k) => (run.stages || [])[k] || `stage ${k}`;
    /* Readings of the bridge, the target and the causal strength on the main held-out split: series of the table probe as they are. */
    hs.insideSeries = (run) => {
        const split = hs.mainSplit(run), probes = (run.probes || []).filter((p) => p.split === split);
        const ink = hs.ink(), out = [];
        const add = (key, name, row, title, color) => row && out.push({ key, name, row, title, color });
        const bridge = probes.find((p) => p.method === "lens" && /^b1?$/.test(p.role) && p.measure === "found_strict");
        add("bridge", "bridge found", bridge, `lens, ${split}: share of questions whose bridge is on top where its hop ends, before the answer`, ink.bridge);
        if (!bridge) {
            const best = strongest(run, (p) => p.method === "lens" && p.split === split && /^b1?$/.test(p.role) && p.measure === "mrr" && p.position === "r1");
            if (best) add("bridge", "bridge found", best, `lens, ${split}: mean reciprocal rank of the bridge at r1 after ${stageName(run, best.stage)}`, ink.bridge);
        }
        add("target", "target found", probes.find((p) => p.method === "lens" && p.role === "t" && p.measure === "found"), `lens, ${split}: share of questions whose answer is on top at any stage and position`, ink.target);
        for (const [role, measure] of [["h", "changed"], ["h", "strength"], ["r1", "changed"], ["r1", "strength"]]) {
            const best = strongest(run, (p) => p.method === "trace" && p.split === split && p.position === "r1" && p.role === role && p.measure === measure);
            if (!best) continue;
            add("causal", "answer hangs on it", best, `trace, ${split}: ${role} is replaced, its state at r1 after ${stageName(run, best.stage)} is put in: share of answers that change`, ink.effect);
            break;
        }
        return out;
    };

    /* Runs that differ from this one by the training seed alone, itself among them. */
    hs.seedsOf = (run) => {
        const rest = (r) => JSON.stringify(Object.entries(r.config || {}).filter(([k]) => !/^(train\.seed|train\.threads|report\.|interpret\.)/.test(k)).sort());
        const own = rest(run);
        const group = run.config ? hs.runs.filter((r) => r.config && rest(r) === own) : [run];
        return new Set(group.map((r) => String(r.config && r.config["train.seed"]))).size > 1 ? group : [run];
    };

    const view = (ctx) => ({
        seconds: ctx.state.x === "seconds", loss: ctx.state.y === "loss", linear: ctx.state.scale === "linear",
        hidden: new Set(String(ctx.state.hide || "").split(",").filter(Boolean)), seeds: ctx.state.seeds !== "off" && !ctx.beside && hs.seedsOf(ctx.run).length > 1,
    });
    function secondsOf(run) {
        const map = new Map();
        for (const e of Object.values(run.evaluations || {})) e.step.forEach((s, i) => map.set(s, e.seconds ? e.seconds[i] : null));
        return map;
    }
    /* Series of a run in the form in which they are drawn, listed and saved. */
    function gather(run, v) {
        const time = secondsOf(run), out = [];
        const x = (s) => (v.seconds ? time.get(s) ?? null : s);
        const add = (key, kind, name, measure, step, n, value, low, high, more) =>
            out.push({ key, kind, name, measure, run: run.id, step, seconds: step.map((s) => time.get(s) ?? null), n: step.map((_, i) => (Array.isArray(n) ? n[i] : n)), value, low: low || [], high: high || [], x: step.map(x), ...more });
        const names = hs.splitNames(run);
        names.forEach((name, k) => {
            const e = run.evaluations[name];
            add(name, "split", name, v.loss ? "loss" : "accuracy", e.step, e.ns || e.n, v.loss ? e.loss : e.accuracy, null, null, { color: hs.splitColor(run, name), dashed: !hs.isTest(run, name), symbol: SYMBOLS[k % SYMBOLS.length], label: hs.splitLabel(run, name), title: name });
        });
        for (const s of hs.insideSeries(run)) add(`in-${s.key}`, "inside", s.name, s.row.measure, s.row.step, s.row.n, s.row.value, s.row.low, s.row.high, { color: s.color, symbol: { bridge: "circle", target: "rect", causal: "triangle" }[s.key], label: s.name, title: s.title });
        if (!v.loss) for (const [k, p] of (run.published || []).entries()) add(`pub-${k}`, "published", `${p.name}: ${p.split}`, "accuracy", p.step, null, p.accuracy, null, null, { color: names.includes(p.split) ? hs.splitColor(run, p.split) : hs.ink().dim, dotted: true, symbol: "none", label: `${p.name}, ${p.split}`, title: `published: ${p.source}` });
        return out;
    }
    function phases(run, v) {
        const time = secondsOf(run), short = (n) => (n === "memorized" ? n : /^bridge1? /.test(n) ? "bridge" : n.replace(/^test_/, "").toUpperCase());
        const main = hs.mainSplit(run), tint = { memorized: hs.ink().dim, bridge: hs.ink().bridge };
        return (run.times || [])
            .filter((t) => t.reached && (t.name === "memorized" || new RegExp(`^bridge1? ${main}$`).test(t.name) || hs.isTest(run, t.name)))
            .map((t) => ({ name: t.name, short: short(t.name), step: t.step, x: v.seconds ? time.get(t.step) ?? null : t.step, color: tint[short(t.name)] || hs.splitColor(run, t.name) }))
            .filter((t) => t.x !== null)
            .sort((a, b) => a.step - b.step);
    }

    /* ---------------------------------------------------------------- seeds */

    /* Lowest, highest and mean at the steps that every seed was evaluated at. */
    function summary(group, key, v) {
        const all = group.map((r) => gather(r, v).find((s) => s.key === key)).filter(Boolean);
        if (all.length < 2) return null;
        const maps = all.map((s) => new Map(s.step.map((st, i) => [st, s.value[i]])));
        const step = all[0].step.filter((s) => maps.every((m) => Number.isFinite(m.get(s))));
        const values = step.map((s) => maps.map((m) => m.get(s)));
        return { all, step, mean: values.map((x) => x.reduce((a, b) => a + b, 0) / x.length), low: values.map((x) => Math.min(...x)), high: values.map((x) => Math.max(...x)) };
    }

    /* ---------------------------------------------------------------- the chart */

    const pairs = (x, y) => x.map((a, i) => [a, y[i]]).filter((p) => p[0] !== null && p[1] !== null && p[1] !== undefined);
    const band = (name, pane, x, low, high, color) => {
        const keep = x.map((a, i) => i).filter((i) => x[i] !== null && Number.isFinite(low[i]) && Number.isFinite(high[i]));
        const base = { type: "line", xAxisIndex: pane, yAxisIndex: pane, stack: name, symbol: "none", silent: true, lineStyle: { opacity: 0 }, tooltip: { show: false }, z: 1, stackStrategy: "all" };
        return [
            { ...base, name: `${name} low`, data: keep.map((i) => [x[i], low[i]]) },
            { ...base, name: `${name} high`, data: keep.map((i) => [x[i], high[i] - low[i]]), areaStyle: { color, opacity: 0.16 } },
        ];
    };
    const line = (s, more) => ({
        type: "line", name: s.key, xAxisIndex: s.kind === "inside" ? 1 : 0, yAxisIndex: s.kind === "inside" ? 1 : 0, data: pairs(s.x, s.value), color: s.color, symbol: s.symbol, symbolSize: s.step.length > 60 ? 4 : 6, showSymbol: true,
        lineStyle: { width: 2, type: s.dotted ? "dotted" : s.dashed ? "dashed" : "solid" }, z: 3, ...more,
    });

    function series(ctx, m, v) {
        const out = [];
        for (const s of m.series) {
            if (v.hidden.has(s.key)) continue;
            const sum = v.seeds && !v.seconds ? summary(hs.seedsOf(ctx.run), s.key, v) : null;
            if (sum) {
                sum.all.forEach((one) => out.push(line({ ...one, color: s.color, symbol: "circle" }, { name: `${s.key} ${one.run}`, symbolSize: 3, lineStyle: { width: 1, opacity: 0.55 }, itemStyle: { opacity: 0.55 }, z: 2 })));
                out.push(...band(s.key, s.kind === "inside" ? 1 : 0, sum.step, sum.low, sum.high, s.color));
                out.push(line({ ...s, step: sum.step, x: sum.step, value: sum.mean }, { lineStyle: { width: 2.5, type: s.dashed ? "dashed" : "solid" } }));
                continue;
            }
            if (s.low.some(Number.isFinite)) out.push(...band(s.key, 1, s.x, s.low, s.high, s.color));
            out.push(line(s));
        }
        return out;
    }
    /* Bands from one event to the next, in both panes; a name where it fits. */
    function phaseSeries(m, width) {
        const span = (a) => (m.view.linear ? a : Math.log(a)), px = (a, b) => ((span(b) - span(a)) / (span(m.high) - span(m.low))) * width;
        const marks = m.phases.map((p, i) => {
            const end = i + 1 < m.phases.length ? m.phases[i + 1].x : m.high;
            const fits = px(p.x, end) > p.short.length * 7.2 + 8;
            return { p, end, fits };
        });
        const area = (labels) => ({ silent: true, data: marks.map((k) => [{ xAxis: k.p.x, itemStyle: { color: k.p.color, opacity: 0.09 }, name: labels && k.fits ? k.p.short : "", label: { show: labels && k.fits, position: "top", distance: 7, color: hs.ink().text, fontSize: 12 } }, { xAxis: k.end }]) });
        const lines = { silent: true, symbol: "none", label: { show: false }, lineStyle: { width: 1, type: "solid", opacity: 0.45 }, data: marks.map((k) => ({ xAxis: k.p.x, lineStyle: { color: k.p.color } })) };
        return (m.inside ? [0, 1] : [0]).map((pane) => ({ type: "line", name: `phases ${pane}`, xAxisIndex: pane, yAxisIndex: pane, data: [], silent: true, markArea: area(pane === 0), markLine: lines, tooltip: { show: false } }));
    }

    function tooltip(ctx, m) {
        return (items) => {
            const list = (Array.isArray(items) ? items : [items]).filter((i) => Array.isArray(i.value));
            if (!list.length) return "";
            const box = hs.el("div", { class: "tip" }, hs.el("b", {}, `${m.view.seconds ? "second" : "step"} ${ctx.fmt(list[0].value[0])}`));
            for (const i of list) {
                const s = m.series.find((q) => q.key === i.seriesName || i.seriesName.startsWith(`${q.key} `));
                if (s) box.append(hs.el("div", {}, hs.el("i", { style: `background:${s.color}` }), hs.el("span", {}, i.seriesName === s.key ? s.label : i.seriesName), hs.el("b", {}, ctx.fmt(i.value[1]))));
            }
            return box;
        };
    }

    function draw(ctx) {
        const mine = ctx.mine, v = view(ctx), ink = hs.ink(), chart = mine.chart;
        const all = gather(ctx.run, v), inside = all.some((s) => s.kind === "inside");
        const xs = all.flatMap((s) => s.x).filter((x) => x !== null && (v.linear || x > 0));
        const m = (mine.model = { series: all, inside, phases: phases(ctx.run, v), view: v, low: Math.min(...xs), high: Math.max(...xs) });
        if (m.low === m.high) m.high = m.low * 1.5;
        const height = mine.plot.clientHeight, narrow = mine.plot.clientWidth < 520;
        const cut = inside ? Math.round(height * 0.6) : height - 44;
        const logLoss = v.loss && all.every((s) => s.kind !== "split" || s.value.every((x) => x === null || x > 0));
        const axis = { type: v.linear ? "value" : "log", min: m.low, max: m.high, minorTick: { show: !v.linear }, splitLine: { show: !v.linear }, axisPointer: { snap: true } };
        const label = (value) => ((value === m.low || value === m.high) && !Number.isInteger(Math.log10(value)) ? "" : hs.fmt(value)); // the ends of the data are no round steps
        const xAxis = [{ ...axis, gridIndex: 0, axisLabel: { show: !inside, formatter: label, hideOverlap: true }, name: inside ? "" : v.seconds ? "seconds of training" : "step of training", nameLocation: "middle", nameGap: 26 }];
        const yAxis = [v.loss ? { type: logLoss ? "log" : "value", gridIndex: 0, name: "loss", nameLocation: "end", nameTextStyle: { align: "left", padding: [0, 0, 0, -40] }, axisLabel: { formatter: (x) => hs.fmt(x) } } : { type: "value", min: 0, max: 1, gridIndex: 0, interval: narrow ? 0.5 : 0.25, name: "accuracy", nameTextStyle: { align: "left", padding: [0, 0, 0, -40] } }];
        const grid = [{ left: LEFT, right: RIGHT, top: 34, height: cut - 34 - (inside ? 18 : 0) }];
        if (inside) {
            xAxis.push({ ...axis, gridIndex: 1, axisLabel: { formatter: label, hideOverlap: true }, name: v.seconds ? "seconds of training" : "step of training", nameLocation: "middle", nameGap: 26 });
            yAxis.push({ type: "value", min: 0, max: 1, interval: 0.5, gridIndex: 1, name: "inside the model: share of questions", nameTextStyle: { align: "left", padding: [0, 0, 0, -40] } });
            grid.push({ left: LEFT, right: RIGHT, top: cut + 18, height: height - cut - 18 - 42 });
        }
        chart.setOption({
            grid, xAxis, yAxis, series: [...series(ctx, m, v), ...phaseSeries(m, mine.plot.clientWidth - LEFT - RIGHT)],
            axisPointer: { link: [{ xAxisIndex: "all" }], lineStyle: { color: ink.dim } },
            tooltip: { trigger: "axis", formatter: tooltip(ctx, m), className: "hs-tip" },
            aria: { label: { description: describe(ctx, m) } },
        }, true);
        mine.grid = grid;
        legend(ctx, m);
        notes(ctx, m);
        buttons(ctx, v);
    }
    function describe(ctx, m) {
        const last = m.series.map((s) => `${s.label}: ${s.measure} ${ctx.fmt(s.value[s.value.length - 1])} at step ${ctx.fmt(s.step[s.step.length - 1])}`);
        return `Curves over training. ${last.join("; ")}. ${m.phases.map((p) => `${hs.eventLabel(ctx.run, p.name)} at step ${ctx.fmt(p.step)}`).join("; ")}.`;
    }

    /* ---------------------------------------------------------------- around it */

    function legend(ctx, m) {
        const mine = ctx.mine;
        mine.values = [];
        const flip = (key) => {
            const hidden = view(ctx).hidden;
            if (!hidden.delete(key)) hidden.add(key);
            ctx.set({ hide: [...hidden].join(",") });
        };
        const entry = (s) => {
            const value = hs.el("b", {});
            mine.values.push({ s, value });
            const swatch = hs.svg("svg", { viewBox: "0 0 26 10", width: 26, height: 10, "aria-hidden": "true" }, hs.svg("line", { x1: 0, x2: 26, y1: 5, y2: 5, stroke: s.color, "stroke-width": 2.5, "stroke-dasharray": s.dotted ? "2 3" : s.dashed ? "6 4" : null }), s.symbol === "none" ? null : hs.svg("circle", { cx: 13, cy: 5, r: 3.4, fill: s.color }));
            return hs.el("button", { type: "button", "aria-pressed": String(!m.view.hidden.has(s.key)), title: s.title, on: { click: () => flip(s.key) } }, swatch, hs.el("span", {}, s.label), s.kind === "split" && s.label !== s.name ? hs.el("small", {}, s.name) : null, value);
        };
        const row = (label, list) => (list.length ? hs.el("div", { role: "group", "aria-label": label }, hs.el("span", { class: "legend-name" }, label), list.map(entry)) : null);
        const focused = mine.legend.contains(document.activeElement) ? [...mine.legend.querySelectorAll("button")].indexOf(document.activeElement) : -1;
        mine.legend.replaceChildren(...[row("Accuracy of", m.series.filter((s) => s.kind === "split")), row("Inside", m.series.filter((s) => s.kind === "inside")), row("Published", m.series.filter((s) => s.kind === "published"))].filter(Boolean));
        if (m.view.loss) mine.legend.querySelector(".legend-name").textContent = "Loss of";
        if (focused >= 0) (mine.legend.querySelectorAll("button")[focused] || mine.legend).focus();
    }
    function notes(ctx, m) {
        const lost = m.series.filter((s) => s.x.some((x) => x === null)).map((s) => s.label), list = [];
        if (m.phases.length) list.push(m.phases.map((p) => `${hs.eventLabel(ctx.run, p.name)} from step ${ctx.fmt(p.step)}`).join(" · "));
        if (lost.length) list.push(`Without a known time, so not drawn against seconds: ${lost.join(", ")}.`);
        if (m.view.seeds) list.push(`Seeds ${hs.seedsOf(ctx.run).map((r) => r.config["train.seed"]).join(", ")}: a thin line each, a band from the lowest to the highest, their mean.${m.view.seconds ? " Against seconds only this run: seeds have no second in common." : ""}`);
        ctx.mine.notes.replaceChildren(...list.map((t) => hs.el("p", {}, t)));
    }
    function buttons(ctx, v) {
        for (const b of ctx.mine.controls.querySelectorAll("button")) b.setAttribute("aria-pressed", String(b.dataset.key === "seeds" ? v.seeds : (ctx.state[b.dataset.key] || b.dataset.base) === b.dataset.value));
    }
    function controls(ctx) {
        const choice = (label, key, ...options) => hs.el("div", { class: "seg", role: "group", "aria-label": label }, options.map(([value, text], i) => hs.el("button", { type: "button", "data-key": key, "data-value": value, "data-base": options[0][0], on: { click: () => ctx.set({ [key]: i === 0 ? null : value }) } }, text)));
        const seeds = hs.seedsOf(ctx.run).length > 1 && !ctx.beside ? hs.el("div", { class: "seg" }, hs.el("button", { type: "button", "data-key": "seeds", on: { click: () => ctx.set({ seeds: ctx.state.seeds === "off" ? null : "off" }) } }, "All seeds")) : null;
        return hs.el("div", { class: "controls" }, choice("Vertical axis", "y", ["accuracy", "Accuracy"], ["loss", "Loss"]), choice("Horizontal axis", "x", ["steps", "Steps"], ["seconds", "Seconds"]), choice("Scale of the horizontal axis", "scale", ["log", "Log"], ["linear", "Linear"]), seeds);
    }

    /* The line of the shown step, and the legend's numbers at it. */
    function follow(ctx) {
        const mine = ctx.mine, m = mine.model;
        if (!m) return;
        const step = ctx.step, time = m.view.seconds ? secondsOf(ctx.run).get(step) ?? null : step;
        const at = time === null ? NaN : mine.chart.convertToPixel({ xAxisIndex: 0 }, time);
        mine.cursor.hidden = !Number.isFinite(at);
        if (Number.isFinite(at)) mine.cursor.style.transform = `translateX(${Math.round(at)}px)`;
        for (const { s, value } of mine.values) {
            const k = hs.before(s.step, step);
            const few = k >= 0 && s.kind === "inside" && s.n[k] < 20 ? ` (n ${s.n[k]})` : "";
            value.textContent = (k < 0 ? "–" : m.view.loss && s.kind === "split" ? hs.fmt(s.value[k]) : hs.share(s.value[k])) + few;
        }
    }

    hs.panel({
        id: "curves", title: "Curves", wide: true,
        help: "How often the model answers right on each set of questions, against the step of training in log scale; below, how often the bridge and the answer are found inside it. Every evaluation is a point and nothing is smoothed; click anywhere to go to that step.",
        needs: (run) => (Object.keys(run.evaluations || {}).length ? null : "This run has no evaluation yet: hopscope run goes on where it stopped."),
        mount(box, ctx) {
            const mine = ctx.mine;
            mine.controls = controls(ctx);
            mine.legend = hs.el("div", { class: "legend" });
            mine.plot = hs.el("div", { class: `plot${hs.insideSeries(ctx.run).length ? " tall" : ""}` });
            mine.cursor = hs.el("div", { class: "cursor", "aria-hidden": "true", hidden: true });
            mine.notes = hs.el("div", { class: "notes" });
            box.append(mine.controls, mine.legend, hs.el("div", { class: "plot-box" }, mine.plot, mine.cursor), mine.notes);
            mine.chart = ctx.chart(mine.plot);
            mine.chart.getZr().on("click", (e) => {
                const [x] = mine.chart.convertFromPixel({ xAxisIndex: 0, yAxisIndex: 0 }, [e.offsetX, 60]);
                if (!mine.model || !Number.isFinite(x)) return;
                const time = secondsOf(ctx.run), stops = hs.stops(hs.current());
                const near = (s) => Math.abs(Math.log(Math.max(1e-9, mine.model.view.seconds ? time.get(s) ?? Infinity : s)) - Math.log(Math.max(1e-9, x)));
                ctx.set({ step: stops.reduce((a, b) => (near(b) < near(a) ? b : a)) });
            });
        },
        update(ctx) {
            if (["run", "hide", "x", "y", "scale", "seeds", "size", "theme", "data"].some(ctx.changed)) draw(ctx);
            follow(ctx);
        },
        table(ctx) {
            const v = view(ctx), runs = v.seeds ? hs.seedsOf(ctx.run) : [ctx.run];
            const rows = runs.flatMap((r) => gather(r, v)).flatMap((s) => s.step.map((st, i) => [s.run, s.kind, s.name, s.measure, st, s.seconds[i], s.n[i] ?? null, s.value[i], s.low[i] ?? null, s.high[i] ?? null]));
            return { columns: ["run", "kind", "series", "measure", "step", "seconds", "n", "value", "low", "high"], rows };
        },
        command: (ctx) => `hopscope plot ${ctx.run.dir || ctx.run.id} -o curves.svg${ctx.state.x === "seconds" ? " --seconds" : ""}${ctx.state.y === "loss" ? " --loss" : ""}`,
    });
})();
