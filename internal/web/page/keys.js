// What single keys do. They can be switched off, for those who speak to their
// computer, or whose screen reader has them.

const key = "autoscale-keys";

export const keyboard = {
  on: () => localStorage.getItem(key) !== "off",
  set: (on) => localStorage.setItem(key, on ? "on" : "off"),
};

/** listen has what a key does done; doing gives what those of the view do. */
export function listen(doing) {
  addEventListener("keydown", (e) => {
    const field = e.target.closest("input, select, textarea");
    if (e.key === "Escape" && field && !e.target.closest("dialog")) {
      field.blur();
      return;
    }
    if (!keyboard.on() || field || e.ctrlKey || e.metaKey || e.altKey || document.querySelector("dialog[open]")) return;
    const act = doing()[e.key];
    if (!act) return;
    e.preventDefault();
    act();
  });
}
