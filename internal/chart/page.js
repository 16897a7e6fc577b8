"use strict";
(() => {
  const root = document.getElementById("charts");
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
  const number = (v, unit) => {
    if (v == null) return "–";
    const digits = Math.abs(v) >= 100 ? 0 : Math.abs(v) >= 10 ? 1 : 2;
    return v.toLocaleString("en", { maximumFractionDigits: digits }) + (unit ? " " + unit : "");
  };
  // A quantile is drawn where the share above it halves, and halves again.
  const spread = (q) => -Math.log10(1 - Math.min(q, 0.99999));
  const quantile = (x) => {
    const share = 100 * (1 - Math.pow(10, -x));
    return share.toLocaleString("en", { maximumFractionDigits: 4 }) + " %";
  };
  const seconds = (x) => {
    const s = Math.round(x), two = (n) => String(n).padStart(2, "0");
    return s < 3600 ? Math.floor(s / 60) + ":" + two(s % 60) : Math.floor(s / 3600) + ":" + two(Math.floor((s % 3600) / 60)) + ":" + two(s % 60);
  };

  const element = (parent, name, text) => {
    const e = document.createElement(name);
    if (text !== undefined) e.textContent = text;
    parent.appendChild(e);
    return e;
  };

  function marks(c) {
    return (u) => {
      for (const m of c.marks || []) {
        const x = Math.round(u.valToPos(m.x, "x", true));
        u.ctx.save();
        u.ctx.strokeStyle = u.ctx.fillStyle = colour("ink");
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
    };
  }

  function options(c, width) {
    const axis = { stroke: colour("quiet"), grid: { stroke: colour("line"), width: 1 }, ticks: { stroke: colour("line") } };
    const label = c.quantiles ? quantile : c.x_name.startsWith("time") ? seconds : (v) => number(v);
    const axes = [
      { ...axis, label: c.x_name, labelSize: 20, values: (u, vs) => vs.map(label), splits: c.quantiles ? () => [0, Math.log10(2), 1, 2, 3, 4, 5] : undefined },
      { ...axis, label: c.unit, scale: "y", size: 64, values: (u, vs) => vs.map((v) => number(v)) },
    ];
    if (c.right) axes.push({ ...axis, label: c.right, scale: "right", side: 1, grid: { show: false }, values: (u, vs) => vs.map((v) => number(v)) });
    const from0 = (u, min, max) => [0, max > 0 ? max * 1.05 : 1];
    return {
      width, height: 280,
      scales: { x: { time: false }, y: { range: from0 }, right: { range: from0 } },
      axes,
      cursor: { drag: { x: true, y: false } },
      hooks: { draw: [marks(c)] },
      series: [{ label: c.x_name, value: (u, v) => (v == null ? "–" : label(v)) }].concat(c.series.map((s) => ({
        label: s.name, scale: s.right ? "right" : "y", stroke: colour(s.colour), width: 2,
        dash: s.dashed ? [6, 4] : undefined,
        fill: s.fill ? colour(s.colour) + "22" : undefined,
        paths: s.steps ? uPlot.paths.stepped({ align: 1 }) : undefined,
        points: { show: c.x.length < 40 },
        value: (u, v) => number(v, s.right ? c.right : c.unit),
      }))),
    };
  }

  function table(parent, c) {
    const details = element(parent, "details");
    element(details, "summary", "The figures as a table");
    details.addEventListener("toggle", () => {
      if (!details.open || details.querySelector("table")) return;
      const t = element(Object.assign(element(details, "div"), { className: "scroll", tabIndex: 0 }), "table");
      const head = element(element(t, "thead"), "tr");
      for (const name of [c.x_name].concat(c.series.map((s) => s.name))) element(head, "th", name).scope = "col";
      const body = element(t, "tbody");
      c.x.forEach((x, i) => {
        const row = element(body, "tr");
        element(row, "td", c.quantiles ? quantile(spread(x)) : c.x_name.startsWith("time") ? seconds(x) : number(x));
        for (const s of c.series) element(row, "td", number(s.values[i]));
      });
    });
  }

  const drawn = [];
  for (const c of charts) {
    const section = element(root, "section");
    element(section, "h2", c.title);
    if (c.hint) element(section, "p", c.hint).className = "hint";
    const place = element(section, "div");
    place.className = "plot";
    place.setAttribute("role", "img");
    place.setAttribute("aria-label", c.title + "; the figures stand in the table below");
    table(section, c);
    drawn.push({ c, place, u: null });
  }
  function draw() {
    for (const d of drawn) {
      if (d.u) d.u.destroy();
      const x = d.c.quantiles ? d.c.x.map(spread) : d.c.x;
      d.u = new uPlot(options(d.c, d.place.clientWidth), [x].concat(d.c.series.map((s) => s.values)), d.place);
    }
  }
  draw();
  let pending;
  addEventListener("resize", () => { clearTimeout(pending); pending = setTimeout(draw, 150); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
})();
