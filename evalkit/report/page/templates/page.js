// Everything is there without this script but the choices: which metric, which order, which pair, which two pictures.
const data = JSON.parse($("data").textContent);
const number = (text) => (/^[−\d]/.test(text) ? Number(text.replace("−", "-").replaceAll(",", "")) : null);
let metric = 0;

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

for (const select of all("select.metric")) {
  select.closest("label").hidden = false;
  select.addEventListener("change", () => chooseMetric(Number(select.value)));
}
for (const id of ["order", "type", "verdict"]) if ($(id)) $(id).addEventListener("change", rearrange);
$("more").addEventListener("click", () => { limit += STEP; arrange(); say($("count").textContent); });
$("choices").hidden = $("count").hidden = items.length < 2;
window.addEventListener("beforeprint", () => { for (const folded of all("details.print")) folded.open = true; });
chooseMetric(0);
