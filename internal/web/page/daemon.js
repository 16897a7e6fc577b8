// Knows where everything stands: it follows the daemon's stream, asks anew where
// that broke, and tells those who show it.

import * as api from "./api.js";

/** daemon is what is known. */
export const daemon = {
  /** services by name, as /api/v1/services has them. */
  services: new Map(),
  version: "",
  host: "",
  config: {},
  changeable: false,
  offset: null, // of the daemon's clock to UTC, as it writes it
  /** reach is "asking" at first, then "live", "polled" (no stream is to be had) or "gone". */
  reach: "asking",
  /** why is what went wrong, heard when the last answer came. */
  why: "",
  heard: null,
  /** closed tells that reading needs the token, too. */
  closed: false,
};

let skew = 0; // of the daemon's clock to ours, in milliseconds

/** serverNow is the daemon's time, in milliseconds since 1970. */
export const serverNow = () => Date.now() + skew;

const listeners = { change: new Set(), step: new Set(), event: new Set(), reach: new Set() };

/**
 * on has f told of: "change" (a set of names, or null for all), once for each
 * frame; "step" (a service) and "event" at once; "reach". It returns what ends that.
 */
export function on(kind, f) {
  listeners[kind].add(f);
  return () => listeners[kind].delete(f);
}

const tell = (kind, value) => listeners[kind].forEach((f) => f(value));

let changed = new Set();
let frame = 0;

function changes(name) {
  if (name === null) changed = null;
  else changed?.add(name);
  frame ||= requestAnimationFrame(() => {
    const names = changed;
    changed = new Set();
    frame = 0;
    tell("change", names);
  });
}

/** take takes over where a service stands. */
export function take(s) {
  daemon.services.set(s.name, s);
  changes(s.name);
}

function reached(how, why = "") {
  const same = daemon.reach === how && daemon.why === why;
  daemon.reach = how;
  daemon.why = why;
  if (!same) tell("reach");
}

/** load asks where all stand. */
export async function load() {
  const began = Date.now();
  const all = await api.services();
  skew = new Date(all.now) - (began + Date.now()) / 2;
  daemon.heard = Date.now();
  daemon.services = new Map(all.services.map((s) => [s.name, s]));
  daemon.offset = /([+-]\d\d:\d\d|Z)$/.exec(all.now)?.[1];
  for (const key of ["version", "host", "config", "changeable"]) daemon[key] = all[key];
  changes(null);
}

function heard(kind, data) {
  daemon.heard = Date.now();
  if (kind === "step") {
    take(data);
    tell("step", data);
  } else if (kind === "event") {
    tell("event", data);
    if (!data.service) load().catch(() => {}); // the next round tells
  }
}

const pollEvery = 3000;
const resyncEvery = 30000;

let stream; // the one that is open
let hurry = () => {}; // ends the wait that is under way

const wait = (ms) =>
  new Promise((done) => {
    const timer = setTimeout(done, ms);
    hurry = () => {
      clearTimeout(timer);
      done();
    };
  });

/** again tries again at once. */
export const again = () => hurry();

/** follow follows the stream until it ends; what it throws says that there is none. */
async function follow() {
  stream = new api.Stream();
  await stream.open();
  await load(); // after the stream is open, so that nothing is missed
  reached("live");
  // What no event tells of, a service that is gone or a mended file, shows now and then.
  const resync = setInterval(() => load().catch(() => {}), resyncEvery);
  try {
    await stream.read(heard);
  } finally {
    clearInterval(resync);
  }
}

/** ask asks once, without a stream, and says whether the token is wanted. */
async function ask(why) {
  try {
    await load();
    reached("polled", why);
  } catch (e) {
    daemon.closed = e.status === 401;
    reached("gone", e.message);
  }
}

/**
 * begin follows the daemon for as long as the page is there; unlock is asked for
 * the token where reading needs it, and returns once there is one.
 */
export async function begin(unlock) {
  document.addEventListener("visibilitychange", () => (document.hidden ? stream?.end() : hurry()));
  for (let failures = 0; ; ) {
    if (document.hidden) {
      if (!daemon.heard) await load().catch(() => {}); // once it is seen it is asked again
      await wait(3600e3); // a page that nobody sees keeps no connection open
      continue;
    }
    let why = "the stream has ended";
    try {
      await follow();
      failures = 0;
    } catch (e) {
      why = e.message;
    }
    if (document.hidden) continue;
    await ask(why);
    if (daemon.closed) {
      await unlock();
      daemon.closed = false;
      continue;
    }
    failures++;
    await wait(daemon.reach === "gone" ? Math.min(500 * failures, 5000) : failures > 1 ? pollEvery : 200);
  }
}
