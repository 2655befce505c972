/* chart.js - colors, and ECharts as the page uses it: SVG, described for screen readers, never animated, resized with its box.
 *
 * Invariant: a chart belongs to an instance of a panel and is disposed with it. The palette is Okabe and Ito's. */
"use strict";
(() => {
    hs.color = { black: "#000000", orange: "#E69F00", sky: "#56B4E9", green: "#009E73", yellow: "#F0E442", blue: "#0072B2", red: "#D55E00", pink: "#CC79A7" };
    const INK = {
        light: { text: "#1b2330", dim: "#566173", line: "#d9dee6", ground: "#f6f7f9", panel: "#ffffff", grid: "#e9ecf1", accent: "#0072B2", bridge: "#B97F00", target: "#00805D", effect: "#C25400" },
        dark: { text: "#e9edf3", dim: "#a6b0bf", line: "#343c48", ground: "#11151b", panel: "#1a2029", grid: "#272e39", accent: "#56B4E9", bridge: "#E69F00", target: "#1FBF92", effect: "#EE7A2B" },
    };
    hs.ink = () => INK[hs.theme()];
    /* Lines of splits: training in grays and sky, tests in the strong colors. */
    const TEST = { light: ["#0072B2", "#B5508A", "#008763", "#C25400", "#8A6D00"], dark: ["#56B4E9", "#E291BE", "#1FBF92", "#EE7A2B", "#F0E442"] };
    const TRAIN = { light: ["#5b6675", "#8a63c4", "#3b8ec2"], dark: ["#a6b0bf", "#b99af0", "#8fc4e6"] };
    hs.splitColor = (run, name) => {
        const test = hs.isTest(run, name);
        const k = hs.splitNames(run).filter((n) => hs.isTest(run, n) === test).indexOf(name);
        const list = (test ? TEST : TRAIN)[hs.theme()];
        return list[Math.max(0, k) % list.length];
    };
    hs.runColor = (k) => TEST[hs.theme()][k % TEST.light.length];

    const FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif"; // ECharts writes it between double quotes
    function theme(name) {
        const ink = INK[name];
        const axis = {
            axisLine: { show: true, lineStyle: { color: ink.dim } },
            axisTick: { show: true, lineStyle: { color: ink.dim } },
            axisLabel: { color: ink.dim, fontSize: 12 },
            nameTextStyle: { color: ink.dim, fontSize: 12 },
            splitLine: { lineStyle: { color: ink.grid } },
            minorSplitLine: { lineStyle: { color: ink.grid, opacity: 0.5 } },
        };
        return {
            color: [...TEST[name], ...TRAIN[name]],
            backgroundColor: "transparent",
            textStyle: { color: ink.text, fontFamily: FONT },
            title: { textStyle: { color: ink.text, fontSize: 13, fontWeight: 600 } },
            legend: { textStyle: { color: ink.text } },
            tooltip: { backgroundColor: ink.panel, borderColor: ink.line, textStyle: { color: ink.text, fontSize: 13 }, confine: true, transitionDuration: 0 },
            valueAxis: axis, logAxis: axis, categoryAxis: axis, timeAxis: axis,
        };
    }
    let themed = false;

    hs.chart = (el, instance) => {
        if (!themed) for (const name of ["light", "dark"]) echarts.registerTheme(`hs-${name}`, theme(name));
        themed = true;
        if (!el.hasAttribute("role")) el.setAttribute("role", "img"); // ECharts writes the description as its label
        if (!el.hasAttribute("aria-label")) el.setAttribute("aria-label", instance.panel.title);
        const chart = echarts.init(el, `hs-${hs.theme()}`, { renderer: "svg" });
        const set = chart.setOption.bind(chart);
        let fresh = true;
        chart.setOption = (option, whole, ...rest) => {
            const anew = fresh || whole === true || Boolean(whole && whole.notMerge);
            if (anew && !fresh) set({ series: [] }, true); // ECharts keeps clips and mark lines of the old size otherwise
            fresh = false;
            set(anew ? { ...option, animation: false, aria: { enabled: true, ...option.aria } } : option, whole, ...rest);
        };
        let width = el.clientWidth, height = el.clientHeight;
        const watch = new ResizeObserver(() => {
            if (el.clientWidth === 0 || (el.clientWidth === width && el.clientHeight === height)) return;
            width = el.clientWidth;
            height = el.clientHeight;
            chart.resize();
            instance.changed.add("size");
            hs.redraw(instance);
        });
        watch.observe(el);
        instance.charts.push({ chart, stop: () => (watch.disconnect(), chart.dispose()) });
        return chart;
    };

    /* ---------------------------------------------------------------- figures as files */

    const FIGURE_WIDTH = 900;
    const text = (x, y, words, ink, more) => `<text x="${x}" y="${y}" fill="${ink}" font-family="${hs.esc(FONT)}" ${more || ""}>${hs.esc(words)}</text>`;

    function tableFigure(table, ink) {
        const width = Math.max(FIGURE_WIDTH, table.columns.length * 110), row = 20;
        const cell = (words, k, y, bold) => text(10 + (k * (width - 20)) / table.columns.length, y, String(words ?? "").slice(0, Math.floor(width / table.columns.length / 7)), ink.text, `font-size="12"${bold ? ' font-weight="600"' : ""}`);
        const lines = [table.columns.map((c, k) => cell(c, k, 16, true)).join("")];
        table.rows.forEach((r, i) => lines.push(r.map((c, k) => cell(c, k, 16 + (i + 1) * row)).join("")));
        return { width, height: (table.rows.length + 1) * row + 8, body: lines.join("") };
    }
    function elementFigure(node) {
        const copy = node.cloneNode(true);
        const box = node.getBoundingClientRect();
        const from = [node, ...node.querySelectorAll("*")], to = [copy, ...copy.querySelectorAll("*")];
        const keep = ["fill", "stroke", "stroke-width", "stroke-dasharray", "font-size", "font-family", "font-weight", "text-anchor", "dominant-baseline", "opacity"];
        from.forEach((f, i) => {
            const style = getComputedStyle(f);
            to[i].setAttribute("style", keep.map((k) => `${k}:${style.getPropertyValue(k)}`).join(";"));
        });
        copy.setAttribute("width", box.width);
        copy.setAttribute("height", box.height);
        return { width: box.width, height: box.height, body: new XMLSerializer().serializeToString(copy) };
    }
    /* An instance's figure as an SVG file: the panel's own, its charts, its drawings, or its table. */
    hs.figure = (instance, heading) => {
        const ink = hs.ink(), panel = instance.panel;
        if (panel.svg) return panel.svg(instance.ctx);
        let parts = instance.charts.map((c) => ({ width: c.chart.getWidth(), height: c.chart.getHeight(), body: c.chart.renderToSVGString().replace(/^<\?xml[^>]*\?>/, "") }));
        if (!parts.length) parts = [...instance.box.querySelectorAll("svg:not([aria-hidden])")].filter((n) => n.clientWidth > 60).map(elementFigure);
        if (!parts.length) parts = [tableFigure(panel.table(instance.ctx), ink)];
        const width = Math.max(...parts.map((p) => p.width));
        let y = 30;
        const body = parts.map((p) => {
            const at = y;
            y += p.height + 8;
            return `<g transform="translate(0 ${at})">${p.body}</g>`;
        });
        return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${y}" viewBox="0 0 ${width} ${y}"><rect width="100%" height="100%" fill="${ink.panel}"/>${text(10, 20, heading, ink.text, 'font-size="14" font-weight="600"')}${body.join("")}</svg>\n`;
    };
})();
