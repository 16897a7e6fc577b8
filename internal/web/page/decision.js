// Shows one decision: what came of it, each rule that moved or kept the number,
// what would change it next, and what it rests on.

import { h, svg } from "./dom.js";
import { ago, bounding, clock, percent, replicas, rps, trusted } from "./words.js";

// What the reasons of docs/json.md are about, in the words of the stages.
const stages = {
  judge: "Reading", recommend: "Load", combine: "Sources", stabilize: "The past", limit: "Limit", bound: "Bounds", guard: "Guard",
};

/** verdict is a badge. */
export function verdict(v) {
  const tone = trusted(v) ? "fast" : bounding(v) ? "quiet" : "slow";
  return h("span", { class: "badge", "data-tone": tone }, v);
}

/** headline says what a decision came to. */
function headline(d) {
  if (d.to === d.from) return replicas(d.to) + " kept";
  return `${d.from} → ${replicas(d.to)}`;
}

/** chain is every rule that moved or kept the number, in order. */
function chain(d) {
  let before = d.from;
  return h("ol", { class: "chain" }, d.steps.map((s) => {
    const moved = s.to !== before;
    before = s.to;
    return h("li", { "data-moved": moved },
      h("span", { class: "stage" }, stages[s.stage] || s.stage),
      h("span", { class: "detail" }, s.detail, " ", h("code", {}, s.reason)),
      h("span", { class: "to" }, moved ? "→ " : "", String(s.to)));
  }));
}

/** scale shows where the load is between what would lower and what would raise the count. */
function scale(d) {
  const { up, down } = d.next;
  const most = Math.max(up?.rps ?? 0, down?.rps ?? 0, d.rps) * 1.12 || 1;
  const at = (v) => 2 + (v / most) * 296;
  const bar = svg("svg", { class: "scale", viewBox: "0 0 300 20", preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("rect", { class: "scale-kept", x: 2, y: 7, width: 296, height: 6, rx: 3 }),
    down && svg("rect", { class: "scale-down", x: 2, y: 7, width: at(down.rps) - 2, height: 6, rx: 3 }),
    up && svg("rect", { class: "scale-up", x: at(up.rps), y: 7, width: 298 - at(up.rps), height: 6, rx: 3 }),
    trusted(d.verdict) && svg("rect", { class: "scale-load", x: Math.min(at(d.rps), 297) - 1.5, y: 2, width: 3, height: 16, rx: 1.5 }));
  return bar;
}

/** next says what would change the number next. */
function next(d) {
  const { up, down } = d.next || {};
  if (!up && !down) return h("p", { class: "hint" }, "What would change it next is not up to the load.");
  return h("div", { class: "next" }, scale(d), h("ul", {},
    trusted(d.verdict) && h("li", { class: "is" }, "now ", h("b", {}, rps(d.rps))),
    up && h("li", {}, h("b", {}, replicas(up.to)), " above ", h("b", {}, rps(up.rps))),
    down && h("li", {}, h("b", {}, replicas(down.to)), " at ", h("b", {}, rps(down.rps)), " or less",
      down.held_until && `, held until ${clock(down.held_until)}`),
    !up && h("li", { class: "hint" }, "not more: it is at its maximum"),
    !down && h("li", { class: "hint" }, "not fewer: it is at its minimum")));
}

/** outcome is what became of it, as a step (json.md) or the journal has it. */
function outcome(o, d) {
  if (!o) return null;
  const all = [];
  if (o.count !== undefined && o.count !== d.to) all.push(h("p", { class: "warning" }, `${replicas(o.count)} run: it did not come to that.`));
  for (const note of o.notes || []) all.push(h("p", { class: "hint" }, note));
  if (o.error) all.push(h("p", { class: "warning" }, o.error));
  if (o.commands?.length) {
    all.push(h("details", { "data-fold": "commands" }, h("summary", {}, "What was run"), h("pre", { tabindex: 0 }, o.commands.join("\n"))));
  }
  return all;
}

/** decided is a decision in full, as a list of elements. */
export function decided(d, o) {
  return [
    h("p", { class: "headline" }, headline(d), d.want !== d.to && h("small", {}, ` ${d.want} wanted`)),
    h("h3", {}, "Why"), chain(d), outcome(o, d),
    h("h3", {}, "What would change it next"), next(d),
  ];
}

/** readings are what it rests on. */
export function readings(r, at) {
  if (!r || !r.samples.length) return [h("p", { class: "hint" }, "Nothing was read.")];
  const counter = r.kind === "counter";
  const what = counter ? "requests so far" : "requests/s";
  const rows = r.samples.map((s) => h("tr", {},
    h("th", { scope: "row" }, s.name),
    h("td", { class: "number" }, !trusted(s.verdict) ? "–" : counter ? s.value.toLocaleString("en", { maximumFractionDigits: 0 }) : rps(s.value, "")),
    h("td", {}, verdict(s.verdict), s.detail && h("small", { class: "why" }, s.detail)),
    h("td", { class: "when" }, h("time", { datetime: s.time }, clock(s.time)))));
  return [
    h("p", { class: "hint" }, h("code", {}, r.metric || "no metric was found"),
      [r.kind && `, a ${r.kind}`, r.scope === "replica" ? "; each line is one replica" : r.scope === "service" ? "; a line speaks for all replicas" : "", at && `; read ${clock(at)}`].filter(Boolean).join("")),
    h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "What was read" }, h("table", {},
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Who"), h("th", { scope: "col", class: "number" }, what), h("th", { scope: "col" }, "Verdict"), h("th", { scope: "col" }, "At"))),
      h("tbody", {}, rows))),
    ...(r.notes || []).map((n) => h("p", { class: "hint" }, n)),
  ];
}

/** Crew is the table of the replicas that run: what they use is known from one time to the next. */
export class Crew {
  #before = new Map(); // usage by replica

  /** show makes the table anew; nothing where no replica is known. */
  show(all) {
    if (!all?.length) {
      this.#before.clear();
      return [];
    }
    const rows = all.map((r) => h("tr", {},
      h("th", { scope: "row" }, r.name),
      h("td", {}, this.#health(r.health)),
      h("td", { class: "number" }, this.#processor(r)),
      h("td", { class: "number" }, r.usage ? Math.round(r.usage.memory_bytes / 1048576) + " MiB" : "–"),
      h("td", { class: "when" }, ago(r.started))));
    this.#before = new Map(all.filter((r) => r.usage).map((r) => [r.id, r.usage]));
    const head = [["Replica"], ["Health"], ["CPU", "number"], ["Memory", "number"], ["Started"]];
    return [h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "The replicas that run" }, h("table", {},
      h("thead", {}, h("tr", {}, head.map(([text, kind]) => h("th", { scope: "col", class: kind }, text)))), h("tbody", {}, rows)))];
  }

  #health(text) {
    if (text === "none" || !text) return "–";
    return h("span", { class: "badge", "data-tone": text === "healthy" ? "fast" : text === "unhealthy" ? "bad" : "quiet" }, text);
  }

  /**
   * processor is what it used since it was shown last: as a share of what it may
   * use, or in cores where that is all there are.
   */
  #processor(r) {
    const before = this.#before.get(r.id);
    if (!before || !r.usage) return "–";
    const ns = (new Date(r.usage.t) - new Date(before.t)) * 1e6;
    r.usage.used = ns > 0 ? (r.usage.cpu_ns - before.cpu_ns) / ns : before.used;
    if (!(r.usage.used >= 0)) return "–";
    return r.usage.cores ? percent(r.usage.used / r.usage.cores) : r.usage.used.toFixed(2) + " cores";
  }
}
