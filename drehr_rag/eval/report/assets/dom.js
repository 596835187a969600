"use strict";
// Elements are made here, and every text from the data becomes a text node: never markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "on") {
      for (const [event, action] of Object.entries(value)) element.addEventListener(event, action);
    } else element.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children.flat()) {
    if (child !== null && child !== undefined) element.append(child);  // strings become text nodes
  }
  return element;
}

const make = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
const draw = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);
const byId = (id) => document.getElementById(id);
const show = (id, ...children) => byId(id).replaceChildren(...children.flat());

const number = (value, digits = 3) => (value === null || value === undefined ? "–" : value.toFixed(digits));
const signed = (value) => (value > 0 ? "+" : value < 0 ? "−" : "±") + Math.abs(value).toFixed(3);
const count = (value) => value.toLocaleString("en");
const many = (value, one, more) => `${count(value)} ${value === 1 ? one : more || one + "s"}`;
const colour = (index) => `s${index % 6}`;
const swatch = (index) => make("span", { class: `swatch ${colour(index)}`, "aria-hidden": "true" });
const named = (result, index) => make("span", { class: "name" }, swatch(index), make("span", {}, result.name));
// A result's colour and number, where its name would be too long.
const key = (data, index) => make("span", { class: "key", title: data.results[index].name }, swatch(index), data.results.length > 1 ? ` ${index + 1}` : "");
const option = (value, text) => make("option", { value }, text);
const ends = (mean) => (mean[1] === null ? "" : `[${number(mean[1])}, ${number(mean[2])}]`);

// A header cell whose button sorts the table's rows by that column.
function sortable(head, body, column) {
  const up = head.getAttribute("aria-sort") === "descending";
  for (const other of head.parentNode.children) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", up ? "ascending" : "descending");
  const key = (row) => {
    const text = row.children[column].dataset.key || row.children[column].textContent;
    const value = Number(text);
    return Number.isNaN(value) || text === "" ? text : value;
  };
  const rows = [...body.children].sort((a, b) => {
    const [x, y] = [key(a), key(b)];
    const order = typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y));
    return up ? order : -order;
  });
  body.replaceChildren(...rows);
}

// Rows of cells; a cell is text, or {text, node, key, class}. Columns named in `numeric` are right-aligned.
function table(caption, columns, rows, { numeric = [], sorts = true, className = "" } = {}) {
  const align = (i) => (numeric.includes(i) ? "n" : null);
  const body = make("tbody", {}, rows.map((cells) => make("tr", {}, cells.map((cell, i) => {
    const plain = typeof cell === "string";
    const classes = [align(i), plain ? null : cell.class].filter(Boolean).join(" ");
    const tag = i === 0 ? "th" : "td";
    return make(tag, { class: classes || null, scope: i === 0 ? "row" : null, "data-key": plain ? null : cell.key },
      plain ? cell : cell.node || cell.text);
  }))));
  const heads = columns.map((name, i) => {
    const head = make("th", { scope: "col", class: align(i) });
    head.append(sorts ? make("button", { type: "button", on: { click: () => sortable(head, body, i) } }, name) : name);
    return head;
  });
  return make("table", { class: className || null }, caption ? make("caption", {}, caption) : null,
    make("thead", {}, make("tr", {}, heads)), body);
}
