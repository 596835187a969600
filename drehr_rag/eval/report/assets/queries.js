// The browser of queries: filters, an order, pages of fifty, and one query in detail.

const PAGE = 50;

function browser(data) {
  const state = { page: 0, found: [], chosen: null, result: 0 };
  const several = data.results.length > 1;
  // Which match types the relevant chunks of each query have, by number.
  const kinds = data.judged.map((rows) => new Set(rows.filter((row) => row[1] > 0).map((row) => row[2])));
  const value = (query, result) => data.values[Number(byId("q-measure").value)][result][query];
  const low = data.queries.map(([id, text]) => `${id}\n${text}`.toLowerCase());

  function worth(query) {
    const [what, a, b] = byId("q-sort").value.split(" ");
    if (what === "value") return value(query, Number(a));
    if (what !== "gain") return null;
    const [x, y] = [value(query, Number(a)), value(query, Number(b))];
    return x === null || y === null ? null : y - x;
  }

  function search() {
    const words = byId("q-text").value.trim().toLowerCase();
    const [type, match] = [byId("q-type").value, byId("q-match").value];
    const order = Number(byId("q-order").value);
    const found = data.queries.map((_, i) => i).filter((i) => low[i].includes(words)
      && (type === "" || (data.queries[i][2] || "") === type) && (match === "" || kinds[i].has(Number(match))));
    const keys = new Map(found.map((i) => [i, worth(i)]));
    const text = byId("q-sort").value === "text";
    found.sort((a, b) => {
      if (text) return order * data.queries[a][1].localeCompare(data.queries[b][1]);
      if (keys.get(a) === null || keys.get(b) === null) return (keys.get(a) === null) - (keys.get(b) === null);
      return order * (keys.get(a) - keys.get(b)) || a - b;
    });
    Object.assign(state, { found, page: 0 });
    if (!found.slice(0, PAGE).includes(state.chosen)) state.chosen = found.length ? found[0] : null;
    list();
    detail();
  }

  function list() {
    const pages = Math.max(1, Math.ceil(state.found.length / PAGE));
    const shown = state.found.slice(state.page * PAGE, (state.page + 1) * PAGE);
    const sort = byId("q-sort").value.split(" ");
    const gain = several && sort[0] === "gain" ? [Number(sort[1]), Number(sort[2])] : several ? [0, 1] : null;
    const heads = data.results.map((_, i) => make("th", { scope: "col", class: "n" }, key(data, i)));
    const body = make("tbody", {}, shown.map((i) => row(i, gain)));
    const head = make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "Query"), heads,
      gain ? make("th", { scope: "col", class: "n" }, `${gain[1] + 1} − ${gain[0] + 1}`) : null));
    show("q-list", make("table", {}, head, body));
    show("q-count", `${count(state.found.length)} of ${many(data.queries.length, "query", "queries")}`);
    show("q-page", `page ${state.page + 1} of ${pages}`);
    byId("q-back").disabled = state.page === 0;
    byId("q-next").disabled = state.page + 1 >= pages;
  }

  function row(i, gain) {
    const [id, text, type] = data.queries[i];
    const choose = () => { state.chosen = i; mark(); detail(); };
    const cells = data.results.map((_, r) => make("td", { class: "n" }, number(value(i, r))));
    const change = gain && value(i, gain[0]) !== null ? value(i, gain[1]) - value(i, gain[0]) : null;
    const tone = change > 0 ? "up" : change < 0 ? "down" : "";
    return make("tr", { "data-query": i, class: i === state.chosen ? "chosen" : null, on: { click: choose } },
      make("td", {}, make("button", { type: "button", on: { keydown: move } }, text), make("span", { class: "kind" }, type ? `${type} · ${id}` : id)),
      cells, gain ? make("td", { class: `n ${tone}` }, change === null ? "–" : signed(change)) : null);
  }

  function mark() {
    for (const one of byId("q-list").querySelectorAll("tr[data-query]")) {
      one.classList.toggle("chosen", Number(one.dataset.query) === state.chosen);
    }
  }

  function move(event) {
    const step = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key];
    const next = step && event.target.closest("tr")[step];
    if (next) { event.preventDefault(); next.click(); next.querySelector("button").focus(); }
  }

  function chip(match, grade) {
    if (grade <= 0) return make("span", { class: "chip m5" }, "not relevant");
    const name = data.matches[match];
    const graded = grade === 1 ? "" : ` (${grade})`;
    return make("span", { class: `chip m${name === null ? 1 : match % 5}` }, (name === null ? "relevant" : name) + graded);
  }

  const stem = (word) => (word.length > 3 && word.endsWith("s") ? word.slice(0, -1) : word);

  // The passage with the query's words marked.
  function passage(chunk, query) {
    const text = data.texts && data.texts[chunk];
    if (!text) return null;
    const words = new Set((query.toLowerCase().match(/[\p{L}\p{N}]+/gu) || []).filter((word) => word.length > 1).map(stem));
    const parts = text.split(/([\p{L}\p{N}]+)/u);
    return make("span", { class: "passage" }, parts.map((part) => (words.has(stem(part.toLowerCase())) ? make("mark", {}, part) : part)));
  }

  function detail() {
    const i = state.chosen;
    if (i === null) return show("q-detail", make("p", { class: "muted" }, "No query fits."));
    const [id, text, type] = data.queries[i];
    const about = [type, id, many(data.queries[i][3], "relevant chunk")].filter(Boolean).join(" · ");
    const tabs = data.results.map((result, r) => make("button", { type: "button", "aria-pressed": String(r === state.result),
      on: { click: () => { state.result = r; detail(); } } }, swatch(r), result.name));
    show("q-detail", make("h3", {}, text), make("p", { class: "muted" }, about), scores(i),
      make("div", { class: "tabs", role: "group", "aria-label": "Whose ranking" }, tabs), ranked(i, text), missed(i, text));
  }

  function scores(i) {
    const rows = data.measures.map(([setting, measure], m) => [{ text: `${measure} · ${setting}`, class: "nowrap" }, ...data.results.map((_, r) => number(data.values[m][r][i]))]);
    const columns = ["Measure", ...data.results.map((_, r) => key(data, r))];
    return make("div", { class: "scroll" }, table("", columns, rows, { numeric: columns.map((_, c) => c).slice(1), sorts: false }));
  }

  function ranked(i, query) {
    const judged = new Map(data.judged[i].map((one) => [one[0], one]));
    const rows = data.rankings[state.result][i].map(([chunk, score], rank) => {
      const one = judged.get(chunk);
      return make("tr", { class: one && one[1] > 0 ? "hit" : null }, make("td", { class: "n" }, String(rank + 1)),
        make("td", { class: "chunk" }, data.chunks[chunk], passage(chunk, query)), make("td", { class: "n" }, score.toPrecision(4)),
        make("td", {}, one ? chip(one[2], one[1]) : make("span", { class: "muted" }, "not judged")));
    });
    if (!rows.length) return make("p", { class: "muted" }, "Nothing was retrieved.");
    const heads = [["Rank", "n"], ["Chunk"], ["Score", "n"], ["Judgment"]].map(([name, side]) => make("th", { scope: "col", class: side }, name));
    return make("div", { class: "scroll" }, make("table", { class: "ranking" }, make("caption", {}, `The first ${rows.length}`),
      make("thead", {}, make("tr", {}, heads)), make("tbody", {}, rows)));
  }

  function missed(i, query) {
    const rows = data.judged[i].filter((one) => one[1] > 0 && (one[3 + state.result] === 0 || one[3 + state.result] > data.top));
    const cut = data.queries[i][3] - data.judged[i].filter((one) => one[1] > 0).length;
    const more = cut ? `; ${count(cut)} more are not in this page` : "";
    if (!rows.length) return make("p", { class: "muted" }, `No relevant chunk was missed${more}.`);
    const heads = [make("th", { scope: "col" }, "Chunk"), make("th", { scope: "col" }, "Judgment"),
      ...data.results.map((_, r) => make("th", { scope: "col", class: "n" }, key(data, r)))];
    const body = rows.map((one) => make("tr", {}, make("td", { class: "chunk" }, data.chunks[one[0]], passage(one[0], query)), make("td", {}, chip(one[2], one[1])),
      data.results.map((_, r) => make("td", { class: "n" }, one[3 + r] ? count(one[3 + r]) : "not found"))));
    return make("div", { class: "scroll" }, make("table", { class: "missed" }, make("caption", {}, `Relevant, but not among the first ${data.top}: ${rows.length}, by rank${more}`),
      make("thead", {}, make("tr", {}, heads)), make("tbody", {}, body)));
  }

  function turn(step) { state.page += step; list(); byId("queries").scrollIntoView(); }

  fillControls(data, several);
  for (const id of ["q-type", "q-match", "q-measure", "q-sort", "q-order"]) byId(id).addEventListener("change", search);
  byId("q-text").addEventListener("input", search);
  byId("q-back").addEventListener("click", () => turn(-1));
  byId("q-next").addEventListener("click", () => turn(1));
  search();
}

function fillControls(data, several) {
  const types = [...new Set(data.queries.map((query) => query[2]).filter((type) => type))].sort();
  byId("q-type").append(option("", "any"), ...types.map((type) => option(type, type)));
  byId("q-type-label").hidden = types.length < 2;
  const matches = data.matches.map((name, i) => [name, i]).filter(([name]) => name !== null);
  byId("q-match").append(option("", "any"), ...matches.map(([name, i]) => option(i, name)));
  byId("q-match-label").hidden = !matches.length;
  byId("q-measure").append(...data.measures.map(([setting, measure], i) => option(i, `${measure} · ${setting}`)));
  byId("q-measure").value = String(Math.max(0, data.measures.findIndex((one) => one[1].startsWith("nDCG"))));
  const pairs = data.results.flatMap((_, b) => data.results.map((__, a) => [a, b])).filter(([a, b]) => a < b);
  byId("q-sort").append(...data.results.map((result, i) => option(`value ${i}`, several ? `${i + 1}. ${result.name}` : "the measure")),
    ...pairs.map(([a, b]) => option(`gain ${a} ${b}`, `${b + 1} − ${a + 1}: ${data.results[b].name} − ${data.results[a].name}`)),
    option("text", "query text"));
  if (several) byId("q-sort").value = "gain 0 1";
}
