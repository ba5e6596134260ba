"use strict";
// Draws the plots when they come near the screen, and the rest while nothing else is to do; hands out tables as CSV.
(() => {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const packed = read("data");
  const plots = read("plots");
  const themes = read("themes");
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const printing = window.matchMedia("print");
  const views = {};
  window.fineline = { views, errors: [] };

  const column = (values) => (Array.isArray(values) ? values : values.codes.map((code) => values.values[code]));

  function rows(name) {
    const entries = Object.entries(packed[name].columns).map(([key, values]) => [key, column(values)]);
    return Array.from({ length: packed[name].rows }, (_, i) => Object.fromEntries(entries.map(([key, list]) => [key, list[i]])));
  }

  function fitted(plot, width) {
    const spec = structuredClone(plot.spec);
    const { least, height, facet } = spec.usermeta.fineline;
    if (!facet) {
      spec.width = Math.max(200, width - 20);
      spec.height = height;
      spec.autosize = { type: "fit-x", contains: "padding" };
      return spec;
    }
    const panels = plot.panels || 1;
    const columns = Math.max(1, Math.min(Math.floor(width / (least + 60)), panels));
    spec.columns = columns;
    spec.spec.width = Math.min(460, Math.max(150, Math.floor((width - plot.margin) / columns) - plot.gap));
    spec.spec.height = height;
    return spec;
  }

  // A drawing of tens of thousands of elements takes seconds as SVG: past this many rows it is a canvas.
  const MOST_ROWS_AS_SVG = 4000;

  async function draw(figure) {
    const name = figure.dataset.plot;
    const plot = plots[name];
    const place = figure.querySelector(".plot");
    const spec = fitted(plot, place.clientWidth);
    spec.datasets = Object.fromEntries(plot.datasets.map((set) => [set, rows(set)]));
    spec.config = structuredClone(themes[dark.matches && !printing.matches ? "dark" : "light"]);
    spec.config.background = null;
    spec.config.legend.columns = Math.max(1, Math.floor((place.clientWidth - 60) / themes.entry));
    spec.description = plot.alt;
    try {
      if (views[name]) views[name].finalize();
      const renderer = plot.rows > MOST_ROWS_AS_SVG ? "canvas" : "svg";
      const result = await vegaEmbed(place, spec, { renderer, ast: true, actions: false, mode: "vega-lite" });
      views[name] = result.view;
      figure.dataset.drawn = "true";
    } catch (error) {
      window.fineline.errors.push(`${name}: ${error}`);
      console.error(`plot ${name}`, error);
    }
  }

  const waiting = new Set(document.querySelectorAll("figure[data-plot]"));
  let queue = Promise.resolve();
  const now = (figure) => { if (waiting.delete(figure)) queue = queue.then(() => draw(figure)); };
  const near = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting) { near.unobserve(entry.target); now(entry.target); }
  }, { rootMargin: "400px" });
  waiting.forEach((figure) => near.observe(figure));
  const idle = window.requestIdleCallback || ((work) => setTimeout(work, 50));
  const rest = () => idle(async () => {
    const [figure] = waiting;
    if (!figure) { await queue; document.documentElement.dataset.ready = "true"; return; }
    now(figure);
    await queue;
    rest();
  });
  rest();

  const all = () => { document.querySelectorAll("figure[data-plot]").forEach((figure) => { queue = queue.then(() => draw(figure)); }); };
  dark.addEventListener("change", all);
  let width = window.innerWidth, timer = 0;
  window.addEventListener("resize", () => {
    if (window.innerWidth === width) return;
    width = window.innerWidth;
    clearTimeout(timer);
    timer = setTimeout(all, 150);
  });

  // A text that a spreadsheet would take for a formula gets a quote before it.
  const cell = (value) => {
    if (value === null || value === undefined) return "";
    const text = typeof value === "string" && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  document.querySelectorAll("button[data-table]").forEach((button) => button.addEventListener("click", () => {
    const table = rows(button.dataset.table);
    const names = Object.keys(packed[button.dataset.table].columns);
    const lines = [names.map(cell).join(","), ...table.map((row) => names.map((name) => cell(row[name])).join(","))];
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([lines.join("\r\n") + "\r\n"], { type: "text/csv" }));
    link.download = `${button.dataset.table}.csv`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }));
})();
