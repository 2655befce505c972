/* panel_4_lens.js - Lens grid: which tokens the state at each stage and position holds, read through the output head, at the
 * checkpoint of the scrubber.
 *
 * A table: it reads aloud, and is drawn again thirty times a second while the scrubber is dragged. Its cells are made once a run and
 * query length; an update writes only texts and colors that changed. */
"use strict";
(() => {
    const { draw } = hs;
    const { el } = hs;
    const DENSE = 12; /* from this many stages on, cells hold one line */
    const ROOM = 125; /* pixels a column from which names and probabilities stand side by side */
    const SHOWS = { bridge: [6, 7], target: [8, 9] }; /* rank and p in a CELL of the look */

    const shows = (ctx) => (["bridge", "target", "top"].includes(ctx.state.lens) ? ctx.state.lens : "bridge");
    const shareOf = (cell, what) => (what === "top" ? cell[1] : cell[SHOWS[what][0]] >= 0 ? cell[SHOWS[what][1]] : null);
    const rank = (x) => (x >= 0 ? String(x) : "–");

    const shapeOf = ({ run, look, query }) => `${run.id} ${look.lens.length} ${look.lens[0].length} ${query.positions}`;

    /* Cells of a grid of the run's stages and the look's positions, last stage on top. */
    function build(ctx, stages, positions) {
        const p = ctx.mine;
        p.cells = [];
        const dense = stages > DENSE;
        p.heads = [];
        const head = el("tr", {}, el("th", { scope: "col" }, "Stage"));
        for (let i = 0; i < positions; i++) {
            const token = el("span", { class: "hp-token" });
            p.heads.push(token);
            head.append(el("th", { scope: "col" }, draw.place(ctx, i), token));
        }
        const body = el("tbody");
        for (let s = stages - 1; s >= 0; s--) {
            const row = el("tr", {}, el("th", { scope: "row" }, draw.stage(ctx.run, s)));
            p.cells[s] = [];
            for (let i = 0; i < positions; i++) {
                const cell = { node: el("td"), lines: [], ranks: {} };
                for (let k = 0; k < (dense ? 1 : 3); k++) {
                    const name = el("span", { class: "hp-cell-name" }), share = el("span", { class: "hp-cell-p" });
                    const line = el("span", { class: "hp-cell-line" }, name, share);
                    cell.lines.push({ line, name, share });
                    cell.node.append(line);
                }
                const ranks = el("span", { class: "hp-cell-ranks" });
                for (const what of ["bridge", "target"]) {
                    const text = el("span", { class: "hp-rank", "data-what": what });
                    cell.ranks[what] = text;
                    ranks.append(text);
                }
                cell.node.append(ranks);
                p.cells[s].push(cell);
                row.append(cell.node);
            }
            body.append(row);
        }
        p.table.classList.toggle("hp-dense", dense);
        p.table.replaceChildren(el("caption", { class: "hidden" }, "Tokens that the lens reads, by stage and position"), el("thead", {}, head), body);
        p.shape = shapeOf(ctx);
        fit(p);
    }

    /* Little room a column: probabilities stand under the names. */
    const fit = (p) => p.cells && p.table.classList.toggle("hp-tight", p.scroll.clientWidth / (p.heads.length + 1) < ROOM);

    function updateCell(ctx, query, cell, reading, what) {
        cell.lines.forEach((line, k) => {
            const id = reading[2 * k];
            const gone = id === undefined || id === null;
            draw.text(line.name, gone ? "" : ctx.t(id));
            draw.text(line.share, gone ? "" : draw.p(reading[2 * k + 1]));
            const mark = gone ? "" : draw.mark(query, id);
            if (line.line.dataset.mark !== mark) line.line.dataset.mark = mark;
        });
        for (const key of ["bridge", "target"]) {
            const at = reading[SHOWS[key][0]];
            draw.text(cell.ranks[key], at >= 0 ? `${key} ${at}` : "");
            cell.ranks[key].dataset.top = String(at === 0);
        }
        const lit = reading[6] === 0 ? "bridge" : reading[8] === 0 ? "target" : "";
        if (cell.node.dataset.lit !== lit) cell.node.dataset.lit = lit;
        draw.paint(cell.node, draw.shade(shareOf(reading, what), what));
    }

    /* Where the bridge is on top, in words. */
    function sentence(ctx, query, look) {
        const known = query.bridge && query.bridge.length && query.bridge[0] !== null, name = known ? ctx.t(query.bridge[0]) : "";
        if (!name) return "No bridge is known of this question.";
        const places = [];
        look.lens.forEach((row, s) => row.forEach((cell, i) => {
            if (cell[6] === 0) places.push(`${draw.place(ctx, i)} after ${draw.stage(ctx.run, s)}`);
        }));
        const shown = places.slice(0, 4).join("; ");
        return places.length ? `Step ${ctx.fmt(ctx.step)}: the ${query.bridge.length > 1 ? "first " : ""}bridge ${name} is on top at ${shown}${places.length > 4 ? ` and ${places.length - 4} more` : ""}.`
            : `Step ${ctx.fmt(ctx.step)}: the ${query.bridge.length > 1 ? "first " : ""}bridge ${name} is on top nowhere.`;
    }

    function update(ctx) {
        const p = ctx.mine, { query, look } = ctx;
        p.switch.set(shows(ctx));
        draw.show(p.wait, !(look && look.lens));
        draw.show(p.scroll, !!(look && look.lens));
        if (!look || !look.lens) {
            draw.notice(p.wait, draw.waiting(ctx));
            draw.text(p.said, "");
            return;
        }
        if (p.shape !== shapeOf(ctx)) build(ctx, look.lens.length, look.lens[0].length);
        p.heads.forEach((token, i) => draw.text(token, query.tokens[i] === undefined ? "" : ctx.t(query.tokens[i])));
        const what = shows(ctx);
        look.lens.forEach((row, s) => row.forEach((reading, i) => updateCell(ctx, query, p.cells[s][i], reading, what)));
        draw.text(p.said, sentence(ctx, query, look));
    }

    hs.panel({
        id: "lens",
        title: "Lens grid",
        help: "Each cell reads the state after a stage, at a position of the question, as if it were the last one: its three most probable tokens, and the ranks of the bridge and of the right answer (0 is on top). In a model that walks the two hops the bridge lights up in the middle, where the first hop ends, and the answer above it at the last position.",
        needs: draw.lacks,
        mount(box, ctx) {
            const p = ctx.mine;
            p.switch = draw.radios("Color by probability of", [["bridge", "bridge", "bridge"], ["target", "right answer", "target"], ["top", "top token", "top"]], (value) => ctx.set({ lens: value }));
            p.said = el("p", { class: "hp-said" });
            p.wait = el("div");
            p.table = el("table", { class: "hp-lens" });
            p.scroll = el("div", { class: "hp-scroll", tabindex: "0", role: "region", "aria-label": "Lens grid" }, p.table);
            box.append(p.switch.node, p.wait, p.scroll, p.said);
            new ResizeObserver(() => fit(p)).observe(p.scroll);
        },
        update,
        command: (ctx) => `hopscope interpret ${draw.word(ctx.run.dir)} --method lens --steps ${ctx.step} --items lens.csv`,
        table(ctx) {
            const { query, look } = ctx;
            const rows = [];
            if (look && look.lens)
                look.lens.forEach((row, s) => row.forEach((cell, i) => rows.push([ctx.step, draw.words(ctx, query).join(" "), s, draw.stage(ctx.run, s), draw.place(ctx, i),
                    ...[0, 2, 4].flatMap((k) => (cell[k] === undefined || cell[k] === null ? [null, null] : [ctx.t(cell[k]), cell[k + 1]])),
                    cell[6] >= 0 ? cell[6] : null, cell[6] >= 0 ? cell[7] : null, cell[8] >= 0 ? cell[8] : null, cell[8] >= 0 ? cell[9] : null])));
            return {
                columns: ["step", "question", "stage", "stage name", "position", "token 1", "p 1", "token 2", "p 2", "token 3", "p 3", "rank bridge", "p bridge", "rank target", "p target"],
                rows,
            };
        },
        svg(ctx) {
            const { query, look } = ctx;
            const what = shows(ctx), grid = (look && look.lens) || [[]], last = grid.length - 1;
            return draw.gridFigure(`${draw.words(ctx, query).join(" ")}: lens at step ${ctx.step}, color: probability of ${what}`, grid[0].map((_, i) => draw.place(ctx, i)),
                grid.map((_, r) => draw.stage(ctx.run, last - r)), (r, i) => {
                    const cell = grid[last - r][i];
                    return { ...draw.shade(shareOf(cell, what), what), lines: [`${ctx.t(cell[0])} ${draw.p(cell[1])}`, `bridge ${rank(cell[6])}  target ${rank(cell[8])}`] };
                });
        },
    });
})();
