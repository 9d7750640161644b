// The map. The pool is painted once on a canvas that lies behind the chart; Plotly holds its points only to find the one under the
// pointer. Texts are shown in a card beside it, as text: nothing of them is ever read as HTML.
const placeAmong = new Map(data.samples.rows.map((row, at) => [row, at])); // where a pool row stands among the samples
const among = (rows) => rows.filter((row) => placeAmong.has(row)).map((row) => placeAmong.get(row));
const runs = data.runs.map(({ name, rounds }) => ({ name, rounds: rounds.map(([round, rows]) => ({ round, n: rows.length, at: among(rows) })) }));
const picks = data.picks.filter(({ row }) => placeAmong.has(row)).map((pick) => ({
  ...pick, at: placeAmong.get(pick.row), nearest: placeAmong.get(pick.nearest) ?? -1,
  near: pick.left_out.filter(([row]) => placeAmong.has(row)).map(([row, distance]) => [placeAmong.get(row), distance]),
}));
const pickAt = runs.map(() => new Map());
for (const pick of picks) pickAt[pick.run].set(pick.at, pick);

function sampleParts(at, title) {
  const { asked, answered, rows, tokens } = data.samples;
  const facts = `pool row ${rows[at].toLocaleString("en")}${tokens[at] > 0 ? ` · ${tokens[at].toLocaleString("en")} tokens` : ""}`;
  const parts = [element("span", `${title}, ${facts}`, { class: "label" }), element("p", asked[at] || "(empty)", { dir: "auto" })];
  if (answered[at]) parts.push(element("span", "Answer", { class: "label" }), element("p", answered[at], { dir: "auto" }));
  return parts;
}

const map = (() => {
  const place = document.getElementById("map-plot");
  if (!place) return null;
  const [x, y] = [0, 1].map(() => data.samples.rows.map(() => null));
  data.map.rows.forEach((row, n) => { [x[placeAmong.get(row)], y[placeAmong.get(row)]] = data.map.xy[n]; });
  const slider = document.getElementById("map-round");
  const chooser = document.getElementById("map-run");
  const says = document.getElementById("map-says");
  const card = document.getElementById("map-card");
  const margin = { l: 8, r: 8, t: 8, b: 8 };
  const good = x.map((_, at) => at).filter((at) => x[at] !== null);
  const range = (values) => {
    let [low, high] = [Infinity, -Infinity];
    for (const at of good) { low = Math.min(low, values[at]); high = Math.max(high, values[at]); }
    const room = (high - low || 1) * 0.04;
    return [low - room, high + room];
  };
  const whole = { x: range(x), y: range(y) };
  let marked = null;
  let seen = null;

  const run = () => runs[chooser ? Number(chooser.value) : 0];
  const of = (places) => ({ x: places.map((at) => x[at]), y: places.map((at) => y[at]), customdata: places });

  function backdrop(xs, ys) {
    const scale = Math.min(2, window.devicePixelRatio || 1);
    const canvas = document.createElement("canvas");
    const [width, height] = [place.clientWidth - margin.l - margin.r, place.clientHeight - margin.t - margin.b];
    [canvas.width, canvas.height] = [width * scale, height * scale];
    const brush = canvas.getContext("2d");
    brush.fillStyle = theme("pool");
    brush.globalAlpha = good.length > 5000 ? 0.38 : 0.5;
    const radius = (good.length > 5000 ? 1.5 : 2.2) * scale;
    for (const at of good) {
      const [left, top] = [((x[at] - xs[0]) / (xs[1] - xs[0])) * canvas.width, ((ys[1] - y[at]) / (ys[1] - ys[0])) * canvas.height];
      if (left < 0 || top < 0 || left > canvas.width || top > canvas.height) continue;
      brush.beginPath();
      brush.arc(left, top, radius, 0, 7);
      brush.fill();
    }
    return {
      source: canvas.toDataURL(), xref: "x", yref: "y", x: xs[0], y: ys[1], sizex: xs[1] - xs[0], sizey: ys[1] - ys[0],
      sizing: "stretch", layer: "below",
    };
  }

  function traces() {
    const rounds = run().rounds;
    const at = Number(slider.value);
    const [accent, ground] = [theme("accent"), theme("ground")];
    const hover = { mode: "markers", hoverinfo: "none", showlegend: false };
    return [
      { ...hover, ...of(good), mode: "none", hoveron: "points" },
      { ...hover, ...of(rounds.slice(0, at).flatMap((round) => round.at)), marker: { color: ground, size: 8, opacity: 0.9, line: { color: accent, width: 1.8 } } },
      { ...hover, ...of(rounds[at].at), marker: { color: accent, size: 9, line: { color: ground, width: 1 } } },
      { ...hover, ...of(marked ?? []), mode: "lines+markers", hoverinfo: "skip", line: { color: theme("ink"), width: 1.5 }, marker: { symbol: "circle-open", color: theme("ink"), size: 15, line: { width: 2.2 } } },
    ];
  }

  function layout() {
    const [xs, ys] = [seen?.x ?? whole.x, seen?.y ?? whole.y];
    const bare = { showticklabels: false, showgrid: false, automargin: false, fixedrange: narrow.matches, title: { text: "" } };
    return {
      template: template(), xaxis: { ...bare, range: [...xs] }, yaxis: { ...bare, range: [...ys] }, margin, hovermode: "closest",
      hoverdistance: 14, dragmode: narrow.matches ? false : "zoom", images: [backdrop(xs, ys)],
    };
  }

  function redraw() {
    const modeBarButtons = [["toImage", "zoomIn2d", "zoomOut2d", "resetScale2d"]];
    return Plotly.react(place, traces(), layout(), { ...config, displayModeBar: !narrow.matches, displaylogo: false, modeBarButtons });
  }

  function tell() {
    const rounds = run().rounds;
    const at = Number(slider.value);
    const before = rounds.slice(0, at).reduce((sum, round) => sum + round.n, 0);
    says.textContent = `Round ${rounds[at].round}: ${rounds[at].n.toLocaleString("en")} picks, ${before.toLocaleString("en")} before`;
    slider.setAttribute("aria-valuetext", says.textContent);
  }

  function show(at) {
    const pick = pickAt[chooser ? Number(chooser.value) : 0].get(at);
    card.replaceChildren(...sampleParts(at, pick ? `Round ${pick.round}, pick ${pick.pick}` : "Not picked"));
    if (pick) card.append(element("span", "Why", { class: "label" }), element("p", pick.reason));
    if (pick && pick.nearest >= 0) card.append(...sampleParts(pick.nearest, "Nearest chosen sample"));
    card.scrollTop = 0;
  }

  function change() {
    marked = null;
    tell();
    return redraw();
  }

  function fit(toLast) {
    slider.max = run().rounds.length - 1;
    slider.value = toLast ? slider.max : Math.min(slider.value, slider.max);
  }

  fit(true);
  tell();
  const opener = new IntersectionObserver(([entry]) => entry.isIntersecting && open(), { rootMargin: "400px" });
  let isOpen = false;
  function open() {
    if (isOpen) return;
    isOpen = true;
    opener.disconnect();
    redraw().then(() => {
      place.on("plotly_hover", ({ points }) => show(points[points.length - 1].customdata));
      place.on("plotly_click", ({ points }) => show(points[points.length - 1].customdata));
      place.on("plotly_relayout", (change_) => {
        if (!("xaxis.range[0]" in change_ || "yaxis.range[0]" in change_ || "xaxis.autorange" in change_)) return;
        const axes = place.layout;
        seen = "xaxis.autorange" in change_ ? null : { x: [...axes.xaxis.range], y: [...axes.yaxis.range] };
        redraw();
      });
      place.dataset.ready = "yes";
    });
    for (const query of [dark, narrow]) query.addEventListener("change", redraw);
    let waiting = 0;
    new ResizeObserver(() => { clearTimeout(waiting); waiting = setTimeout(redraw, 150); }).observe(place);
  }
  opener.observe(place);
  addEventListener("beforeprint", open);
  slider.addEventListener("input", change);
  chooser?.addEventListener("change", () => { fit(false); change(); });

  return {
    has: (pick) => x[pick.at] !== null,
    show(pick) {
      if (chooser) chooser.value = pick.run;
      fit(false);
      slider.value = run().rounds.findIndex((round) => round.round === pick.round);
      tell();
      marked = [pick.at, ...(pick.nearest >= 0 ? [pick.nearest] : [])];
      seen = null;
      show(pick.at);
      document.getElementById("map").scrollIntoView();
      return redraw();
    },
  };
})();
