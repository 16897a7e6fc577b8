// Draws the last hour of a service as large as a word: the load as an area, the
// replicas as a line at what they should carry. Where the area is above the line,
// there is too much load.

import * as api from "./api.js";
import { serverNow } from "./daemon.js";
import { svg } from "./dom.js";
import { bounding, trusted } from "./words.js";

const width = 120, height = 32, span = 3600, buckets = 60;

/** seen is a load that is drawn: one that is known, or is at least so high. */
const seen = (rps, verdict) => (trusted(verdict) || bounding(verdict) ? rps : null);

/** Spark is one of them. */
export class Spark {
  #points = [];
  #load = svg("path", { class: "spark-load" });
  #line = svg("path", { class: "spark-replicas" });
  #target = null; // requests/s of one replica; null while it is not known
  el = svg("svg", { class: "spark", viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" }, this.#load, this.#line);

  /** fill asks for the past of a service. */
  async fill(s) {
    const answer = await api.past(s.name, { from: span + "s", step: span / buckets });
    const before = this.#points;
    this.#points = answer.points.map((p) => ({ t: new Date(p.time) / 1000, rps: seen(p.rps, p.verdict), n: p.max_replicas }));
    const last = this.#points.at(-1)?.t ?? 0;
    this.#points.push(...before.filter((p) => p.t > last));
    this.#target = s.policy?.rps_target ?? null;
    this.#draw();
  }

  /** step adds the last step of a service. */
  step(s) {
    if (!s.decision) return;
    this.#target = s.policy?.rps_target ?? null;
    const t = new Date(s.decision.at) / 1000;
    const last = this.#points.at(-1);
    if (last && t <= last.t) return;
    this.#points.push({ t, rps: seen(s.decision.rps, s.decision.verdict), n: s.replicas ?? 0 });
    const begin = serverNow() / 1000 - span;
    while (this.#points.length && this.#points[0].t < begin) this.#points.shift();
    this.#draw();
  }

  #draw() {
    const begin = serverNow() / 1000 - span;
    let top = 1, most = 0;
    for (const p of this.#points) {
      top = Math.max(top, p.n);
      most = Math.max(most, p.rps || 0);
    }
    const target = this.#target ?? (most / top || 1);
    top = Math.max(top, most / target);
    const x = (p) => (((p.t - begin) / span) * width).toFixed(1);
    const y = (v) => (height - 1 - (v / top) * (height - 3)).toFixed(1);
    let line = "", load = "", from = null;
    for (const p of this.#points) {
      line += line ? `H${x(p)}V${y(p.n)}` : `M${x(p)} ${y(p.n)}`;
      if (p.rps != null) {
        load += from === null ? `M${x(p)} ${height}V${y(p.rps / target)}` : `L${x(p)} ${y(p.rps / target)}`;
        from = p;
      } else if (from) {
        load += `V${height}Z`;
        from = null;
      }
    }
    if (from) load += `V${height}Z`;
    this.#load.setAttribute("d", load);
    this.#line.setAttribute("d", line);
  }
}
