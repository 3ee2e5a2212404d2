"use strict";
// Tables sort by the button of a column. A cell's data-v holds its values, one per metric of the gallery, else one.
const choice = document.getElementById("gallery-metric");
const status = document.getElementById("status");

function valueOf(cell, table) {
  if (cell.dataset.v === undefined) return cell.textContent.trim();
  const values = cell.dataset.v.split("|");
  const text = values[table.id === "items" && values.length > 1 ? choice.selectedIndex : 0];
  return text === "" ? null : Number(text);
}

function compare(a, b) {
  return typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true });
}

function sortBy(header, direction) {
  const table = header.closest("table");
  const sign = direction === "ascending" ? 1 : -1;
  const rows = Array.from(table.tBodies[0].rows, (row) => [valueOf(row.cells[header.cellIndex], table), row]);
  rows.sort(([a], [b]) => (a === null) - (b === null) || (a === null ? 0 : sign * compare(a, b)));
  table.tBodies[0].append(...rows.map(([, row]) => row));
  for (const other of header.parentNode.cells) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", direction);
  status.textContent = `Sorted by ${header.textContent.trim()}, ${direction}.`;
}

for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => {
    const header = button.closest("th");
    sortBy(header, header.getAttribute("aria-sort") === "descending" ? "ascending" : "descending");
  });
}
window.addEventListener("beforeprint", () => {
  for (const folded of document.querySelectorAll("details")) folded.open = true;
});
if (choice) {
  choice.parentNode.hidden = false;
  choice.addEventListener("change", () => {
    const sorted = document.querySelector("#items th[aria-sort]");
    if (sorted) sortBy(sorted, sorted.getAttribute("aria-sort"));
  });
}
