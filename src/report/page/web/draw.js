/* draw.js - what several panels share: answer bars, shades with readable text, grids of stage and position, choosing
 * from ten thousand names, and the figures of these as SVG.
 *
 * Invariants: text enters the page by textContent only, so a name may hold any character; a shade always comes with the text
 * color of the higher contrast (at least 4.5 to 1); updates write what changed and build nothing, so that scrubbing stays fast. */
"use strict";
(() => {
    const draw = (hs.draw = {});

    const { el, svg } = hs;

    draw.text = (node, text) => {
        if (node.textContent !== text) node.textContent = text;
    };
    draw.show = (node, on) => {
        if (node.hidden === on) node.hidden = !on;
    };
    /* What is missing, its command set as one. */
    draw.notice = (node, text) => {
        if (node.dataset.text === text) return;
        node.dataset.text = text;
        node.replaceChildren(text ? hs.notice(text) : "");
    };
    draw.cut = (text, most) => {
        const letters = Array.from(text);
        return letters.length > most ? letters.slice(0, most - 1).join("") + "…" : text;
    };
    draw.fixed = (x) => (x === null || x === undefined ? "–" : Math.abs(x) < 0.0005 ? "0.000" : x.toFixed(3));
    draw.two = (x) => (Math.abs(x) < 0.005 ? "0.00" : x.toFixed(2));
    draw.p = (p) => (p === null || p === undefined ? "–" : p >= 0.0005 ? p.toFixed(3) : "<.001");
    let ids = 0;
    draw.id = (prefix) => `${prefix}-${++ids}`;

    /* A word of a command line, quoted for a shell where it must be. */
    draw.word = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

    /* ---------------------------------------------------------------- shades */

    /* Ends of the scales, of the Okabe-Ito palette; the other end is the panel's ground. */
    const HUES = {
        light: { ground: [255, 255, 255], bridge: [230, 159, 0], target: [0, 158, 115], top: [0, 114, 178], effect: [213, 94, 0] },
        dark: { ground: [24, 28, 34], bridge: [230, 159, 0], target: [0, 178, 130], top: [86, 180, 233], effect: [233, 115, 30] },
    };
    const shades = new Map();

    function luminance(rgb) {
        const [r, g, b] = rgb.map((x) => (x / 255 <= 0.04045 ? x / 255 / 12.92 : ((x / 255 + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    }

    /* {ground, ink} of a share between 0 and 1; of null the bare ground. */
    draw.shade = (share, hue, theme = hs.theme()) => {
        const step = Math.round(64 * Math.min(1, Math.max(0, share || 0)));
        const key = `${theme} ${hue} ${step}`;
        if (!shades.has(key)) {
            const ends = HUES[theme];
            const rgb = ends.ground.map((g, i) => Math.round(g + ((ends[hue][i] - g) * step) / 64));
            shades.set(key, { ground: `rgb(${rgb})`, ink: luminance(rgb) > 0.179 ? "#000" : "#fff" });
        }
        return shades.get(key);
    };

    draw.paint = (node, shade) => {
        if (node.dataset.ground === shade.ground) return;
        node.dataset.ground = shade.ground;
        node.style.backgroundColor = shade.ground;
        node.style.color = shade.ink;
    };

    /* ---------------------------------------------------------------- the query that is looked at */

    /* Role of a column of the grid that belongs to a query. */
    draw.place = (ctx, i) => {
        const places = (ctx.query && ctx.query.positions) || ctx.run.roles || [];
        return places[i] || `token ${i + 1}`;
    };
    /* Were OOD facts put into training questions on purpose? Then "seen only by itself" does not hold of them. */
    draw.injected = (run) => {
        const config = run.config || {};
        return !["none", ""].includes(config["data.injection"] ?? "none") || ["data.h1ratio", "data.h2ratio"].some((key) => Number(config[key] || 0) > 0);
    };
    /* Roles in the order of the question's columns; ones of another kind of question after them. */
    draw.ordered = (run, roles) => {
        const at = (role) => ((run.roles || []).indexOf(role) + 100) % 100;
        return draw.values(roles).sort((a, b) => at(a) - at(b));
    };
    /* What the page speaks of first, where that split was measured. */
    draw.firstSplit = (run, splits) => (splits.includes(hs.mainSplit(run)) ? hs.mainSplit(run) : splits.find((s) => hs.isTest(run, s)) || splits[0]);
    draw.stage = (run, s) => (run.stages || [])[s] || `stage ${s}`;

    /* Null where questions were asked at a checkpoint, else why not. */
    draw.lacks = (run) =>
        (run.queries || []).length && (run.checkpoints || []).length ? null
            : `No question was asked of this run: it has no stored checkpoint, or its dataset cannot be read. ${run.command}`;
    /* Why there is no look to show. */
    draw.waiting = (ctx) => {
        if (draw.lacks(ctx.run)) return draw.lacks(ctx.run);
        return ctx.run.looks === null && !ctx.live ? `This file holds no look at single questions: hopscope report ${draw.word(ctx.run.dir)}` : "Reading what was looked at…";
    };

    /* Does the question walk from its head over relations? Entities of two tokens do not count. */
    draw.walks = (run, query) => {
        const places = query.positions || run.roles || [];
        return query.tokens.length > 1 && places[0] === "h" && /^r/.test(places[1] || "");
    };
    /* The token that a look replaces: the head; in a comparison the first entity. */
    draw.replacedToken = (run, query) => {
        const at = (query.positions || run.roles || []).findIndex((role) => ["h", "e1", "e"].includes(role));
        return run.vocab[query.tokens[Math.max(0, at)]];
    };

    draw.words = (ctx, query) => query.tokens.map((id) => ctx.t(id));

    draw.mark = (query, id) => {
        if (!query) return "";
        if (id === query.target) return "right";
        return (query.bridge || []).includes(id) ? "bridge" : "";
    };

    /* Pairs id, probability of a look as rows for bars. */
    draw.answers = (ctx, query, pairs) => {
        const rows = [];
        for (let i = 0; pairs && i + 1 < pairs.length; i += 2)
            rows.push({ id: pairs[i], name: ctx.t(pairs[i]), p: pairs[i + 1], mark: draw.mark(query, pairs[i]) });
        return rows;
    };

    /* Series of run.db as one keyed by what is asked for; values hold from their step to the next one, none is interpolated. */
    draw.series = (run, want) =>
        (run.probes || []).filter((s) => Object.entries(want).every(([key, value]) => s[key] === value));

    /* Index of the last measurement at or before a step; where there is none the first later one, so that what was measured
     * only at the end is still shown, with its step beside it. -1: nothing. */
    draw.at = (steps, step) => {
        let found = -1;
        for (let i = 0; i < steps.length && steps[i] <= step; i++) found = i;
        return found < 0 && steps.length ? 0 : found;
    };

    draw.values = (list) => [...new Set(list)];

    /* ---------------------------------------------------------------- bars */

    const MARKS = { right: "✓ right answer", bridge: "bridge" };

    /* Bars of at most `n` answers; update(rows) with rows of draw.answers. */
    draw.bars = (label, n = 5) => {
        const list = el("ol", { class: "hp-bars", "aria-label": label });
        const parts = [];
        for (let i = 0; i < n; i++) {
            const name = el("span", { class: "hp-bar-name" });
            const fillBar = el("span", { class: "hp-bar-fill" });
            const p = el("span", { class: "hp-bar-p" });
            const mark = el("span", { class: "hp-bar-mark" });
            const row = el("li", { hidden: true }, name, mark, p, el("span", { class: "hp-bar-track", "aria-hidden": "true" }, fillBar));
            parts.push({ row, name, fillBar, p, mark });
            list.append(row);
        }
        return {
            node: list,
            update(rows) {
                parts.forEach((part, i) => {
                    const row = rows[i];
                    draw.show(part.row, !!row);
                    if (!row) return;
                    draw.text(part.name, row.name);
                    part.name.title = row.name;
                    draw.text(part.p, draw.p(row.p));
                    draw.text(part.mark, MARKS[row.mark] || "");
                    part.row.dataset.mark = row.mark;
                    part.fillBar.style.transform = `scaleX(${Math.min(1, Math.max(0, row.p))})`;
                });
            },
        };
    };

    /* ---------------------------------------------------------------- choice among names */

    const MOST_SHOWN = 60;

    /* A text field with a list of matches (combobox): of any number of names only the first matches are drawn. `options()` gives
     * [{id, name}]; `pick(id)` is called when one is chosen. */
    draw.choose = (label, options, pick) => {
        const list = el("ul", { class: "hp-choice-list", role: "listbox", id: draw.id("hp-list"), "aria-label": label, hidden: true });
        const field = el("input", {
            class: "hp-field", type: "text", role: "combobox", autocomplete: "off", spellcheck: "false", id: draw.id("hp-field"),
            "aria-controls": list.id, "aria-expanded": "false", "aria-autocomplete": "list",
        });
        const node = el("div", { class: "hp-choice" }, el("label", { for: field.id }, label), field, list);
        let shown = [], active = -1, value = "";

        function matches() {
            const all = options();
            const asked = field.value === value ? "" : field.value.trim().toLowerCase();
            const first = [], later = [];
            let more = 0;
            for (const option of all) {
                const at = (option.lower ??= option.name.toLowerCase()).indexOf(asked);
                if (at < 0) continue;
                if (at === 0 && first.length < MOST_SHOWN) first.push(option);
                else if (at > 0 && later.length < MOST_SHOWN) later.push(option);
                else more++;
            }
            const found = first.concat(later);
            return { found: found.slice(0, MOST_SHOWN), more: more + Math.max(0, found.length - MOST_SHOWN) };
        }

        function mark(i) {
            active = i;
            shown.forEach((item, k) => item.node.setAttribute("aria-selected", String(k === i)));
            if (shown[i]) {
                field.setAttribute("aria-activedescendant", shown[i].node.id);
                shown[i].node.scrollIntoView({ block: "nearest" });
            } else field.removeAttribute("aria-activedescendant");
        }

        function open() {
            const { found, more } = matches();
            shown = found.map((option) => ({
                option,
                node: el("li", { role: "option", id: draw.id("hp-option"), on: { pointerdown: (e) => (e.preventDefault(), take(option)) } }, option.name),
            }));
            list.replaceChildren(...shown.map((item) => item.node));
            if (!found.length || more)
                list.append(el("li", { class: "hp-choice-more", role: "option", "aria-disabled": "true" },
                    found.length ? `and ${more} more: type some letters` : "no such name here"));
            draw.show(list, true);
            field.setAttribute("aria-expanded", "true");
            mark(found.length ? 0 : -1);
        }

        function close() {
            draw.show(list, false);
            field.setAttribute("aria-expanded", "false");
            field.removeAttribute("aria-activedescendant");
        }

        function take(option) {
            value = field.value = option.name;
            close();
            pick(option.id);
        }

        field.addEventListener("focus", () => field.select());
        field.addEventListener("click", open);
        field.addEventListener("input", open);
        field.addEventListener("blur", () => {
            close();
            field.value = value;
        });
        field.addEventListener("keydown", (e) => {
            e.stopPropagation(); /* the page's own keys rest while a name is typed */
            const isOpen = !list.hidden;
            if (e.key === "ArrowDown" || e.key === "ArrowUp") {
                e.preventDefault();
                if (!isOpen) open();
                else if (shown.length) mark((active + (e.key === "ArrowDown" ? 1 : shown.length - 1)) % shown.length);
            } else if (e.key === "Enter" && isOpen && shown[active]) {
                e.preventDefault();
                take(shown[active].option);
            } else if (e.key === "Escape") {
                field.value = value;
                close();
            }
        });
        return {
            node, field,
            set(text) {
                if (value === text) return;
                value = text;
                if (document.activeElement !== field) field.value = text;
            },
        };
    };

    /* A labelled select; `set(options, value)` with options [[value, text]]. */
    draw.select = (label, change) => {
        const field = el("select", { id: draw.id("hp-select"), on: { change: () => change(field.value), keydown: (e) => e.stopPropagation() } });
        let now = "";
        return {
            node: el("div", { class: "hp-control" }, el("label", { for: field.id }, label), field), field,
            set(options, value) {
                const key = JSON.stringify(options);
                if (key !== now) {
                    now = key;
                    field.replaceChildren(...options.map(([v, text]) => el("option", { value: v }, text)));
                }
                if (field.value !== String(value)) field.value = value;
            },
        };
    };

    /* A labelled slider with what it stands at written beside it. */
    draw.slider = (label, attrs, change) => {
        const field = el("input", { type: "range", id: draw.id("hp-range"), ...attrs });
        const out = el("output", { for: field.id });
        field.addEventListener("input", () => change(Number(field.value)));
        field.addEventListener("keydown", (e) => e.stopPropagation());
        return {
            node: el("div", { class: "hp-control hp-slider" }, el("label", { for: field.id }, label), field, out), field,
            set(value, text) {
                if (Number(field.value) !== value) field.value = value;
                draw.text(out, text);
                field.setAttribute("aria-valuetext", text);
            },
        };
    };

    /* A row of choices of which one holds (radio buttons): options [[value, text, hue]]. */
    draw.radios = (label, options, change) => {
        const name = draw.id("hp-radio");
        const inputs = new Map();
        const node = el("fieldset", { class: "hp-radios" }, el("legend", {}, label));
        for (const [value, text, hue] of options) {
            const input = el("input", { type: "radio", name, value, on: { change: () => change(value), keydown: (e) => e.stopPropagation() } });
            inputs.set(value, input);
            node.append(el("label", { "data-hue": hue }, input, el("span", {}, text)));
        }
        return {
            node,
            set(value) {
                const input = inputs.get(value);
                if (input && !input.checked) input.checked = true;
            },
        };
    };

    /* ---------------------------------------------------------------- figures */

    const INK = { light: ["#111", "#fff"], dark: ["#eee", "#181c22"] };

    function svgText(lines) {
        return `<?xml version="1.0" encoding="UTF-8"?>\n${new XMLSerializer().serializeToString(lines)}\n`;
    }

    /* A grid as SVG: columns and rows are labels, cell(row, column) -> {ground, ink, lines: [text]}. */
    draw.gridFigure = (title, columns, rows, cell) => {
        const [ink, ground] = INK[hs.theme()];
        const w = 170, h = 58, left = 150, top = 60;
        const figure = svg("svg", { width: left + columns.length * w + 10, height: top + rows.length * h + 10, "font-family": "sans-serif" },
            svg("rect", { width: "100%", height: "100%", fill: ground }),
            svg("text", { x: 10, y: 22, fill: ink, "font-size": 14 }, title));
        columns.forEach((name, c) => figure.append(svg("text", { x: left + (c + 0.5) * w, y: 48, fill: ink, "font-size": 13, "text-anchor": "middle" }, name)));
        rows.forEach((name, r) => {
            figure.append(svg("text", { x: left - 8, y: top + (r + 0.5) * h + 4, fill: ink, "font-size": 12, "text-anchor": "end" }, draw.cut(name, 22)));
            columns.forEach((_, c) => {
                const { ground: fillCell, ink: inkCell, lines } = cell(r, c);
                figure.append(svg("rect", { x: left + c * w + 1, y: top + r * h + 1, width: w - 2, height: h - 2, rx: 3, fill: fillCell }));
                lines.forEach((line, i) => figure.append(svg("text", {
                    x: left + (c + 0.5) * w, y: top + r * h + h / 2 + 4 + (i - (lines.length - 1) / 2) * 16, fill: inkCell, "font-size": 12, "text-anchor": "middle",
                }, draw.cut(line, 26))));
            });
        });
        return svgText(figure);
    };

})();
