// How a chart and the table of its figures are drawn, in reports and on the
// daemon's page alike. uPlot must have been loaded before.
//
// A chart is what chart.go's Chart is in JSON; the page adds
//   clock        x is Unix seconds
//   range        [from, to] of x, whatever the values cover
//   bands        [{high, low, colour}]: the area between two series is filled
//   shades       [{from, to, colour}]: stretches of x that are set off
//   beside       of a series: it only bounds a band, and has no line
//   zoomed(from, to), whole(), picked(x): what a person does with the mouse

/** colour is one of look.css, by its name. */
export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();

/** number writes a value in so many digits as a person wants to read. */
export function number(v, unit) {
  if (v == null) return "–";
  const digits = Math.abs(v) >= 100 ? 0 : Math.abs(v) >= 10 ? 1 : 2;
  return v.toLocaleString("en", { maximumFractionDigits: digits }) + (unit ? " " + unit : "");
}

// A quantile is drawn where the share above it halves, and halves again.
const spread = (q) => -Math.log10(1 - Math.min(q, 0.99999));
function quantile(x) {
  const share = 100 * (1 - Math.pow(10, -x));
  return share.toLocaleString("en", { maximumFractionDigits: 4 }) + " %";
}

const two = (n) => String(n).padStart(2, "0");

/** seconds writes a length of time as 1:30 or 1:02:30, or 3d 04:00 of days. */
export function seconds(x) {
  const s = Math.round(x);
  if (s >= 86400) return Math.floor(s / 86400) + "d " + two(Math.floor((s % 86400) / 3600)) + ":" + two(Math.floor((s % 3600) / 60));
  const rest = two(Math.floor((s % 3600) / 60)) + ":" + two(s % 60);
  return s < 3600 ? Math.floor(s / 60) + ":" + two(s % 60) : Math.floor(s / 3600) + ":" + rest;
}

/** moment writes Unix seconds as people's clocks show them here. */
export function moment(x) {
  return new Date(x * 1000).toLocaleString("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit" });
}

/** place says where on x something is, in words. */
function place(c, x) {
  if (c.clock) return moment(x);
  if (c.quantiles) return quantile(x);
  return c.x_name.startsWith("time") ? seconds(x) : number(x);
}

const xs = (c) => (c.quantiles ? c.x.map(spread) : c.x);
const values = (c) => [xs(c)].concat(c.series.map((s) => s.values));

/** shades sets stretches of x off, below everything else. */
function shades(u, c) {
  for (const s of c.shades || []) {
    const left = Math.max(u.valToPos(s.from, "x", true), u.bbox.left);
    const right = Math.min(u.valToPos(s.to, "x", true), u.bbox.left + u.bbox.width);
    if (right <= left) continue;
    u.ctx.save();
    u.ctx.fillStyle = colour(s.colour) + "2e";
    u.ctx.fillRect(left, u.bbox.top, Math.max(right - left, 2), u.bbox.height);
    u.ctx.restore();
  }
}

/** marks names places on x, above everything else. */
function marks(u, c) {
  for (const m of c.marks || []) {
    const x = Math.round(u.valToPos(m.x, "x", true));
    if (x < u.bbox.left || x > u.bbox.left + u.bbox.width) continue;
    u.ctx.save();
    u.ctx.strokeStyle = u.ctx.fillStyle = colour(m.colour || "ink");
    u.ctx.setLineDash([4, 4]);
    u.ctx.beginPath();
    u.ctx.moveTo(x, u.bbox.top);
    u.ctx.lineTo(x, u.bbox.top + u.bbox.height);
    u.ctx.stroke();
    u.ctx.font = 12 * devicePixelRatio + "px system-ui, sans-serif";
    const left = x > u.bbox.left + u.bbox.width / 2;
    u.ctx.textAlign = left ? "right" : "left";
    u.ctx.fillText(m.name, x + (left ? -6 : 6) * devicePixelRatio, u.bbox.top + 14 * devicePixelRatio);
    u.ctx.restore();
  }
}

/** ranges is how far each axis reaches: all begin at 0. */
function ranges(c) {
  const from0 = (u, min, max) => [0, max > 0 ? max * 1.05 : 1];
  const x = { time: Boolean(c.clock) };
  if (c.range) x.range = () => c.range;
  if (c.log) return { x, y: { distr: 3, range: (u, min, max) => uPlot.rangeLog(min, max, 10, true) }, right: { range: from0 } };
  if (!c.per_right) return { x, y: { range: from0 }, right: { range: from0 } };
  return { x, y: { range: () => [0, top(c) * c.per_right] }, right: { range: () => [0, top(c)] } };
}

/** top is how far the right axis reaches where the left one goes with it. */
function top(c) {
  let most = 1;
  for (const s of c.series) {
    for (const v of s.values) if (v != null) most = Math.max(most, s.right ? v : v / c.per_right);
  }
  return most * 1.08;
}

// What a time axis says, by the time between its marks; see uPlot's axis.values.
const clock = [
  [86400, "{D} {MMM}", "\n{YYYY}", null, null, null, null, null, 1],
  [60, "{HH}:{mm}", "\n{D} {MMM}", null, "\n{D} {MMM}", null, null, null, 1],
  [1, "{HH}:{mm}:{ss}", "\n{D} {MMM}", null, "\n{D} {MMM}", null, null, null, 1],
];

// How far apart the marks of an axis are that counts a time from its beginning.
const apart = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 345600, 604800, 1209600, 2592000];

function axes(c) {
  const axis = { stroke: colour("quiet"), grid: { stroke: colour("line"), width: 1 }, ticks: { stroke: colour("line") }, font: "12px system-ui, sans-serif", labelFont: "12px system-ui, sans-serif" };
  const powers = (u, vs) => vs.map((v) => (v != null && Number.isInteger(Math.round(1e6 * Math.log10(v)) / 1e6) ? String(v) : ""));
  const numbers = (u, vs) => vs.map((v) => number(v));
  const all = [
    c.clock
      ? { ...axis, values: clock }
      : { ...axis, label: c.x_name, labelSize: 20, values: (u, vs) => vs.map((v) => place(c, v)), splits: c.quantiles ? () => [0, Math.log10(2), 1, 2, 3, 4, 5] : undefined, ...(c.x_name.startsWith("time") ? { incrs: apart, space: 70 } : {}) },
    { ...axis, label: c.unit, labelSize: 20, scale: "y", size: 56, values: c.log ? powers : numbers },
  ];
  const whole = (u, vs) => vs.map((v) => (Number.isInteger(v) ? number(v) : ""));
  if (c.right) all.push({ ...axis, label: c.right, labelSize: 20, scale: "right", side: 1, size: 44, grid: { show: false }, values: c.per_right ? whole : numbers });
  return all;
}

function lines(c) {
  return c.series.map((s) => ({
    label: s.name, class: s.beside ? "u-beside" : undefined,
    scale: s.right ? "right" : "y", stroke: s.beside ? undefined : colour(s.colour), width: s.beside ? 0 : s.dashed || s.fill ? 1.5 : 2,
    dash: s.dashed ? [6, 4] : undefined,
    fill: s.fill ? colour(s.colour) + "22" : undefined,
    spanGaps: Boolean(s.joined),
    paths: s.steps ? uPlot.paths.stepped({ align: 1 }) : undefined,
    points: { show: c.x.length < 40 && !s.steps },
    value: (u, v, at, i) => (i == null ? "" : number(v, s.right ? c.right : c.unit)),
  }));
}

function options(c, width, height) {
  return {
    width, height, scales: ranges(c), axes: axes(c),
    padding: [12, c.right ? 4 : 16, 0, 0],
    cursor: {
      drag: { x: true, y: false, setScale: !c.zoomed },
      bind: c.whole ? { dblclick: () => () => c.whole() } : {},
    },
    bands: (c.bands || []).map((b) => ({ series: [b.high + 1, b.low + 1], fill: colour(b.colour) + "2e" })),
    hooks: {
      drawClear: [(u) => shades(u, c)],
      draw: [(u) => marks(u, c)],
      setSelect: c.zoomed ? [(u) => select(u, c)] : [],
    },
    series: [{ label: c.x_name, value: (u, v) => (v == null ? "" : place(c, v)) }].concat(lines(c)),
  };
}

/** select tells which stretch was dragged over. */
function select(u, c) {
  const { left, width } = u.select;
  if (width < 4) return;
  u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
  c.zoomed(u.posToVal(left, "x"), u.posToVal(left + width, "x"));
}

/**
 * draw draws c into an element, as wide as that is, and again whenever its width
 * or the colours change. What it returns shows other values of the same series
 * (show) and ends (end).
 */
export function draw(into, c) {
  let u, width;
  c = { ...c };
  const anew = () => {
    if (u) u.destroy();
    width = into.clientWidth;
    u = new uPlot(options(c, width, into.clientWidth < 500 ? 220 : 280), values(c), into);
    if (c.picked) u.over.addEventListener("click", (e) => c.picked(u.posToVal(e.offsetX, "x")));
  };
  anew();
  const watch = new ResizeObserver(() => into.clientWidth !== width && anew());
  watch.observe(into);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  dark.addEventListener("change", anew);
  return {
    show(next) {
      Object.assign(c, next);
      u.setData(values(c));
    },
    end() {
      watch.disconnect();
      dark.removeEventListener("change", anew);
      u.destroy();
    },
  };
}

function cell(row, name, text) {
  const e = document.createElement(name);
  e.textContent = text;
  row.append(e);
  return e;
}

/** table is the figures of c. */
export function table(c) {
  const t = document.createElement("table");
  const head = t.createTHead().insertRow();
  for (const name of [c.x_name].concat(c.series.map((s) => s.name))) cell(head, "th", name).scope = "col";
  const body = t.createTBody();
  xs(c).forEach((x, i) => {
    const row = body.insertRow();
    cell(row, "td", place(c, x));
    for (const s of c.series) cell(row, "td", typeof s.values[i] === "string" ? s.values[i] : number(s.values[i]));
  });
  return t;
}

/** folded is a place below a chart that shows its figures when it is opened. */
export function folded(c) {
  const details = document.createElement("details");
  cell(details, "summary", "The figures as a table");
  details.addEventListener("toggle", () => {
    if (!details.open || details.querySelector("table")) return;
    const scroll = document.createElement("div");
    Object.assign(scroll, { className: "scroll", tabIndex: 0 });
    scroll.setAttribute("role", "region");
    scroll.setAttribute("aria-label", c.title + ", as a table");
    scroll.append(table(c));
    details.append(scroll);
  });
  return details;
}
