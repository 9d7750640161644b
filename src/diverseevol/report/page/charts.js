// Charts by Plotly. Its labels read tags as a little HTML and $…$ as mathematics, so every text from a run is escaped before it gets there.
const data = JSON.parse(document.getElementById("page-data").textContent);
const dark = matchMedia("(prefers-color-scheme: dark)");
const narrow = matchMedia("(max-width: 760px)");
const theme = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const safe = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;").replace(/\$/g, "&#36;");
const cut = (text, n) => (text.length > n ? `${text.slice(0, n - 1)}…` : text);
const config = { displayModeBar: false, responsive: true, showTips: false };

function layoutOf(more) {
  const axis = () => ({
    gridcolor: theme("line"), linecolor: theme("line"), zeroline: false, fixedrange: true, automargin: true,
    tickfont: { color: theme("soft"), size: 12 }, title: { font: { color: theme("soft"), size: 13 }, standoff: 10 },
  });
  const layout = {
    font: { family: theme("sans"), size: 13, color: theme("ink") },
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", margin: { l: 52, r: 12, t: 36, b: 44 }, dragmode: false,
    hoverlabel: { bgcolor: theme("panel"), bordercolor: theme("line"), font: { color: theme("ink"), size: 13 } },
    legend: { orientation: "h", x: 0, xanchor: "left", y: 1.02, yanchor: "bottom", traceorder: "normal", font: { size: 12 }, itemclick: false, itemdoubleclick: false },
    xaxis: axis(), yaxis: axis(), modebar: { bgcolor: "rgba(0,0,0,0)", color: theme("soft"), activecolor: theme("accent") },
  };
  layout.xaxis.showgrid = false;
  for (const name of ["xaxis", "yaxis"]) {
    Object.assign(layout[name], more[name]);
    layout[name].title = { ...axis().title, ...(more[name] || {}).title };
  }
  return { ...layout, ...more.whole };
}

function looks(series) {
  let n = 0;
  return series.map(({ role }) => {
    if (role === "main") return { color: theme("accent"), dash: "solid", symbol: "circle" };
    if (role === "random") return { color: theme("random"), dash: "dash", symbol: "diamond" };
    if (role === "full") return { color: theme("full"), dash: "dot", symbol: "square" };
    const look = { color: theme(`other-${(n % 3) + 1}`), dash: n < 3 ? "solid" : "dashdot", symbol: ["triangle-up", "x", "cross"][n % 3] };
    n += 1;
    return look;
  });
}

function lines(chart) {
  const traces = [];
  const styles = looks(chart.series);
  chart.series.forEach((one, at) => {
    const { color, dash, symbol } = styles[at];
    const isPoint = one.low && one.x.length === 1; // no band has room there
    if (one.low && !isPoint) {
      const edge = { x: one.x, mode: "lines", line: { width: 0 }, hoverinfo: "skip", showlegend: false };
      traces.push({ ...edge, y: one.low }, { ...edge, y: one.high, fill: "tonexty", fillcolor: fade(color, 0.16) });
    }
    const isLevel = one.role === "full" && one.x.length === 2 && one.y[0] === one.y[1];
    traces.push({
      x: one.x, y: one.y, name: safe(one.name), mode: isLevel || one.x.length > 15 ? "lines" : "lines+markers",
      line: { color, dash, width: one.role === "main" ? 2.6 : 1.8 }, marker: { color, symbol, size: one.role === "main" ? 8 : 7 },
      hovertemplate: `%{y${chart.is_share ? ":.1%" : ":.4~g"}}<extra>${safe(one.name)}</extra>`,
      ...(isPoint ? { error_y: { type: "data", symmetric: false, array: [one.high[0] - one.y[0]], arrayminus: [one.y[0] - one.low[0]], color, thickness: 1.5 } } : {}),
    });
  });
  return traces;
}

function fade(hex, alpha) {
  const at = (start) => parseInt(hex.slice(start, start + 2), 16);
  return `rgba(${at(1)},${at(3)},${at(5)},${alpha})`;
}

function lineLayout(chart) {
  const places = [...new Set(chart.series.flatMap((one) => one.x))].sort((a, b) => a - b);
  const x = { title: { text: safe(chart.x_title) }, type: chart.is_log ? "log" : "linear" };
  if (chart.is_log) Object.assign(x, { dtick: "D2", tickformat: ",d" });
  else if (places.length <= 6) Object.assign(x, { tickvals: places, tickformat: ",d" });
  const y = { title: { text: safe(chart.y_title) }, tickformat: chart.is_share ? ".0%" : "~g", rangemode: chart.is_share ? "tozero" : "normal" };
  return layoutOf({ xaxis: x, yaxis: y, whole: { hovermode: "x unified" } });
}

function bars(chart) {
  const styles = looks(chart.series);
  return chart.series.map((one, at) => ({
    type: "bar", name: safe(one.name), x: one.x.map(safe), y: one.y, marker: { color: styles[at].color },
    hovertemplate: `%{x}: %{y:.3~p}<extra>${safe(one.name)}</extra>`,
  }));
}

function dots(chart) {
  const styles = looks(chart.series);
  const names = chart.series[0].x;
  const span = { x: [], y: [] };
  names.forEach((_, place) => {
    const values = chart.series.map((one) => one.y[place]);
    span.x.push(Math.min(...values), Math.max(...values), null);
    span.y.push(place, place, null);
  });
  const joined = { ...span, mode: "lines", line: { color: theme("line"), width: 3 }, hoverinfo: "skip", showlegend: false };
  const marks = chart.series.map((one, at) => ({
    x: one.y, y: names.map((_, place) => place), name: safe(one.name), mode: "markers", customdata: names.map(safe),
    marker: { color: styles[at].color, symbol: styles[at].symbol, size: one.role === "main" ? 10 : 8 },
    hovertemplate: `%{customdata}: %{x:.2%}<extra>${safe(one.name)}</extra>`,
  }));
  return [joined, ...marks];
}

function dotLayout(chart) {
  const names = chart.series[0].x;
  const label = (name) => safe(cut(name, narrow.matches ? 20 : 34));
  return layoutOf({
    xaxis: { title: { text: safe(chart.y_title) }, tickformat: ".0%", showgrid: true, rangemode: "tozero", nticks: 6 },
    yaxis: { tickvals: names.map((_, at) => at), ticktext: names.map(label), range: [names.length - 0.4, -0.6], showgrid: false },
    whole: { hovermode: "closest" },
  });
}

function draw(place) {
  const chart = data.charts[place.dataset.chart];
  if (chart.kind === "dot") {
    place.style.height = `${chart.series[0].x.length * 23 + 110}px`;
    return Plotly.react(place, dots(chart), dotLayout(chart), config);
  }
  if (chart.kind === "bar") {
    const y = { title: { text: safe(chart.y_title) }, tickformat: ".0%", rangemode: "tozero" };
    return Plotly.react(place, bars(chart), layoutOf({ yaxis: y, whole: { bargap: 0.4 } }), config);
  }
  return Plotly.react(place, lines(chart), lineLayout(chart), config);
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
const places = document.querySelectorAll("[data-chart]");
places.forEach((place) => watcher.observe(place));
addEventListener("beforeprint", () => places.forEach(drawOnce)); // paper shows everything
for (const query of [dark, narrow]) query.addEventListener("change", () => drawn.forEach(draw));
