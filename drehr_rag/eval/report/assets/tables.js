// The means of each setting, what may be concluded, and where the results are from.

const WHOLE = (part) => part.match === "all" && part.type === null;

function scoreTables(data) {
  const less = data.left_out ? make("p", { class: "muted" }, `${many(data.left_out, "cell")} (a measure of a setting and match type) not shown: not every result has it.`) : null;
  const settings = [...new Set(data.parts.map((part) => part.setting))];
  return settings.map((setting) => {
    const parts = data.parts.filter((part) => WHOLE(part) && part.setting === setting);
    if (!parts.length) return null;
    const best = parts.map((part) => Math.max(...part.means.map((mean) => mean[0])));
    const rows = data.results.map((result, i) => [
      { node: named(result, i), key: result.name },
      ...parts.map((part, j) => {
        const mean = part.means[i];
        const top = data.results.length > 1 && mean[0] === best[j];
        return { node: make("span", { class: top ? "best" : null }, number(mean[0]), make("span", { class: "ends" }, ends(mean))), key: mean[0] };
      }),
    ]);
    const over = parts[0].items === parts[0].queries ? many(parts[0].queries, "query", "queries")
      : `${many(parts[0].items, "pair")} of ${many(parts[0].queries, "query", "queries")} and a note`;
    return make("div", { class: "scroll" }, table(`${setting}, ${over}`, ["Result", ...parts.map((part) => part.measure)], rows,
      { numeric: parts.map((_, j) => j + 1) }));
  }).concat(less);
}

function comparisons(data) {
  if (!data.comparisons.length) {
    byId("differences").hidden = true;
    byId("nav-differences").hidden = true;
  }
  return data.comparisons.flatMap((one) => {
    const second = data.comparisons.indexOf(one) + 1;  // compared with the first result
    const place = one.head.indexOf("Difference");
    const head = one.head.map((name, i) => (i === place - 2 ? key(data, 0) : i === place - 1 ? key(data, second) : name));
    const numeric = one.head.map((_, i) => i).filter((i) => i > 1 && !["Match", "Type"].includes(one.head[i]));
    return [make("h3", {}, key(data, second), ` ${data.results[second].name}, compared with `, key(data, 0), ` ${data.results[0].name}`),
      make("p", { class: `note ${one.tone}` }, one.sentence),
      make("div", { class: "scroll" }, table("", head, one.rows, { numeric, sorts: false }))];
  }).concat(data.comparisons.length ? [make("p", { class: "muted" }, data.comparisons[0].how, " * a difference may be concluded (p < .05).")] : []);
}

// One row a fact; a value that all results share stands once.
function origin(data) {
  const benchmark = table("Benchmark", ["What", "Value"], data.data, { sorts: false, className: "facts" });
  const names = [...new Set(data.results.flatMap((result) => result.facts.map(([name]) => name)))];
  const known = data.results.map((result) => new Map(result.facts));
  const rows = names.map((name) => {
    const values = known.map((facts) => facts.get(name) ?? "–");
    const same = values.every((value) => value === values[0]);
    const cells = same ? [make("td", { colspan: values.length }, values[0])] : values.map((value) => make("td", {}, value));
    return make("tr", {}, make("th", { scope: "row" }, name), cells);
  });
  const heads = data.results.map((result, i) => make("th", { scope: "col" }, key(data, i), ` ${result.name}`));
  const results = make("table", { class: "facts" }, make("caption", {}, data.results.length > 1 ? "Results" : "Result"),
    make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "What"), heads)), make("tbody", {}, rows));
  return [benchmark, results].map((one) => make("div", { class: "scroll" }, one));
}
