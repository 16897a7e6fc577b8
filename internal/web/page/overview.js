// Shows all services: one row each, that can be looked for, chosen and sorted.

import { daemon, on } from "./daemon.js";
import { attribute, h, put } from "./dom.js";
import { Spark } from "./spark.js";
import { asides, load, percent, rps, share, standing } from "./words.js";

const kinds = [
  ["all", "All", () => true],
  ["look", "To look at", (s) => standing(s).look || s.warnings.length > 0],
  ["max", "At maximum", (s) => standing(s).word === "at maximum"],
  ["paused", "Paused", (s) => s.pause !== null],
];

const byName = (a, b) => a.name.localeCompare(b.name, "en", { numeric: true });
const orders = {
  look: ["What to look at", (a, b) => standing(a).rank - standing(b).rank],
  name: ["Name", () => 0],
  load: ["Load", (a, b) => (b.decision?.rps ?? -1) - (a.decision?.rps ?? -1)],
  share: ["Share of target", (a, b) => (share(b) ?? -1) - (share(a) ?? -1)],
  replicas: ["Replicas", (a, b) => (b.replicas ?? -1) - (a.replicas ?? -1)],
};

/** Row is one service. */
class Row {
  name = h("a", { class: "name" });
  #where = h("span", { class: "where" });
  #badge = h("span", { class: "badge" });
  #asides = h("span", { class: "asides" });
  #count = h("b");
  #bounds = h("span", { class: "bounds" });
  #fill = h("meter", { min: 0, "aria-hidden": "true" });
  #load = h("b");
  #share = h("span", { class: "bounds share" });
  #text = h("p", { class: "text" });
  #spark = new Spark();
  #filled = false;

  constructor(name) {
    attribute(this.name, "href", "#/services/" + encodeURIComponent(name));
    put(this.name, name);
    this.el = h("li", { class: "row", "data-service": name },
      h("div", { class: "who" }, this.name, this.#where),
      h("div", { class: "standing" }, this.#badge, this.#asides),
      h("div", { class: "figure" }, this.#count, this.#bounds, this.#fill),
      h("div", { class: "figure" }, this.#load, this.#share),
      this.#spark.el, this.#text);
  }

  show(s) {
    const now = standing(s);
    put(this.#where, [s.provider, s.project !== s.name && s.project, s.service !== s.name && s.service].filter(Boolean).join(" · "));
    put(this.#badge, now.word);
    attribute(this.#badge, "data-tone", now.tone);
    put(this.#asides, asides(s).join(" · "));
    put(this.#count, s.replicas == null ? "–" : String(s.replicas));
    put(this.#bounds, s.replicas === 1 ? "replica" : "replicas");
    if (s.policy) {
      put(this.#bounds, (s.replicas === 1 ? "replica" : "replicas") + `, ${s.policy.min} to ${s.policy.max}`);
      attribute(this.#fill, "max", s.policy.max);
      attribute(this.#fill, "value", s.replicas ?? 0);
    }
    const busy = share(s);
    put(this.#load, load(s));
    put(this.#share, busy !== null ? percent(busy) + " of target" : s.decision ? s.decision.verdict : s.step.ended ? "not known" : "not read yet");
    put(this.#text, s.error || s.decision?.text || "no step has ended yet");
    this.#spark.step(s);
  }

  /** past draws the last hour, once. */
  async past(s) {
    if (this.#filled) return;
    this.#filled = true;
    await this.#spark.fill(s).catch(() => (this.#filled = false)); // without a history there is none
  }
}

/** Queue does so many things at a time, the last that was asked for first. */
class Queue {
  #waiting = [];
  #running = 0;
  add(act) {
    this.#waiting.push(act);
    this.#next();
  }
  async #next() {
    if (this.#running >= 3 || !this.#waiting.length) return;
    this.#running++;
    await this.#waiting.pop()();
    this.#running--;
    this.#next();
  }
}

let last = ""; // what was chosen when the view was left

/** back is the address of the services as they were chosen last. */
export const back = () => "#/" + (last && "?" + last);

/** overview makes the view; query is what is chosen, and remember keeps that. */
export function overview(query, remember) {
  const rows = new Map();
  const queue = new Queue();
  const seen = new IntersectionObserver((entries) => {
    for (const e of entries) {
      const s = daemon.services.get(e.target.dataset.service);
      if (e.isIntersecting && s) queue.add(() => rows.get(s.name)?.past(s));
    }
  }, { rootMargin: "200px" });

  const search = h("input", { type: "search", id: "search", placeholder: "Find a service", "aria-label": "Find a service", value: query.get("find") || "", autocomplete: "off", spellcheck: "false" });
  const order = h("select", { id: "order" }, Object.entries(orders).map(([value, [text]]) => h("option", { value, selected: value === (query.get("sort") || "look") }, text)));
  const chips = kinds.map(([value, text]) => h("button", { type: "button", class: "chip", "data-kind": value }, text + " ", h("span")));
  const list = h("ul", { class: "rows", "aria-label": "Services" });
  const none = h("p", { class: "empty" });
  const facts = h("dl", { class: "facts" });
  let kind = query.get("show") || "all";

  const chosen = () => kinds.find(([value]) => value === kind) || kinds[0];
  const fits = (s) => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const text = [s.name, s.provider, s.project, s.service, standing(s).word].join(" ").toLowerCase();
    return chosen()[2](s) && words.every((w) => text.includes(w));
  };

  function count() {
    const all = [...daemon.services.values()];
    for (const [i, [value, , fits]] of kinds.entries()) {
      attribute(chips[i], "aria-pressed", value === chosen()[0]);
      put(chips[i].lastChild, String(all.filter(fits).length));
    }
    const sum = (pick) => all.reduce((n, s) => n + (pick(s) || 0), 0);
    const look = all.filter((s) => standing(s).look);
    const values = [
      ["services", String(all.length), look.length ? `${look.length} to look at` : "all as they should be"],
      ["replicas", String(sum((s) => s.replicas)), "of at most " + sum((s) => s.policy?.max)],
      ["load", rps(Math.round(sum((s) => (share(s) === null ? 0 : s.decision.rps)))), "where it is trusted"],
    ];
    if (facts.children.length !== values.length) facts.replaceChildren(...values.map(([name]) => h("div", {}, h("dt", {}, name), h("dd", {}, h("span"), h("small")))));
    values.forEach(([, value, about], i) => {
      const dd = facts.children[i].lastChild;
      put(dd.firstChild, value);
      put(dd.lastChild, about);
    });
  }

  /** arrange shows the rows that were chosen, in their order. */
  function arrange() {
    const all = [...daemon.services.values()].sort((a, b) => orders[order.value][1](a, b) || byName(a, b));
    for (const [name, row] of rows) {
      if (daemon.services.has(name)) continue;
      seen.unobserve(row.el);
      row.el.remove();
      rows.delete(name);
    }
    let shown = 0, before = null;
    for (const s of all) {
      let row = rows.get(s.name);
      if (!row) {
        row = new Row(s.name);
        row.show(s);
        rows.set(s.name, row);
        seen.observe(row.el);
      }
      row.el.hidden = !fits(s);
      shown += !row.el.hidden;
      const next = before ? before.nextSibling : list.firstChild;
      if (next !== row.el) list.insertBefore(row.el, next);
      before = row.el;
    }
    none.hidden = shown > 0;
    put(none, daemon.services.size ? "No service is like that." : "No service is looked after yet. Those of services: in the configuration appear here.");
    view.classList.toggle("bare", daemon.services.size === 0);
    arranged = performance.now();
  }
  let arranged = 0;

  function choose() {
    arrange();
    count();
    last = remember({ find: search.value.trim(), show: chosen()[0] === "all" ? "" : chosen()[0], sort: order.value === "look" ? "" : order.value });
  }
  search.addEventListener("input", choose);
  order.addEventListener("change", choose);
  chips.forEach((chip) => chip.addEventListener("click", () => {
    kind = chip.dataset.kind;
    choose();
  }));

  // Rows stay where they are under a hand that is about to press one.
  const touched = () => list.matches(":hover") || list.contains(document.activeElement);
  function show(names) {
    for (const name of names || daemon.services.keys()) {
      const s = daemon.services.get(name);
      const row = rows.get(name);
      if (s && row) {
        row.show(s);
        row.el.hidden = !fits(s);
      }
    }
    if (names === null || (performance.now() - arranged > 3000 && !touched())) arrange();
    count();
  }

  const view = h("div", { class: "overview" },
    h("h1", { class: "unseen" }, "Services"), facts,
    h("div", { class: "tools" }, search, h("div", { class: "chips", role: "group", "aria-label": "Which services" }, chips), h("label", { class: "sort" }, "Sort by ", order)),
    list, none);
  last = query.toString();
  show(null);
  const off = on("change", show);

  const move = (by) => {
    const links = [...list.querySelectorAll("li:not([hidden]) .name")];
    const at = links.indexOf(document.activeElement);
    links[Math.max(0, Math.min(links.length - 1, at < 0 ? 0 : at + by))]?.focus();
  };
  return {
    el: view,
    title: () => {
      const look = [...daemon.services.values()].filter((s) => standing(s).look).length;
      return (look ? `(${look}) ` : "") + "Services";
    },
    keys: { "/": () => search.focus(), j: () => move(1), k: () => move(-1) },
    end() {
      off();
      seen.disconnect();
    },
  };
}
