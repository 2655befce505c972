"""Runs trained for these tests, their pages, and one browser."""

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import browser  # noqa: E402

EXPERIMENT = Path(__file__).parents[2] / "experiments" / "demo.yaml"
EVIL = ["</script><script>window.evil=1</script>", "<img src=x onerror=window.evil=2>", "\"quoted\" & 'both'", "</style>", "\u2028\u202eab", "名前", "🙂", "{{data}}", "a,b;c", "=1+1", "-->", "javascript:window.evil=3"]


def pytest_addoption(parser):
    parser.addoption("--program", required=True)
    parser.addoption("--out", required=True)


@pytest.fixture(scope="session")
def program(request):
    def call(*words):
        done = subprocess.run([request.config.getoption("--program"), *map(str, words)], capture_output=True, text=True)
        assert done.returncode == 0, f"hopscope {' '.join(map(str, words))}\n{done.stderr}"
        return done.stdout
    return call


def train(program, folder, experiment=EXPERIMENT, methods="lens,trace", **settings):
    words = [f"{key.replace('__', '.')}={value}" for key, value in settings.items()]
    changes = [w for word in [f"interpret.methods={methods}", "interpret.max=32", "train.evals_per_decade=10", "train.checkpoints_per_decade=6", *words] for w in ("--set", word)]
    program("run", experiment, "-o", folder, *changes)
    return folder


@pytest.fixture(scope="session")
def runs(program, tmp_path_factory):
    """demo: interpreted; seed2: the same but for its seed; wide: other settings, no microscope; evil: names that attack the page."""
    root = tmp_path_factory.mktemp("runs")
    graph = root / "evil.tsv"
    names = EVIL + [f"e{i}" for i in range(28)]
    graph.write_text("".join(f"{n}\t{r}\t{names[(i * 7 + 3 * k + 1) % len(names)]}\n" for i, n in enumerate(names) for k, r in enumerate(["<b>r</b>", "r\"1", "r&2"])), encoding="utf-8")
    evil = root / "evil.yaml"
    evil.write_text(f"graph:\n  path: {graph}\n  columns: hrt\nmodel:\n  n_layer: 2\n  n_embd: 32\n  n_head: 2\ntrain:\n  steps: 60\n  batch: 64\nreport:\n  title: \"</title><script>window.evil=4</script> & title\"\n", encoding="utf-8")
    return {
        "demo": train(program, root / "demo", train__steps=400, methods="lens,trace,paths"),
        "seed2": train(program, root / "seed2", train__steps=400, train__seed=2, methods="lens"),
        "wide": train(program, root / "wide", train__steps=100, model__n_embd=64, methods=""),
        "evil": train(program, root / "evil", experiment=evil),
    }


@pytest.fixture(scope="session")
def pages(program, runs, tmp_path_factory):
    """Files: one (demo), several (demo, seed2, wide), evil."""
    root = tmp_path_factory.mktemp("pages")
    files = {"one": ["demo"], "several": ["demo", "seed2", "wide"], "evil": ["evil"]}
    for name, which in files.items():
        program("report", *(runs[w] for w in which), "-o", root / f"{name}.html")
    return {name: root / f"{name}.html" for name in files}


@pytest.fixture(scope="session")
def driver(tmp_path_factory):
    downloads = tmp_path_factory.mktemp("downloads")
    driver = browser.chromium(downloads)
    driver.downloads = downloads
    yield driver
    driver.quit()


@pytest.fixture
def page(driver, request):
    """The browser; after the test its console must hold no error and no warning."""
    page = browser.Page(driver, driver.downloads, request.config.getoption("--out"))
    yield page
    assert page.console() == []
