/* frame.js - the frame of every panel: title, "?", table, files, command, full screen; mounts panels, and beside each the run compared with.
 *
 * Invariants: a panel is mounted when it comes near the screen or the page is idle, and updated only while it can be seen (what
 * changed meanwhile is kept for later), so scrubbing costs only what is looked at. Another run, theme or comparison mounts anew.
 * An error in a panel stays in its frame. */
"use strict";
(() => {
    const frames = []; // {panel, section, body, tableBox, ..., instances, seen}
    const MAX_ROWS = 1000; // of a table on the page; files have all

    /* ---------------------------------------------------------------- instances */

    function instanceOf(frame, beside) {
        const instance = { panel: frame.panel, frame, charts: [], changed: new Set(["all"]), box: hs.el("div", { class: "panel-box" }), mounted: false, later: 0 };
        instance.ctx = hs.ctx(instance, beside);
        return instance;
    }
    function drop(instance) {
        instance.charts.forEach((c) => c.stop());
        if (instance.mounted && instance.panel.unmount) guard(instance, () => instance.panel.unmount(instance.ctx));
    }
    function guard(instance, f) {
        try {
            return f();
        } catch (e) {
            console.error(e);
            instance.box.replaceChildren(hs.el("p", { class: "note failed", role: "alert" }, `This panel failed: ${e.message}`));
            instance.failed = true;
            return null;
        }
    }
    const missing = (frame, run) => (run ? (frame.panel.needs ? frame.panel.needs(run) : null) : "There is no run on this page.");

    function mount(instance) {
        const lack = missing(instance.frame, instance.ctx.run);
        instance.lack = lack;
        if (lack) {
            instance.box.replaceChildren(hs.notice(lack));
            return;
        }
        instance.box.replaceChildren();
        instance.mounted = true;
        guard(instance, () => instance.panel.mount(instance.box, instance.ctx));
    }
    function update(instance) {
        if (!instance.mounted) {
            if (missing(instance.frame, instance.ctx.run) === instance.lack && instance.lack !== undefined) return;
            mount(instance);
        }
        if (!instance.mounted || instance.failed) return;
        if (instance.panel.update) guard(instance, () => instance.panel.update(instance.ctx));
        instance.changed.clear();
    }
    /* A chart of the instance changed its size: once for all of them. */
    hs.redraw = (instance) => {
        if (instance.later || !instance.mounted) return;
        instance.later = requestAnimationFrame(() => {
            instance.later = 0;
            update(instance);
        });
    };

    /* ---------------------------------------------------------------- a frame */

    const commandOf = (frame) => {
        const ctx = frame.instances[0] && frame.instances[0].ctx;
        if (!ctx || !ctx.run) return "";
        return (frame.panel.command && !frame.instances[0].lack && frame.panel.command(ctx)) || ctx.run.command || "";
    };
    const tableOf = (instance) => (instance.mounted && !instance.failed && instance.panel.table && instance.panel.table(instance.ctx)) || { columns: [], rows: [] };
    const fileName = (frame, instance, ending) => {
        const run = instance.ctx.run, safe = (s) => String(s).replace(/[^\w.-]+/g, "-");
        return `${safe(run.id)}-${frame.panel.id}-step-${instance.ctx.step}.${ending}`;
    };

    const cell = (x) => (x === null || x === undefined ? "" : String(x));
    hs.csv = (table) => {
        const quote = (x) => (/[",\r\n]/.test(cell(x)) ? `"${cell(x).replaceAll('"', '""')}"` : cell(x));
        return [table.columns, ...table.rows].map((r) => r.map(quote).join(",")).join("\r\n") + "\r\n";
    };
    const FILES = {
        csv: (frame, instance) => ["text/csv", hs.csv(tableOf(instance))],
        json: (frame, instance) => {
            const ctx = instance.ctx, table = tableOf(instance);
            const about = { format: "hopscope-panel", version: 1, made_by: hs.bundle.made_by, panel: frame.panel.id, title: frame.panel.title, run: ctx.run.id, dir: ctx.run.dir, step: ctx.step, link: hs.link(), command: commandOf(frame) };
            return ["application/json", JSON.stringify({ ...about, columns: table.columns, rows: table.rows }, null, 1) + "\n"];
        },
        svg: (frame, instance) => ["image/svg+xml", hs.figure(instance, `${instance.ctx.run.title || instance.ctx.run.id}: ${frame.panel.title}, step ${hs.fmt(instance.ctx.step)}`)],
    };
    function download(frame, ending) {
        for (const instance of frame.instances) {
            if (!instance.mounted) continue;
            const [type, text] = FILES[ending](frame, instance);
            hs.save(fileName(frame, instance, ending), type, text);
        }
    }

    function tableNode(instance, title) {
        const { columns, rows } = tableOf(instance);
        const text = (x) => (typeof x === "number" ? String(x) : cell(x) || "–");
        const numeric = columns.map((_, k) => rows.length > 0 && rows.every((r) => r[k] === null || r[k] === undefined || typeof r[k] === "number"));
        const head = hs.el("tr", {}, columns.map((c, k) => hs.el("th", { scope: "col", class: numeric[k] ? "number" : null }, c)));
        const body = rows.slice(0, MAX_ROWS).map((r) => hs.el("tr", {}, r.map((x, k) => hs.el("td", { class: numeric[k] ? "number" : null }, text(x)))));
        const more = rows.length > MAX_ROWS ? hs.el("p", { class: "note" }, `The first ${hs.fmt(MAX_ROWS)} of ${hs.fmt(rows.length)} rows; the CSV and JSON files have all.`) : null;
        if (!rows.length) return hs.el("p", { class: "note" }, "Nothing to list at this step.");
        return hs.el("div", {}, hs.el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `Table: ${title}` }, hs.el("table", { class: "data" }, hs.el("caption", { class: "hidden" }, title), hs.el("thead", {}, head), hs.el("tbody", {}, body))), more);
    }

    const shown = (key) => new Set(String(hs.state[key] || "").split(",").filter(Boolean));
    function toggleIn(key, id) {
        const set = shown(key);
        if (!set.delete(id)) set.add(id);
        hs.set({ [key]: [...set].join(",") });
    }

    function menu(frame) {
        const item = (label, f) => hs.el("button", { type: "button", class: "btn item", on: { click: () => (f(), (box.open = false)) } }, label);
        const items = [item("Download CSV", () => download(frame, "csv")), item("Download SVG", () => download(frame, "svg")), item("Download JSON", () => download(frame, "json"))];
        const link = hs.el("button", { type: "button", class: "btn item" }, "Copy link to this view");
        link.addEventListener("click", () => {
            const hash = hs.link();
            hs.copy(location.href.split("#")[0] + (hash === "#" ? `#panel=${frame.panel.id}` : `${hash.replace(/&?panel=[^&]*/, "")}&panel=${frame.panel.id}`), link);
        });
        frame.commandBox = hs.el("div", { class: "command-box" });
        const box = hs.el("details", { class: "menu" }, hs.el("summary", { class: "btn quiet", "aria-label": `Save or share: ${frame.panel.title}` }, "Save"), hs.el("div", { class: "menu-list" }, items, link, frame.commandBox));
        box.addEventListener("toggle", () => items.forEach((b) => (b.disabled = !frame.instances.some((i) => i.mounted))));
        box.addEventListener("toggle", () => box.open && frame.commandBox.replaceChildren(hs.el("p", {}, "The command behind it"), hs.command(commandOf(frame))));
        box.addEventListener("focusout", (e) => e.relatedTarget && !box.contains(e.relatedTarget) && (box.open = false));
        return box;
    }

    function build(panel) {
        const frame = { panel, instances: [], seen: false, seconds: 0 };
        const helpId = `hs-help-${panel.id}`;
        const help = hs.el("p", { class: "panel-help", id: helpId, hidden: true }, panel.help || "");
        const button = (name, label, attrs, f) => hs.el("button", { type: "button", class: "btn quiet", "aria-label": `${label}: ${panel.title}`, ...attrs, on: { click: f } }, name);
        const ask = button("?", "What is this", { "aria-expanded": "false", "aria-controls": helpId }, () => {
            help.hidden = !help.hidden;
            ask.setAttribute("aria-expanded", String(!help.hidden));
        });
        frame.tableButton = button("Table", "As a table", { "aria-pressed": "false" }, () => toggleIn("table", panel.id));
        frame.fullButton = button("Full", "Full screen", { "aria-pressed": "false" }, () => hs.set({ full: hs.state.full === panel.id ? null : panel.id }));
        frame.body = hs.el("div", { class: "panel-body" });
        frame.tableBox = hs.el("div", { class: "panel-table", hidden: true });
        frame.section = hs.el(
            "section",
            { class: `panel${panel.wide ? " wide" : ""}`, id: `panel-${panel.id}`, "aria-labelledby": `hs-h-${panel.id}` },
            hs.el("div", { class: "panel-head" }, hs.el("h2", { id: `hs-h-${panel.id}`, tabindex: "-1" }, panel.key ? hs.el("span", { class: "number", "aria-hidden": "true" }, panel.key) : null, panel.title), hs.el("div", { class: "tools" }, ask, frame.tableButton, menu(frame), frame.fullButton)),
            help, frame.body, frame.tableBox,
        );
        return frame;
    }

    /* ---------------------------------------------------------------- all frames */

    function remount(frame) {
        frame.instances.forEach(drop);
        frame.instances = hs.current() ? [instanceOf(frame, false)] : [];
        const other = hs.run(hs.state.compare);
        const twice = other && other !== hs.current() && !frame.panel.single;
        if (twice) frame.instances.push(instanceOf(frame, true));
        frame.section.classList.toggle("twice", Boolean(twice));
        frame.body.replaceChildren(
            ...frame.instances.map((i, k) => hs.el("div", { class: "side" }, twice ? hs.el("h3", { class: "side-name" }, hs.el("span", { class: "dot", "aria-hidden": "true", "data-side": k }), i.ctx.run.title || i.ctx.run.id, hs.el("small", {}, ` ${i.ctx.run.id}`)) : null, i.box)),
        );
        if (!frame.instances.length) frame.body.replaceChildren(hs.notice(missing(frame, null)));
        frame.stale = true;
    }
    function show(frame, keys) {
        const table = shown("table").has(frame.panel.id);
        frame.tableButton.setAttribute("aria-pressed", String(table));
        frame.body.hidden = table;
        frame.tableBox.hidden = !table;
        frame.instances.forEach(update);
        if (table) {
            const opened = frame.tableBox.querySelector(".scroll");
            const top = opened ? opened.scrollTop : 0;
            frame.tableBox.replaceChildren(...frame.instances.map((i) => (i.lack ? hs.notice(i.lack) : tableNode(i, `${frame.panel.title}, ${i.ctx.run.title || i.ctx.run.id}`))));
            const now = frame.tableBox.querySelector(".scroll");
            if (now) now.scrollTop = top;
        }
        frame.stale = false;
    }
    function full() {
        const id = frames.some((f) => f.panel.id === hs.state.full) ? hs.state.full : null;
        document.body.classList.toggle("has-full", Boolean(id));
        for (const f of frames) {
            const on = f.panel.id === id;
            f.section.classList.toggle("full", on);
            f.section.inert = Boolean(id) && !on;
            f.fullButton.setAttribute("aria-pressed", String(on));
            f.fullButton.textContent = on ? "Close" : "Full";
            if (on) f.seen = true;
        }
        hs.id("hs-header").inert = hs.id("hs-foot").inert = Boolean(id);
    }
    hs.framesUpdate = (keys) => {
        const again = ["run", "compare", "theme"].some((k) => keys.has(k));
        if (keys.has("full")) full();
        if (keys.has("panel")) hs.goTo(hs.state.panel);
        for (const frame of frames) {
            if (again) remount(frame);
            frame.instances.forEach((i) => keys.forEach((k) => i.changed.add(k)));
            frame.stale = true;
            if (frame.seen) show(frame, keys);
        }
    };
    /* Evaluations or a whole new bundle arrived: instances stay where they can. */
    hs.panelFrames = () => frames.map((f) => ({ id: f.panel.id, title: f.panel.title, mounted: f.instances.some((i) => i.mounted), lack: missing(f, hs.current()) }));

    hs.goTo = (id) => {
        const frame = frames.find((f) => f.panel.id === id);
        if (!frame) return;
        if (hs.state.full && hs.state.full !== id) hs.set({ full: id });
        frame.section.scrollIntoView({ block: "start", behavior: hs.calm() ? "auto" : "smooth" });
        frame.section.querySelector("h2").focus({ preventScroll: true });
    };

    function watch() {
        const near = new IntersectionObserver(
            (entries) => {
                for (const e of entries) {
                    const frame = frames.find((f) => f.section === e.target);
                    frame.seen = e.isIntersecting;
                    if (frame.seen && frame.stale) show(frame, new Set());
                }
            },
            { rootMargin: "150px 0px" },
        );
        frames.forEach((f) => near.observe(f.section));
    }
    function mountRest() {
        const next = frames.find((f) => f.stale && !f.instances.every((i) => i.mounted || i.lack));
        if (!next) return;
        show(next, new Set());
        (window.requestIdleCallback || setTimeout)(mountRest);
    }
    /* Narrow panels stand in pairs; one that would stand alone takes the row. */
    function pair() {
        let open = null;
        for (const f of frames) {
            if (f.panel.wide) {
                if (open) open.section.classList.add("wide");
                open = null;
            } else open = open ? null : f;
        }
        if (open) open.section.classList.add("wide");
    }
    hs.frames = () => {
        const main = hs.id("hs-panels");
        hs.panels.sort((a, b) => (a.key || "5a").localeCompare(b.key || "5a"));
        frames.push(...hs.panels.map(build));
        pair();
        main.replaceChildren(...frames.map((f) => f.section));
        frames.forEach(remount);
        if (frames.length) show(frames[0], new Set());
        full();
        watch();
        if (hs.state.panel) requestAnimationFrame(() => hs.goTo(hs.state.panel));
        (window.requestIdleCallback || setTimeout)(mountRest);
        document.addEventListener("click", (e) => document.querySelectorAll("details.menu[open]").forEach((m) => m.contains(e.target) || (m.open = false)));
    };
})();
