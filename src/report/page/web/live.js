/* live.js - the page while its run trains: the bundle from the server, evaluations as they come, questions asked of the model.
 *
 * Invariants: the browser's EventSource reconnects and sends the last event's id, so no evaluation is lost; one that comes twice is
 * taken once (its step is there). The shown step stays where the reader put it; at the newest one it follows. */
"use strict";
(() => {
    const REFRESH_MS = 15000; // verdict, times and checkpoints are the server's to work out: asked for anew at most so often
    const answers = new Map(); // "run step q" -> answer, null while it is on its way
    const questions = new Map(); // "run q" -> query, so that a question stays while its answer at another step is on its way
    let refreshing = 0, last = 0, asking = 0;
    let missed = null, again = false; // events while a bundle is on its way (null: none is), and whether another is wanted then

    async function json(path) {
        const reply = await fetch(path, { cache: "no-store" });
        const body = await reply.json().catch(() => ({}));
        if (!reply.ok) throw new Error([body.error || `${path}: ${reply.status}`, body.hint].filter(Boolean).join(". "));
        return body;
    }
    hs.bundleLive = () => json("/api/bundle");

    /* ---------------------------------------------------------------- questions */

    const keyOf = (run, step, tokens) => `${run.id} ${step} ${tokens.join(",")}`;
    async function fetchAnswer(run, step, tokens) {
        const key = keyOf(run, step, tokens);
        if (answers.get(key)) return answers.get(key);
        const words = tokens.map((id) => `q=${encodeURIComponent(`#${id}`)}`).join("&");
        const answer = await json(`/api/ask?run=${encodeURIComponent(run.id)}&step=${step}&${words}`);
        if (answers.size > 500) answers.delete(answers.keys().next().value);
        answers.set(key, answer);
        questions.set(`${run.id} ${tokens.join(",")}`, answer.query);
        hs.touch("look");
        return answer;
    }
    hs.ask = async (run, tokens) => {
        const answer = await fetchAnswer(run, hs.stepOf(run), tokens);
        hs.set({ q: tokens.join(","), query: null });
        return answer;
    };
    /* The asked question's answer at a step, if it is here; asked for (once the scrubber rests) if it is not. */
    hs.asked = (run, step, query) => {
        if (!hs.live || !run) return null;
        const tokens = hs.state.q ? hs.state.q.split(",").map(Number) : query ? query.tokens : null;
        if (!tokens || !tokens.every(Number.isInteger)) return null;
        const key = keyOf(run, step, tokens);
        const waiting = { query: questions.get(`${run.id} ${tokens.join(",")}`), look: null };
        if (answers.has(key)) return answers.get(key) || waiting;
        if (!asking) asking = setTimeout(() => {
            asking = 0;
            const now = hs.stepOf(run), own = keyOf(run, now, tokens);
            if (answers.has(own)) return;
            answers.set(own, null);
            fetchAnswer(run, now, tokens).catch((e) => (answers.set(own, null), say(e.message)));
        }, 120);
        return waiting;
    };

    /* ---------------------------------------------------------------- what happens */

    function say(text) {
        const node = hs.id("hs-live-state") || hs.id("hs-header").querySelector(".masthead").insertBefore(hs.el("p", { class: "chip", id: "hs-live-state", role: "status" }), hs.id("hs-choices"));
        node.textContent = text;
    }
    const following = (run) => hs.state.step === undefined || hs.before(hs.stops(run), hs.state.step) === hs.stops(run).length - 1;
    /* After a change of the run's data: the scrubber's stops are found anew, the newest is shown if the newest was. */
    function changed(run, wasLast) {
        run.stops = null;
        if (wasLast && run === hs.current() && hs.state.step !== undefined) hs.set({ step: hs.stops(run)[hs.stops(run).length - 1] });
        hs.grown();
        hs.touch("data", "step");
    }
    function insert(list, k, x) {
        list.splice(k, 0, x);
    }
    function evaluation(event) {
        const e = JSON.parse(event.data), run = hs.run(e.run);
        if (!run) return;
        const wasLast = following(run);
        for (const [name, s] of Object.entries(e.splits || {})) {
            const own = (run.evaluations[name] ||= { n: s.n, step: [], accuracy: [], loss: [], seconds: [] });
            const k = hs.before(own.step, e.step);
            if (k >= 0 && own.step[k] === e.step) continue;
            insert(own.step, k + 1, e.step);
            insert(own.accuracy, k + 1, s.accuracy);
            insert(own.loss, k + 1, s.loss);
            insert(own.seconds, k + 1, s.seconds);
        }
        for (const [name, value] of Object.entries(e.metrics || {})) {
            const own = (run.metrics[name] ||= { step: [], value: [] });
            const k = hs.before(own.step, e.step);
            if (k >= 0 && own.step[k] === e.step) continue;
            insert(own.step, k + 1, e.step);
            insert(own.value, k + 1, value);
        }
        run.steps = Math.max(run.steps || 0, e.step);
        say(`live, step ${hs.fmt(run.steps)}`);
        changed(run, wasLast);
        refreshSoon();
    }
    const SAME = ["method", "split", "stage", "position", "role", "measure"];
    function probe(event) {
        const e = JSON.parse(event.data), run = hs.run(e.run);
        if (!run) return;
        run.probes ||= [];
        for (const row of e.rows || []) {
            let own = run.probes.find((p) => SAME.every((k) => p[k] === row[k]));
            if (!own) run.probes.push((own = { ...Object.fromEntries(SAME.map((k) => [k, row[k]])), step: [], n: [], value: [], low: [], high: [] }));
            const k = hs.before(own.step, e.step);
            if (k >= 0 && own.step[k] === e.step) continue;
            insert(own.step, k + 1, e.step);
            for (const field of ["n", "value", "low", "high"]) insert(own[field], k + 1, row[field] ?? null);
        }
        hs.touch("data");
    }
    /* One at a time. What happens while the bundle is on its way may not be in it, so it is told again to the new one. */
    async function refresh() {
        refreshing = 0;
        last = Date.now();
        if (missed) return (again = true);
        missed = [];
        try {
            const bundle = await hs.bundleLive();
            const wasLast = hs.current() && following(hs.current()), known = hs.runs.map((r) => r.id).join();
            hs.take(bundle);
            if (hs.runs.map((r) => r.id).join() !== known) hs.touch("run");
            else if (hs.current()) changed(hs.current(), wasLast);
        } catch (e) {
            say(`live: ${e.message}`);
        }
        const told = missed;
        missed = null;
        for (const [take, event] of told) take(event);
        if (again) refresh((again = false));
    }
    function refreshSoon() {
        if (!refreshing) refreshing = setTimeout(refresh, Math.max(500, REFRESH_MS - (Date.now() - last)));
    }
    hs.listen = () => {
        last = Date.now();
        say("live");
        const source = new EventSource("/api/events");
        for (const [name, take] of [["evaluation", evaluation], ["probe", probe]])
            source.addEventListener(name, (event) => {
                if (missed) missed.push([take, event]);
                take(event);
            });
        source.addEventListener("ended", () => (say("ended"), clearTimeout(refreshing), refresh()));
        const now = () => (clearTimeout(refreshing), (refreshing = setTimeout(refresh, 0)));
        source.addEventListener("hello", (event) => {
            // What happened between the bundle and this connection.
            if (JSON.parse(event.data).runs.some((r) => (hs.run(r.id) || {}).steps !== r.steps)) now();
        });
        for (const name of ["reload", "run", "gone"]) source.addEventListener(name, now);
        source.addEventListener("trouble", (event) => say(JSON.parse(event.data).error));
        source.addEventListener("open", () => say("live"));
        source.addEventListener("error", () => say(source.readyState === EventSource.CLOSED ? "server gone" : "reconnecting"));
    };
})();
