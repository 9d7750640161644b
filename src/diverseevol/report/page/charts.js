// The figures, drawn by Plotly as Python made them. Its labels read tags as a little HTML and $…$ as mathematics, so every text of a
// figure is escaped on its way there, but colours and hover templates, which hold nothing of a run. Colours are names in page.css.
const data = JSON.parse(document.getElementById("page-data").textContent);
const dark = matchMedia("(prefers-color-scheme: dark)");
const narrow = matchMedia("(max-width: 760px)");
const theme = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const safe = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;").replace(/\$/g, "&#36;");
const config = { displayModeBar: false, responsive: true, showTips: false };
const element = (tag, text, attributes = {}) => {
  const made = document.createElement(tag);
  made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
};
const number = (value) => Number(value).toLocaleString("en", { maximumSignificantDigits: 4 });

function template() {
  const axis = {
    gridcolor: theme("line"), linecolor: theme("line"), zeroline: false, fixedrange: true, automargin: true,
    tickfont: { color: theme("soft"), size: 12 }, title: { font: { color: theme("soft"), size: 13 }, standoff: 10 },
  };
  return { layout: {
    font: { family: theme("sans"), size: 13, color: theme("ink") },
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", margin: { l: 52, r: 12, t: 36, b: 44 }, dragmode: false,
    hoverlabel: { bgcolor: theme("panel"), bordercolor: theme("line"), font: { color: theme("ink"), size: 13 } },
    legend: { orientation: "h", x: 0, xanchor: "left", y: 1.02, yanchor: "bottom", traceorder: "normal", font: { size: 12 }, itemclick: false, itemdoubleclick: false },
    xaxis: { ...axis, showgrid: false }, yaxis: axis, modebar: { bgcolor: "rgba(0,0,0,0)", color: theme("soft"), activecolor: theme("accent") },
  } };
}

function themed(figure) {
  const made = JSON.parse(JSON.stringify(figure), (key, value) => {
    if (typeof value !== "string" || key === "hovertemplate") return value;
    if (key === "color") return theme(value.slice(2));
    if (key === "fillcolor") return `${theme(value.slice(2))}29`; // an opacity of 0.16
    return safe(value);
  });
  made.layout.template = template();
  return made;
}

function draw(place) {
  const figure = themed(data.figures[place.dataset.figure]);
  if (figure.layout.height) place.style.height = `${figure.layout.height}px`;
  return Plotly.react(place, figure.data, figure.layout, config);
}

const drawn = new Set();
function drawOnce(place) {
  if (drawn.has(place)) return;
  drawn.add(place);
  draw(place);
}
const watcher = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) if (isIntersecting) drawOnce(target);
}, { rootMargin: "400px" });
const places = document.querySelectorAll("[data-figure]");
places.forEach((place) => watcher.observe(place));
addEventListener("beforeprint", () => places.forEach(drawOnce)); // paper shows everything
dark.addEventListener("change", () => drawn.forEach(draw));

// The table behind each figure, its CSV and its PNG: a trace with a name is a column.
function tableOf(key) {
  const { data: traces, layout } = data.figures[key];
  const [at, of] = traces[0].orientation === "h" ? ["y", "x"] : ["x", "y"];
  const rows = new Map();
  traces.forEach((trace, column) => trace[at].forEach((place, n) => {
    if (!rows.has(place)) rows.set(place, [place, ...traces.map(() => null)]);
    rows.get(place)[column + 1] = trace[of][n];
  }));
  const found = [...rows.values()];
  if (typeof found[0]?.[0] === "number") found.sort((one, other) => one[0] - other[0]);
  return { headings: [layout[`${at}axis`].title.text, ...traces.map(({ name }) => name)], rows: found, isShare: layout[`${of}axis`].tickformat.includes("%") };
}

function shown(value, isShare) {
  if (value === null) return "–";
  if (typeof value === "string") return value;
  return isShare ? `${(100 * value).toFixed(1)}%` : Number.isInteger(value) ? value.toLocaleString("en") : number(value);
}

function fillTable(place) {
  if (place.querySelector("table")) return;
  const { headings, rows, isShare } = tableOf(place.dataset.table);
  const line = (tag, values) => {
    const row = element("tr", "");
    row.append(...values.map((value, column) => element(tag, shown(value, isShare && column > 0), { class: typeof value === "string" && tag === "td" ? "text" : "number", dir: "auto" })));
    return row;
  };
  const [table, head, body] = ["table", "thead", "tbody"].map((tag) => element(tag, ""));
  head.append(line("th", headings));
  body.append(...rows.map((row) => line("td", row)));
  table.append(head, body);
  const box = element("div", "", { class: "scroll tall", tabindex: 0, role: "region", "aria-label": place.querySelector("summary").textContent });
  box.append(table);
  place.append(box);
}

function saveCsv(name, headings, rows) {
  const cell = (value) => {
    const text = typeof value === "string" && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value ?? ""); // no formula in a spreadsheet
    return /[",\r\n]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text;
  };
  const text = [headings, ...rows].map((row) => `${row.map(cell).join(",")}\n`).join("");
  const link = element("a", "", { href: URL.createObjectURL(new Blob([text], { type: "text/csv" })), download: `${name}.csv` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

const whenClicked = (name, act) => document.querySelectorAll(`[data-${name}]`).forEach((button) => button.addEventListener("click", () => act(button.dataset[name])));
document.querySelectorAll("[data-table]").forEach((place) => place.addEventListener("toggle", () => fillTable(place)));
whenClicked("csv", (key) => {
  const { headings, rows } = tableOf(key);
  saveCsv(key, headings, rows);
});
whenClicked("png", (key) => {
  const { data: traces, layout } = themed(data.figures[key]);
  const size = { width: 900, height: layout.height ?? 520, scale: 2 };
  Plotly.downloadImage({ data: traces, layout: { ...layout, paper_bgcolor: theme("ground"), ...size } }, { format: "png", filename: key, ...size });
});
