// A board's rows: searched, filtered, and laid out so far, until all of them are asked for. The address keeps what was chosen.
const table = $("board");
const form = document.querySelector("form.filters:not(#chosen)");
const controls = form ? all("input, select", form).filter((control) => control.name) : [];
const state = new URLSearchParams(location.hash.includes("=") ? location.hash.slice(1) : "");
let limit = table ? Number(table.dataset.limit || 50) : 0;

function fits(row) {
  return controls.every((control) => {
    if (control.name === "q") {
      const wanted = control.value.trim().toLowerCase();
      return !wanted || `${row.dataset.name || ""} ${row.querySelector("th").textContent}`.toLowerCase().includes(wanted);
    }
    if (control.type === "checkbox") return !control.checked || row.dataset[control.name] === "1";
    return !control.value || row.dataset[control.name] === control.value;
  });
}

function showRows() {
  let found = 0;
  for (const row of all("tbody tr:not(.details)", table)) {
    const there = fits(row);
    found += there;
    row.hidden = !there || found > limit;
    const opened = row.nextElementSibling;
    if (opened && opened.className === "details") opened.hidden = row.hidden;
  }
  $("more").hidden = found <= limit;
  const said = found > limit ? `The first ${limit} of ${found} rows shown.` : `${found} rows shown.`;
  if ($("count")) $("count").textContent = said;
  return said;
}

function keep(name, value) {
  if (value) state.set(name, value); else state.delete(name);
  try { history.replaceState(null, "", `#${state}`); } catch { /* a page in a frame may not */ }
}

for (const control of controls) {
  const kept = state.get(control.name);
  if (kept !== null) { if (control.type === "checkbox") control.checked = kept === "1"; else control.value = kept; }
  control.addEventListener("input", () => {
    keep(control.name, control.type === "checkbox" ? (control.checked ? "1" : "") : control.value);
    say(showRows());
  });
}
for (const hidden of all(".filters")) {
  hidden.hidden = false;
  hidden.addEventListener("submit", (event) => event.preventDefault());
}
if (table) {
  $("more").addEventListener("click", () => { limit = Infinity; say(showRows()); });
  table.addEventListener("sorted", () => {
    for (const row of all(".details", table)) row.remove();
    for (const button of all("[aria-expanded]", table)) button.setAttribute("aria-expanded", "false");
    showRows();
  });
  showRows();
}

// Columns: those that do not rank are shown when they are asked for, or below their row when it is opened.
for (const wide of all("table").filter((found) => found.querySelector("thead .opt"))) {
  const heads = Array.from(wide.tHead.rows[0].cells);
  const chosen = new Set((state.get("columns") || "").split(",").filter(Boolean));
  const show = (column, shown) => { for (const row of wide.rows) if (row.cells[column]) row.cells[column].hidden = !shown; };
  const box = wide.id === "board" ? $("columns") : wide.parentNode.parentNode.insertBefore(element("fieldset", "", "choices"), wide.parentNode);
  if (wide.id !== "board") box.append(element("legend", "Other metrics"));
  heads.forEach((head, column) => {
    if (!head.classList.contains("opt")) return;
    const name = head.textContent.trim();
    const label = document.createElement("label");
    const tick = label.appendChild(document.createElement("input"));
    tick.type = "checkbox";
    tick.checked = chosen.has(name);
    label.append(` ${name}`);
    tick.addEventListener("change", () => {
      show(column, tick.checked);
      if (tick.checked) chosen.add(name); else chosen.delete(name);
      if (wide.id === "board") keep("columns", [...chosen].join(","));
    });
    box.append(label);
    show(column, tick.checked);
  });
}

function openRow(row, button) {
  const opened = button.getAttribute("aria-expanded") === "true";
  button.setAttribute("aria-expanded", String(!opened));
  if (opened) { row.nextElementSibling.remove(); return; }
  const details = element("tr", "", "details");
  const cell = details.appendChild(document.createElement("td"));
  cell.colSpan = row.cells.length;
  const list = cell.appendChild(document.createElement("dl"));
  const heads = table.tHead.rows[0].cells;
  if (row.dataset.why) list.append(element("dt", "Not ranked"), element("dd", row.dataset.why));
  Array.from(row.cells).forEach((each, column) => {
    if (each.offsetParent || !each.textContent.trim() || each.className === "tick") return;
    const dd = element("dd", "");
    dd.append(...Array.from(each.childNodes, (node) => node.cloneNode(true)));
    list.append(element("dt", heads[column].textContent.trim()), dd);
  });
  const link = row.querySelector("th a").cloneNode(false);
  link.className = "";
  link.textContent = "Card, scores by edit type and pictures";
  list.append(element("dt", "More"), element("dd", ""));
  list.lastChild.append(link);
  row.after(details);
}

// Rows that can be opened, and ticked to be compared.
const ticked = [];
function tick(box) {
  const index = ticked.indexOf(box);
  if (index >= 0) ticked.splice(index, 1); else ticked.push(box);
  for (const other of all(".tick input", table)) other.disabled = ticked.length === 2 && !ticked.includes(other);
  $("ticked").hidden = ticked.length === 0;
  $("ticked-names").textContent = ticked.map((each) => each.closest("tr").dataset.title).join(" and ") + (ticked.length === 1 ? ": tick another to compare" : "");
  $("go").hidden = ticked.length < 2;
  if (ticked.length === 2) $("go").href = `compare/${ticked[0].value}.html#vs-${ticked[1].value}`;
}
if ($("ticked")) {
  for (const box of all(".tick input", table)) {
    box.hidden = false;
    box.checked = false;
    box.addEventListener("change", () => tick(box));
    const row = box.closest("tr");
    const button = element("button", "", "open");
    button.type = "button";
    button.setAttribute("aria-expanded", "false");
    button.setAttribute("aria-label", `Details of ${row.dataset.title}`);
    button.addEventListener("click", () => openRow(row, button));
    box.before(button);
  }
  $("untick").addEventListener("click", () => { for (const box of [...ticked]) { box.checked = false; tick(box); } });
}

// Two entries: all numbers of the pair, and who wins on each item.
const FIRST = 12;
const OUTCOMES = { "+": "▲", "-": "▼", "=": "=", "x": "an edit failed", "?": "no value" };

function pictureOf(name, method, data, item) {
  const figure = element("figure", "");
  const button = figure.appendChild(element("button", "", "picture"));
  button.type = "button";
  button.setAttribute("aria-haspopup", "dialog");
  const image = button.appendChild(document.createElement("img"));
  Object.assign(image, { src: `../pictures/${method}/${data.items[item][1]}.png`, alt: `${name} on ${data.items[item][0]}`, className: "coarse", loading: "lazy" });
  figure.append(element("figcaption", name));
  return figure;
}

function showPair(data) {
  const other = $("other").value;
  const of = data.pairs[other];
  $("pair").hidden = false;
  const [mine, its] = [data.titles[data.me], data.titles[other]];
  $("pair-title").textContent = `${mine} against ${its}`;
  $("head-one").textContent = mine;
  $("head-other").textContent = its;
  $("head-verdict").textContent = `Verdict on ${mine}`;
  const labels = [mine, its, "Difference", `Verdict on ${mine}`, "Adjusted p", "Win/tie/loss"];
  $("pair-metrics").tBodies[0].replaceChildren(...data.metrics.map((metric, number) => {
    const row = element("tr", "");
    row.setAttribute("role", "row");
    const cells = of.metrics[number] || ["–", "–", "–", "", "not compared", "–", "–"];
    const head = row.appendChild(element("th", metric));
    head.scope = "row";
    head.setAttribute("role", "rowheader");
    const [one, two, difference, interval, verdict, p, wins] = cells;
    [one, two, difference, verdict, p, wins].forEach((text, column) => {
      const cell = row.appendChild(element("td", text, column === 3 ? "verdict" : "n"));
      cell.setAttribute("role", "cell");
      cell.dataset.label = labels[column];
      if (column === 2 && interval) cell.append(element("span", interval, "span"));
    });
    return row;
  }));
  showItems(data, other, FIRST);
}

function showItems(data, other, most) {
  const outcomes = data.pairs[other].outcomes[$("by").selectedIndex];
  const wanted = $("outcome").value;
  const words = { "+": `${data.titles[data.me]} wins`, "-": `${data.titles[other]} wins`, "=": "a tie", "x": OUTCOMES.x, "?": OUTCOMES["?"] };
  const counts = Object.entries(words).map(([sign, text]) => [sign, text, outcomes.split(sign).length - 1]).filter(([,, n]) => n);
  $("tally").textContent = counts.map(([, text, n]) => `${text}: ${n}`).join(" · ");
  if ($("outcome").dataset.of !== other + $("by").value) {
    $("outcome").dataset.of = other + $("by").value;
    $("outcome").replaceChildren(new Option("all items", ""), ...counts.map(([sign, text]) => new Option(text, sign)));
  }
  const seen = new Set([data.me, other].flatMap((method) => data.pictures[method] || []));
  const rank = (item) => (seen.has(item) ? 0 : 2) + (outcomes[item] === "=" ? 1 : 0);
  const found = data.items.map((_, item) => item).filter((item) => !wanted || outcomes[item] === wanted).sort((a, b) => rank(a) - rank(b));
  $("pair-items").replaceChildren(...found.slice(0, most).map((item) => itemOf(data, other, item, words[outcomes[item]])));
  $("more-items").hidden = found.length <= most;
}

function itemOf(data, other, item, words) {
  const [id, stem, caption] = data.items[item];
  const article = element("article", "", "item");
  const heading = article.appendChild(element("h3", ""));
  const link = heading.appendChild(element("a", id));
  link.href = `../items/${stem}.html`;
  heading.append(" ", element("span", words, "tag"));
  article.append(element("p", caption, "asked"));
  const shown = [data.me, other].filter((method) => (data.pictures[method] || []).includes(item));
  if (shown.length) {
    const edits = article.appendChild(element("div", "", "edits"));
    if (data.sources.includes(item)) edits.append(pictureOf("source", "_source", data, item));
    edits.append(...shown.map((method) => pictureOf(data.titles[method], method, data, item)));
  }
  return article;
}

if ($("pairs-data")) {
  const data = JSON.parse($("pairs-data").textContent);
  const choose = () => {
    const wanted = decodeURIComponent(location.hash.slice(1)).replace(/^vs-/, "");
    if (!Object.hasOwn(data.pairs, wanted)) return;
    $("other").value = wanted;
    showPair(data);
    $("pair-title").scrollIntoView({ block: "nearest" });
  };
  $("one").addEventListener("change", () => {
    const other = $("other").value === $("one").value ? data.me : $("other").value;
    location.href = `${encodeURIComponent($("one").value)}.html#vs-${encodeURIComponent(other)}`;
  });
  $("other").addEventListener("change", () => { location.hash = `vs-${encodeURIComponent($("other").value)}`; });
  for (const id of ["by", "outcome"]) $(id).addEventListener("change", () => showItems(data, $("other").value, FIRST));
  $("more-items").addEventListener("click", () => showItems(data, $("other").value, Infinity));
  window.addEventListener("hashchange", choose);
  if (location.hash) choose(); else showPair(data);
}

// The guide: where most of the words stand together, as `evalkit guide --search` finds them.
if ($("passages")) {
  const sections = new Map();
  const pages = {};
  for (const [topic, title, heading, text] of JSON.parse($("passages").textContent)) {
    const key = `${topic} ${heading}`;
    if (!sections.has(key)) sections.set(key, { topic, title, heading, texts: [] });
    sections.get(key).texts.push(text);
    pages[topic] = `${pages[topic] || title} ${heading} ${text}`;
  }
  $("words").addEventListener("input", () => {
    const words = $("words").value.toLowerCase().split(/\s+/).filter(Boolean);
    const countIn = (text) => words.filter((word) => text.toLowerCase().includes(word)).length;
    const ranked = [...sections.values()].map((section) => {
      const titles = `${section.title} ${section.heading}`;
      const text = section.texts.reduce((best, each) => (countIn(each) > countIn(best) ? each : best));
      return { ...section, text, rank: [countIn(`${titles} ${text}`), countIn(pages[section.topic]), countIn(titles)] };
    });
    const most = Math.max(...ranked.map(({ rank }) => rank[0]));
    const found = ranked.filter(({ rank }) => most && rank[0] === most).sort((a, b) => b.rank[1] - a.rank[1] || b.rank[2] - a.rank[2]);
    $("topics").hidden = words.length > 0;
    $("found").replaceChildren(...found.slice(0, 40).map(({ topic, title, heading, text }) => {
      const row = element("li", "");
      const link = row.appendChild(element("a", heading === title ? title : `${title}: ${heading}`));
      link.href = `${topic}.html`;
      row.append(element("p", text.replaceAll("`", "").replaceAll("|", " ").slice(0, 400)));
      return row;
    }));
    say(`${found.length} sections found.`);
  });
}
