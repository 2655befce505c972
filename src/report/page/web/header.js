/* header.js - the run's name and verdict, the model at the shown step in a few numbers, and the scrubber that drives every panel.
 *
 * Invariants: the scrubber stops at checkpoints only; the numbers beside it are the last evaluation at or before that step. While
 * it moves, only texts and one position change. Keys: see KEYS; none is taken from a field that is being written in. */
"use strict";
(() => {
    const KEYS = [["left, right", "one checkpoint back, on"], ["home, end", "first, last checkpoint"], ["space", "play, pause"], ["1 to 9", "go to a panel"], ["f", "full screen of the panel in view"], ["esc", "leave full screen"], ["t", "light or dark"], ["?", "this help"]];
    const KINDS = { "grokked with the bridge": "good", memorized: "warn", "fake grokking": "bad", none: "plain", unknown: "plain" };
    let playing = 0, saying = 0, tiles = [];

    const run = () => hs.current();
    const stops = () => (run() ? hs.stops(run()) : []);
    const at = () => Math.max(0, hs.before(stops(), hs.stepOf(run())));

    /* ---------------------------------------------------------------- the head */

    function choices() {
        const box = hs.id("hs-choices");
        box.replaceChildren();
        if (hs.runs.length < 2) return;
        const pick = (id, label, key, none) => {
            const options = hs.runs.map((r) => hs.el("option", { value: r.id }, r.title && r.title !== r.id ? `${r.id}: ${r.title}` : r.id));
            if (none) options.unshift(hs.el("option", { value: "" }, none));
            const select = hs.el("select", { id, on: { change: () => hs.set({ [key]: select.value || null }) } }, options);
            select.value = key === "run" ? run().id : hs.state.compare || "";
            box.append(hs.el("label", { for: id }, label), select);
        };
        pick("hs-run", "Run", "run", null);
        pick("hs-compare", "beside", "compare", "none");
    }
    /* The verdict as one would say it; what was measured stands in Trust. */
    const SAID = {
        "grokked with the bridge": (share, split) => `It found the rule: it answers ${share} of the questions it never saw (${split}), and the bridge is there inside, on the way to the answer.`,
        "fake grokking": (share, split) => `It answers ${share} of the questions it never saw (${split}), yet neither reading nor replacing its states shows the bridge on the way.`,
        memorized: (share, split) => `It knows its training questions by heart, but answers only ${share} of those it never saw (${split}).`,
        none: () => "It has not learned its training questions yet.",
        unknown: (share, split) => `It answers ${share} of the questions it never saw (${split}); how it does so cannot be told here.`,
    };
    hs.verdictText = (r) => {
        const v = r.verdict, e = (r.evaluations || {})[v.split];
        const share = e && e.accuracy.length ? `${(100 * e.accuracy[e.accuracy.length - 1]).toFixed(1)}%` : "some";
        return (SAID[v.kind] || (() => v.text || ""))(share, v.split) + (v.clear === false && /grokk|memor/.test(v.kind) ? " The numbers lie near a threshold: borderline." : "");
    };
    function verdict(r) {
        const box = hs.id("hs-verdict"), v = r.verdict;
        box.hidden = !v;
        if (!v) return;
        box.dataset.kind = KINDS[v.kind] || "plain";
        const words = v.kind === "none" ? "Still learning" : v.kind ? v.kind[0].toUpperCase() + v.kind.slice(1) : "";
        box.replaceChildren(hs.el("span", { class: "chip" }, words), hs.el("p", {}, hs.verdictText(r)));
    }
    function intro() {
        const box = hs.id("hs-intro"), tour = hs.panels.find((p) => p.id === "tour");
        box.hidden = false;
        const go = tour ? hs.el("button", { type: "button", class: "btn strong", on: { click: () => (hs.set({ panel: null }), hs.set({ panel: "tour" })) } }, "Take the tour") : null;
        box.replaceChildren(hs.el("p", {}, "Every panel shows the same model at the same moment of its training. Drag the slider, or press play, and watch it change from a memory of its training questions to a rule that answers new ones."), ...(go ? [go] : []));
    }
    function missing(r) {
        const box = hs.id("hs-missing"), list = [...(hs.bundle.missing || []), ...((r && r.missing) || [])];
        box.hidden = !list.length;
        box.replaceChildren(list.length ? hs.el("details", { open: r && list.length < 3 ? true : null }, hs.el("summary", {}, list.length === 1 ? "Not on this page" : `Not on this page (${list.length})`), list.map(hs.notice)) : "");
    }
    function footer() {
        const foot = hs.id("hs-foot"), b = hs.bundle;
        foot.replaceChildren(hs.el("p", {}, `Made by ${b.made_by || "hopscope"}. Every number is that of the run's record, unsmoothed; between checkpoints the last one holds. Charts: Apache ECharts (Apache License 2.0).`), b.command ? hs.command(b.command) : "");
    }
    function head() {
        const r = run();
        choices();
        missing(r);
        if (!r) {
            hs.id("hs-title").textContent = "No run to show";
            return;
        }
        hs.id("hs-title").textContent = r.title || r.id;
        document.title = `${r.title || r.id} - hopscope`;
        const facts = [r.task, r.model, r.steps ? `${hs.fmt(r.steps)} steps` : null, hs.live && !r.ended_by ? "training now" : r.ended_by ? `ended by ${r.ended_by}` : null];
        hs.id("hs-model").textContent = facts.filter(Boolean).join(" · ");
        verdict(r);
        intro();
        now(r);
        marks(r);
        const range = hs.id("hs-range");
        hs.id("hs-bar").hidden = stops().length === 0;
        range.max = Math.max(0, stops().length - 1);
        range.disabled = stops().length < 2;
        hs.id("hs-play").disabled = stops().length < 2;
    }

    /* ---------------------------------------------------------------- the model at this step */

    function now(r) {
        const make = (label, title, value) => {
            const number = hs.el("dd", {});
            const meter = hs.el("span", { class: "meter", "aria-hidden": "true" });
            tiles.push({ value, number, meter });
            return hs.el("div", { title }, hs.el("dt", {}, label), number, meter);
        };
        tiles = [];
        const nodes = hs.splitNames(r).map((name) => make(hs.splitLabel(r, name), `accuracy of ${name}`, (step) => {
            const e = r.evaluations[name], k = hs.before(e.step, step);
            return k < 0 ? null : e.accuracy[k];
        }));
        const bridge = hs.insideSeries ? hs.insideSeries(r).find((s) => s.key === "bridge") : null;
        if (bridge) nodes.push(make("bridge read inside", bridge.title, (step) => {
            const k = hs.before(bridge.row.step, step);
            return k < 0 ? null : bridge.row.value[k];
        }));
        hs.id("hs-now").replaceChildren(...nodes);
    }
    function step() {
        const r = run(), list = stops();
        if (!r || !list.length) return;
        const range = hs.id("hs-range"), k = at(), n = list[k];
        if (Number(range.value) !== k) range.value = k;
        const words = `step ${hs.fmt(n)}`;
        range.setAttribute("aria-valuetext", `${words}, checkpoint ${k + 1} of ${list.length}`);
        range.style.setProperty("--at", list.length > 1 ? k / (list.length - 1) : 0);
        const newest = hs.live && !r.ended_by && k === list.length - 1 && r.steps > n; // evaluated since the last checkpoint
        hs.id("hs-step").replaceChildren(hs.el("span", {}, "step "), hs.el("b", {}, hs.fmt(n)), hs.el("small", {}, newest ? `numbers: ${hs.fmt(r.steps)}` : `${k + 1} of ${list.length}`));
        for (const t of tiles) {
            const x = t.value(newest ? r.steps : n);
            t.number.textContent = hs.share(x);
            t.meter.style.setProperty("--share", x || 0);
        }
        clearTimeout(saying);
        if (!playing) saying = setTimeout(() => (hs.id("hs-said").textContent = words), 500);
    }
    /* When it happened, under the slider: each at its place between two checkpoints. */
    function marks(r) {
        const list = stops(), main = hs.mainSplit(r);
        const wanted = [["memorized", "memorized"], [`bridge ${main}`, "bridge"], [`bridge1 ${main}`, "bridge"], [main, "generalized"]];
        const place = (s) => {
            const k = hs.before(list, s);
            if (k < 0) return 0;
            return (k >= list.length - 1 ? k : k + (Math.log(s) - Math.log(list[k])) / (Math.log(list[k + 1]) - Math.log(list[k]))) / Math.max(1, list.length - 1);
        };
        const found = wanted.map(([name, label]) => ({ label, time: (r.times || []).find((t) => t.name === name && t.reached) })).filter((w) => w.time && list.length > 1);
        found.sort((a, b) => a.time.step - b.time.step);
        const box = hs.id("hs-marks"), width = box.clientWidth || 800, size = (w) => (w.label.length * 7 + 16) / width;
        let free = -1, before = -1; // a label that would run into its neighbours is left out, its tick is not
        box.replaceChildren(...found.map((w, i) => {
            const x = place(w.time.step), end = x + size(w) > 1;
            const next = i + 1 < found.length ? place(found[i + 1].time.step) : 1;
            const tight = end ? x - size(w) < Math.max(free, before) : x < free || x + size(w) > next;
            if (!tight) free = end ? x : x + size(w);
            before = x;
            return hs.el("span", { class: `mark${tight ? " tight" : ""}${end ? " end" : ""}`, style: `--x:${x}`, title: `${w.label} at step ${hs.fmt(w.time.step)}` }, w.label);
        }));
    }

    /* ---------------------------------------------------------------- moving */

    const move = (k) => {
        const list = stops();
        if (list.length) hs.set({ step: list[Math.min(list.length - 1, Math.max(0, k))] });
    };
    hs.play = (on) => {
        clearTimeout(playing);
        playing = 0;
        const list = stops();
        if (on && list.length > 1) {
            if (at() === list.length - 1) move(0);
            const pause = hs.calm() ? 1000 : Math.min(600, Math.max(120, 9000 / list.length));
            const tick = () => {
                if (at() >= stops().length - 1) return hs.play(false);
                move(at() + 1);
                playing = setTimeout(tick, pause);
                return undefined;
            };
            playing = setTimeout(tick, pause);
        }
        const button = hs.id("hs-play");
        button.setAttribute("aria-pressed", String(Boolean(playing)));
        button.setAttribute("aria-label", playing ? "Pause" : "Play");
        hs.touch("playing");
    };
    function jump() {
        const nav = hs.id("hs-jump");
        nav.replaceChildren(...hs.panels.map((p) => hs.el("button", { type: "button", "data-panel": p.id, on: { click: () => (hs.state.panel === p.id ? hs.goTo(p.id) : hs.set({ panel: p.id })) } }, p.key ? hs.el("span", { "aria-hidden": "true" }, p.key) : null, p.title)));
    }
    function help(on) {
        const box = hs.id("hs-keys-text");
        box.hidden = on === undefined ? !box.hidden : !on;
        hs.id("hs-keys").setAttribute("aria-expanded", String(!box.hidden));
        if (!box.childElementCount) {
            const words = [["bridge", "the entity between: Germany, its eastern neighbour (the bridge), the bridge's currency"], ["ID, OOD", "a fact that is part of a training question; one that is trained alone, never as part of a question"], ["stage", "what the model holds after one of its blocks"], ["checkpoint", "the model as it stood at a step; nothing is made up in between"]];
            box.append(hs.el("h2", {}, "Keys"), hs.el("dl", {}, KEYS.map(([k, what]) => hs.el("div", {}, hs.el("dt", {}, hs.el("kbd", {}, k)), hs.el("dd", {}, what)))), hs.el("h2", {}, "Words"), hs.el("dl", {}, words.map(([k, what]) => hs.el("div", {}, hs.el("dt", {}, k), hs.el("dd", {}, what)))));
        }
        if (!box.hidden) box.scrollIntoView({ block: "nearest" });
    }
    function inView() {
        const bar = hs.id("hs-bar").getBoundingClientRect().bottom;
        return hs.panels.find((p) => hs.id(`panel-${p.id}`).getBoundingClientRect().bottom > bar + 120);
    }
    function key(e) {
        const target = e.target, tag = target.tagName;
        if (e.defaultPrevented || e.ctrlKey || e.metaKey || e.altKey) return;
        if (tag === "TEXTAREA" || tag === "SELECT" || (tag === "INPUT" && target.type !== "range") || target.isContentEditable) return;
        const arrows = target.type === "range" || /^(grid|gridcell|listbox|option|tab|radio|menu|slider|combobox)$/.test(target.getAttribute("role") || "") || target.type === "radio";
        const own = target.id === "hs-range";
        const actions = {
            ArrowLeft: () => (arrows ? false : move(at() - 1)),
            ArrowRight: () => (arrows ? false : move(at() + 1)),
            Home: () => (arrows ? false : move(0)),
            End: () => (arrows ? false : move(stops().length - 1)),
            " ": () => (/^(BUTTON|SUMMARY|A|INPUT)$/.test(tag) && !own ? false : hs.play(!playing)),
            Escape: () => {
                const open = document.querySelector("details.menu[open]");
                if (open) {
                    open.open = false;
                    open.querySelector("summary").focus();
                } else if (hs.state.full) {
                    const id = hs.state.full;
                    hs.set({ full: null });
                    requestAnimationFrame(() => hs.goTo(id));
                } else help(false);
            },
            "?": () => help(),
            t: () => hs.set({ theme: hs.theme() === "dark" ? "light" : "dark" }),
            f: () => hs.set({ full: hs.state.full ? null : (inView() || {}).id }),
        };
        let done = false;
        if (actions[e.key]) done = actions[e.key]() !== false;
        else if (e.key === "2") {
            hs.id("hs-range").focus();
            done = true;
        } else if (/^[1-9]$/.test(e.key)) {
            const panel = hs.panels.find((p) => p.key === e.key);
            if (panel) {
                if (hs.state.panel === panel.id) hs.goTo(panel.id);
                else hs.set({ panel: panel.id });
                done = true;
            }
        }
        if (done) e.preventDefault();
    }

    hs.headerUpdate = (keys) => {
        if (keys.has("theme")) hs.applyTheme();
        if (keys.has("run") || keys.has("compare")) {
            head();
            step();
            [run(), hs.run(hs.state.compare)].forEach((r) => r && !hs.live && hs.looks(r));
        } else if (keys.has("step")) step();
        hs.id("hs-jump").querySelectorAll("button").forEach((b) => b.toggleAttribute("aria-current", b.dataset.panel === hs.state.panel));
    };
    hs.grown = head; // evaluations arrived
    hs.header = () => {
        hs.applyTheme();
        head();
        jump();
        footer();
        step();
        hs.id("hs-range").addEventListener("input", (e) => (hs.play(false), move(Number(e.target.value))));
        hs.id("hs-play").addEventListener("click", () => hs.play(!playing));
        hs.id("hs-theme").addEventListener("click", () => hs.set({ theme: hs.theme() === "dark" ? "light" : "dark" }));
        hs.id("hs-keys").addEventListener("click", () => help());
        hs.id("hs-skip").addEventListener("click", () => hs.id("hs-panels").focus());
        document.addEventListener("keydown", key);
        const size = () => {
            document.documentElement.style.setProperty("--bar", `${hs.id("hs-bar").offsetHeight}px`);
            if (run()) marks(run());
        };
        new ResizeObserver(size).observe(hs.id("hs-bar"));
        size();
    };
})();
