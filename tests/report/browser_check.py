"""Opens a report in headless Chromium and checks what no parser can see.

    browser_check.py PAGE FOLDER      (FOLDER receives screenshots and the printed page)

Exits with 0 if all is well, 1 with a line per failure, 77 where there is no browser.
"""
import json
import math
import pathlib
import sys
import time

import browser

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
    page.value(f"{FIGURE}.querySelector('.handle').focus()")
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
      return least;
    })()""")


def main():
    page_file, folder = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2])
    if not browser.binary():
        print("browser_check: skipped: found no chromium")
        return 77
    with browser.Browser() as page:
        for colours in ("light", "dark"):
            page.size(1280, 900)
            page.scheme(colours)
            page.open(page_file.as_uri())
            failures.extend(f"{colours}: {problem}" for problem in page.problems())
            ratio, where = contrast(page)
            check(ratio >= 4.5, f"{colours}: contrast {ratio:.2f} of {where}")
            (folder / f"{colours}.png").write_bytes(page.screenshot(full=True))
        grounds = []
        for choice in ("light", "dark"):
            page.value(f"document.querySelector('[data-theme-choice={choice}]').click()")
            grounds.append(page.value("getComputedStyle(document.body).backgroundColor"))
        check(grounds[0] == "rgb(255, 255, 255)" and grounds[0] != grounds[1], f"the switch works: {grounds}")
        page.value("document.querySelector('[data-theme-choice=auto]').click()")
        interactive_figure(page)
        tables(page)
        tabs(page)
        failures.extend(page.problems())

        page.size(400, 800)
        page.scheme("light")
        page.open(page_file.as_uri())
        width = page.value("document.documentElement.scrollWidth")
        check(width <= 400, f"at 400 pixels nothing runs over: {width}")
        (folder / "narrow.png").write_bytes(page.screenshot(full=True))
        printed = page.pdf()
        (folder / "printed.pdf").write_bytes(printed)
        check(printed.startswith(b"%PDF") and len(printed) > 10000, "the page prints")

        page.size(1280, 900)
        page.script(False)
        page.open(page_file.as_uri())
        (folder / "without-script.png").write_bytes(page.screenshot(full=True))
    for failure in failures:
        print("browser_check: " + failure, file=sys.stderr)
    return 1 if failures else 0


sys.exit(main())
