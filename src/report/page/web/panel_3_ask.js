/* panel_3_ask.js - Ask: choose a query, see the model's answers at the checkpoint of the scrubber, and the way from head over the
 * bridge to the tail among the facts around it.
 *
 * In a file the queries are the chosen set; served live any query can be asked (live.js asks it; its query and look come by ctx).
 * Invariant: the drawing is built when the query or the width changes; a checkpoint changes only bars, texts and the bridge's fill. */
"use strict";
(() => {
    const { draw } = hs;
    const { el, svg } = hs;
    const WAIT = 250; /* milliseconds without a change before a question is sent to the server */

    /* ---------------------------------------------------------------- facts around a query */

    const indexes = new WeakMap();

    function index(run) {
        if (!indexes.has(run)) {
            const of = { head: new Map(), tail: new Map() };
            const add = (map, key, i) => (map.has(key) ? map.get(key).push(i) : map.set(key, [i]));
            for (let i = 0; run.facts && i < run.facts.h.length; i++) {
                add(of.head, run.facts.h[i], i);
                add(of.tail, run.facts.t[i], i);
            }
            indexes.set(run, of);
        }
        return indexes.get(run);
    }

    function factOf(run, head, relation, tail) {
        const of = (index(run).head.get(head) || []).find((i) => run.facts.r[i] === relation && run.facts.t[i] === tail);
        return of === undefined ? null : { ood: !!run.facts.ood[of], synthetic: !!(run.facts.synthetic || [])[of] };
    }

    /* [{from, relation, to}] of a query that walks from its head; null of another: a comparison, entities of two tokens. */
    function path(run, query) {
        if (!draw.walks(run, query)) return null;
        const relations = query.tokens.slice(1), between = query.bridge || [];
        if (between.length !== relations.length - 1) return null;
        const nodes = [query.tokens[0], ...between, query.target];
        return relations.map((relation, i) => ({ from: nodes[i], relation, to: nodes[i + 1] }));
    }

    /* At most `most` other facts of an entity, arriving and leaving in turn, ends not drawn yet. */
    function neighbours(run, entity, drawn, most) {
        const of = index(run), found = [];
        const leaving = (of.head.get(entity) || []).map((i) => ({ other: run.facts.t[i], relation: run.facts.r[i], out: true }));
        const arriving = (of.tail.get(entity) || []).map((i) => ({ other: run.facts.h[i], relation: run.facts.r[i], out: false }));
        for (let i = 0; found.length < most && i < Math.max(leaving.length, arriving.length); i++)
            for (const fact of [arriving[i], leaving[i]])
                if (fact && found.length < most && !drawn.has(fact.other)) {
                    drawn.add(fact.other);
                    found.push(fact);
                }
        return found;
    }

    /* ---------------------------------------------------------------- the drawing */

    const MARGIN = 17; /* of an arrow's ends to the middle of a node */

    function line(a, b, className, from, to) {
        const length = Math.hypot(b.x - a.x, b.y - a.y) || 1;
        const x = (b.x - a.x) / length, y = (b.y - a.y) / length;
        return svg("line", {
            class: className, x1: a.x + x * from, y1: a.y + y * from, x2: b.x - x * to, y2: b.y - y * to, "marker-end": `url(#${className.includes("hp-way") ? "hp-tip-way" : "hp-tip"})`,
        });
    }

    function tip(id, className) {
        return svg("marker", { id, viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, markerUnits: "userSpaceOnUse", orient: "auto" },
            svg("path", { d: "M0 0L8 4L0 8z", class: className }));
    }

    /* Draws the way through `w` pixels: in one line, or downwards where there is little room. */
    function drawPath(ctx, query, w) {
        const way = path(ctx.run, query);
        const narrow = w < 520;
        const nodes = [way[0].from, ...way.map((hop) => hop.to)];
        const h = narrow ? 120 * nodes.length : 280;
        const place = nodes.map((_, i) => (narrow ? { x: w / 2, y: 60 + i * 120 } : { x: 90 + (i * (w - 180)) / (nodes.length - 1), y: h / 2 }));
        const far = narrow ? [[-0.34 * w, -30], [0.34 * w, -30], [-0.34 * w, 30], [0.34 * w, 30]] : [[-46, -100], [46, -100], [-46, 96], [46, 96]];
        const role = (i) => (i === 0 ? "head" : i === nodes.length - 1 ? "tail" : "bridge");
        const figure = svg("svg", { class: "hp-graph", viewBox: `0 0 ${w} ${h}`, width: w, height: h, role: "img" },
            svg("title", {}, way.map((hop) => `${ctx.t(hop.from)} — ${ctx.t(hop.relation)} → ${ctx.t(hop.to)}`).join("; ")),
            svg("defs", {}, tip("hp-tip", "hp-tip"), tip("hp-tip-way", "hp-tip-way")));
        const drawn = new Set(nodes), texts = [];
        nodes.forEach((entity, i) => {
            neighbours(ctx.run, entity, drawn, far.length).forEach((fact, k) => {
                const other = { x: Math.min(w - 48, Math.max(48, place[i].x + far[k][0])), y: place[i].y + far[k][1] };
                const [a, b] = fact.out ? [place[i], other] : [other, place[i]];
                const drawnLine = line(a, b, "hp-fact", fact.out ? MARGIN + 4 : 10, fact.out ? 10 : MARGIN + 4);
                drawnLine.append(svg("title", {}, `${ctx.t(fact.out ? entity : fact.other)} — ${ctx.t(fact.relation)} → ${ctx.t(fact.out ? fact.other : entity)}`));
                figure.append(drawnLine, svg("circle", { class: "hp-other", cx: other.x, cy: other.y, r: 5 }));
                texts.push(svg("text", { class: "hp-other-name", x: other.x, y: other.y + (far[k][1] < 0 ? -10 : 18), "text-anchor": "middle" }, draw.cut(ctx.t(fact.other), narrow ? 13 : 12)));
            });
        });
        way.forEach((hop, i) => {
            const [a, b] = [place[i], place[i + 1]];
            const fact = factOf(ctx.run, hop.from, hop.relation, hop.to);
            const kind = fact && fact.synthetic ? " hp-synthetic" : (query.hops && query.hops[i] === "ood") || (fact && fact.ood) ? " hp-ood" : "";
            figure.append(line(a, b, `hp-way${kind}`, MARGIN, MARGIN + 3));
            const at = { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 };
            texts.push(narrow
                ? svg("text", { class: "hp-relation", x: at.x + 10, y: at.y + 8, "text-anchor": "start" }, draw.cut(ctx.t(hop.relation), 20))
                : svg("text", { class: "hp-relation", x: at.x, y: at.y - 9, "text-anchor": "middle" }, draw.cut(ctx.t(hop.relation), Math.max(8, Math.floor((b.x - a.x) / 8) - 6))));
        });
        const bridges = [];
        nodes.forEach((entity, i) => {
            const circle = svg("circle", { class: `hp-node hp-${role(i)}`, cx: place[i].x, cy: place[i].y, r: 14 });
            if (role(i) === "bridge") bridges.push(circle);
            figure.append(circle);
            const below = narrow ? { x: place[i].x + 20, y: place[i].y + 5, "text-anchor": "start" } : { x: place[i].x, y: place[i].y + 32, "text-anchor": "middle" };
            texts.push(svg("text", { class: "hp-name", ...below }, draw.cut(ctx.t(entity), narrow ? 14 : 18), svg("title", {}, `${role(i)}: ${ctx.t(entity)}`)));
        });
        figure.append(...texts);
        return { figure, bridges };
    }

    /* ---------------------------------------------------------------- the panel */

    const splitsOf = (run) => draw.values(run.queries.map((q) => q.split));

    /* The place of a token in the query, in words. */
    function placeName(places, i, tokens) {
        const role = places[i] || `token ${i + 1}`;
        if (role === "h") return "Head";
        if (/^r\d*$/.test(role)) return tokens > 2 ? `Relation ${role.slice(1)}` : "Relation";
        return role.charAt(0).toUpperCase() + role.slice(1);
    }

    function badge(run, query) {
        const hops = { ood: draw.injected(run) ? "OOD" : "OOD: a fact seen only by itself", id: "ID: a fact used in training questions" };
        const parts = [["split", query.split || "a question of no split"], query.trained ? ["seen", "trained: the model saw this question"] : ["held", "held out: never trained"]];
        (query.hops || []).forEach((hop, i) => parts.push([hop || "none", `hop ${i + 1} ${hops[hop] || "is no fact"}`]));
        return parts;
    }

    /* Rank and probability of the right answer where the answer is read. */
    function rightAnswer(look) {
        const last = look && look.lens && look.lens[look.lens.length - 1];
        const cell = last && last[last.length - 1];
        return cell && cell[8] >= 0 ? { rank: cell[8], p: cell[9] } : null;
    }

    /* Highest probability of the first bridge in the lens where its hop ends, and the stage. */
    function bridgeLight(look, place) {
        let best = { p: 0, stage: 0, rank: -1 };
        ((look && look.lens) || []).forEach((row, stage) => {
            const cell = row[place];
            if (cell && stage > 0 && cell[6] >= 0 && (best.rank < 0 || cell[7] > best.p)) best = { p: cell[7], stage, rank: cell[6] };
        });
        return best;
    }

    function mount(box, ctx) {
        const p = Object.assign(ctx.mine, { width: 0, drawn: "", only: "", error: "", timer: 0, bridges: [] });
        p.split = draw.select("Split", (value) => {
            p.only = value;
            const first = ctx.run.queries.findIndex((q) => !value || q.split === value);
            if (value && ctx.query.split !== value) ctx.set({ query: first, q: null });
            else update(ctx);
        });
        p.back = el("button", { type: "button", class: "btn small", on: { click: () => turn(-1) } }, "‹ Previous");
        p.next = el("button", { type: "button", class: "btn small", on: { click: () => turn(1) } }, "Next ›");
        p.count = el("span", { class: "hp-count" });
        p.choices = el("div", { class: "hp-choices" });
        p.note = el("p", { class: "note" });
        p.failed = el("p", { class: "note error", role: "alert", hidden: true });
        p.badge = el("ul", { class: "hp-badge", "aria-label": "What the model was shown of this query" });
        p.drawing = el("div", { class: "hp-drawing" });
        p.key = el("p", { class: "note" });
        p.bars = draw.bars("Answers of the model, most probable first");
        p.said = el("p", { class: "hp-said" });
        const turn = (by) => {
            const list = within(ctx, p), at = list.indexOf(Number(ctx.state.query || 0));
            ctx.set({ query: list[(at + by + list.length) % list.length], q: null });
        };
        box.append(
            el("div", { class: "controls" }, p.split.node, p.choices, el("div", { class: "hp-turn" }, p.back, p.count, p.next)),
            p.note, p.failed, p.badge,
            el("div", { class: "hp-columns" }, el("div", { class: "hp-wide" }, p.drawing, p.key),
                el("div", {}, el("h3", {}, "The model answers"), p.bars.node, p.said)));
        new ResizeObserver(() => {
            if (p.drawn && Math.abs(p.drawing.clientWidth - p.width) > 2) update(ctx);
        }).observe(p.drawing);
    }

    const within = (ctx, p) => ctx.run.queries.map((_, i) => i).filter((i) => !p.only || ctx.run.queries[i].split === p.only);

    /* What can be chosen at a place: in a file what the chosen queries have there, live whatever the facts have there. */
    function optionsAt(ctx, p, i) {
        if (!ctx.live) return draw.values(within(ctx, p).map((k) => ctx.run.queries[k].tokens[i]).filter((id) => id !== undefined));
        const { facts, facts_cut: cut, vocab, roles } = ctx.run;
        if (cut || !facts || !roles || roles[0] !== "h") return vocab.map((_, id) => id);
        return draw.values(i === 0 ? facts.h : facts.r);
    }

    /* Another token at one place: live it is asked; in a file the query is taken that has it and agrees in most other places. */
    function pick(ctx, p, i, id) {
        const tokens = ctx.query.tokens.slice();
        tokens[i] = id;
        const agree = (q) => (q.tokens[i] === id && q.tokens.length === tokens.length ? q.tokens.filter((t, k) => t === tokens[k]).length : -1);
        const best = within(ctx, p).reduce((a, b) => (a < 0 || agree(ctx.run.queries[b]) > agree(ctx.run.queries[a]) ? b : a), -1);
        const same = best >= 0 && agree(ctx.run.queries[best]) === tokens.length;
        p.error = "";
        if (same || !ctx.live) ctx.set({ query: best, q: null });
        else askSoon(ctx, p, tokens);
    }

    /* Asks the running model when nothing was chosen for a moment. */
    function askSoon(ctx, p, tokens) {
        clearTimeout(p.timer);
        p.timer = setTimeout(() => ctx.ask(tokens).catch((e) => {
            p.error = e.message;
            update(ctx);
        }), WAIT);
    }

    function updateChoices(ctx, p, query) {
        const key = `${ctx.run.id} ${query.tokens.length} ${query.positions}`;
        if (p.choicesKey !== key) {
            p.choicesKey = key;
            p.fields = query.tokens.map((_, i) => {
                let made = null;
                const options = () => {
                    const of = `${ctx.run.id} ${ctx.live || p.only || ""}`;
                    if (!made || made.of !== of)
                        made = { of, list: optionsAt(ctx, p, i).map((id) => ({ id, name: ctx.t(id) })).sort((a, b) => a.name.localeCompare(b.name, "en", { numeric: true })) };
                    return made.list;
                };
                return draw.choose(placeName(query.positions || ctx.run.roles || [], i, query.tokens.length), options, (id) => pick(ctx, p, i, id));
            });
            p.choices.replaceChildren(...p.fields.map((f) => f.node));
        }
        p.fields.forEach((field, i) => field.set(ctx.t(query.tokens[i])));
        const list = within(ctx, p);
        const at = ctx.state.q ? -1 : list.indexOf(Number(ctx.state.query || 0));
        p.split.set([["", `all (${ctx.run.queries.length})`], ...splitsOf(ctx.run).map((s) => [s, `${s} (${ctx.run.queries.filter((q) => q.split === s).length})`])], p.only || "");
        draw.text(p.count, at >= 0 ? `${at + 1} of ${list.length}` : `– of ${list.length}`);
        draw.text(p.note, ctx.live ? "Any question can be asked: choose or type names." : `This file holds ${ctx.run.queries.length} chosen questions; hopscope serve ${ctx.run.dir} answers any.`);
    }

    function updateDrawing(ctx, p, query) {
        const width = Math.max(280, p.drawing.clientWidth);
        const key = `${ctx.run.id} ${query.tokens} ${query.target} ${width}`;
        if (p.drawn === key) return;
        p.drawn = key;
        p.width = p.drawing.clientWidth;
        p.bridges = [];
        const way = path(ctx.run, query);
        if (!way) {
            p.drawing.replaceChildren(el("p", { class: "note" }, "A path is drawn of questions that walk from entity to entity, each a token of its own."));
            draw.text(p.key, "");
            return;
        }
        const { figure, bridges } = drawPath(ctx, query, width);
        p.bridges = bridges;
        p.drawing.replaceChildren(figure);
    }

    function updateAnswer(ctx, p, query, look) {
        const rows = draw.answers(ctx, query, look && look.answer);
        p.bars.update(rows);
        const right = rightAnswer(look), inBars = rows.find((row) => row.mark === "right");
        const name = query.target === null || query.target === undefined ? "" : ctx.t(query.target);
        let said = look ? "" : draw.waiting(ctx);
        if (look && !name) said = "The facts do not say what is right.";
        else if (look && rows.length && rows[0].mark === "right") said = `Right: ${name}.`;
        else if (look) said = `Wrong. The facts say ${name}${inBars || !right ? "" : `, here at rank ${right.rank} with p ${draw.p(right.p)} (rank 0 is on top)`}.`;
        draw.text(p.said, said);
        p.said.dataset.right = String(!!(rows[0] && rows[0].mark === "right"));
        let key = "Dashed arrow: OOD fact. Dotted: synthetic. Small: other facts of these entities.";
        if (p.bridges.length) {
            const light = bridgeLight(look, 1); /* the lens is asked for the first bridge */
            p.bridges[0].style.fillOpacity = String(light.p);
            if (light.rank >= 0) key = `The ${p.bridges.length > 1 ? "first bridge" : "bridge"} fills as the lens reads it: now p ${draw.p(light.p)}, rank ${light.rank}, at ${draw.stage(ctx.run, light.stage)}. ${key}`;
        }
        if (p.drawing.firstChild && p.drawing.firstChild.tagName === "svg") draw.text(p.key, key);
    }

    function update(ctx) {
        const p = ctx.mine, { query, look } = ctx;
        if (!query) return;
        updateChoices(ctx, p, query);
        draw.text(p.failed, p.error);
        draw.show(p.failed, p.error !== "");
        const parts = badge(ctx.run, query);
        if (p.badgeKey !== parts.join()) {
            p.badgeKey = parts.join();
            p.badge.replaceChildren(...parts.map(([kind, text]) => el("li", { "data-kind": kind }, text)));
        }
        updateDrawing(ctx, p, query);
        updateAnswer(ctx, p, query, look);
    }

    hs.panel({
        id: "ask",
        title: "Ask",
        wide: true,
        help: "Choose a question and see the model's five most probable answers at the checkpoint of the scrubber, the right one marked. The drawing shows the way over the bridge that the facts give; the bridge fills with color as the lens finds it inside the model.",
        needs: draw.lacks,
        mount,
        update,
        command(ctx) {
            const { query } = ctx;
            return ["hopscope", "ask", ctx.run.dir, ...(query ? draw.words(ctx, query) : [])].map(draw.word).join(" ");
        },
        table(ctx) {
            const { query, look } = ctx;
            const rows = draw.answers(ctx, query, look && look.answer).map((row, i) => [ctx.step, draw.words(ctx, query).join(" "), i + 1, row.name, row.p, row.mark]);
            return { columns: ["step", "question", "place", "answer", "probability", "is"], rows };
        },
    });
})();
