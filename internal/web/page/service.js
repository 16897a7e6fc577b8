// Shows one service: where it stands, what was, what was decided and why, what it
// rests on, what happened, and what a person may do.

import * as api from "./api.js";
import { daemon, on } from "./daemon.js";
import { Crew, decided, readings } from "./decision.js";
import { goOn, handsOff } from "./dialogs.js";
import { attribute, h, put, renew, say } from "./dom.js";
import { back } from "./overview.js";
import { Past, spans } from "./past.js";
import { ago, asides, clock, left, length, load, percent, replicas, rps, share, standing, trusted } from "./words.js";

const kinds = {
  scaled: "fast", recovered: "fast", "trusted-again": "fast", failed: "bad", "config-invalid": "bad",
  "held-on-doubt": "slow", "at-max": "slow", paused: "want", resumed: "want",
};

/** facts are the figures at the top. */
function facts(s) {
  const d = s.decision, busy = share(s);
  const bounds = s.policy ? `${s.policy.min} to ${s.policy.max} allowed` : "";
  const every = "every " + length(s.interval_s);
  return [
    ["replicas", s.replicas == null ? "–" : String(s.replicas), bounds],
    ["load", load(s), d ? (trusted(d.verdict) ? (busy === null ? "" : percent(busy) + " of target") : "the reading is " + d.verdict) : s.step.ended ? "not known" : "not read yet"],
    ["wanted", d ? String(d.want) : "–", s.policy ? rps(s.policy.rps_target) + " each" : ""],
    ["last step", s.step.ended ? ago(s.step.ended) : "none yet", s.step.ended ? `${every}, took ${length(s.step.took_s)}` : every],
  ];
}

/** Decisions is the panel that shows the last decision, or an earlier one. */
class Decisions {
  #name;
  #last = null; // the service with its last step
  #shown = []; // earlier decisions, the one shown at the end; empty for the last one
  #title = h("h2", { id: "decision-title" }, "Decision");
  #when = h("span", { class: "when" });
  #now = h("button", { type: "button", class: "chip", hidden: true, onclick: () => this.now() }, "Now");
  #later = h("button", { type: "button", class: "chip", disabled: true, onclick: () => this.later() }, "Later");
  #earlier = h("button", { type: "button", class: "chip", onclick: () => this.earlier() }, "Earlier change");
  #body = h("div");
  #reading = h("div");
  #crew = new Crew();
  #running = h("div");
  #fault = h("p", { class: "fault", role: "status" });

  constructor(name) {
    this.#name = name;
    this.el = h("section", { class: "panel decision", "aria-labelledby": "decision-title" },
      h("div", { class: "head" }, this.#title, this.#when, h("div", { class: "chips", role: "group", "aria-label": "Which decision" }, this.#earlier, this.#later, this.#now)),
      this.#fault, this.#body);
    this.reading = h("section", { class: "panel", "aria-labelledby": "reading-title" }, h("h2", { id: "reading-title" }, "Readings"), this.#reading, this.#running);
  }

  /** take shows the last step, where no earlier one is looked at. */
  take(whole) {
    this.#last = whole;
    renew(this.#running, this.#crew.show(whole.last.replicas));
    if (!this.#shown.length) this.#show();
  }

  async #find(query) {
    put(this.#fault, "");
    try {
      const [record] = (await api.decisions(this.#name, { limit: 1, from: "720h", ...query })).decisions;
      if (!record) put(this.#fault, "There is none before that.");
      return record;
    } catch (e) {
      put(this.#fault, "It cannot be looked up: " + e.message);
    }
  }

  async earlier() {
    const at = this.#shown.at(-1)?.decision.at || this.#last?.decision?.at;
    // The history goes by milliseconds: in any more of them it would find this one again.
    const record = at && (await this.#find({ to: new Date(at).toISOString(), changes: true }));
    if (record) this.#look([...this.#shown, record]);
  }

  later() {
    this.#look(this.#shown.slice(0, -1));
  }

  now() {
    this.#look([]);
    this.#earlier.focus();
  }

  /** at shows the decision of a moment, in Unix seconds. */
  async at(t) {
    const record = await this.#find({ to: (t + 1).toFixed(3) });
    if (record) this.#look([record]);
  }

  #look(shown) {
    this.#shown = shown;
    put(this.#fault, "");
    this.#show();
    if (shown.length) {
      this.el.scrollIntoView({ block: "nearest" });
      say("The decision of " + clock(shown.at(-1).decision.at));
    }
  }

  #show() {
    const record = this.#shown.at(-1);
    const d = record ? record.decision : this.#last?.last.decision;
    this.#now.hidden = this.#later.hidden = !record;
    this.#running.hidden = Boolean(record);
    this.#later.disabled = !record;
    this.el.classList.toggle("earlier", Boolean(record));
    put(this.#title, record ? "An earlier decision" : "Decision");
    put(this.#when, d ? clock(d.at) : "");
    if (!d) {
      renew(this.#body, h("p", { class: "hint" }, this.#last?.error ? "The last step failed before it came to a decision." : "No step has come to a decision yet."));
      renew(this.#reading, h("p", { class: "hint" }, "Nothing was read."));
      return;
    }
    renew(this.#body, decided(d, record ? record.outcome : this.#last.last.outcome));
    renew(this.#reading, readings(record ? record.reading : this.#last.last.reading));
  }
}

/** happened is the list of events. */
class Happened {
  #list = h("ul", { class: "events" });
  #name;
  #at;

  constructor(name, at) {
    this.#name = name;
    this.#at = at;
    this.el = h("section", { class: "panel wide", "aria-labelledby": "events-title" }, h("h2", { id: "events-title" }, "Events"), this.#list);
  }

  async load() {
    try {
      const { events } = await api.events({ service: this.#name, since: "168h", limit: 50 });
      this.#list.replaceChildren(...events.map((e) => this.#item(e)));
      if (!events.length) this.#list.append(h("li", { class: "hint" }, "Nothing happened in the last 7 days."));
    } catch (e) {
      this.#list.replaceChildren(h("li", { class: "hint" }, "They cannot be shown: " + e.message));
    }
  }

  add(e) {
    this.#list.querySelector(".hint")?.remove();
    this.#list.prepend(this.#item(e));
    while (this.#list.children.length > 50) this.#list.lastChild.remove();
  }

  #item(e) {
    return h("li", {},
      h("button", { type: "button", class: "link", title: "The decision of this moment", onclick: () => this.#at(new Date(e.time) / 1000) }, h("time", { datetime: e.time }, clock(e.time))),
      h("span", { class: "badge", "data-tone": kinds[e.kind] || "quiet" }, e.kind.replaceAll("-", " ")),
      h("span", { class: "what" }, e.text, e.by && !e.text.includes(e.by) && h("small", {}, " by " + e.by)));
  }
}

/** Head is what stands above everything else. */
class Head {
  #badge = h("span", { class: "badge" });
  #asides = h("span", { class: "asides" });
  #where = h("p", {});
  #hands = h("div", { class: "hands" });
  #pause = h("p", { class: "note pause", hidden: true });
  #error = h("p", { class: "warning error", role: "alert", hidden: true });
  #fault = h("p", { class: "fault", role: "alert" });
  #warnings = h("div");
  #facts = h("dl", { class: "facts" });
  #s = null;
  #buttons = {
    pause: h("button", { type: "button", onclick: () => this.pause() }, "Pause…"),
    hold: h("button", { type: "button", onclick: () => this.hold() }, "Hold at…"),
    resume: h("button", { type: "button", class: "main", onclick: () => this.resume() }, "Resume"),
  };

  constructor(name) {
    const near = (by, text, label) => h("a", { class: "near", "data-by": by, "aria-label": label, title: label }, text);
    this.#hands.append(...Object.values(this.#buttons));
    this.el = h("div", { class: "service-head" },
      h("nav", { "aria-label": "Services" }, h("a", { href: back() }, "All services"), near(-1, "‹", "The service before"), near(1, "›", "The next service")),
      h("header", {}, h("div", {}, h("h1", {}, name, " ", this.#badge, this.#asides), this.#where), this.#hands),
      this.#fault, this.#error, this.#pause, this.#warnings, this.#facts);
  }

  show(s) {
    this.#s = s;
    const now = standing(s);
    put(this.#badge, now.word);
    attribute(this.#badge, "data-tone", now.tone);
    put(this.#asides, asides(s).join(" · "));
    put(this.#where, [s.provider, s.project, s.service !== s.name && s.service, s.policy && s.policy.mode !== "auto" && `mode ${s.policy.mode}`].filter(Boolean).join(" · "));
    this.#handle(s);
    this.#error.hidden = !s.error;
    put(this.#error, s.error || "");
    const warnings = s.warnings.filter((w) => w !== s.error);
    if (warnings.join("\n") !== [...this.#warnings.children].map((e) => e.textContent).join("\n")) {
      this.#warnings.replaceChildren(...warnings.map((w) => h("p", { class: "warning" }, w)));
    }
    this.#figures(s);
    const names = [...daemon.services.keys()];
    for (const a of this.el.querySelectorAll(".near")) {
      const other = names[names.indexOf(s.name) + Number(a.dataset.by)];
      attribute(a, "href", other === undefined ? null : "#/services/" + encodeURIComponent(other));
    }
  }

  /** handle shows what a person may do. */
  #handle(s) {
    const p = s.pause;
    const can = daemon.changeable && s.provider !== "k8s";
    this.#hands.hidden = !can;
    this.#buttons.resume.hidden = !p;
    put(this.#buttons.pause, p ? "Pause again…" : "Pause…");
    this.#pause.hidden = !p;
    if (p) {
      const what = p.replicas ? `Held at ${replicas(p.replicas)}` : "Paused";
      put(this.#pause, `${what} until ${clock(p.until, true)} (${left(p.until)})` + (p.by ? ` by ${p.by}` : "") + (p.reason ? `: ${p.reason}` : ""));
    }
  }

  #figures(s) {
    const values = facts(s);
    if (this.#facts.children.length !== values.length) {
      this.#facts.replaceChildren(...values.map(([name]) => h("div", {}, h("dt", {}, name), h("dd", {}, h("span"), h("small")))));
    }
    values.forEach(([, value, about], i) => {
      const dd = this.#facts.children[i].lastChild;
      put(dd.firstChild, value);
      put(dd.lastChild, about);
    });
  }

  async #do(act) {
    put(this.#fault, "");
    if (!this.#s || this.#hands.hidden) return;
    try {
      await act(this.#s);
    } catch (e) {
      put(this.#fault, e.message);
    }
  }

  pause() {
    return this.#do((s) => handsOff(s, false));
  }
  hold() {
    return this.#do((s) => handsOff(s, true));
  }
  resume() {
    return this.#do(async (s) => {
      this.#buttons.resume.disabled = true;
      try {
        await goOn(s);
      } finally {
        this.#buttons.resume.disabled = false;
      }
    });
  }
  /** toggle ends a pause, or begins one. */
  toggle() {
    return this.#s?.pause ? this.resume() : this.pause();
  }
}

/** service makes the view of one. */
export function service(name, query, remember) {
  const head = new Head(name);
  const decision = new Decisions(name);
  const past = new Past(name, query.get("range"), (range) => remember({ range: range === "1h" ? "" : range }), (t) => decision.at(t));
  const happened = new Happened(name, (t) => decision.at(t));
  let known = false; // it is, or was, in the configuration
  const gone = h("p", { class: "warning", hidden: true }, "This service is not, or no longer, in the configuration. ", h("a", { href: "#/" }, "All services"));
  const view = h("div", { class: "service" }, head.el, gone, past.el,
    h("div", { class: "columns" }, decision.el, decision.reading, happened.el));

  let asking = false, again = false;
  /** whole asks for the last step in full; while that is under way, once more afterwards. */
  async function whole() {
    if (asking) {
      again = true;
      return;
    }
    asking = true;
    try {
      decision.take(await api.service(name));
    } catch {
      // That the daemon is gone, or the service, is shown elsewhere.
    }
    asking = false;
    if (again) {
      again = false;
      whole();
    }
  }

  function show() {
    const s = daemon.services.get(name);
    gone.hidden = Boolean(s) || daemon.heard === null;
    view.classList.toggle("unknown", !s && !known);
    if (!s) return;
    head.show(s);
    if (!known) past.step(s);
    known = true;
  }

  function stepped(s) {
    if (s.name !== name) return;
    past.step(s);
    whole();
    const d = s.decision;
    if (d && s.replicas !== d.from) say(`${name}: ${replicas(s.replicas)}, ${d.from} before`);
  }

  show();
  if (known) {
    past.load();
    whole();
    happened.load();
  }
  const off = [
    on("change", (names) => {
      if (names === null || names.has(name)) show();
      if (names === null && known && !asking) whole();
    }),
    on("step", stepped),
    on("event", (e) => e.service === name && happened.add(e)),
    on("reach", () => {
      if (daemon.reach !== "live" || !known) return;
      past.load();
      happened.load();
    }),
  ];
  const ticking = setInterval(show, 1000); // ages

  return {
    el: view,
    title: () => {
      const s = daemon.services.get(name);
      return s && s.replicas != null ? `${name}: ${replicas(s.replicas)}` : name;
    },
    keys: {
      p: () => head.toggle(), h: () => head.hold(), t: () => past.tabled(),
      "+": () => past.closer(0.5), "-": () => past.closer(2),
      ...Object.fromEntries(Object.keys(spans).map((span, i) => [String(i + 1), () => {
        past.choose(span);
        remember({ range: span === "1h" ? "" : span });
      }])),
      o: () => (location.hash = back()),
      j: () => view.querySelector(".near[data-by='1'][href]")?.click(),
      k: () => view.querySelector(".near[data-by='-1'][href]")?.click(),
    },
    end() {
      off.forEach((f) => f());
      clearInterval(ticking);
      past.end();
    },
  };
}
