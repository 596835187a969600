// Milliseconds a query, or that they were not measured.

function latency(data) {
  const names = [...new Set(data.results.flatMap((result) => Object.keys(result.latency || {})))];
  if (!names.length) return make("p", {}, "Not measured: no manifest has latencies.");
  const rows = data.results.map((result, i) => [
    { node: named(result, i), key: result.name },
    ...names.map((name) => {
      const value = (result.latency || {})[name];
      return typeof value === "number" ? { text: value < 10 ? value.toFixed(2) : value.toFixed(0), key: value } : value === undefined ? "not measured" : String(value);
    }),
  ]);
  return table("", ["Result", ...names], rows, { numeric: names.map((_, i) => i + 1) });
}
