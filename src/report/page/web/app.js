/* app.js - the page's ground: elements and numbers, the panels' register, the data (runs, looks), and what a panel is given (ctx).
 *
 * Scripts in order: echarts, app, state, chart, frame, header, panels, live. Nothing is drawn before DOMContentLoaded.
 * Invariants: text enters the page by textContent only, so names may hold any character; numbers in tables and downloads are
 * those of the bundle, untouched; nothing is interpolated: between two checkpoints the earlier one holds. */
"use strict";
const hs = (window.hs = { panels: [], bundle: null, runs: [], live: false });
(() => {
    /* ---------------------------------------------------------------- elements */

    const SVG = "http://www.w3.org/2000/svg";
    function fill(node, attrs, kids) {
        for (const [key, value] of Object.entries(attrs || {})) {
            if (value === null || value === undefined || value === false) continue;
            if (key === "on") for (const [event, f] of Object.entries(value)) node.addEventListener(event, f);
            else if (key === "value") node.value = value;
            else node.setAttribute(key, value === true ? "" : value);
        }
        node.append(...kids.flat(Infinity).filter((k) => k !== null && k !== undefined && k !== false).map((k) => (k instanceof Node ? k : String(k))));
        return node;
    }
    /* An element with attributes (`on`: {event: function}) and children; text is text. */
    hs.el = (tag, attrs, ...kids) => fill(document.createElement(tag), attrs, kids);
    hs.svg = (tag, attrs, ...kids) => fill(document.createElementNS(SVG, tag), attrs, kids);
    hs.id = (id) => document.getElementById(id);

    /* For the few places that need markup as text (files, formatters of the charts). */
    hs.esc = (text) => String(text).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);

    /* ---------------------------------------------------------------- numbers */

    hs.fmt = (x) => {
        if (x === null || x === undefined || Number.isNaN(x)) return "–";
        if (typeof x !== "number") return String(x);
        if (Number.isInteger(x)) return x.toLocaleString("en-US");
        const size = Math.abs(x);
        if (size < 1e-4 || size >= 1e9) return x.toExponential(2);
        return size >= 1000 ? Math.round(x).toLocaleString("en-US") : String(Number(x.toPrecision(4)));
    };
    /* A share: three decimals, never a round 1 or 0 that is none. */
    hs.share = (x) => {
        if (x === null || x === undefined || Number.isNaN(x)) return "–";
        if (x > 0.9995 && x < 1) return "> 0.999";
        if (x < 0.0005 && x > 0) return "< 0.001";
        return x.toFixed(3);
    };
    /* Last index whose value is not above x in the ascending list; -1: none. */
    hs.before = (list, x) => {
        let low = 0, high = list.length;
        while (low < high) {
            const mid = (low + high) >> 1;
            if (list[mid] <= x) low = mid + 1;
            else high = mid;
        }
        return low - 1;
    };

    /* ---------------------------------------------------------------- splits by their names */

    const HOPS = { i: "ID", o: "OOD" };
    /* What a split is, in words: "unseen questions, hops ID then OOD". */
    hs.splitLabel = (run, name) => {
        const known = { id_atomic: "ID facts", ood_atomic: "OOD facts", train_inferred: "training questions" }[name];
        if (known) return known;
        const hops = /^test_([io]+)$/.exec(name);
        if (hops) {
            const kinds = new Set(hops[1]);
            return kinds.size === 1 ? `unseen questions, ${HOPS[hops[1][0]]} facts` : `unseen questions, ${[...hops[1]].map((c) => HOPS[c]).join(" then ")}`;
        }
        return name.replaceAll("_", " ");
    };
    hs.isTest = (run, name) => {
        const split = (run.splits || {})[name];
        return split && split.role ? split.role === "test" : name.startsWith("test");
    };
    /* The splits of a run: training first, then tests, each in the order of the file. */
    hs.splitNames = (run) => {
        const names = Object.keys(run.evaluations || {});
        return [...names.filter((n) => !hs.isTest(run, n)), ...names.filter((n) => hs.isTest(run, n))];
    };
    /* The held-out split that the page speaks of first. */
    hs.mainSplit = (run) => {
        const names = hs.splitNames(run).filter((n) => hs.isTest(run, n));
        return run.verdict && names.includes(run.verdict.split) ? run.verdict.split : names.find((n) => /^test_i+$/.test(n)) || names[0] || null;
    };
    hs.eventLabel = (run, name) => {
        if (name === "memorized") return "memorized";
        const bridge = /^bridge(\d?) (.+)$/.exec(name);
        if (bridge) return `bridge${bridge[1] ? " " + bridge[1] : ""} found (${bridge[2]})`;
        return `${name} answered`;
    };

    /* ---------------------------------------------------------------- panels */

    const KEYS = { curves: "1", ask: "3", lens: "4", patch: "5", circuit: "6", trust: "7", compare: "8", tour: "9" };
    hs.panel = (panel) => {
        const at = panel.key || KEYS[panel.id] || "";
        hs.panels.push(Object.assign(panel, { key: at }));
    };

    /* ---------------------------------------------------------------- data */

    hs.run = (id) => hs.runs.find((r) => r.id === id) || null;

    /* Where the scrubber stops: the checkpoints that were looked at, else every evaluation. */
    hs.stops = (run) => {
        if (!run.stops) {
            const steps = new Set(run.checkpoints || []);
            if (!steps.size) for (const e of Object.values(run.evaluations || {})) e.step.forEach((s) => steps.add(s));
            run.stops = [...steps].sort((a, b) => a - b);
        }
        return run.stops;
    };

    hs.take = (bundle) => {
        hs.bundle = bundle;
        hs.runs = bundle.runs || [];
        hs.runs.forEach((run, k) => (run.at = k));
    };

    async function unpack(text) {
        const raw = atob(text.trim());
        const bytes = new Uint8Array(raw.length);
        for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
        return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).json();
    }
    /* The bundle in the page: as it is, or packed where it is large. */
    const bundleHere = async (node) => (node.type === "application/json" ? JSON.parse(node.textContent) : unpack(node.textContent));
    /* The looks of a run, read once from the page; null where there are none. */
    hs.looks = (run) => {
        if (!run.looksLater) {
            const node = hs.id(`hs-looks-${run.at}`);
            const text = node ? node.textContent : "";
            run.looksLater = (text.trim() ? unpack(text) : Promise.resolve(null))
                .catch((e) => {
                    hs.warn(`The looks of ${run.title || run.id} cannot be read: ${e.message}`);
                    return null;
                })
                .then((looks) => {
                    run.looks = looks;
                    if (node) node.textContent = "";
                    hs.touch("look");
                    return looks;
                });
        }
        return run.looksLater;
    };
    hs.lookAt = (run, step, query) => {
        if (!run.looks || query < 0) return null;
        const k = hs.before(run.looks.checkpoints, step);
        return (k >= 0 && run.looks.looks[k] && run.looks.looks[k][query]) || null;
    };

    /* The question shown first: one that was held out, else the first. */
    hs.firstQuery = (run) => {
        const k = (run.queries || []).findIndex((q) => q.split === hs.mainSplit(run));
        return k < 0 ? 0 : k;
    };
    /* The query of `of` with the same words in run; the same index where there is none. */
    function sameQuery(run, of, k) {
        if (run === of || !of.queries || !of.queries[k] || !run.queries) return k;
        const words = (r, q) => q.tokens.map((id) => r.vocab[id]).join("\u0000");
        const wanted = words(of, of.queries[k]);
        if (run.queries[k] && words(run, run.queries[k]) === wanted) return k;
        const found = run.queries.findIndex((q) => words(run, q) === wanted);
        return found < 0 ? k : found;
    }

    /* ---------------------------------------------------------------- what a panel is given */

    hs.current = () => hs.run(hs.state.run) || hs.runs[0] || null;
    hs.stepOf = (run) => {
        const stops = hs.stops(run);
        if (!stops.length) return run.steps || 0;
        const at = hs.state.step === undefined ? stops.length - 1 : hs.before(stops, hs.state.step);
        return stops[Math.max(0, at)];
    };
    /* `beside`: the panel shows the run that is compared with. Always current: every field is asked anew. */
    hs.ctx = (instance, beside) => ({
        mine: {},
        get run() {
            return (beside && hs.run(hs.state.compare)) || hs.current();
        },
        get runs() {
            return hs.runs;
        },
        get compare() {
            return beside ? null : hs.run(hs.state.compare);
        },
        get state() {
            return hs.state;
        },
        get step() {
            return hs.stepOf(this.run);
        },
        get checkpoint() {
            return hs.before(this.run.checkpoints || [], this.step);
        },
        get at() {
            const own = hs.state.query === undefined ? hs.firstQuery(hs.current()) : hs.state.query;
            return sameQuery(this.run, hs.current(), own);
        },
        get query() {
            const asked = hs.asked && hs.asked(this.run, this.step);
            return (asked && asked.query) || (this.run.queries || [])[this.at] || (this.run.queries || [])[0] || null;
        },
        get look() {
            if (hs.asked && (hs.live || hs.state.q)) {
                const asked = hs.asked(this.run, this.step, this.query);
                return (asked && asked.look) || null;
            }
            return hs.lookAt(this.run, this.step, this.at);
        },
        get live() {
            return hs.live;
        },
        beside: Boolean(beside),
        /* Any question, of token ids: live only, null in a file. */
        get ask() {
            return hs.live ? (tokens) => hs.ask(this.run, tokens) : null;
        },
        looks(run) {
            return hs.looks(run || this.run);
        },
        t(id) {
            const text = id === null || id === undefined || id < 0 ? null : (this.run.vocab || [])[id];
            return text === undefined || text === null || text === "" ? (id < 0 || id === null || id === undefined ? "–" : `token ${id}`) : text;
        },
        changed: (key) => instance.changed.has(key) || instance.changed.has("all"),
        chart: (el) => hs.chart(el, instance),
        set: (changes) => hs.set(changes),
        fmt: hs.fmt,
        esc: hs.esc,
    });

    /* ---------------------------------------------------------------- messages, files */

    hs.warn = (text) => {
        const box = hs.id("hs-missing");
        box.hidden = false;
        box.append(hs.el("p", {}, text));
    };
    hs.save = (name, type, text) => {
        const url = URL.createObjectURL(new Blob([text], { type }));
        hs.el("a", { href: url, download: name }).click();
        setTimeout(() => URL.revokeObjectURL(url), 10000);
    };
    hs.copy = async (text, button) => {
        try {
            await navigator.clipboard.writeText(text);
        } catch {
            const area = document.body.appendChild(hs.el("textarea", { class: "hidden", "aria-label": "copied text", value: text }));
            area.select(); // a page opened from disk may have no clipboard
            document.execCommand("copy");
            area.remove();
        }
        if (!button) return;
        const old = button.textContent;
        button.textContent = "Copied";
        setTimeout(() => (button.textContent = old), 1200);
    };
    /* A command line with a button that copies it. */
    hs.command = (text) => {
        const button = hs.el("button", { type: "button", class: "btn small", "aria-label": `Copy: ${text}` }, "Copy");
        button.addEventListener("click", () => hs.copy(text, button));
        return hs.el("div", { class: "command" }, hs.el("code", { tabindex: "0", role: "textbox", "aria-readonly": "true", "aria-label": "Command" }, text), button);
    };
    /* "What is missing: hopscope ..." with the command set as one. */
    hs.notice = (text) => {
        const at = text.search(/hopscope (interpret|run|report|eval|serve|show|plot|data|ask) /);
        if (at < 0) return hs.el("p", { class: "note" }, text);
        return hs.el("div", { class: "note" }, hs.el("p", {}, text.slice(0, at).replace(/[\s:`]+$/, ":")), hs.command(text.slice(at).replace(/[`.\s]+$/, "")));
    };

    /* ---------------------------------------------------------------- start */

    const RETRY_MS = 3000;
    async function load() {
        try {
            const live = hs.id("hs-live");
            hs.live = Boolean(live) && hs.bundleLive !== undefined;
            hs.take(hs.live ? await hs.bundleLive() : await bundleHere(hs.id("hs-data")));
        } catch (e) {
            hs.id("hs-title").textContent = hs.live ? "Waiting for the server" : "This page's data cannot be read";
            hs.id("hs-missing").replaceChildren();
            hs.warn(String(e.message || e));
            if (hs.live) setTimeout(load, RETRY_MS);
            return;
        }
        hs.header();
        hs.frames();
        if (hs.live) hs.listen();
        performance.mark("hs-first");
        // After the first paint: the looks are the largest part of the file and no first panel needs them.
        requestAnimationFrame(() => setTimeout(() => [hs.current(), hs.run(hs.state.compare)].forEach((r) => r && !hs.live && hs.looks(r)), 0));
    }
    document.addEventListener("DOMContentLoaded", () => {
        hs.restore();
        hs.applyTheme();
        load();
    });
})();
