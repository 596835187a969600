// Bars with intervals: one group a match type or query type, one bar a result.

function partsOf(data, setting, measure, split) {
  const same = data.parts.filter((part) => part.setting === setting && part.measure === measure);
  const parts = same.filter((part) => WHOLE(part) || part[split] !== (split === "match" ? "all" : null));
  return parts.filter((part) => split === "type" || part.type === null).filter((part) => split === "match" || part.match === "all");
}

const partName = (part, split) => (WHOLE(part) ? "all" : part[split]);

function bars(data, parts, split) {
  const [left, right, width] = [190, 130, 1150];
  const [bar, gap] = [data.results.length > 3 ? 15 : 20, 20];
  const group = data.results.length * (bar + 3);
  const height = parts.length * (group + gap) + 34;
  const most = Math.max(...parts.flatMap((part) => part.means.map((mean) => mean[2] ?? mean[0])));
  const span = [0.1, 0.2, 0.25, 0.4, 0.5, 0.6, 0.8, 1].find((top) => top >= most) || most || 1;
  const x = (value) => left + (value / span) * (width - left - right);
  const chart = draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-labelledby": "bars-caption" });
  for (let i = 0; i <= 4; i += 1) {
    const value = (span * i) / 4;
    chart.append(draw("line", { class: i ? "grid" : "axis", x1: x(value), x2: x(value), y1: 4, y2: height - 24 }),
      draw("text", { class: "soft", x: x(value), y: height - 6, "text-anchor": "middle" }, String(Number(value.toFixed(3)))));
  }
  parts.forEach((part, p) => {
    const top = p * (group + gap) + 10;
    const over = part.items === part.queries ? many(part.queries, "query", "queries") : `${count(part.items)} pairs`;
    chart.append(draw("text", { class: "strong", x: left - 14, y: top + group / 2 - 2, "text-anchor": "end" }, partName(part, split)),
      draw("text", { class: "soft", x: left - 14, y: top + group / 2 + 14, "text-anchor": "end" }, over));
    part.means.forEach((mean, i) => chart.append(oneBar(data, mean, i, top + i * (bar + 3), bar, x)));
  });
  return chart;
}

function oneBar(data, mean, i, y, bar, x) {
  const [value, low, high] = mean;
  const middle = y + bar / 2;
  const group = draw("g", {}, draw("title", {}, `${data.results[i].name}: ${number(value)} ${ends(mean)}`),
    draw("rect", { class: `bar ${colour(i)}`, x: x(0), y, width: Math.max(0.5, x(value) - x(0)), height: bar, rx: 2 }));
  if (low !== null) {
    group.append(draw("line", { class: "whisker", x1: x(low), x2: x(high), y1: middle, y2: middle }),
      ...[low, high].map((end) => draw("line", { class: "whisker", x1: x(end), x2: x(end), y1: middle - 4, y2: middle + 4 })));
  }
  const after = x(high ?? value) + 9;
  group.append(draw("text", { x: after, y: middle + 4.5 }, number(value)));
  return group;
}

function partTable(data, parts, split) {
  const rows = parts.map((part) => [
    partName(part, split),
    ...part.means.map((mean) => ({ node: make("span", {}, number(mean[0]), make("span", { class: "ends" }, ends(mean))), key: mean[0] })),
    { text: count(part.queries), key: part.queries },
    { text: count(part.items), key: part.items },
  ]);
  const columns = [split === "match" ? "Match type" : "Query type", ...data.results.map((result) => result.name), "Queries", "Values"];
  return table("", columns, rows, { numeric: columns.map((_, i) => i).slice(1) });
}

function startParts(data) {
  const pairs = [...new Set(data.parts.filter(WHOLE).map((part) => `${part.setting}\t${part.measure}`))];
  byId("part-measure").append(...pairs.map((pair) => option(pair, pair.split("\t").reverse().join(" · "))));
  byId("part-measure").value = pairs.find((pair) => pair.split("\t")[1].startsWith("nDCG")) || pairs[0];
  const splits = { match: data.parts.some((part) => part.match !== "all"), type: data.parts.some((part) => part.type !== null) };
  for (const choice of [...byId("part-split").children]) if (!splits[choice.value]) choice.remove();
  if (!byId("part-split").children.length) byId("part-split").append(option("match", "nothing"));
  const refresh = () => {
    const [setting, measure] = byId("part-measure").value.split("\t");
    const split = byId("part-split").value;
    const parts = partsOf(data, setting, measure, split);
    show("bars", bars(data, parts, split));
    show("bars-caption", `${measure}, ${setting}: mean over ${split === "match" ? "the queries that have relevant chunks of the match type" : "the queries of the type"}, with 95 % bootstrap intervals over queries.`);
    show("part-table", partTable(data, parts, split));
  };
  byId("part-measure").addEventListener("change", refresh);
  byId("part-split").addEventListener("change", refresh);
  refresh();
}
