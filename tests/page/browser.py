"""A page in headless Chromium: opening, keys, state, tables, downloads, console, screenshots."""

import base64
import gzip
import json
import time
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

KEYS = {"left": Keys.ARROW_LEFT, "right": Keys.ARROW_RIGHT, "home": Keys.HOME, "end": Keys.END, "space": Keys.SPACE, "esc": Keys.ESCAPE}


def chromium(downloads):
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for word in ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1400,1000", "--force-color-profile=srgb"]:
        options.add_argument(word)
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads), "download.prompt_for_download": False,
                                              "profile.default_content_setting_values.automatic_downloads": 1})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService("/usr/bin/chromedriver"))
    driver.set_script_timeout(60)
    return driver


class Page:
    """One browser for all tests; every `open` starts from nothing. Sizes are CSS pixels."""

    def __init__(self, driver, downloads, out):
        self.driver, self.downloads, self.out = driver, Path(downloads), Path(out)

    # ---- opening

    def open(self, path, hash="", width=1400, height=1000, dark=False, motion=True, looks=True):
        driver = self.driver
        driver.get("about:blank")
        driver.get_log("browser")
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600})
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion", "value": "no-preference" if motion else "reduce"}]})
        where = str(path) if "://" in str(path) else f"file://{path}"
        driver.get(where + (f"#{hash}" if hash else ""))
        self.until("return performance.getEntriesByName('hs-first').length > 0")
        if looks:
            self.until("return !hs.current() || hs.live || !document.getElementById('hs-looks-' + hs.current().at) || hs.current().looks !== undefined")
        self.rest()
        return self

    def until(self, script, seconds=30):
        return WebDriverWait(self.driver, seconds, 0.05).until(lambda d: d.execute_script(script))

    def rest(self):
        """Until what was asked for is drawn."""
        self.driver.execute_async_script("const done = arguments[arguments.length - 1]; requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 0)));")
        return self

    # ---- asking and doing

    def js(self, script, *args):
        return self.driver.execute_script(script, *args)

    def later(self, script, *args):
        """A script that calls its last argument with the result."""
        return self.driver.execute_async_script(script, *args)

    def state(self):
        return self.js("return hs.state")

    def bundle(self):
        text = self.js("return document.getElementById('hs-data').textContent")
        return json.loads(text if text.startswith("{") else gzip.decompress(base64.b64decode(text)))

    def set(self, **changes):
        self.js("hs.set(arguments[0])", changes)
        return self.rest()

    def key(self, *names):
        from selenium.webdriver.common.action_chains import ActionChains
        for name in names:
            ActionChains(self.driver).send_keys(KEYS.get(name, name)).perform()
        return self.rest()

    def find(self, css):
        return self.driver.find_element("css selector", css)

    def all(self, css):
        return self.driver.find_elements("css selector", css)

    def click(self, css):
        node = self.find(css)
        self.js("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", node)
        node.click()
        return self.rest()

    def text(self, css):
        return self.js("const n = document.querySelector(arguments[0]); return n && n.textContent", css)

    def panels(self):
        return self.js("return hs.panelFrames()")

    def show(self, panel):
        """Scrolls to a panel and waits until it is drawn."""
        self.js("document.getElementById('panel-' + arguments[0]).scrollIntoView({block: 'start', behavior: 'instant'})", panel)
        self.until(f"return hs.panelFrames().some((p) => p.id === {json.dumps(panel)} && (p.mounted || p.lack))")
        return self.rest()

    def table(self, panel):
        """The table of a panel as it stands on the page: (columns, rows of text)."""
        self.show(panel)
        if self.js("return document.querySelector(`#panel-${arguments[0]} .panel-table`).hidden", panel):
            self.click(f"#panel-{panel} button[aria-label^='As a table']")
        self.until(f"return document.querySelector('#panel-{panel} .panel-table').childElementCount > 0")
        return self.js("""const t = document.querySelector(`#panel-${arguments[0]} .panel-table table`);
            const texts = (row) => [...row.cells].map((c) => c.textContent);
            return t ? [texts(t.tHead.rows[0]), [...t.tBodies[0].rows].map(texts)] : [[], []];""", panel)

    def download(self, panel, kind):
        """The text of the file that a panel saves: kind csv, svg or json."""
        self.show(panel)
        before = set(self.downloads.iterdir())
        self.click(f"#panel-{panel} details.menu summary")
        button = next(b for b in self.all(f"#panel-{panel} .menu-list button") if b.text == f"Download {kind.upper()}")
        button.click()
        end = time.monotonic() + 20
        while time.monotonic() < end:
            new = [p for p in set(self.downloads.iterdir()) - before if p.suffix == f".{kind}"]
            if new:
                return new[0].read_text(encoding="utf-8")
            time.sleep(0.05)
        raise AssertionError(f"{panel}: no {kind} file came")

    # ---- judging

    def console(self):
        return [line["message"] for line in self.driver.get_log("browser") if line["level"] in ("SEVERE", "WARNING")]

    def shot(self, name):
        """The whole page as a picture in the build folder, to be looked at."""
        size = self.driver.execute_cdp_cmd("Page.getLayoutMetrics", {})["cssContentSize"]
        picture = self.driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}})
        (self.out / f"{name}.png").write_bytes(base64.b64decode(picture["data"]))

    def wide(self):
        """What reaches over the right edge of the window; [] where nothing does."""
        return self.js("""if (document.documentElement.scrollWidth <= innerWidth) return [];
            const inside = (n) => n.closest('.scroll, .jump, code, svg, .hidden, .skip');
            return [document.documentElement.scrollWidth, ...[...document.querySelectorAll('body *')].filter((n) => !inside(n) && n.getBoundingClientRect().right > innerWidth + 1).slice(0, 5).map((n) => n.outerHTML.slice(0, 120))];""")
