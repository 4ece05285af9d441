"""Opens a report in headless Chromium and checks what no parser can see.

    browser_check.py PAGE FOLDER          FOLDER receives screenshots and the printed page
    browser_check.py OUTLIERLAB FOLDER    the program makes the report of the committed results there first

Exits with 0 if all is well, 1 with a line per failure, 77 where there is no browser.
"""
import json
import math
import pathlib
import subprocess
import sys
import time

import browser

ROOT = pathlib.Path(__file__).resolve().parents[2]
failures = []


def check(condition, what):
    if not condition:
        failures.append(what)


class Histogram:
    """A channel as the page holds it: flat triples of lower edge, upper edge, count."""

    def __init__(self, flat):
        self.bins = list(zip(flat[::3], flat[1::3], flat[2::3]))
        self.low, self.high = self.bins[0][0], self.bins[-1][1]

    def outside(self, lo, hi):
        inside = sum(c * max(0, min(hi, b) - max(lo, a)) / (b - a) for a, b, c in self.bins)
        return max(0, 1 - inside / sum(c for _, _, c in self.bins))


def reference(parts, bound, bits):
    """The readings of the interactive figure by the definition of the grid; round() takes ties to even."""
    lo = min(0, max(-bound, parts["whole"].low))
    hi = max(0, min(bound, parts["whole"].high))
    levels = 2 ** bits
    step = (hi - lo) / (levels - 1)
    zero = round(-lo / step)

    def used(part):
        low, high = (min(levels - 1, max(0, round(v / step) + zero)) for v in (part.low, part.high))
        return high - low + 1

    return {"step": step, "loud-clipped": 100 * parts["loud"].outside(lo, hi),
            "whole-clipped": 100 * parts["whole"].outside(lo, hi),
            "loud-levels": used(parts["loud"]), "quiet-levels": used(parts["quiet"]), "levels": levels}


PRINTED_WIDTH = 680  # pixels: A4 without its margins of 15 mm

FIGURE = "[...document.querySelectorAll('.clipping')].find((f) => f.offsetParent !== null)"


def shown(page):
    """What the visible interactive figure says: the bound, and its readings as numbers."""
    outputs = page.value(f"Object.fromEntries([...{FIGURE}.querySelectorAll('[data-out]')]"
                         ".map((e) => [e.dataset.out, e.textContent]))")
    bound = float(page.value(f"{FIGURE}.querySelector('.handle').getAttribute('aria-valuenow')"))
    return bound, outputs


def compare(page, parts, bits, when):
    bound, outputs = shown(page)
    expected = reference(parts, bound, bits)
    for key in ("step", "loud-clipped", "whole-clipped"):
        value = float(outputs[key].split()[0])
        # Shown to three digits.
        check(math.isclose(value, expected[key], rel_tol=6e-3, abs_tol=1e-3),
              f"{when}: {key} is {value}, expected {expected[key]:.5g} at bound {bound} and {bits} bits")
    for key in ("loud-levels", "quiet-levels"):
        used, _, of = outputs[key].split()
        check(int(used) == expected[key] and int(of) == expected["levels"],
              f"{when}: {key} is {outputs[key]}, expected {expected[key]} of {expected['levels']}")
    return bound


def interactive_figure(page):
    if not page.value("document.querySelectorAll('.clipping').length"):
        return  # results without histograms
    page.value("""(() => {
      const panel = document.querySelector('.clipping').closest('.model');
      if (panel.hidden) document.getElementById(panel.id + '-tab').click();
    })()""")
    parts = {k: Histogram(v) for k, v in json.loads(
        page.value(f"{FIGURE}.querySelector('script').textContent")).items()}
    largest = compare(page, parts, 8, "at first")
    page.value(f"{FIGURE}.querySelector('select').focus()")
    page.key("Tab")
    check(page.value(f"document.activeElement === {FIGURE}.querySelector('.handle')"), "Tab reaches the slider")
    check(page.value(f"getComputedStyle({FIGURE}.querySelector('.grip')).strokeWidth") == "5px",
          "the slider shows that it has the focus")
    page.key("ArrowLeft")
    check(math.isclose(compare(page, parts, 8, "after an arrow"), largest / 1.05, rel_tol=1e-4),
          "an arrow key moves the bound by 5 %")
    for _ in range(4):
        page.key("PageDown")
        compare(page, parts, 8, "after PageDown")
    page.key("ArrowUp")
    page.value(f"{{ const s = {FIGURE}.querySelector('select'); s.value = '4'; "
               "s.dispatchEvent(new Event('change')); }")
    inner = compare(page, parts, 4, "with 4 bits")
    page.key("Home")
    check(compare(page, parts, 4, "at the least bound") < inner, "Home goes to the least bound")
    page.key("End")
    check(compare(page, parts, 4, "at the largest bound") == largest, "End goes to the largest bound")
    time.sleep(0.5)
    summary = page.value(f"{FIGURE}.querySelector('.summary').textContent")
    check("With 4 bits" in summary and "of 16 levels" in summary, f"the summary follows: {summary}")
    valuetext = page.value(f"{FIGURE}.querySelector('.handle').getAttribute('aria-valuetext')")
    check("of 16 levels" in valuetext, f"the slider says what it does: {valuetext}")

    page.value(f"{FIGURE}.scrollIntoView({{block: 'center'}})")
    grip = page.value(f"(() => {{ const r = {FIGURE}.querySelector('.grip').getBoundingClientRect(); "
                      "return [r.x + r.width / 2, r.y + r.height / 2]; })()")
    toward = page.value(f"{FIGURE}.querySelector('svg').dataset.side") == "1" and -60 or 60
    page.drag(grip, [grip[0] + toward, grip[1] + 20])
    check(compare(page, parts, 4, "after a drag") < largest, "dragging moves the bound")


def tables(page):
    sorted_column = page.value("""(() => {
      const table = [...document.querySelectorAll('table.sortable')].find((t) => t.offsetParent && t.tBodies[0].rows.length > 2);
      const column = [...table.querySelectorAll('thead th')].findIndex((h) => h.classList.contains('n'));
      const button = table.querySelectorAll('thead th button')[column];
      button.focus();
      window.sortedTable = { table, column };
      return column;
    })()""")
    check(sorted_column >= 0, "a table with numbers to sort")
    for key, sign in (("Enter", 1), ("Space", -1)):
        page.key(key)
        values = page.value("[...sortedTable.table.tBodies[0].rows].map((r) => "
                            "parseFloat(r.cells[sortedTable.column].textContent)).filter((v) => !Number.isNaN(v))")
        check(values == sorted(values, reverse=sign < 0), f"{key} sorts: {values}")
        order = page.value("sortedTable.table.querySelectorAll('thead th')[sortedTable.column].ariaSort")
        check(order == ("ascending" if sign > 0 else "descending"), f"{key} says so: {order}")


def tabs(page):
    count = page.value("document.querySelectorAll('.models')[0].querySelectorAll('.model').length")
    if count < 2:
        return
    visible = "[...new Set([...document.querySelectorAll('.model')].filter((m) => m.offsetParent).map((m) => m.dataset.model))]"
    before = page.value(visible)
    check(len(before) == 1, f"one model is shown: {before}")
    page.value("document.querySelector('[role=tab][aria-selected=true]').focus()")
    page.key("ArrowRight")
    after = page.value(visible)
    check(len(after) == 1 and after != before, f"an arrow key shows another model everywhere: {after}")
    check(page.value("document.activeElement.getAttribute('aria-selected')") == "true", "focus follows the tab")
    page.key("ArrowLeft")


def contrast(page):
    """The least contrast of visible text against its ground (WCAG 2: 4.5 for text)."""
    return page.value("""(() => {
      const rgb = (c) => (c.match(/[\\d.]+/g) || []).map(Number);
      const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
        .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((s, v, i) => s + v * [0.2126, 0.7152, 0.0722][i], 0);
      let least = [99, ''];
      for (const e of document.querySelectorAll('p, th, td, dt, dd, h1, h2, h3, h4, a, button, code, span, li, summary')) {
        if (!e.offsetParent || !e.textContent.trim() || e.closest('.skip')) continue;
        let under = e, ground = [0, 0, 0, 0];
        while (under && (ground.length === 4 && ground[3] === 0)) { ground = rgb(getComputedStyle(under).backgroundColor); under = under.parentElement; }
        const a = light(rgb(getComputedStyle(e).color)), b = light(ground);
        const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        if (ratio < least[0]) least = [ratio, e.outerHTML.slice(0, 80)];
      }
      const body = light(rgb(getComputedStyle(document.body).backgroundColor));
      for (const e of document.querySelectorAll('.clipping text')) {
        const a = light(rgb(getComputedStyle(e).fill));
        const ratio = (Math.max(a, body) + 0.05) / (Math.min(a, body) + 0.05);
        if (ratio < least[0]) least = [ratio, e.outerHTML.slice(0, 80)];
      }
      return least;
    })()""")


def print_layout(page):
    """On paper: every model, nothing to click, nothing beyond the edge, black on white whatever the screen has."""
    page.size(PRINTED_WIDTH, 1000)
    page.media("dark", "print")
    check(page.value("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)", "paper is white")
    ratio, where = contrast(page)
    check(ratio >= 4.5, f"printed: contrast {ratio:.2f} of {where}")
    hidden = page.value("[...document.querySelectorAll('.model')].filter((m) => !m.offsetParent).length")
    check(hidden == 0, f"printed: every model is there, found {hidden} hidden")
    shown = page.value("[...document.querySelectorAll('nav, .theme, .tabs, .clipping .controls')]"
                       ".filter((e) => e.offsetParent).length")
    check(shown == 0, f"printed: no controls, found {shown}")
    wide = page.value("[...document.querySelectorAll('table, svg, p, h2, code')].filter((e) => "
                      f"e.getBoundingClientRect().right > {PRINTED_WIDTH + 1}).map((e) => e.outerHTML.slice(0, 100))")
    check(not wide, f"printed: nothing runs over the edge: {wide[:3]}")
    printed = page.pdf()
    check(printed.startswith(b"%PDF") and len(printed) > 10000, "the page prints")
    page.media("light")
    return printed


def visit(page, file, when):
    page.open(file.as_uri())
    failures.extend(f"{when}: {problem}" for problem in page.problems())


def colours_of_the_system(page, file, folder):
    for colours in ("light", "dark"):
        page.size(1280, 900)
        page.media(colours)
        visit(page, file, colours)
        ratio, where = contrast(page)
        check(ratio >= 4.5, f"{colours}: contrast {ratio:.2f} of {where}")
        (folder / f"{colours}.png").write_bytes(page.screenshot(full=True))


def switch_of_colours(page):
    grounds = []
    for choice in ("light", "dark"):
        page.value(f"document.querySelector('[data-theme-choice={choice}]').click()")
        grounds.append(page.value("getComputedStyle(document.body).backgroundColor"))
    check(grounds[0] == "rgb(255, 255, 255)" and grounds[0] != grounds[1], f"the switch works: {grounds}")
    page.value("document.querySelector('[data-theme-choice=auto]').click()")


def check_page(page, file, folder):
    colours_of_the_system(page, file, folder)
    switch_of_colours(page)
    interactive_figure(page)
    tables(page)
    tabs(page)
    failures.extend(page.problems())

    page.size(400, 800)
    page.media("light")
    visit(page, file, "narrow")
    width = page.value("document.documentElement.scrollWidth")
    check(width <= 400, f"at 400 pixels nothing runs over: {width}")
    (folder / "narrow.png").write_bytes(page.screenshot(full=True))
    (folder / "printed.pdf").write_bytes(print_layout(page))

    page.size(1280, 900)
    page.script(False)
    visit(page, file, "without script")
    (folder / "without-script.png").write_bytes(page.screenshot(full=True))


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    if not browser.binary():
        print("browser_check: skipped: found no chromium (scripts/packages.txt lists one)")
        return 77
    file, folder = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    if file.suffix != ".html":
        subprocess.run([file, "report", "--results", ROOT / "results", "--out", folder], check=True,
                       stdout=subprocess.DEVNULL)
        file = folder / "report.html"
    with browser.Browser() as page:
        check_page(page, file, folder)
    for failure in failures:
        print("browser_check: " + failure, file=sys.stderr)
    return 1 if failures else 0


sys.exit(main())
