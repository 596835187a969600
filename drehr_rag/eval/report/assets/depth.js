// Recall by depth: curves with bands on a logarithmic axis, read by pointing or by the arrow keys.

const FRAME = { width: 1150, height: 400, left: 52, right: 270, top: 12, bottom: 46 };

function scales(data) {
  const last = Math.log10(data.depths[data.depths.length - 1]);
  const most = Math.max(...data.curves.flatMap((curve) => curve.high.map((value, i) => value ?? curve.mean[i])));
  const top = Math.min(1, Math.ceil(most * 10 + 0.01) / 10);
  const { width, height, left, right, top: above, bottom } = FRAME;
  return {
    top,
    x: (depth) => left + (Math.log10(depth) / last) * (width - left - right),
    y: (value) => height - bottom - (value / top) * (height - above - bottom),
  };
}

function gridLines(data, { x, y, top }) {
  const { width, height, left, right, bottom } = FRAME;
  const lines = [];
  for (let value = 0; value <= top + 1e-9; value += top > 0.5 ? 0.2 : 0.1) {
    lines.push(draw("line", { class: value ? "grid" : "axis", x1: left, x2: width - right, y1: y(value), y2: y(value) }),
      draw("text", { class: "soft", x: left - 9, y: y(value) + 4, "text-anchor": "end" }, value.toFixed(1)));
  }
  for (const depth of data.depths.filter((one) => [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000].includes(one))) {
    lines.push(draw("line", { class: "axis", x1: x(depth), x2: x(depth), y1: height - bottom, y2: height - bottom + 5 }),
      draw("text", { class: "soft", x: x(depth), y: height - bottom + 20, "text-anchor": "middle" }, count(depth)));
  }
  lines.push(draw("text", { class: "soft", x: (left + width - right) / 2, y: height - 6, "text-anchor": "middle" }, "chunks read (k, logarithmic)"));
  return lines;
}

// The names at the curves' ends, moved apart where they would cover each other.
function endLabels(data, { x, y }) {
  const last = data.depths.length - 1;
  const labels = data.curves.map((curve, i) => ({ i, at: y(curve.mean[last]) })).sort((a, b) => a.at - b.at);
  labels.forEach((label, n) => { if (n) label.at = Math.max(label.at, labels[n - 1].at + 17); });
  return labels.map(({ i, at }) => {
    const name = data.results.length > 1 ? `${i + 1}. ${data.results[i].name}` : data.results[i].name;
    const short = name.length > 34 ? `${name.slice(0, 33)}…` : name;
    return draw("text", { class: colour(i), x: x(data.depths[last]) + 10, y: at + 4 }, short);
  });
}

function curves(data) {
  const longest = Math.max(...data.results.map((result) => result.name.length));
  FRAME.right = Math.max(110, Math.min(280, 50 + 7 * longest));
  const scale = scales(data);
  const { width, height, top, bottom } = FRAME;
  const chart = draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", tabindex: 0, "aria-label": "Recall by depth; the arrow keys read the values" });
  const point = (value, i) => `${scale.x(data.depths[i]).toFixed(1)},${scale.y(value).toFixed(1)}`;
  chart.append(...gridLines(data, scale));
  data.curves.forEach((curve, i) => {
    if (curve.low[0] !== null) {
      const band = [...curve.high.map(point), ...curve.low.map(point).reverse()];
      chart.append(draw("polygon", { class: `band ${colour(i)}`, points: band.join(" ") }));
    }
  });
  data.curves.forEach((curve, i) => chart.append(draw("g", { class: colour(i) }, draw("polyline", { class: "curve", points: curve.mean.map(point).join(" ") }))));
  const guide = draw("line", { class: "guide", y1: top, y2: height - bottom, visibility: "hidden" });
  chart.append(...endLabels(data, scale), guide);
  reading(data, chart, guide, scale);
  return chart;
}

function reading(data, chart, guide, { x }) {
  let at = data.depths.indexOf(10);
  const read = (i) => {
    at = Math.max(0, Math.min(data.depths.length - 1, i));
    for (const end of ["x1", "x2"]) guide.setAttribute(end, x(data.depths[at]));
    guide.setAttribute("visibility", "visible");
    const values = data.curves.map((curve, r) => `${data.results[r].name} ${number(curve.mean[at])} ${curve.low[at] === null ? "" : `[${number(curve.low[at])}, ${number(curve.high[at])}]`}`);
    show("curves-read", `Recall@${data.depths[at]}: ${values.join(" · ")}`);
  };
  chart.addEventListener("pointermove", (event) => {
    const box = chart.getBoundingClientRect();
    const place = ((event.clientX - box.left) / box.width) * FRAME.width;
    const away = data.depths.map((depth) => Math.abs(x(depth) - place));
    read(away.indexOf(Math.min(...away)));
  });
  chart.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step) { event.preventDefault(); read(at + step); }
  });
}

function curveTable(data) {
  const rows = data.depths.map((depth, i) => [{ text: count(depth), key: depth },
    ...data.curves.map((curve) => `${number(curve.mean[i])} ${ends([0, curve.low[i], curve.high[i]])}`)]);
  const columns = ["k", ...data.results.map((result) => result.name)];
  return table("", columns, rows, { numeric: columns.map((_, i) => i).slice(1), sorts: false });
}
