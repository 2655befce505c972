/* state.js - what the page shows, in one object that is also the address: run, step, query, panel, full, theme, and what panels add.
 *
 * Invariants: hs.set is the only writer; every change reaches the address (replaceState, no history) and, once a frame of the
 * screen, the header and the panels; an address opened elsewhere shows the same. Browsers slow pages down that write the
 * address often, so while the scrubber moves it is written a few times a second and at the end. */
"use strict";
(() => {
    const WORDS = new Set(["run", "compare", "panel", "full", "theme", "table", "q"]); // never numbers
    const WRITE_MS = 250;
    hs.state = {};
    const changed = new Set();
    let frame = 0, writer = 0;

    const value = (key, text) => (!WORDS.has(key) && /^-?(\d+\.?\d*|\.\d+)(e-?\d+)?$/i.test(text) ? Number(text) : text);

    function read() {
        const out = {};
        const text = location.hash.slice(1);
        for (const [key, word] of new URLSearchParams(text)) if (word !== "" && !["__proto__", "constructor"].includes(key)) out[key] = value(key, word);
        return out;
    }
    /* Only %, &, +, # and white space need an escape behind '#'; the rest stays readable. */
    const escape = (text) => encodeURIComponent(text).replace(/%(2C|2F|3A|40|24)/g, decodeURIComponent);
    hs.link = () => {
        const parts = Object.entries(hs.state).map(([key, word]) => `${escape(key)}=${escape(String(word))}`);
        return parts.length ? "#" + parts.join("&") : "#";
    };
    function write() {
        writer = 0;
        if (location.hash !== hs.link() && !(location.hash === "" && hs.link() === "#")) history.replaceState(null, "", hs.link());
    }
    function flush() {
        frame = 0;
        const keys = new Set(changed);
        changed.clear();
        hs.headerUpdate(keys);
        hs.framesUpdate(keys);
        performance.mark("hs-drawn");
    }
    /* Something other than the state changed ("look": looks arrived, "run": evaluations arrived): draw again. */
    hs.touch = (...keys) => {
        keys.forEach((k) => changed.add(k));
        if (!frame) frame = requestAnimationFrame(flush);
    };
    /* null, undefined and "" take a key away. */
    hs.set = (changes) => {
        const keys = [];
        for (const [key, word] of Object.entries(changes)) {
            const none = word === null || word === undefined || word === "";
            if (none ? !(key in hs.state) : hs.state[key] === word) continue;
            if (none) delete hs.state[key];
            else hs.state[key] = word;
            keys.push(key);
        }
        if (!keys.length) return;
        if (!writer) writer = setTimeout(write, WRITE_MS);
        hs.touch(...keys);
    };
    hs.restore = () => {
        hs.state = read();
        window.addEventListener("hashchange", () => {
            const next = read();
            const gone = Object.fromEntries(Object.keys(hs.state).filter((k) => !(k in next)).map((k) => [k, null]));
            hs.set({ ...gone, ...next });
        });
        window.addEventListener("pagehide", () => writer && write());
    };

    /* ---------------------------------------------------------------- light and dark */

    const dark = matchMedia("(prefers-color-scheme: dark)");
    hs.theme = () => (hs.state.theme === "dark" || hs.state.theme === "light" ? hs.state.theme : dark.matches ? "dark" : "light");
    hs.applyTheme = () => {
        document.documentElement.dataset.theme = hs.theme();
        hs.id("hs-theme").textContent = hs.theme() === "dark" ? "Light" : "Dark";
        hs.id("hs-theme").setAttribute("aria-label", hs.theme() === "dark" ? "Switch to light colors" : "Switch to dark colors");
    };
    dark.addEventListener("change", () => hs.touch("theme"));
    hs.calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
})();
