// Says things the way people say them.

import { serverNow } from "./daemon.js";

export const replicas = (n) => (n === 1 ? "1 replica" : n + " replicas");

/** rps writes a load in requests/s: 0.25 rps, 7.5 rps, 180 rps. */
export function rps(v, unit = " rps") {
  if (v == null) return "–";
  const digits = v !== 0 && Math.abs(v) < 1 ? 2 : Math.abs(v) < 100 && !Number.isInteger(v) ? 1 : 0;
  return v.toFixed(digits) + unit;
}

/** length writes a stretch of time, in seconds. */
export function length(s) {
  if (s < 0.1) return Math.ceil(1000 * s) + " ms";
  if (s < 1) return s.toFixed(1) + " s";
  if (s < 100) return Math.round(s) + " s";
  if (s < 5400) return Math.round(s / 60) + " min";
  if (s < 129600) return Math.round(s / 3600) + " h";
  return Math.round(s / 86400) + " days";
}

const day = (d) => d.toLocaleDateString("en-GB", { day: "numeric", month: "short" });

/** clock writes a moment: the time of day, with the date where that is not today. */
export function clock(t, short) {
  const d = new Date(t);
  const time = d.toLocaleTimeString("en-GB", short ? { hour: "2-digit", minute: "2-digit" } : {});
  return day(d) === day(new Date(serverNow())) ? time : day(d) + " " + time;
}

/** since is how long ago a moment was, in seconds. */
export const since = (t) => (serverNow() - new Date(t)) / 1000;

export function ago(t) {
  const s = since(t);
  return s < 1 ? "just now" : length(s) + " ago";
}

export function left(t) {
  const s = -since(t);
  return s < 1 ? "now" : "in " + length(s);
}

/** stuck reports whether no step of a service has ended for too long. */
function stuck(s) {
  return s.step.ended && since(s.step.ended) > Math.max(3 * s.interval_s, 60);
}

/** paused says what a person asked for. */
export const paused = (p) => (p.replicas ? "held at " + p.replicas : "paused");

export const atMaximum = (s) => s.decision?.reason === "TooManyReplicas";

/**
 * standing is where a service stands in a word, the tone of that, and whether a
 * person should look.
 */
export function standing(s) {
  if (s.standing === "failing") return { word: "failing", tone: "bad", look: true, rank: 0 };
  if (stuck(s)) return { word: "stuck", tone: "bad", look: true, rank: 1 };
  if (s.standing === "doubt") return { word: "in doubt", tone: "slow", look: true, rank: 2 };
  if (s.decision?.verdict === "saturated") return { word: "saturated", tone: "slow", look: true, rank: 2 };
  if (s.pause) return { word: paused(s.pause), tone: "want", look: false, rank: 4 };
  if (atMaximum(s)) return { word: "at maximum", tone: "slow", look: true, rank: 3 };
  if (s.standing === "new") return { word: "starting", tone: "quiet", look: false, rank: 5 };
  if (s.standing !== "ok") return { word: s.standing, tone: "quiet", look: false, rank: 5 };
  return { word: "ok", tone: "fast", look: false, rank: 6 };
}

/** asides are what is to be known beside the standing. */
export function asides(s) {
  const all = [];
  if (s.pause && standing(s).word !== paused(s.pause)) all.push(paused(s.pause));
  if (s.policy && s.policy.mode !== "auto") all.push(s.policy.mode === "observe" ? "only observed" : s.policy.mode === "raise-only" ? "only raised" : s.policy.mode);
  if (s.warnings.length) all.push(s.warnings.length === 1 ? "1 warning" : s.warnings.length + " warnings");
  return all;
}

/** trusted reports whether a load is known, and no lower bound. */
export const trusted = (verdict) => verdict === "ok";

/** bounding reports whether a reading is a lower bound that is no fault. */
export const bounding = (verdict) => verdict === "warming" || verdict === "saturated";

/** load is the load of the last decision, as far as it is known. */
export function load(s) {
  const d = s.decision;
  if (!d) return "– rps";
  return trusted(d.verdict) ? rps(d.rps) : d.rps > 0 ? "≥ " + rps(d.rps) : "– rps";
}

/** share is how much of what its replicas should carry a service carries; null where that is not known. */
export function share(s) {
  if (!s.decision || !s.policy || !s.replicas || !trusted(s.decision.verdict)) return null;
  return s.decision.rps / (s.replicas * s.policy.rps_target);
}

export const percent = (v) => Math.round(100 * v) + " %";
