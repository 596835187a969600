// Everything on the page, from the data in it.

function start() {
  const data = JSON.parse(byId("data").textContent);
  document.title = `${data.benchmark}: evaluation`;
  show("title", data.benchmark);
  show("subtitle", [many(data.queries.length, "query", "queries"), many(data.results.length, "result"), `page made ${data.made.replace("T", " ").replace("+00:00", " UTC")}`].join(" · "));
  show("legend", data.results.map((result, i) => make("li", {}, swatch(i), `${data.results.length > 1 ? `${i + 1}. ` : ""}${result.name}`)));
  show("score-tables", scoreTables(data).filter(Boolean));
  show("comparisons", comparisons(data));
  startParts(data);
  show("curves", curves(data));
  show("curve-table", curveTable(data));
  show("latency-table", latency(data));
  browser(data);
  show("cuts", `Of each query ${data.cuts.join("; ")}.`);
  show("origin-tables", origin(data));
  show("footer", `Made by drehr-rag ${data.version}. This page holds all that it shows and reaches for no network; intervals and tests were drawn with seed ${data.seed}.`);
  document.documentElement.dataset.ready = "yes";
}

start();
