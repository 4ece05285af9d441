"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];

  /** The switch between the system's colours, light and dark; the choice is kept where the browser lets us. */
  function themes() {
    const group = document.querySelector(".theme");
    const stored = () => {
      try { return localStorage.getItem("outlierlab-theme") || "auto"; } catch { return "auto"; }
    };
    const apply = (choice) => {
      if (choice === "auto") delete document.documentElement.dataset.theme;
      else document.documentElement.dataset.theme = choice;
      for (const button of all("button", group)) {
        button.setAttribute("aria-pressed", String(button.dataset.themeChoice === choice));
      }
    };
    for (const button of all("button", group)) {
      button.addEventListener("click", () => {
        apply(button.dataset.themeChoice);
        try { localStorage.setItem("outlierlab-theme", button.dataset.themeChoice); } catch { /* not kept */ }
      });
    }
    group.hidden = false;
    apply(stored());
  }

  /** Panels of several models become tabs; all sections show the same model. */
  function tabs() {
    const groups = [];
    const choose = (model, focus) => {
      for (const { panels, buttons } of groups) {
        panels.forEach((panel, i) => {
          const chosen = panel.dataset.model === model;
          panel.hidden = !chosen;
          buttons[i].setAttribute("aria-selected", String(chosen));
          buttons[i].tabIndex = chosen ? 0 : -1;
          if (chosen && buttons[i].parentNode === focus) buttons[i].focus();
        });
      }
    };
    /** Sections above change their height, too: what was clicked stays where it is on the screen. */
    const chooseInPlace = (model, list) => {
      const before = list.getBoundingClientRect().top;
      choose(model, list);
      window.scrollBy({ top: list.getBoundingClientRect().top - before, behavior: "instant" });
    };
    for (const container of all(".models")) {
      const panels = all(":scope > .model", container);
      if (panels.length < 2) continue;
      const list = document.createElement("div");
      list.className = "tabs";
      list.setAttribute("role", "tablist");
      list.setAttribute("aria-label", "Model");
      const buttons = panels.map((panel, i) => {
        const button = document.createElement("button");
        button.type = "button";
        button.id = panel.id + "-tab";
        button.append(...panel.querySelector("h3").cloneNode(true).childNodes);
        button.setAttribute("role", "tab");
        button.setAttribute("aria-controls", panel.id);
        panel.setAttribute("role", "tabpanel");
        panel.setAttribute("aria-labelledby", button.id);
        button.addEventListener("click", () => chooseInPlace(panel.dataset.model, list));
        button.addEventListener("keydown", (event) => {
          const last = panels.length - 1;
          const to = { ArrowRight: i === last ? 0 : i + 1, ArrowLeft: i === 0 ? last : i - 1, Home: 0, End: last };
          if (!(event.key in to)) return;
          event.preventDefault();
          chooseInPlace(panels[to[event.key]].dataset.model, list);
        });
        return button;
      });
      list.append(...buttons);
      container.classList.add("tabbed");
      container.prepend(list);
      groups.push({ panels, buttons });
    }
    choose(document.body.dataset.leading, null);
    /** A link to something within a hidden panel shows that panel's model. */
    const follow = () => {
      const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
      const panel = target && target.closest(".model[hidden]");
      if (panel) choose(panel.dataset.model, null);
      if (panel) target.scrollIntoView();
    };
    addEventListener("hashchange", follow);
    follow();
  }

  /** Numbers sort as numbers and before text; cells without a value stand last either way. */
  function compareCells(a, b, direction) {
    const missing = (text) => text === "-" || text === "";
    if (missing(a) || missing(b)) return missing(a) - missing(b);
    const x = parseFloat(a), y = parseFloat(b);
    if (!Number.isNaN(x) && !Number.isNaN(y) && x !== y) return direction * (x - y);
    if (Number.isNaN(x) !== Number.isNaN(y)) return Number.isNaN(x) ? 1 : -1;
    return direction * a.localeCompare(b, "en", { numeric: true });
  }

  function sortable(table) {
    const headers = all("thead th", table);
    headers.forEach((header, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...header.childNodes);
      header.append(button);
      button.addEventListener("click", () => {
        const direction = header.getAttribute("aria-sort") === "ascending" ? -1 : 1;
        headers.forEach((other) => other.removeAttribute("aria-sort"));
        header.setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
        const body = table.tBodies[0];
        const keyed = [...body.rows].map((row) => [row.cells[column].textContent.trim(), row]);
        keyed.sort((a, b) => compareCells(a[0], b[0], direction));
        body.append(...keyed.map(([, row]) => row));
      });
    });
  }

  /** To the nearest whole number, ties to even, as the program rounds. */
  function nearest(value) {
    const floor = Math.floor(value), rest = value - floor;
    if (rest !== 0.5) return Math.round(value);
    return floor % 2 === 0 ? floor : floor + 1;
  }

  /** A channel's histogram: flat triples of lower edge, upper edge, count. */
  class Part {
    constructor(bins) {
      this.bins = bins;
      this.low = bins[0];
      this.high = bins[bins.length - 2];
      this.total = 0;
      for (let i = 2; i < bins.length; i += 3) this.total += bins[i];
    }

    shareOutside(lo, hi) {
      let inside = 0;
      for (let i = 0; i < this.bins.length; i += 3) {
        const lower = this.bins[i], upper = this.bins[i + 1];
        const kept = Math.min(hi, upper) - Math.max(lo, lower);
        if (kept > 0) inside += this.bins[i + 2] * Math.min(1, kept / (upper - lower));
      }
      return Math.max(0, 1 - inside / this.total);
    }
  }

  /** What a bound and a bit width do; read_clipping() of the program computes the same. */
  function readClipping(parts, bound, bits) {
    const lo = Math.min(0, Math.max(-bound, parts.whole.low));
    const hi = Math.max(0, Math.min(bound, parts.whole.high));
    const levels = 2 ** bits;
    const step = (hi - lo) / (levels - 1);
    const zero = nearest(-lo / step);
    const level = (value) => Math.min(levels - 1, Math.max(0, nearest(value / step) + zero));
    const levelsOf = (part) => level(part.high) - level(part.low) + 1;
    return {
      lo, hi, levels, step, zero,
      loudLevels: levelsOf(parts.loud),
      quietLevels: levelsOf(parts.quiet),
      loudClipped: parts.loud.shareOutside(lo, hi),
      wholeClipped: parts.whole.shareOutside(lo, hi),
    };
  }

  const number = (value) => String(Number(value.toPrecision(3)));
  const percent = (share) => number(100 * share) + " %";

  function clipping(root) {
    const svg = root.querySelector("svg"), handle = svg.querySelector(".handle");
    const data = JSON.parse(root.querySelector("script").textContent);
    const parts = { whole: new Part(data.whole), loud: new Part(data.loud), quiet: new Part(data.quiet) };
    const least = Number(root.dataset.least), largest = Number(root.dataset.largest);
    const side = Number(svg.dataset.side), left = Number(svg.dataset.left), right = Number(svg.dataset.right);
    const select = root.querySelector("select"), summary = root.querySelector(".summary");
    const plot = (name) => {
      const p = JSON.parse(svg.dataset[name]);
      const first = Math.asinh(p.low / p.scale), width = Math.asinh(p.high / p.scale) - first;
      p.x = (value) => left + (Math.asinh(value / p.scale) - first) / width * (right - left);
      p.value = (x) => p.scale * Math.sinh(first + (x - left) / (right - left) * width);
      return p;
    };
    const both = plot("both"), near = plot("near");
    let bound = largest, speak = 0;

    function shade(name, within, reading) {
      const clamp = (x) => Math.min(right, Math.max(left, x));
      const lo = clamp(within.x(reading.lo)), hi = clamp(within.x(reading.hi));
      const set = (which, from, to) => {
        const rectangle = svg.querySelector(`[data-shade="${name}-${which}"]`);
        rectangle.setAttribute("x", from.toFixed(1));
        rectangle.setAttribute("width", Math.max(0, to - from).toFixed(1));
      };
      set("lo", left, lo);
      set("hi", hi, right);
    }

    function drawLevels(name, within, reading) {
      let path = "";
      for (let q = 0; q < reading.levels; ++q) {
        const value = (q - reading.zero) * reading.step;
        if (value < within.low || value > within.high) continue;
        path += `M${within.x(value).toFixed(1)} ${within.levelsTop}V${within.levelsBottom}`;
      }
      svg.querySelector(`[data-levels="${name}"]`).setAttribute("d", path);
    }

    function drawBound(reading) {
      handle.setAttribute("transform", `translate(${both.x(side * bound).toFixed(1)} 0)`);
      const other = -side * bound;
      const shown = other > both.low && other < both.high;
      svg.querySelector("[data-mirror]").setAttribute(
        "d", shown ? `M${both.x(other).toFixed(1)} ${both.top}V${both.bottom}` : "M0 0");
      shade("both", both, reading);
      shade("near", near, reading);
    }

    function tell(reading, bits) {
      const texts = {
        "step": number(reading.step),
        "loud-clipped": percent(reading.loudClipped),
        "whole-clipped": percent(reading.wholeClipped),
        "loud-levels": `${reading.loudLevels} of ${reading.levels}`,
        "quiet-levels": `${reading.quietLevels} of ${reading.levels}`,
      };
      for (const [key, text] of Object.entries(texts)) {
        root.querySelector(`[data-out="${key}"]`).textContent = text;
      }
      handle.setAttribute("aria-valuenow", String(bound));
      handle.setAttribute("aria-valuetext", `±${number(bound)}; step ${texts.step}; ${texts["loud-clipped"]} of the outlier ` +
        `channel clipped; the quiet channel gets ${texts["quiet-levels"]} levels`);
      // The slider speaks for itself while it moves; the summary follows when it has come to rest.
      clearTimeout(speak);
      speak = setTimeout(() => {
        summary.textContent = `With ${bits} bits and the bound at ±${number(bound)} one step is ${texts.step}: ` +
          `${texts["loud-clipped"]} of the outlier channel's values are clipped, and the quiet channel gets ` +
          `${texts["quiet-levels"]} levels.`;
      }, 250);
    }

    function update() {
      const bits = Number(select.value);
      const reading = readClipping(parts, bound, bits);
      drawBound(reading);
      drawLevels("both", both, reading);
      drawLevels("near", near, reading);
      tell(reading, bits);
    }

    function moveTo(value) {
      bound = Math.min(largest, Math.max(least, value));
      update();
    }

    function fromPointer(event) {
      const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
      moveTo(side * both.value(point.x));
    }

    handle.setAttribute("role", "slider");
    handle.setAttribute("aria-label", "Clipping bound");
    handle.setAttribute("aria-valuemin", String(least));
    handle.setAttribute("aria-valuemax", String(largest));
    handle.setAttribute("tabindex", "0");
    handle.addEventListener("keydown", (event) => {
      const to = {
        ArrowRight: bound * 1.05, ArrowUp: bound * 1.05, ArrowLeft: bound / 1.05, ArrowDown: bound / 1.05,
        PageUp: bound * 1.5, PageDown: bound / 1.5, Home: least, End: largest,
      };
      if (!(event.key in to)) return;
      event.preventDefault();
      moveTo(to[event.key]);
    });
    handle.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      handle.focus();
      handle.setPointerCapture(event.pointerId);
    });
    handle.addEventListener("pointermove", (event) => {
      if (handle.hasPointerCapture(event.pointerId)) fromPointer(event);
    });
    select.addEventListener("change", update);
    root.querySelector(".controls").hidden = false;
    update();
  }

  themes();
  tabs();
  all("table.sortable").forEach(sortable);
  all(".clipping").forEach(clipping);
})();
