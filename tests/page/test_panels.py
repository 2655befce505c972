"""Ask, lens grid, patch map, circuit and tour: they show what the file holds, follow the scrubber, and are worked by keyboard."""

import base64
import gzip
import json
import re
import sqlite3
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest
from axe_core_python.selenium import Axe
from selenium.webdriver.common.keys import Keys

INSIDE = ["ask", "lens", "patch", "circuit", "tour"]
CONTRAST = """
    const channel = (x) => (x / 255 <= 0.04045 ? x / 255 / 12.92 : ((x / 255 + 0.055) / 1.055) ** 2.4);
    const light = (css) => { const [r, g, b] = css.match(/[\\d.]+/g).map(Number); return 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b); };
    return Math.min(...[...document.querySelectorAll(arguments[0])].map((n) => {
        const style = getComputedStyle(n), a = light(style.color), b = light(style.backgroundColor);
        return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    }));"""


def query_of(page, split=None):
    """Index of a two-hop query, of a split where one is named, that was traced at the last checkpoint."""
    return page.js("""const run = hs.current(), last = run.looks.looks.at(-1);
        return run.queries.findIndex((q, k) => q.bridge.length && last[k].trace && (!arguments[0] || q.split === arguments[0]));""", split)


def look(page):
    return page.js("const r = hs.current(); return hs.lookAt(r, hs.stepOf(r), hs.state.query)")


def scrub(page, at):
    page.js("const r = document.getElementById('hs-range'); r.value = arguments[0]; r.dispatchEvent(new Event('input', {bubbles: true}))", at)
    return page.rest()


def names(page, ids):
    return page.js("return arguments[0].map((id) => hs.current().vocab[id])", ids)


def opened(page, pages, panel, hash="", **how):
    page.open(pages["one"], hash, **how)
    page.set(query=query_of(page, "test_ii"))
    page.show(panel)
    return page


# ---------------------------------------------------------------- ask


def bars(page, css):
    return page.js("""return [...document.querySelectorAll(arguments[0] + ' .hp-bars > li:not([hidden])')]
        .map((n) => [n.querySelector('.hp-bar-name').textContent, n.dataset.mark]);""", css)


def test_ask_shows_the_answers_of_every_checkpoint(page, pages):
    opened(page, pages, "ask")
    query = page.js("return hs.current().queries[hs.state.query]")
    for k in range(page.js("return hs.stops(hs.current()).length")):
        scrub(page, k)
        pairs = look(page)["answer"]
        marks = ["right" if i == query["target"] else "bridge" if i in query["bridge"] else "" for i in pairs[0::2]]
        assert bars(page, "#panel-ask") == [list(x) for x in zip(names(page, pairs[0::2]), marks)]
        said = page.text("#panel-ask .hp-said")
        assert said.startswith("Right" if pairs[0] == query["target"] else "Wrong") and names(page, [query["target"]])[0] in said
    columns, rows = page.table("ask")
    assert [float(r[columns.index("probability")]) for r in rows] == look(page)["answer"][1::2]
    page.shot("ask-table")


def test_ask_badge_and_path(page, pages):
    for split in ["test_ii", "train_inferred"]:
        page.open(pages["one"])
        page.set(query=query_of(page, split))
        page.show("ask")
        query = page.js("return hs.current().queries[hs.state.query]")
        badge = page.text("#panel-ask .hp-badge")
        assert split in badge and ("trained: the model saw" in badge) == query["trained"]
        assert badge.count("ID: a fact used") == query["hops"].count("id") and badge.count("OOD") == query["hops"].count("ood")
        way = names(page, [query["tokens"][0], *query["bridge"], query["target"]])
        drawn = page.js("return [...document.querySelectorAll('#panel-ask .hp-name title')].map((n) => n.textContent)")
        assert drawn == [f"{role}: {name}" for role, name in zip(["head", "bridge", "tail"], way)]
        assert len(page.all("#panel-ask .hp-way")) == 2


def test_the_bridge_fills_as_the_lens_reads_it(page, pages):
    opened(page, pages, "ask")
    for k in [0, page.js("return hs.stops(hs.current()).length - 1")]:
        scrub(page, k)
        share = max(row[1][7] for row in look(page)["lens"][1:])
        assert float(page.find("#panel-ask .hp-bridge").value_of_css_property("fill-opacity")) == pytest.approx(share, abs=1e-5)


def test_ask_chooses_by_name_split_and_order(page, pages):
    opened(page, pages, "ask")
    other = page.js("const q = hs.current().queries; return q.findIndex((x, k) => k !== hs.state.query && x.split === 'test_ii' && x.tokens[0] !== q[hs.state.query].tokens[0])")
    head = page.js("return hs.current().vocab[hs.current().queries[arguments[0]].tokens[0]]", other)
    field = page.find("#panel-ask .hp-choices input")
    before = page.state()["step"] if "step" in page.state() else None
    field.click()
    field.send_keys(Keys.CONTROL, "a")
    field.send_keys(head[:-1].lower())
    options = [n.text for n in page.all("#panel-ask .hp-choice-list:not([hidden]) li[role=option]")]
    assert head in options and all(head[:-1].lower() in o.lower() for o in options)
    for _ in range(options.index(head)):
        field.send_keys(Keys.ARROW_DOWN)
    field.send_keys(Keys.ENTER)
    page.rest()
    chosen = page.js("return hs.current().queries[hs.state.query]")
    assert names(page, chosen["tokens"][:1]) == [head] and field.get_attribute("value") == head
    assert page.state().get("step") == before, "keys of the field are no keys of the page"
    page.js("const s = document.querySelector('#panel-ask select'); s.value = 'train_inferred'; s.dispatchEvent(new Event('change'))")
    page.rest()
    first = page.state()["query"]
    assert page.js("return hs.current().queries[arguments[0]].split", first) == "train_inferred"
    page.click("#panel-ask .hp-turn button:last-child")
    second = page.state()["query"]
    assert second > first and page.js("return hs.current().queries[arguments[0]].split", second) == "train_inferred"
    page.click("#panel-ask .hp-turn button:first-child")
    assert page.state()["query"] == first


def test_choice_among_ten_thousand_names(page, pages):
    page.open(pages["one"])
    found = page.js("""const names = Array.from({length: 10000}, (_, id) => ({id, name: `Name ${id}`}));
        let picked = null;
        const choice = hs.draw.choose('Name', () => names, (id) => (picked = id));
        document.body.append(choice.node);
        choice.field.focus(); choice.field.value = '77'; choice.field.dispatchEvent(new Event('input'));
        const list = [...choice.node.querySelectorAll('li')].map((n) => n.textContent);
        choice.field.dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter', bubbles: true}));
        choice.node.remove();
        return [list, picked];""")
    assert found[0][0] == "Name 77" and found[1] == 77
    assert len(found[0]) == 61 and found[0][-1] == f"and {sum('77' in str(k) for k in range(10000)) - 60} more: type some letters"


@pytest.fixture
def server(pages):
    """The page as it is served, with the answers of a file: a question that the file has not got is one the facts know nothing of."""
    text = pages["one"].read_text(encoding="utf-8")
    part = lambda id: re.search(rf'id="{id}">(.*?)</script>', text, re.S).group(1)  # noqa: E731
    unpack = lambda data: json.loads(data if data.startswith("{") else gzip.decompress(base64.b64decode(data)))  # noqa: E731
    bundle, looks = unpack(part("hs-data")), unpack(part("hs-looks-0"))
    run, asked = bundle["runs"][0], []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            address = urlsplit(self.path)
            asked.append(self.path)
            if address.path == "/":
                return self.reply(200, "text/html", text.replace("<head>", '<head><script type="application/json" id="hs-live">{"live": true}</script><link rel="icon" href="data:,">'))
            if address.path == "/api/bundle":
                return self.reply(200, "application/json", json.dumps(bundle))
            if address.path != "/api/ask":
                return self.reply(204, "text/plain", "")
            words = parse_qs(address.query)
            tokens = [int(q[1:]) for q in words["q"]]
            k = next((i for i, q in enumerate(run["queries"]) if q["tokens"] == tokens), None)
            if k is None and tokens[1] == tokens[2]:
                return self.reply(400, "application/json", json.dumps({"error": "the relation <b>twice</b>", "hint": "choose another"}))
            query = run["queries"][k] if k is not None else {"tokens": tokens, "split": None, "bridge": [None], "target": None, "hops": [None, None], "trained": False, "positions": ["h", "r1", "r2"]}
            at = max(i for i, s in enumerate(looks["checkpoints"]) if s <= int(words["step"][0]))
            look = looks["looks"][at][k if k is not None else next(i for i, q in enumerate(run["queries"]) if len(q["tokens"]) == 3)]
            self.reply(200, "application/json", json.dumps({"query": query, "look": look, "step": looks["checkpoints"][at]}))

        def reply(self, status, kind, body):
            self.send_response(status)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(body.encode())))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *words):
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{http.server_address[1]}/", asked
    http.shutdown()
    http.server_close()


def choose(page, place, name):
    page.click(f"#panel-ask .hp-choice:nth-child({place}) input")
    field = page.find(f"#panel-ask .hp-choice:nth-child({place}) input")
    field.send_keys(Keys.CONTROL, "a")
    field.send_keys(name, Keys.ENTER)
    return page.rest()


def test_any_question_is_asked_live(page, server):
    where, asked = server
    page.open(where)
    page.set(query=page.js("return hs.current().queries.findIndex((q) => q.bridge.length)"))
    page.show("ask")
    page.until("return document.querySelectorAll('#panel-ask .hp-bars > li:not([hidden])').length === 5")
    first = page.js("return hs.current().queries[hs.state.query].tokens")
    relation = page.js("""const run = hs.current(), [h, r1, r2] = arguments[0];
        return run.vocab[run.facts.r.find((r) => r !== r1 && r !== r2 && !run.queries.some((q) => q.tokens.join() === [h, r, r2].join()))];""", first)
    choose(page, 2, relation)
    page.until("return 'q' in hs.state")
    page.rest()
    tokens = [int(x) for x in page.state()["q"].split(",")]
    assert tokens[0] == first[0] and names(page, tokens[1:2]) == [relation] and tokens[2] == first[2]
    assert "a question of no split" in page.text("#panel-ask .hp-badge") and "hop 1 is no fact" in page.text("#panel-ask .hp-badge")
    assert page.text("#panel-ask .hp-said") == "The facts do not say what is right."
    scrub(page, 0)
    step = page.js("return hs.stepOf(hs.current())")
    page.until("return document.querySelectorAll('#panel-ask .hp-bars > li:not([hidden])').length === 5")
    assert any(f"step={step}&" in a and "%23" in a for a in asked) and page.js("return hs.ctx({changed: new Set()}).query.tokens") == tokens
    choose(page, 2, page.js("return hs.current().vocab[arguments[0]]", tokens[2]))
    page.until("return !document.querySelector('#panel-ask .error').hidden")
    assert page.text("#panel-ask .error") == "the relation <b>twice</b>. choose another"
    assert [line for line in page.console() if "400" not in line] == []


# ---------------------------------------------------------------- lens grid


def grid(page):
    """Top token, and whether the cell is lit, of every stage from the first on."""
    return page.js("""return [...document.querySelectorAll('#panel-lens .hp-lens tbody tr')].reverse()
        .map((r) => [...r.querySelectorAll('td')].map((c) => [c.querySelector('.hp-cell-name').textContent, c.dataset.lit || '']));""")


def test_lens_follows_the_scrubber(page, pages):
    opened(page, pages, "lens")
    lit = []
    for k in range(page.js("return hs.stops(hs.current()).length")):
        scrub(page, k)
        lens = look(page)["lens"]
        lit.append(sum(cell[6] == 0 for row in lens for cell in row))
        expected = [[[cell[0], "bridge" if cell[6] == 0 else "target" if cell[8] == 0 else ""] for cell in row] for row in lens]
        assert grid(page) == [[[names(page, [c[0]])[0], c[1]] for c in row] for row in expected]
    page.shot("lens")
    assert lit[0] == 0 < lit[-1], "the bridge lights up while it trains"
    columns, rows = page.table("lens")
    assert [float(r[columns.index("p 1")]) for r in rows] == [cell[1] for row in lens for cell in row]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_shades_are_readable(page, pages, theme):
    opened(page, pages, "lens", f"theme={theme}")
    for what in ["target", "top", "bridge"]:
        page.click(f"#panel-lens label[data-hue={what}]")
        assert page.state()["lens"] == what
        for k in range(0, page.js("return hs.stops(hs.current()).length"), 3):
            scrub(page, k)
            assert page.js(CONTRAST, "#panel-lens td") >= 4.5
    page.show("patch")
    assert page.js(CONTRAST, "#panel-patch td button") >= 4.5


# ---------------------------------------------------------------- patch map


def test_patch_map_by_keyboard(page, pages):
    opened(page, pages, "patch")
    trace = look(page)["trace"]
    page.set(cell="1,0")
    page.find("#panel-patch td button[aria-pressed=true]").send_keys(Keys.ARROW_RIGHT, Keys.ARROW_UP, Keys.ENTER)
    page.rest()
    state = page.state()
    assert state["cell"] == "2,1" and "step" not in state, "arrows walk over the cells, the scrubber stays"
    cell = trace[1][1]
    shown = page.js("return [...document.querySelectorAll('#panel-patch .hp-answers > div:nth-child(2) .hp-bar-name')].map((n) => n.textContent)")
    assert shown[:3] == names(page, cell[1::2])
    assert float(page.find("#panel-patch td button[aria-pressed=true]").text) == pytest.approx(cell[0], abs=0.0051)
    columns, rows = page.table("patch")
    assert [float(r[columns.index("effect")]) for r in rows] == [c[0] for row in trace for c in row]


def test_alpha_moves_the_state(page, pages):
    opened(page, pages, "patch")
    page.set(cell="1,1")
    slider = page.find("#panel-patch .hp-alpha input")
    for k, alpha in enumerate([0, 0.25, 0.5, 0.75, 1]):
        if k:
            slider.send_keys(Keys.ARROW_RIGHT)
            page.rest()
            assert page.state()["alpha"] == alpha
        expected = look(page)["alpha"][0][k]
        shown = page.js("return [...document.querySelectorAll('#panel-patch .hp-alpha .hp-bar-name')].map((n) => n.textContent)")
        assert shown == names(page, expected[0::2])


def test_mean_strength_is_that_of_the_record(page, pages, runs):
    opened(page, pages, "patch")
    page.click("#panel-patch .hp-radios label:last-of-type")
    page.rest()
    assert page.state()["patch"] == "mean"
    record = sqlite3.connect(f"file:{runs['demo']}/run.db?mode=ro", uri=True)
    columns, rows = page.table("patch")
    assert rows
    for row in rows:
        r = dict(zip(columns, row))
        value = record.execute("SELECT value, n FROM probe WHERE method='trace' AND step=? AND split=? AND stage=? AND position=? AND role=? AND measure=?",
                               [r[c] for c in ("step", "split", "stage", "position", "role", "measure")]).fetchone()
        assert (float(r["value"]), int(r["n"])) == value
    page.shot("patch-mean")


# ---------------------------------------------------------------- circuit


def test_circuit_has_the_edges_above_the_threshold(page, pages, runs):
    page.open(pages["one"])
    page.show("circuit")
    split = page.js("return document.querySelector('#panel-circuit select').value")
    step = page.js("return hs.stepOf(hs.current())")
    record = sqlite3.connect(f"file:{runs['demo']}/run.db?mode=ro", uri=True)
    ask = "SELECT role, position, stage, value FROM probe WHERE method='paths' AND split=? AND measure='edge' AND step=(SELECT max(step) FROM probe WHERE method='paths' AND step<=?)"
    edges = record.execute(ask, (split, step)).fetchall()
    assert edges
    for least in [0, 0.1, 0.5, 1]:
        page.set(edge=least)
        assert len(page.all("#panel-circuit .hp-edge")) == sum(e[3] >= least for e in edges)
    page.set(edge=None)
    slider = page.find("#panel-circuit input[type=range]")
    slider.send_keys(Keys.ARROW_RIGHT)
    page.rest()
    assert page.state()["edge"] == 0.11 and "0.11" in page.text("#panel-circuit .hp-said")
    page.set(edge=None)
    columns, rows = page.table("circuit")
    found = {r[2]: float(r[columns.index("value")]) for r in rows if r[columns.index("measure")] == "faithfulness"}
    asked = record.execute("SELECT role, value FROM probe WHERE method='paths' AND split=? AND measure='faithfulness' AND step=(SELECT max(step) FROM probe WHERE method='paths' AND step<=?)", (split, step)).fetchall()
    assert found == dict(asked) and "circuit" in found and "random 1" in found


def test_what_is_missing_names_its_command(page, pages):
    page.open(pages["several"], "run=wide")
    page.show("circuit")
    assert "hopscope interpret" in page.text("#panel-circuit") and "--method paths" in page.text("#panel-circuit")
    page.show("patch")
    page.set(patch="mean")
    assert "--method trace" in page.text("#panel-patch")


# ---------------------------------------------------------------- tour


def coach(page):
    return page.js("const c = document.querySelector('.hp-coach'); return c && !c.hidden ? c.textContent : ''")


def until_focus(page, css):
    page.until(f"const n = document.querySelector({json.dumps(css)}); return n !== null && document.activeElement === n")


@pytest.mark.parametrize("width", [1400, 390])
def test_tour(page, pages, width):
    page.open(pages["one"], width=width, height=844)
    page.show("tour")
    steps = page.table("tour")[1]
    assert 3 <= len(steps) <= 7
    page.click("#panel-tour button[aria-label^='As a table']")
    page.click("#panel-tour .btn.strong")
    shown = []
    for k, (number, title, text, see) in enumerate(steps):
        page.until(f"return document.querySelector('.hp-coach h2').textContent === {json.dumps(title)}")
        until_focus(page, ".hp-coach h2")
        assert text in coach(page) and f"Step {k + 1} of {len(steps)}" in coach(page) and page.state()["tour"] == k + 1
        shown.append(page.state().get("panel"))
        page.shot(f"tour-{k + 1}-{width}")
        if k + 1 < len(steps):
            page.find(".hp-coach-foot button:last-child").send_keys(Keys.ENTER)
            page.rest()
    assert len(set(shown)) >= 3 and page.wide() == []
    guesses = page.all(".hp-guesses button")
    assert 2 <= len(guesses) <= 4
    hidden = page.state()["query"]
    guesses[0].send_keys(Keys.ENTER)
    page.rest()
    assert page.state()["query"] != hidden and page.state()["panel"] == "ask", "the question is shown after the guess"
    said = page.text(".hp-coach [role=status]")
    answer = names(page, [look(page)["answer"][0]])[0]
    assert f"the model says {answer}" in said
    until_focus(page, ".hp-coach-foot button:last-child")
    page.key("esc")
    assert coach(page) == "" and "tour" not in page.state()
    page.until("return document.activeElement.closest('#panel-tour') !== null")


def test_tour_tells_the_run(page, pages):
    page.open(pages["one"])
    texts = {r[1]: r[2] for r in page.table("tour")[1]}
    run = page.bundle()["runs"][0]
    held = run["evaluations"]["test_ii"]
    passed = next((s for s, a in zip(held["step"], held["accuracy"]) if a >= 0.9), None)
    assert ("It answers what it never saw" in texts) == (passed is not None)
    if passed is not None:
        assert f"At step {passed:,}" in texts["It answers what it never saw"]
    page.open(pages["several"], "run=wide")
    assert "The circuit" not in [r[1] for r in page.table("tour")[1]]


def test_tour_by_link(page, pages):
    page.open(pages["one"], "tour=1&theme=dark")
    page.until("const c = document.querySelector('.hp-coach'); return c && !c.hidden")
    page.shot("tour-link-dark")
    assert [v["help"] for v in Axe().run(page.driver, context=".hp-coach")["violations"] if v["impact"] in ("serious", "critical")] == []
    page.open(pages["one"], "tour=99")
    page.show("tour")
    assert coach(page) == ""


# ---------------------------------------------------------------- all of them


def test_names_in_every_control_are_text(page, pages):
    page.open(pages["evil"])
    for k in range(0, page.js("return hs.current().queries.length"), 7):
        page.set(query=k)
        for panel in INSIDE:
            page.show(panel)
    for k in range(1, len(page.all("#panel-ask .hp-choices input")) + 1):
        page.click(f"#panel-ask .hp-choice:nth-child({k}) input")
        page.find(f"#panel-ask .hp-choice:nth-child({k}) input").send_keys(Keys.ARROW_DOWN, Keys.ESCAPE)
    for k in range(1, len(page.table("tour")[1]) + 1):
        page.set(tour=k)
        assert coach(page)
    assert page.js("return window.evil") is None
    assert page.js("return document.querySelectorAll('.panel-box script, .panel-box img, .hp-coach script, .hp-coach img').length") == 0


def test_pictures(page, pages):
    for name, hash, how in [("inside-light", "theme=light", {}), ("inside-dark", "theme=dark", {}), ("inside-phone", "", {"width": 390, "height": 844})]:
        opened(page, pages, "ask", hash, **how)
        for panel in INSIDE:
            page.show(panel)
        page.shot(name)
