// Draws a report's charts, which stand in charts; draw.js stands before this.
for (const c of charts) {
  const section = document.createElement("section");
  const title = document.createElement("h2");
  title.textContent = c.title;
  section.append(title);
  if (c.hint) {
    const hint = document.createElement("p");
    Object.assign(hint, { className: "hint", textContent: c.hint });
    section.append(hint);
  }
  const plot = document.createElement("div");
  plot.className = "plot";
  plot.setAttribute("role", "img");
  plot.setAttribute("aria-label", c.title + "; the figures stand in the table below");
  section.append(plot, folded(c));
  document.getElementById("charts").append(section);
  draw(plot, c);
}
