// The daemon's page: which view is shown, what stands above it, what keys do.

import { again, begin, daemon, on } from "./daemon.js";
import { askToken, help } from "./dialogs.js";
import { attribute, h, put } from "./dom.js";
import { keyboard, listen } from "./keys.js";
import { overview } from "./overview.js";
import { service } from "./service.js";
import { clock } from "./words.js";

const main = document.getElementById("main");
let view = null;

/** place is what the address says is to be shown: #/services/shop?range=24h. */
function place() {
  const [path, query] = location.hash.replace(/^#/, "").split("?");
  const found = /^\/services\/(.+)$/.exec(path);
  let name = null;
  try {
    name = found && decodeURIComponent(found[1]);
  } catch {
    // It is not one of ours: all services are shown.
  }
  return { name, query: new URLSearchParams(query) };
}

/** remember keeps what is chosen in the address, so that it can be kept and sent. */
function remember(chosen) {
  const query = new URLSearchParams(place().query);
  for (const [key, value] of Object.entries(chosen)) {
    if (value) query.set(key, value);
    else query.delete(key);
  }
  const path = location.hash.split("?")[0] || "#/";
  history.replaceState(null, "", query.size ? path + "?" + query : path);
  return query.toString();
}

let shown; // the place that view shows

function route() {
  const { name, query } = place();
  const moved = view !== null;
  if (moved && shown === name) return;
  view?.end();
  shown = name;
  view = name === null ? overview(query, remember) : service(name, query, remember);
  main.replaceChildren(view.el);
  title();
  if (moved) {
    scrollTo(0, 0);
    main.focus({ preventScroll: true });
  }
}

function title() {
  document.title = [view?.title(), "Autoscale", daemon.host].filter(Boolean).join(" – ");
}

const words = { asking: "", live: "live", polled: "every 3 s", gone: "gone" };

/** tops are what stands above everything: no daemon, no live updates, a wrong configuration. */
function tops() {
  const all = [];
  const add = (key, tone, text, ...more) => all.push({ key: key + text, make: () => h("div", { class: "banner", "data-tone": tone }, h("p", {}, text), more) });
  if (daemon.reach === "gone" && !daemon.closed) {
    add("gone", "bad", `The daemon is gone: ${daemon.why}. ` + (daemon.heard ? `What is shown was so at ${clock(daemon.heard)}.` : "Nothing is known yet."),
      h("button", { type: "button", onclick: again }, "Try again"));
  }
  if (daemon.config.error) {
    add("config", "bad", `The configuration is wrong; the one of ${daemon.config.loaded ? clock(daemon.config.loaded) : "before"} stays in force.`, h("pre", { tabindex: 0 }, daemon.config.error));
  }
  if (began && daemon.version && daemon.version !== began) {
    add("version", "load", `This page is of version ${began}, the daemon of ${daemon.version}.`, h("button", { type: "button", onclick: () => location.reload() }, "Load it anew"));
  }
  return all;
}

let began = ""; // the version that the page is of

function above() {
  const bar = document.getElementById("banners");
  const all = tops();
  const keys = all.map((t) => t.key).join("\n");
  if (bar.dataset.keys !== keys) {
    bar.dataset.keys = keys;
    bar.replaceChildren(...all.map((t) => t.make()));
  }
  const live = document.getElementById("live");
  put(live, words[daemon.reach]);
  attribute(live, "data-reach", daemon.reach);
  attribute(live, "title", daemon.reach === "polled" ? `No stream is to be had (${daemon.why}), so the daemon is asked every 3 seconds.` : null);
  document.body.classList.toggle("gone", daemon.reach === "gone");
  put(document.getElementById("host"), daemon.host);
}

/** foot says which version this is, and whose clock its texts go by. */
function foot() {
  const minutes = -new Date().getTimezoneOffset();
  const [, sign, hours, rest] = /([+-])(\d\d):(\d\d)/.exec(daemon.offset || "") || [];
  const theirs = sign ? (sign === "-" ? -1 : 1) * (60 * hours + Number(rest)) : 0;
  const zones = daemon.offset && theirs !== minutes ? ` Times are yours; those within the daemon's sentences are its own (UTC${sign ? daemon.offset : ""}).` : "";
  put(document.getElementById("foot"), daemon.version ? `Autoscale ${daemon.version}.${zones}` : "");
}

on("change", () => {
  began ||= daemon.version;
  above();
  foot();
  title();
});
on("reach", above);
addEventListener("hashchange", route);
document.getElementById("skip").addEventListener("click", (e) => {
  e.preventDefault();
  main.focus();
});
document.getElementById("help").addEventListener("click", () => help(keyboard));
listen(() => ({ "?": () => help(keyboard), ...view?.keys }));

let asked = false;

/** unlock asks for the token until there is one. */
async function unlock() {
  const why = asked ? "That token was the wrong one." : "This daemon can be reached from other machines, so what it knows is shown to those who have its token.";
  asked = true;
  while (!(await askToken(why)));
}

// The first view is made once it is known what there is to be shown, or that
// nobody answers.
const first = on("change", start);
const failed = on("reach", () => daemon.reach === "gone" && !daemon.closed && start());
function start() {
  first();
  failed();
  route();
}
begin(unlock);
