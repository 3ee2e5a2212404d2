"use strict";
// What the report's page and the leaderboard's site share.
const $ = (id) => document.getElementById(id);
const all = (selector, within = document) => Array.from(within.querySelectorAll(selector));
const say = (text) => { $("status").textContent = text; };

function element(name, text, className = "") {
  const made = document.createElement(name);
  made.textContent = text;
  made.className = className;
  return made;
}

// Tables sort by the button of a column, first as its data-first says; values that are not there stay last.
function valueOf(cell) {
  if (cell.dataset.v === undefined) return cell.textContent.trim();
  return cell.dataset.v === "" ? null : Number(cell.dataset.v);
}

const alphabet = new Intl.Collator("en", { numeric: true });
function sortBy(header) {
  const [first, second] = header.dataset.first === "ascending" ? ["ascending", "descending"] : ["descending", "ascending"];
  const direction = header.getAttribute("aria-sort") === first ? second : first;
  const sign = direction === "ascending" ? 1 : -1;
  const body = header.closest("table").tBodies[0];
  const rows = Array.from(body.rows, (row) => [valueOf(row.cells[header.cellIndex]), row]);
  const compare = (a, b) => (typeof a === "number" ? a - b : alphabet.compare(a, b));
  rows.sort(([a], [b]) => (a === null) - (b === null) || (a === null ? 0 : sign * compare(a, b)));
  body.append(...rows.map(([, row]) => row));
  for (const other of header.parentNode.cells) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", direction);
  header.closest("table").dispatchEvent(new Event("sorted"));
  say(`Sorted by ${header.querySelector("button").textContent.trim()}, ${direction}.`);
}
for (const button of all("thead button")) button.addEventListener("click", () => sortBy(button.closest("th")));
