/* panel_7_trust.js - why the numbers can be believed: n and intervals, shortcuts, proofs against leaks, phi, what was made up, hashes, the command.
 *
 * Invariant: accuracies are the record's; the interval beside one is Wilson's at 95% from that accuracy and its n, nothing else. */
"use strict";
(() => {
    /* Wilson's 95% interval of a share of n. */
    hs.wilson = (share, n) => {
        if (!n || share === null || share === undefined) return [null, null];
        const z = 1.959963984540054, a = z * z / n;
        const center = (share + a / 2) / (1 + a), half = (z / (1 + a)) * Math.sqrt((share * (1 - share)) / n + a / (4 * n));
        return [Math.max(0, center - half), Math.min(1, center + half)];
    };
    const at = (run, name, step) => {
        const e = run.evaluations[name], k = e ? hs.before(e.step, step) : -1;
        return k < 0 ? null : { step: e.step[k], n: e.ns ? e.ns[k] : e.n, accuracy: e.accuracy[k] };
    };
    const names = (run) => [...new Set([...hs.splitNames(run), ...Object.keys(run.splits || {})])];
    const words = (name) => String(name || "").replaceAll("_", " ");

    function rows(ctx) {
        const run = ctx.run;
        return names(run).map((name) => {
            const split = (run.splits || {})[name] || {}, e = at(run, name, ctx.step);
            const [low, high] = e ? hs.wilson(e.accuracy, e.n) : [null, null];
            return { name, split, e, low, high, paper: (run.paper_values || {})[name] ?? null };
        });
    }

    function measured(ctx) {
        const mine = ctx.mine;
        mine.cells = new Map();
        const body = rows(ctx).map((r) => {
            const cells = { n: hs.el("td", { class: "number" }), accuracy: hs.el("td", { class: "number" }), interval: hs.el("td", { class: "number" }) };
            mine.cells.set(r.name, cells);
            const s = r.split;
            return hs.el("tr", {}, hs.el("th", { scope: "row" }, hs.splitLabel(ctx.run, r.name), " ", hs.el("small", {}, r.name)), hs.el("td", { class: "number" }, hs.fmt(s.items ?? null)), cells.n, cells.accuracy, cells.interval,
                hs.el("td", { class: "number" }, hs.share(s.majority ?? null)), hs.el("td", {}, s.shortcut === null || s.shortcut === undefined ? "–" : [hs.el("span", {}, hs.share(s.shortcut)), " ", hs.el("small", {}, words(s.shortcut_name))]), hs.el("td", { class: "number" }, hs.share(r.paper)));
        });
        const head = ["questions", "items", "n looked at", "accuracy", "95% interval", "majority", "best shortcut", "paper"].map((t, k) => hs.el("th", { scope: "col", class: k > 0 && k !== 6 ? "number" : null }, t));
        return hs.el("section", { class: "whole" }, hs.el("h3", {}, "What was measured, and how far a shortcut gets"), hs.el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Measured splits" }, hs.el("table", { class: "data" }, hs.el("thead", {}, hs.el("tr", {}, head)), hs.el("tbody", {}, body))));
    }
    /* What language models make of the same questions (hopscope baseline), beside this model at the shown step. */
    function models(ctx) {
        const all = (ctx.run.probes || []).filter((p) => p.method === "baseline" && p.value.length);
        const last = (p, key) => (p ? p[key][p[key].length - 1] : null);
        const list = all.filter((p) => p.measure === "match");
        if (!list.length) return null;
        const body = list.map((p) => {
            const alias = all.find((q) => q.measure === "alias" && ["split", "role", "position"].every((k) => q[k] === p[k]));
            const own = rows(ctx).find((r) => r.name === p.split), s = own ? own.split : {};
            const cell = (text) => hs.el("td", { class: "number" }, text);
            return hs.el("tr", {}, hs.el("th", { scope: "row" }, p.role, " ", hs.el("small", {}, `${p.position} · ${p.split}`)), cell(hs.fmt(last(p, "n"))), cell(hs.share(last(p, "value"))), cell(`${last(p, "low").toFixed(3)} to ${last(p, "high").toFixed(3)}`), cell(hs.share(last(alias, "value"))), cell(hs.share(s.majority ?? null)), cell(hs.share(s.shortcut ?? null)));
        });
        const head = ["language model, facts it was given", "n", "right", "95% interval", "by alias", "majority", "best shortcut"].map((t, k) => hs.el("th", { scope: "col", class: k > 0 ? "number" : null }, t));
        return hs.el("section", { class: "whole" }, hs.el("h3", {}, "Language models, asked the same questions in words"), hs.el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Language models" }, hs.el("table", { class: "data" }, hs.el("thead", {}, hs.el("tr", {}, head)), hs.el("tbody", {}, body))));
    }
    /* Strict OOD composition against what its two halves would give were they independent. */
    function halves(ctx) {
        const has = (n) => ctx.run.evaluations[n];
        ctx.mine.halves = has("test_oo") && has("test_oi") && has("test_io") ? hs.el("p", { class: "note whole" }) : null;
        return ctx.mine.halves;
    }
    function proofs(run) {
        const list = names(run).filter((n) => ((run.splits || {})[n] || {}).claims && run.splits[n].claims.length);
        if (!list.length) return null;
        return hs.el("section", {}, hs.el("h3", {}, "Proofs against leaks, from the audit of the data"), list.map((n) => hs.el("details", { open: hs.isTest(run, n) }, hs.el("summary", {}, hs.splitLabel(run, n), " ", hs.el("small", {}, n)), hs.el("ul", { class: "proofs" }, run.splits[n].claims.map((c) => hs.el("li", { class: c.ok ? null : "broken" }, hs.el("span", {}, hs.el("span", { class: "hidden" }, c.ok ? "holds: " : "does not hold: "), c.text || words(c.claim))))))));
    }
    function phi(run) {
        const card = run.card || {}, per = Object.entries(card.phi_r || {}).sort((a, b) => b[1] - a[1]);
        const most = Math.max(1e-9, ...per.map((p) => p[1]));
        const pairs = [["phi: training questions per fact", hs.fmt(card.phi ?? null)], ["facts", hs.fmt(card.facts ?? null)], ["of these OOD", hs.fmt(card.facts_ood ?? null)], ["of these synthetic", hs.fmt(card.facts_synthetic ?? null)], ["entities, relations", `${hs.fmt(card.entities ?? null)}, ${hs.fmt(card.relations ?? null)}`]];
        const bars = per.slice(0, 40).map(([name, value]) => hs.el("div", {}, hs.el("dt", { title: name }, name), hs.el("dd", {}, hs.el("i", { style: `--share:${value / most}`, "aria-hidden": "true" }), hs.el("span", {}, hs.fmt(value)))));
        return hs.el("section", {}, hs.el("h3", {}, "The data"), hs.el("dl", { class: "pairs" }, pairs.map(([k, v]) => [hs.el("dt", {}, k), hs.el("dd", {}, v)])), per.length ? [hs.el("h3", {}, "phi of each relation"), hs.el("dl", { class: "phi" }, bars), per.length > 40 ? hs.el("p", { class: "note" }, `The 40 highest of ${hs.fmt(per.length)}; the JSON file of this panel's run has all.`) : null] : null);
    }
    function identity(ctx) {
        const run = ctx.run, card = run.card || {}, config = run.config || {}, info = run.info || {};
        ctx.mine.hash = hs.el("code", {});
        const pairs = [["weights at this step", ctx.mine.hash], ...(card.splits || []).map((s) => [`data: ${s.name}`, hs.el("code", {}, s.hash || "–")]), ["seeds", `data ${config["data.seed"] ?? card.seed ?? "–"}, training ${config["train.seed"] ?? "–"}`], ["hopscope", info.version || "–"], ["machine", info.machine || "–"], ["ended by", run.ended_by || "still training"]];
        return hs.el("section", {}, hs.el("h3", {}, "Which run this is"), hs.el("dl", { class: "pairs" }, pairs.map(([k, v]) => [hs.el("dt", {}, k), hs.el("dd", {}, v)])), run.command ? [hs.el("h3", {}, "The same run again"), hs.command(run.command), hs.el("p", { class: "note" }, "Same program and seeds, same bits, for any number of threads.")] : null);
    }
    function troubles(run) {
        const list = (run.events || []).filter((e) => e.kind !== "resumed");
        return list.length ? hs.el("section", { class: "whole" }, hs.el("h3", {}, "What went wrong on the way"), hs.el("ul", {}, list.map((e) => hs.el("li", {}, `${e.time} · step ${hs.fmt(e.step)} · ${e.kind}: ${e.text}`)))) : null;
    }

    hs.panel({
        id: "trust", title: "Trust", wide: true,
        help: "What a careful reader asks before believing a curve: how many questions, how sure, could a shortcut do it, was anything leaked or made up, and how to run it again. The accuracies are those of the shown step.",
        needs: (run) => (run.card || Object.keys(run.splits || {}).length || Object.keys(run.evaluations || {}).length ? null : "Neither data card nor evaluation is there."),
        mount(box, ctx) {
            const verdict = ctx.run.verdict ? hs.el("section", { class: "whole" }, hs.el("h3", {}, "Verdict, on the trained model"), hs.el("p", {}, hs.verdictText(ctx.run)), hs.el("p", { class: "note" }, `${ctx.run.verdict.text || ""}${ctx.run.verdict.clear ? ". No interval it rests on reaches over its threshold." : "."}`)) : null;
            box.append(hs.el("div", { class: "facts" }, ...[verdict, measured(ctx), halves(ctx), models(ctx), proofs(ctx.run), phi(ctx.run), identity(ctx), troubles(ctx.run)].filter(Boolean)));
        },
        update(ctx) {
            for (const r of rows(ctx)) {
                const cells = ctx.mine.cells.get(r.name);
                if (!cells) continue;
                cells.n.textContent = hs.fmt(r.e ? r.e.n : null);
                cells.accuracy.textContent = hs.share(r.e ? r.e.accuracy : null);
                cells.interval.textContent = r.low === null ? "–" : `${r.low.toFixed(3)} to ${r.high.toFixed(3)}`;
            }
            const weights = ctx.run.weights || [], k = hs.before(weights.map((w) => w.step), ctx.step);
            ctx.mine.hash.textContent = k < 0 ? "–" : weights[k].hash;
            if (ctx.mine.halves) {
                const [oo, oi, io] = ["test_oo", "test_oi", "test_io"].map((n) => at(ctx.run, n, ctx.step));
                ctx.mine.halves.textContent = oo && oi && io ? `Both hops OOD: ${hs.share(oo.accuracy)}. Were the hops independent, OOD then ID times ID then OOD would give ${hs.share(oi.accuracy * io.accuracy)}.` : "";
            }
        },
        table: (ctx) => ({
            columns: ["split", "role", "items", "step", "n", "accuracy", "low", "high", "majority", "shortcut", "shortcut_accuracy", "paper"],
            rows: rows(ctx).map((r) => [r.name, r.split.role ?? null, r.split.items ?? null, r.e ? r.e.step : null, r.e ? r.e.n : null, r.e ? r.e.accuracy : null, r.low, r.high, r.split.majority ?? null, r.split.shortcut_name ?? null, r.split.shortcut ?? null, r.paper]),
        }),
        command: (ctx) => `hopscope data audit ${ctx.run.dir || ctx.run.id}/dataset --json`,
    });
})();
