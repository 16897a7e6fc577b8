// Makes elements. Texts become text nodes, whatever stands in them.

function fill(e, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value == null || value === false) continue;
    if (name.startsWith("on")) e.addEventListener(name.slice(2), value);
    else e.setAttribute(name, value === true ? "" : value);
  }
  e.append(...children.flat(2).filter((c) => c != null && c !== false));
  return e;
}

/** h makes an element; attributes that begin with "on" are listeners. */
export const h = (name, attributes, ...children) => fill(document.createElement(name), attributes, children);

/** svg makes an element of a drawing. */
export const svg = (name, attributes, ...children) => fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);

/** put sets a text where it is another one. */
export function put(e, text) {
  if (e.textContent !== text) e.textContent = text;
}

/** attribute sets an attribute where it is another one; null takes it away. */
export function attribute(e, name, value) {
  if (value == null) e.removeAttribute(name);
  else if (e.getAttribute(name) !== String(value)) e.setAttribute(name, value);
}

/**
 * renew puts other children into an element, unless a person is selecting a text
 * there. What was unfolded, by its data-fold, stays so.
 */
export function renew(e, ...children) {
  const selection = getSelection();
  if (selection && !selection.isCollapsed && e.contains(selection.anchorNode)) return;
  const open = new Set([...e.querySelectorAll("details[open]")].map((d) => d.dataset.fold));
  e.replaceChildren(...children.flat(2).filter((c) => c != null && c !== false));
  for (const d of e.querySelectorAll("details")) d.open = open.has(d.dataset.fold);
}

/** say has a screen reader say something. */
export function say(text) {
  document.getElementById("said").textContent = text;
}
