"use strict";
// Everything is there without this script but the choices: which metric, which order, which pair, which two pictures.
const $ = (id) => document.getElementById(id);
const all = (selector, within = document) => Array.from(within.querySelectorAll(selector));
const data = JSON.parse($("data").textContent);
const say = (text) => { $("status").textContent = text; };
const number = (text) => (/^[−\d]/.test(text) ? Number(text.replace("−", "-").replaceAll(",", "")) : null);
let metric = 0;

function element(name, text, className = "") {
  const made = document.createElement(name);
  made.textContent = text;
  made.className = className;
  return made;
}

// Tables of means sort by the button of a column; values that are not there stay last.
function valueOf(cell) {
  if (cell.dataset.v === undefined) return cell.textContent.trim();
  return cell.dataset.v === "" ? null : Number(cell.dataset.v);
}

function sortBy(header) {
  const direction = header.getAttribute("aria-sort") === "descending" ? "ascending" : "descending";
  const sign = direction === "ascending" ? 1 : -1;
  const body = header.closest("table").tBodies[0];
  const rows = Array.from(body.rows, (row) => [valueOf(row.cells[header.cellIndex]), row]);
  const compare = (a, b) => (typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true }));
  rows.sort(([a], [b]) => (a === null) - (b === null) || (a === null ? 0 : sign * compare(a, b)));
  body.append(...rows.map(([, row]) => row));
  for (const other of header.parentNode.cells) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", direction);
  say(`Sorted by ${header.querySelector("button").textContent}, ${direction}.`);
}
for (const button of all("th button")) button.addEventListener("click", () => sortBy(button.closest("th")));

// One metric at a time, the same one everywhere.
function chooseMetric(chosen) {
  metric = chosen;
  for (const section of all("section")) {
    const panels = all(".panel", section);
    const shown = panels.find((panel) => Number(panel.dataset.metric) === metric) || panels[0];
    for (const panel of panels) panel.hidden = panel !== shown;
  }
  for (const select of all("select.metric")) if (select.options[metric]) select.selectedIndex = metric;
  for (const edit of all("figure.edit")) edit.querySelector(".score").textContent = scores(edit)[metric];
  arrange();
}
const scores = (edit) => edit.dataset.s.split("|");

// A pair's numbers.
function showPair(button) {
  const { cells, sentence } = data.pairs[Number(button.dataset.pair)];
  const list = element("dl", "");
  data.heads.forEach((head, column) => {
    const both = element("div", "");
    both.append(element("dt", head), element("dd", cells[column]));
    list.append(both);
  });
  $("pair").replaceChildren(list, element("p", sentence, "paste"));
  for (const other of all("[aria-pressed]")) other.removeAttribute("aria-pressed");
  button.setAttribute("aria-pressed", "true");
}
for (const button of all("[data-pair]")) button.addEventListener("click", () => showPair(button));

// The gallery: which items, in which order, and how many of them.
const STEP = 6;
let limit = STEP;
const items = all("article.item").map((node, place) => ({ node, place, edits: all("figure.edit", node) }));

function measure(item) {
  const values = item.edits.map((edit) => number(scores(edit)[metric]));
  const known = values.filter((value) => value !== null);
  const sign = data.higher[metric] === false ? -1 : 1;
  const best = sign * Math.max(...known.map((value) => sign * value));
  const leaders = values.flatMap((value, method) => (value === best ? [method] : []));
  return {
    mean: known.length ? (sign * known.reduce((sum, value) => sum + value, 0)) / known.length : Infinity,
    range: known.length ? Math.max(...known) - Math.min(...known) : -1,
    verdict: data.higher[metric] === null ? "" : leaders.length > 1 ? "tie" : String(leaders[0]),
    missing: item.edits.some((edit) => "missing" in edit.dataset),
  };
}

function arrange() {
  const [type, verdict] = [$("type") ? $("type").value : "", $("verdict").value];
  const measured = items.map((item) => ({ ...item, ...measure(item) }));
  const orders = {
    disputed: (a, b) => b.range - a.range,
    worst: (a, b) => a.mean - b.mean,
    item: (a, b) => a.node.dataset.id.localeCompare(b.node.dataset.id, "en", { numeric: true }),
  };
  measured.sort((a, b) => orders[$("order").value](a, b) || a.place - b.place);
  const fits = measured.filter((item) => (type === "" || item.node.dataset.type === type)
    && (verdict === "" || (verdict === "failed" ? item.missing : item.verdict === verdict)));
  const shown = new Set(fits.slice(0, limit));
  for (const item of measured) item.node.hidden = !shown.has(item);
  $("items").append(...measured.map((item) => item.node));
  $("count").textContent = `${shown.size} of ${fits.length} items${fits.length < items.length ? " that fit" : ""}.`;
  $("more").hidden = shown.size === fits.length;
}

function rearrange() {
  limit = STEP;
  arrange();
  say($("count").textContent);
}

// Two pictures of an item on top of each other.
const viewer = $("viewer");
let viewed = null;

function picturesOf(node) {
  return all("figure", node).filter((figure) => figure.querySelector("img")).map((figure) => ({
    image: figure.querySelector("img"),
    name: figure.querySelector("figcaption").textContent.trim(),
  }));
}

function view(node, chosen) {
  viewed = node;
  const pictures = picturesOf(node);
  $("viewer-title").textContent = node.querySelector("h3").textContent;
  $("viewer-asked").replaceChildren(...Array.from(node.querySelector(".asked").childNodes, (child) => child.cloneNode(true)));
  const right = Math.min(chosen || 1, pictures.length - 1);
  for (const [id, selected] of [["left", 0], ["right", right]]) {
    $(id).replaceChildren(...pictures.map(({ name }) => element("option", name)));
    $(id).selectedIndex = selected;
  }
  compareTwo();
}

function compareTwo() {
  const pictures = picturesOf(viewed);
  for (const [image, side] of [["under", "right"], ["over", "left"]]) {
    const { src, alt, className } = pictures[$(side).selectedIndex].image;
    Object.assign($(image), { src, alt, className });
  }
  slide();
}

function slide() {
  viewer.style.setProperty("--at", `${100 - $("slide").value}%`);
}

function step(by) {
  const shown = all("article.item:not([hidden])").filter((node) => node.querySelector("img"));
  view(shown[(shown.indexOf(viewed) + by + shown.length) % shown.length], $("right").selectedIndex);
}

for (const button of all(".picture")) {
  button.setAttribute("aria-haspopup", "dialog");
  button.addEventListener("click", () => {
    const node = button.closest("article");
    view(node, picturesOf(node).findIndex(({ image }) => image === button.firstElementChild));
    viewer.showModal();
    $("slide").focus();
  });
}
$("slide").addEventListener("input", slide);
for (const side of ["left", "right"]) $(side).addEventListener("change", compareTwo);
$("previous").addEventListener("click", () => step(-1));
$("next").addEventListener("click", () => step(1));
$("close").addEventListener("click", () => viewer.close());
viewer.addEventListener("click", (event) => { if (event.target === viewer) viewer.close(); });

for (const select of all("select.metric")) {
  select.closest("label").hidden = false;
  select.addEventListener("change", () => chooseMetric(Number(select.value)));
}
for (const id of ["order", "type", "verdict"]) if ($(id)) $(id).addEventListener("change", rearrange);
$("more").addEventListener("click", () => { limit += STEP; arrange(); say($("count").textContent); });
$("choices").hidden = $("count").hidden = items.length < 2;
window.addEventListener("beforeprint", () => { for (const folded of all("details.print")) folded.open = true; });
chooseMetric(0);
