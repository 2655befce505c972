/* panel_8_compare.js - two or more runs: their held-out accuracy in one chart, their results and the settings that differ; and the
 * choice of the run whose panels stand beside this one's.
 *
 * Invariant: accuracies in the table are those of each run's last evaluation at or before the shown step. */
"use strict";
(() => {
    const splits = () => [...new Set(hs.runs.flatMap((r) => hs.splitNames(r)))];
    const split = (ctx) => (splits().includes(ctx.state.split) ? ctx.state.split : hs.mainSplit(ctx.run) || splits()[0]);
    const last = (run, name, step) => {
        const e = run.evaluations[name], k = e ? hs.before(e.step, step) : -1;
        return k < 0 ? null : { step: e.step[k], accuracy: e.accuracy[k] };
    };
    const reached = (run, name) => {
        const t = (run.times || []).find((x) => x.name === name);
        return t ? (t.reached ? t.step : `> ${hs.fmt(t.step)}`) : null;
    };
    /* Keys whose text is not the same in all runs. */
    function differing() {
        const keys = [...new Set(hs.runs.flatMap((r) => Object.keys(r.config || {})))];
        return keys.filter((k) => new Set(hs.runs.map((r) => (r.config || {})[k])).size > 1);
    }

    function results(ctx) {
        const tests = splits().filter((n) => hs.runs.some((r) => r.evaluations[n] && hs.isTest(r, n)));
        ctx.mine.cells = [];
        const row = (r, k) => {
            const here = r === ctx.run, beside = hs.state.compare === r.id;
            const button = here ? hs.el("span", {}, "shown") : hs.el("button", { type: "button", class: "btn small", "aria-pressed": String(beside), on: { click: () => ctx.set({ compare: beside ? null : r.id }) } }, beside ? "Remove" : "Show beside");
            const cells = tests.map((name) => {
                const td = hs.el("td", { class: "number" });
                ctx.mine.cells.push({ run: r, name, td });
                return td;
            });
            return hs.el("tr", {}, hs.el("th", { scope: "row" }, hs.el("span", { class: "dot", style: `background:${hs.runColor(k)}`, "aria-hidden": "true" }), r.id, r.title && r.title !== r.id ? [" ", hs.el("small", {}, r.title)] : null), hs.el("td", {}, r.verdict ? r.verdict.kind : "–"), cells, hs.el("td", { class: "number" }, hs.fmt(reached(r, "memorized"))), hs.el("td", { class: "number" }, hs.fmt(reached(r, hs.mainSplit(r)))), hs.el("td", {}, button));
        };
        const head = ["run", "verdict", ...tests, "memorized at", "generalized at", "panels"].map((t, k) => hs.el("th", { scope: "col", class: k > 1 && k < tests.length + 4 ? "number" : null }, t));
        return hs.el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Results of the runs" }, hs.el("table", { class: "data" }, hs.el("thead", {}, hs.el("tr", {}, head)), hs.el("tbody", {}, hs.runs.map(row))));
    }
    function settings() {
        const keys = differing();
        if (!keys.length) return hs.el("p", { class: "note" }, "No setting differs.");
        const head = hs.el("tr", {}, hs.el("th", { scope: "col" }, "setting"), hs.runs.map((r) => hs.el("th", { scope: "col" }, r.id)));
        const body = keys.map((key) => hs.el("tr", {}, hs.el("th", { scope: "row" }, hs.el("code", {}, key)), hs.runs.map((r) => hs.el("td", {}, (r.config || {})[key] ?? "–"))));
        return hs.el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Settings that differ" }, hs.el("table", { class: "data" }, hs.el("thead", {}, head), hs.el("tbody", {}, body)));
    }
    function draw(ctx) {
        const name = split(ctx), ink = hs.ink();
        const list = hs.runs.map((r, k) => ({ r, k })).filter(({ r }) => r.evaluations[name]);
        const steps = list.flatMap(({ r }) => r.evaluations[name].step);
        const low = Math.min(...steps), high = Math.max(...steps);
        ctx.mine.chart.setOption({
            grid: { left: 46, right: 14, top: 30, bottom: 44 },
            xAxis: { type: "log", min: low, max: high > low ? high : low * 1.5, name: "step of training", nameLocation: "middle", nameGap: 26, axisLabel: { hideOverlap: true, formatter: (x) => (Number.isInteger(Math.log10(x)) || (x !== low && x !== high) ? hs.fmt(x) : "") } },
            yAxis: { type: "value", min: 0, max: 1, interval: 0.25, name: `accuracy of ${name}`, nameTextStyle: { align: "left", padding: [0, 0, 0, -40] } },
            tooltip: { trigger: "axis", className: "hs-tip", formatter: (items) => hs.el("div", { class: "tip" }, hs.el("b", {}, `step ${hs.fmt(items[0].value[0])}`), items.map((i) => hs.el("div", {}, hs.el("i", { style: `background:${i.color}` }), hs.el("span", {}, i.seriesName), hs.el("b", {}, hs.fmt(i.value[1])))))},
            series: list.map(({ r, k }) => ({ type: "line", name: r.id, data: r.evaluations[name].step.map((s, i) => [s, r.evaluations[name].accuracy[i]]), color: hs.runColor(k), symbol: ["circle", "rect", "triangle", "diamond"][k % 4], symbolSize: 5, lineStyle: { width: r === ctx.run ? 3 : 2, type: k >= 5 ? "dashed" : "solid" } })),
            axisPointer: { lineStyle: { color: ink.dim } },
        }, true);
    }
    function follow(ctx) {
        const mine = ctx.mine, x = mine.chart.convertToPixel({ xAxisIndex: 0 }, ctx.step);
        mine.cursor.hidden = !Number.isFinite(x);
        if (Number.isFinite(x)) mine.cursor.style.transform = `translateX(${Math.round(x)}px)`;
        for (const { run, name, td } of mine.cells) {
            const e = last(run, name, ctx.step);
            td.textContent = hs.share(e ? e.accuracy : null);
        }
    }

    hs.panel({
        id: "compare", title: "Compare", wide: true, single: true,
        help: "All runs of this page in one chart and one table, and the settings in which they differ. \"Show beside\" puts a second run's panels next to this one's, at the same step.",
        needs: () => (hs.runs.length > 1 ? null : "This page has one run. With several it shows their curves, results and differing settings: hopscope report RUN RUN -o compare.html"),
        mount(box, ctx) {
            const mine = ctx.mine;
            const select = hs.el("select", { id: "hs-compare-split", on: { change: () => ctx.set({ split: select.value }) } }, splits().map((n) => hs.el("option", { value: n }, n)));
            mine.select = select;
            mine.plot = hs.el("div", { class: "plot" });
            mine.cursor = hs.el("div", { class: "cursor", "aria-hidden": "true", hidden: true });
            mine.results = hs.el("div", {});
            box.append(hs.el("div", { class: "controls" }, hs.el("label", { for: "hs-compare-split" }, "Questions"), select), hs.el("div", { class: "plot-box" }, mine.plot, mine.cursor), hs.el("div", { class: "facts" }, hs.el("section", { class: "whole" }, hs.el("h3", {}, "Results at the shown step"), mine.results), hs.el("section", { class: "whole" }, hs.el("h3", {}, "Settings that differ"), settings())));
            mine.chart = ctx.chart(mine.plot);
        },
        update(ctx) {
            if (["run", "split", "size", "theme", "data", "compare"].some(ctx.changed)) {
                ctx.mine.select.value = split(ctx);
                ctx.mine.results.replaceChildren(results(ctx));
                draw(ctx);
            }
            follow(ctx);
        },
        table(ctx) {
            const keys = differing(), names = splits();
            const row = (r) => [r.id, r.dir ?? null, r.verdict ? r.verdict.kind : null, ctx.step, ...names.map((n) => (last(r, n, ctx.step) || { accuracy: null }).accuracy), ...keys.map((k) => (r.config || {})[k] ?? null)];
            return { columns: ["run", "folder", "verdict", "step", ...names.map((n) => `accuracy of ${n}`), ...keys], rows: hs.runs.map(row) };
        },
        command: () => `hopscope plot ${hs.runs.map((r) => r.dir || r.id).join(" ")} -o compare.svg`,
    });
})();
