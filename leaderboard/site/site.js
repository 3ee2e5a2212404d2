"use strict";
// Tables of the class sortable sort by the button of a column; a cell's data-v is its number.
const status = document.getElementById("status");
const byId = (id) => document.getElementById(id);

function valueOf(cell) {
  if (cell.dataset.v !== undefined) return cell.dataset.v === "" ? null : Number(cell.dataset.v);
  const text = cell.textContent.trim();
  if (!cell.classList.contains("n")) return text;
  const number = Number(text.replace("−", "-").replace("< ", ""));
  return Number.isNaN(number) ? null : number;
}

const order = new Intl.Collator("en", { numeric: true });

function sortBy(header, direction) {
  const body = header.closest("table").tBodies[0];
  const sign = direction === "ascending" ? 1 : -1;
  const rows = Array.from(body.rows, (row) => [valueOf(row.cells[header.cellIndex]), row]);
  rows.sort(([a], [b]) => (a === null) - (b === null) || (a === null ? 0 : sign * (typeof a === "number" && typeof b === "number" ? a - b : order.compare(a, b))));
  body.append(...rows.map(([, row]) => row));
  if (body.parentNode.id === "board") showRows();
  for (const other of header.parentNode.cells) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", direction);
  status.textContent = `Sorted by ${header.textContent.trim()}, ${direction}.`;
}

for (const button of document.querySelectorAll("table.sortable thead button")) {
  button.addEventListener("click", () => {
    const header = button.closest("th");
    sortBy(header, header.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending");
  });
}
for (const hidden of document.querySelectorAll(".filters")) hidden.hidden = false;

// A long board is laid out so far, until all of it is asked for: laying out is most of what sorting takes.
const filters = ["filter", "level", "ranked", "clean"].map(byId);
let limit = 100;
function showRows() {
  const [text, level, ranked, clean] = filters;
  const wanted = text.value.trim().toLowerCase();
  let found = 0;
  for (const row of byId("board").tBodies[0].rows) {
    const there = (!wanted || row.textContent.toLowerCase().includes(wanted))
      && (!level || !level.value || row.dataset.level === level.value)
      && (!ranked || !ranked.checked || row.dataset.ranked === "1")
      && (!clean || !clean.checked || row.dataset.clean === "1");
    found += there;
    row.hidden = !there || found > limit;
  }
  byId("more").hidden = found <= limit;
  return found > limit ? `The first ${limit} of ${found} rows shown.` : `${found} rows shown.`;
}
if (filters[0]) {
  const show = () => { status.textContent = showRows(); };
  for (const filter of filters) if (filter) filter.addEventListener("input", show);
  byId("more").addEventListener("click", () => { limit = Infinity; show(); });
  showRows();
}

if (byId("go")) {
  const aim = () => { byId("go").href = `methods/${byId("one").value}.html#vs-${byId("other").value}`; };
  for (const choice of [byId("one"), byId("other")]) choice.addEventListener("change", aim);
  aim();
}

if (byId("values")) {
  const values = JSON.parse(byId("values").textContent);
  for (const button of document.querySelectorAll(".pick")) {
    button.addEventListener("click", () => {
      const item = Number(button.dataset.item);
      byId("item-name").textContent = values.items[item][0];
      byId("item-caption").textContent = values.items[item][1];
      byId("item-rows").replaceChildren(...values.entries.map(([name, ...scores]) => {
        const row = document.createElement("tr");
        const head = row.appendChild(document.createElement("th"));
        head.scope = "row";
        head.textContent = name;
        for (const of of scores) {
          const cell = row.appendChild(document.createElement("td"));
          cell.className = "n";
          cell.textContent = of[item] === null ? "–" : of[item].toFixed(3);
        }
        return row;
      }));
      byId("item").hidden = false;
      byId("item").scrollIntoView({ block: "nearest" });
    });
  }
}

if (byId("passages")) {
  const passages = JSON.parse(byId("passages").textContent);
  byId("words").addEventListener("input", () => {
    const words = byId("words").value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = words.length === 0 ? [] : passages.filter((passage) => {
      const text = passage.slice(1).join(" ").toLowerCase();
      return words.every((word) => text.includes(word));
    });
    byId("topics").hidden = words.length > 0;
    byId("found").replaceChildren(...found.slice(0, 40).map(([topic, title, heading, text]) => {
      const row = document.createElement("li");
      const link = row.appendChild(document.createElement("a"));
      link.href = `${topic}.html`;
      link.textContent = heading === title ? title : `${title}: ${heading}`;
      row.appendChild(document.createElement("p")).textContent = text.replaceAll("`", "").replaceAll("|", " ").slice(0, 400);
      return row;
    }));
    status.textContent = `${found.length} passages found.`;
  });
}
