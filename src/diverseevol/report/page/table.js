// The table of picks: searched, sorted, and unfolded a page at a time. Cells are filled as text.
(() => {
  const body = document.querySelector("#picks-table tbody");
  const search = document.getElementById("picks-search");
  const chooser = document.getElementById("picks-run");
  const says = document.getElementById("picks-says");
  const more = document.getElementById("picks-more");
  const page = narrow.matches ? 10 : 25;
  const { asked, answered, tokens } = data.samples;
  const keys = {
    order: (pick) => pick.run * 1e12 + pick.round * 1e7 + pick.pick,
    text: (pick) => asked[pick.at].toLowerCase(),
    tokens: (pick) => tokens[pick.at],
    distance: (pick) => pick.distance,
    reason: (pick) => pick.reason,
  };
  const haystack = picks.map((pick) => `${asked[pick.at]}\n${answered[pick.at]}\n${pick.id}\n${pick.reason}`.toLowerCase());
  const hasDistances = picks.some((pick) => pick.distance !== null);
  let [sortedBy, isUp, n, found] = [hasDistances ? "distance" : "order", !hasDistances, page, []];

  function find() {
    document.querySelectorAll("#picks-table th").forEach((head) => head.removeAttribute("aria-sort"));
    document.querySelector(`#picks-table [data-sort=${sortedBy}]`).closest("th").setAttribute("aria-sort", isUp ? "ascending" : "descending");
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const run = chooser?.value ? Number(chooser.value) : null;
    found = picks.filter((pick, at) => (run === null || pick.run === run) && words.every((word) => haystack[at].includes(word)));
    const key = keys[sortedBy];
    const compare = (a, b) => {
      const [one, other] = [key(a), key(b)];
      if (one === other) return keys.order(a) - keys.order(b);
      if (one === null || other === null) return one === null ? 1 : -1; // those without a value last, either way
      return (one < other ? -1 : 1) * (isUp ? 1 : -1);
    };
    found.sort(compare);
    n = page;
    fill();
  }

  function unfolded(pick) {
    const shown = [...document.querySelectorAll("#picks-table th")].filter((head) => head.offsetParent !== null);
    const cell = element("td", "", { colspan: shown.length });
    const box = element("div", "", { class: "sample" });
    box.append(...sampleParts(pick.at, `Sample ${pick.id}`));
    box.append(element("span", "Why", { class: "label" }), element("p", pick.reason));
    if (pick.nearest >= 0) box.append(...sampleParts(pick.nearest, "Nearest chosen sample"));
    for (const [at, distance] of pick.near) box.append(...sampleParts(at, `Left out nearby, ${number(distance)} away`));
    if (map && map.has(pick)) {
      const button = element("button", "Show on the map", { class: "button" });
      button.addEventListener("click", () => map.show(pick));
      box.append(button);
    }
    cell.append(box);
    const row = element("tr", "");
    row.append(cell);
    return row;
  }

  function whyOf(pick) {
    const cell = element("td", "", { class: "wide why" });
    const text = pick.nearest >= 0 ? `Nearest chosen: ${asked[pick.nearest]}` : pick.reason;
    cell.append(element("span", text, { class: "clamp", dir: "auto" }));
    return cell;
  }

  function rowOf(pick) {
    const row = element("tr", "");
    const name = runs.length > 1 ? `${runs[pick.run].name}: ` : "";
    row.append(element("td", `${name}${pick.round}, ${pick.pick}`));
    const text = element("td", "", { class: "text" });
    const open = element("button", "", { class: "open", "aria-expanded": "false" });
    open.append(element("span", asked[pick.at] || "(empty)", { class: "clamp", dir: "auto" }));
    text.append(open);
    row.append(text, element("td", tokens[pick.at] > 0 ? tokens[pick.at].toLocaleString("en") : "–", { class: "number wide" }));
    row.append(element("td", pick.distance === null ? "–" : number(pick.distance), { class: "number" }), whyOf(pick));
    open.addEventListener("click", () => {
      const isOpen = open.getAttribute("aria-expanded") === "true";
      open.setAttribute("aria-expanded", String(!isOpen));
      if (isOpen) row.nextSibling.remove();
      else row.after(unfolded(pick));
    });
    return row;
  }

  function fill() {
    body.replaceChildren(...found.slice(0, n).map(rowOf));
    more.hidden = found.length <= n;
    says.textContent = `${found.length.toLocaleString("en")} of ${picks.length.toLocaleString("en")} picks`;
  }

  document.querySelectorAll("#picks-table th button").forEach((button) => {
    button.addEventListener("click", () => {
      isUp = sortedBy === button.dataset.sort ? !isUp : button.dataset.sort !== "distance";
      sortedBy = button.dataset.sort;
      find();
    });
  });
  let waiting = 0;
  search.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(find, 120); });
  chooser?.addEventListener("change", find);
  narrow.addEventListener("change", fill); // other columns are shown
  document.getElementById("picks-csv").addEventListener("click", () => saveCsv("picks",
    ["run", "round", "pick", "id", "row", "tokens", "reason", "distance", "nearest_row", "left_out_rows", "left_out_distances"],
    found.map((pick) => [
      runs[pick.run].name, pick.round, pick.pick, pick.id, pick.row, tokens[pick.at], pick.reason, pick.distance, data.samples.rows[pick.nearest],
      pick.left_out.map(([row]) => row).join(" "), pick.left_out.map(([, distance]) => distance).join(" "),
    ])));
  more.addEventListener("click", () => { n += page; fill(); });
  find();
})();
