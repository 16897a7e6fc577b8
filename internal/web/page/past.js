// Draws what was: load, wanted and real count over time, with the bounds.

import * as api from "./api.js";
import { serverNow } from "./daemon.js";
import { draw, table } from "./draw.js";
import { h, put } from "./dom.js";
import { bounding, clock, trusted } from "./words.js";

export const spans = { "1h": [3600, "1 hour"], "24h": [86400, "24 hours"], "7d": [604800, "7 days"] };
const most = 400; // points on a chart
const day = 86400;

/**
 * widthOf is how wide the points of a chart are, in seconds: no narrower than the
 * steps are apart, nor than the history still knows them.
 */
function widthOf(from, to, interval) {
  const age = serverNow() / 1000 - from;
  const known = age > 7 * day ? 600 : age > day ? 60 : 1;
  return Math.max(Math.ceil((to - from) / most), Math.ceil(interval), known);
}

/** Past is the chart of a service, and the table of its figures. */
export class Past {
  #name;
  #interval = 15;
  #policy = null;
  #span;
  #zoom = null; // [from, to] that a person looks at; null for all until now
  #points = [];
  #width = 1;
  #range = [0, 1];
  #chart = null;
  #loaded = false;
  #asked = 0; // so that a late answer to an earlier question is not taken
  #plot = h("div", { class: "plot", role: "img", "aria-label": "Load and replicas; not read yet" });
  #table = h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "The figures of the chart, as a table", hidden: true });
  #buttons = {};
  #whole = h("button", { type: "button", class: "chip", hidden: true, onclick: () => this.whole() }, "Until now");
  #tabled = h("button", { type: "button", class: "chip", "aria-pressed": "false", onclick: () => this.tabled() }, "Table");
  #hint = h("p", { class: "hint" });
  #empty = h("p", { class: "empty", hidden: true });
  #picked;

  constructor(name, span, chosen, picked) {
    this.#name = name;
    this.#span = span in spans ? span : "1h";
    this.#picked = picked;
    for (const [key, [, text]] of Object.entries(spans)) {
      this.#buttons[key] = h("button", { type: "button", class: "chip", onclick: () => {
        this.choose(key);
        chosen(key);
      } }, text);
    }
    const turn = (text, label, act) => h("button", { type: "button", class: "chip", "aria-label": label, title: label, onclick: act }, text);
    this.el = h("section", { class: "past", "aria-labelledby": "past-title" },
      h("div", { class: "head" }, h("h2", { id: "past-title" }, "Load and replicas"),
        h("div", { class: "chips", role: "group", "aria-label": "How far back" }, Object.values(this.#buttons)),
        h("div", { class: "chips", role: "group", "aria-label": "What is looked at" }, this.#whole,
          turn("‹", "Earlier", () => this.move(-0.5)), turn("›", "Later", () => this.move(0.5)),
          turn("−", "More of the time", () => this.closer(2)), turn("+", "Closer", () => this.closer(0.5)), this.#tabled)),
      this.#plot, this.#empty, this.#table,
      this.#hint);
    this.#press();
  }

  #press() {
    for (const [key, b] of Object.entries(this.#buttons)) b.setAttribute("aria-pressed", key === this.#span && !this.#zoom);
    this.#whole.hidden = !this.#zoom;
  }

  /** choose looks at all of a span until now. */
  choose(span) {
    this.#span = span;
    this.#zoom = null;
    this.load();
  }

  whole() {
    this.choose(this.#span);
    this.#buttons[this.#span].focus();
  }

  /** look looks at a stretch of time. */
  look(from, to) {
    const now = serverNow() / 1000;
    const length = Math.min(Math.max(to - from, 60), 30 * day);
    const end = Math.min((from + to + length) / 2, now);
    this.#zoom = [end - length, end];
    this.load();
  }

  /** closer looks at so much of what is looked at. */
  closer(by) {
    const [from, to] = this.#range;
    const middle = (from + to) / 2, half = ((to - from) * by) / 2;
    this.look(middle - half, middle + half);
  }

  /** move looks at what was earlier or later by a share of what is looked at. */
  move(by) {
    const [from, to] = this.#range;
    this.look(from + by * (to - from), to + by * (to - from));
  }

  tabled() {
    const on = this.#table.hidden;
    this.#table.hidden = !on;
    this.#tabled.setAttribute("aria-pressed", on);
    if (on) {
      this.#show();
      this.#table.focus();
    }
  }

  /** load asks for what there is to be shown. */
  async load() {
    this.#press();
    const now = serverNow() / 1000;
    const [from, to] = this.#zoom || [now - spans[this.#span][0], now];
    const width = widthOf(from, to, this.#interval);
    const asked = ++this.#asked;
    let answer;
    try {
      answer = await api.past(this.#name, { from: from.toFixed(3), to: to.toFixed(3), step: width });
    } catch (e) {
      if (asked !== this.#asked) return;
      this.#loaded = false;
      this.#nothing("What was cannot be shown: " + e.message);
      return;
    }
    if (asked !== this.#asked) return;
    this.#loaded = true;
    this.#range = [from, to];
    this.#width = answer.step_s;
    this.#points = answer.points.map((p) => ({ ...p, t: new Date(p.time) / 1000 }));
    this.#show();
  }

  /** step adds the last step of the service; s says besides how often there is one. */
  step(s) {
    this.#interval = s.interval_s;
    this.#policy = s.policy;
    if (!s.decision || this.#zoom || !this.#loaded) return;
    const at = new Date(s.decision.at) / 1000;
    const t = at - (at % this.#width);
    const p = { t, rps: s.decision.rps, verdict: s.decision.verdict, min_replicas: Math.min(s.decision.from, s.replicas), max_replicas: Math.max(s.decision.from, s.replicas), want: s.decision.want, min: s.policy?.min, max: s.policy?.max };
    const last = this.#points.at(-1);
    if (last && last.t > t) return;
    if (last?.t === t) {
      last.rps = Math.max(last.rps, p.rps);
      last.min_replicas = Math.min(last.min_replicas, p.min_replicas);
      last.max_replicas = Math.max(last.max_replicas, p.max_replicas);
      last.want = Math.max(last.want, p.want);
      if (!trusted(p.verdict)) last.verdict = p.verdict;
    } else {
      this.#points.push(p);
    }
    const now = serverNow() / 1000;
    this.#range = [now - spans[this.#span][0], now];
    while (this.#points.length && this.#points[0].t < this.#range[0] - this.#width) this.#points.shift();
    this.#show();
  }

  #nothing(text) {
    put(this.#empty, text);
    this.#empty.hidden = false;
    this.#plot.hidden = true;
    this.#chart?.end();
    this.#chart = null;
  }

  /** chart is what is drawn. */
  #made() {
    const all = this.#points;
    const c = {
      title: "Load and replicas", x_name: "time", clock: true, unit: "requests/s", right: "replicas",
      range: this.#range, per_right: this.#policy?.rps_target || 1, x: [], shades: [],
      bands: [{ high: 4, low: 5, colour: "replicas" }],
      zoomed: (from, to) => this.look(from, to), whole: () => this.whole(), picked: (x) => this.#picked(x),
      series: [
        { name: "load", colour: "load", fill: true, values: [] },
        { name: "minimum", colour: "quiet", right: true, steps: true, dashed: true, values: [] },
        { name: "maximum", colour: "quiet", right: true, steps: true, dashed: true, values: [] },
        { name: "wanted", colour: "want", right: true, steps: true, dashed: true, values: [] },
        { name: "replicas", colour: "replicas", right: true, steps: true, values: [] },
        { name: "fewest replicas", colour: "replicas", right: true, steps: true, beside: true, values: [] },
      ],
    };
    const add = (t, ...values) => {
      c.x.push(t);
      values.forEach((v, i) => c.series[i].values.push(v ?? null));
    };
    const gap = 2.5 * Math.max(this.#width, this.#interval);
    const high = Math.max(1, ...all.map((p) => Math.max(p.max_replicas, p.want)));
    let before = null;
    for (const p of all) {
      if (before && p.t - before.t > gap) add(before.t + this.#width);
      const max = p.max || this.#policy?.max;
      // A maximum that is never near would press everything else flat.
      const doubt = !trusted(p.verdict) && !bounding(p.verdict);
      add(p.t, doubt ? null : p.rps, p.max ? p.min : this.#policy?.min, max > 3 * high + 3 ? null : max, p.want, p.max_replicas, p.min_replicas);
      const shade = c.shades.at(-1);
      if (doubt) {
        if (shade && p.t - shade.to < gap) shade.to = p.t + this.#width;
        else c.shades.push({ from: p.t, to: p.t + this.#width, colour: "slow" });
      }
      before = p;
    }
    // The last one is so until now.
    if (before && !this.#zoom && this.#range[1] - before.t < gap) add(this.#range[1], ...c.series.map((s) => s.values.at(-1)));
    return c;
  }

  #show() {
    if (!this.#points.length) {
      this.#nothing("There is no step in this time.");
      return;
    }
    this.#empty.hidden = true;
    this.#plot.hidden = false;
    const c = this.#made();
    this.#plot.setAttribute("aria-label", `Load and replicas of ${this.#name}, ${clock(this.#range[0] * 1000)} to ${clock(this.#range[1] * 1000)}; the button Table shows the figures`);
    if (this.#chart) this.#chart.show(c);
    else this.#chart = draw(this.#plot, c);
    put(this.#hint, "The load reaches the line of the replicas where they carry just what they should. " +
      (c.shades.length ? "Where it is shaded the reading was in doubt. " : "") + "Drag to look closer; a click shows the decision of that moment.");
    if (this.#table.hidden) return;
    const verdicts = new Map(this.#points.map((p) => [p.t, p.verdict]));
    const figures = { ...c, x: [], series: [...c.series.map((s) => ({ ...s, values: [] })), { name: "reading", values: [] }] };
    for (let i = c.x.length - 1; i >= 0; i--) {
      if (!verdicts.has(c.x[i])) continue;
      figures.x.push(c.x[i]);
      c.series.forEach((s, k) => figures.series[k].values.push(s.values[i]));
      figures.series.at(-1).values.push(verdicts.get(c.x[i]));
    }
    this.#table.replaceChildren(table(figures));
  }

  end() {
    this.#chart?.end();
  }
}
