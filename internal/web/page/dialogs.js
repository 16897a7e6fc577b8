// What a person is asked for: the token, how long to leave a count alone.

import * as api from "./api.js";
import { daemon, take } from "./daemon.js";
import { h, say } from "./dom.js";
import { clock, replicas } from "./words.js";

/**
 * open shows a dialog with a form, and resolves once it is closed: to what submit
 * made of it, or to null. submit may refuse with an error, which is shown.
 */
function open(title, content, action, submit) {
  const fault = h("p", { class: "fault", role: "alert" });
  const go = h("button", { class: "main" }, action);
  const cancel = h("button", { type: "button" }, "Cancel");
  const form = h("form", { method: "dialog" }, h("h2", { id: "dialog-title" }, title), content, fault, h("div", { class: "buttons" }, go, cancel));
  const dialog = h("dialog", { "aria-labelledby": "dialog-title" }, form);
  let result = null;
  cancel.addEventListener("click", () => dialog.close());
  form.addEventListener("submit", async (e) => {
    e.preventDefault();
    go.disabled = true;
    fault.textContent = "";
    try {
      result = await submit(form);
      dialog.close();
    } catch (e) {
      fault.textContent = e.message;
    }
    go.disabled = false;
  });
  document.body.append(dialog);
  const before = document.activeElement;
  dialog.showModal();
  return new Promise((done) =>
    dialog.addEventListener("close", () => {
      dialog.remove();
      if (before?.isConnected) before.focus();
      done(result);
    }),
  );
}

/** askToken asks for the token; where it is wrong, why says so. */
export function askToken(why) {
  const input = h("input", { type: "password", name: "token", id: "token", required: true, autocomplete: "off", autofocus: true });
  const content = [
    h("p", {}, why),
    h("label", { for: "token" }, "Token"),
    input,
    h("p", { class: "hint" }, "It is token: of the daemon's configuration, and is kept until this tab is closed."),
  ];
  return open("The token, please", content, "Go on", () => {
    api.token.set(input.value.trim());
    return true;
  });
}

/**
 * withToken does what needs the token, and asks for it where there is none or the
 * wrong one. It throws where that is not to be had.
 */
export async function withToken(act) {
  let why = "Only who has the token can change something.";
  for (;;) {
    if (!api.token.get() && !(await askToken(why))) throw new Error("nothing was changed: the token is missing");
    try {
      return await act();
    } catch (e) {
      if (e.status !== 401) throw e;
      api.token.forget();
      why = "That token was the wrong one.";
    }
  }
}

const lengths = [["15m", "15 minutes"], ["30m", "30 minutes"], ["1h", "1 hour"], ["2h", "2 hours"], ["4h", "4 hours"], ["12h", "12 hours"], ["24h", "1 day"], ["72h", "3 days"], ["168h", "1 week"]];

const nameKey = "autoscale-name";

/** handsOff asks how long to leave a service's count alone, or to hold it, and does so. */
export async function handsOff(s, hold) {
  const number = h("input", { type: "number", name: "replicas", id: "replicas", min: 1, max: 1000, required: true, value: s.replicas || s.policy?.min || 1 });
  const length = h("select", { name: "for", id: "for" }, lengths.map(([value, text]) => h("option", { value, selected: value === "30m" }, text)));
  const reason = h("input", { name: "reason", id: "reason", maxlength: 200, autocomplete: "off" });
  const by = h("input", { name: "by", id: "by", maxlength: 200, autocomplete: "name", value: localStorage.getItem(nameKey) || "" });
  const fields = [
    hold && h("label", { for: "replicas" }, "Replicas"), hold && number,
    h("label", { for: "for" }, "For"), length,
    h("label", { for: "reason" }, "What for ", h("small", {}, "(others will read it)")), reason,
    h("label", { for: "by" }, "Your name ", h("small", {}, "(optional)")), by,
  ];
  const about = hold
    ? `${s.name} is kept at this number, whatever the load is. It ends by itself.`
    : `${s.name} is left at ${s.replicas == null ? "what it has" : replicas(s.replicas)}, whatever the load is. It is still read, and goes on by itself afterwards.`;
  const asked = await open((hold ? "Hold " : "Pause ") + s.name, [h("p", {}, about), ...fields], hold ? "Hold" : "Pause", async () => {
    if (by.value.trim()) localStorage.setItem(nameKey, by.value.trim());
    const body = { for: length.value };
    if (hold) body.replicas = Number(number.value);
    if (reason.value.trim()) body.reason = reason.value.trim();
    if (by.value.trim()) body.by = by.value.trim();
    return (await withToken(() => api.pause(s.name, body))).pause;
  });
  if (!asked) return;
  took(s, asked);
  say(`${s.name} is ${hold ? "held" : "paused"} until ${clock(asked.until)}`);
}

/** goOn ends a pause. */
export async function goOn(s) {
  await withToken(() => api.resume(s.name));
  took(s, null);
  say(s.name + " is scaled again");
}

/** took shows what was asked for, before the next step does. */
function took(s, pause) {
  take({ ...(daemon.services.get(s.name) || s), pause });
}

const keys = [
  ["/", "look for a service"], ["j, k", "the next service, the one before"], ["Enter", "open it"],
  ["o", "back to all services"], ["1, 2, 3", "the last hour, day, week"], ["+, −", "look closer, or at more"],
  ["t", "the chart's figures as a table"], ["p", "pause, or end a pause"], ["h", "hold at a number"], ["?", "this list"], ["Esc", "close, or leave a field"],
];

/** help lists the keys, and lets them be switched off. */
export function help(keyboard) {
  const box = h("input", { type: "checkbox", id: "keys-on", checked: keyboard.on() });
  box.addEventListener("change", () => keyboard.set(box.checked));
  const list = h("dl", { class: "keys" }, keys.map(([key, text]) => h("div", {}, h("dt", {}, key.split(", ").map((k) => h("kbd", {}, k))), h("dd", {}, text))));
  const dialog = h("dialog", { "aria-labelledby": "dialog-title" }, h("form", { method: "dialog" },
    h("h2", { id: "dialog-title" }, "Keys"), list,
    h("p", {}, h("label", {}, box, " Keys do this")),
    h("div", { class: "buttons" }, h("button", { class: "main", autofocus: true }, "Close"))));
  document.body.append(dialog);
  const before = document.activeElement;
  dialog.showModal();
  dialog.addEventListener("close", () => {
    dialog.remove();
    if (before?.isConnected) before.focus();
  });
}
