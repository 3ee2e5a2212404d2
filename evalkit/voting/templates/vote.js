"use strict";
// One ballot after the other. An answer is kept in this browser until the server has it, or, in a file, until it is saved.
const $ = (id) => document.getElementById(id);
const all = (selector, within = document) => Array.from(within.querySelectorAll(selector));
const data = JSON.parse($("data").textContent);
const served = data.form === "served";
const SIDES = ["source", "left", "right"];
const WORDS = { left: "Left is better", right: "Right is better", tie: "Equally good", both_bad: "Both are bad" };
let rater = null;   // the server's number, or the name
let ballots = [];
let answers = {};   // position to answer
let order = [];     // the positions answered in this visit, the last one last
let current = 0;
let shownAt = null; // when all pictures of the ballot were seen
const say = (text) => { $("status").textContent = text; };

// What is not yet elsewhere: an entry for each ballot, so that two windows do not overwrite each other's.
const memory = new Map();
let lasting = true;
function keep(key, text) {
  try { text === null ? localStorage.removeItem(key) : localStorage.setItem(key, text); } catch { lasting = false; }
  text === null ? memory.delete(key) : memory.set(key, text);
}
function kept(key) {
  try { return localStorage.getItem(key) ?? memory.get(key) ?? null; } catch { return memory.get(key) ?? null; }
}
function keysOf(prefix) {
  let keys = [];
  try { keys = Object.keys(localStorage); } catch { lasting = false; }
  return [...new Set([...keys, ...memory.keys()])].filter((key) => key.startsWith(prefix));
}
const prefix = () => `evalkit vote ${data.study} ${JSON.stringify(rater)} ${data.page ?? ""}: `;

function trouble(text) {
  $("trouble").textContent = text;
  $("trouble").hidden = !text;
}

// Sending: one after the other, again and again until the server has it.
let sending = false;
async function post(path, value) {
  return fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(value) });
}
async function send() {
  if (!served || sending) return;
  sending = true;
  let wait = 0;
  for (const key of keysOf(prefix())) {
    const text = kept(key);
    if (text === null) continue;
    try {
      const answered = await post("answer", { rater, ...JSON.parse(text) });
      if (answered.ok) {
        if (kept(key) === text) keep(key, null);
        trouble("");
      } else {
        trouble(await refusal(answered));
        wait = 5000;
      }
    } catch {
      trouble("The connection is lost. Your answers are kept in this browser, and sent as soon as the server answers; you can go on.");
      wait = 2000;
    }
    if (wait) break;
  }
  sending = false;
  showKept();
  if (wait || keysOf(prefix()).length) setTimeout(send, wait);
}
async function refusal(answered) {
  if (answered.status === 404) return "This address is not valid any more. Open the one that the command shows now; your answers are kept in this browser.";
  try { return `${(await answered.json()).error} It is kept in this browser, and sent again.`; } catch { return `The server refused an answer (${answered.status}). It is kept in this browser, and sent again.`; }
}
function showKept() {
  const waiting = served ? keysOf(prefix()).length : 0;
  if ($("kept")) $("kept").textContent = waiting ? `${waiting} of your answers are not sent yet: leave this page open.` : "All your answers are kept; you can close this page.";
}

// Beginning, and going on.
$("join").addEventListener("submit", async (event) => {
  event.preventDefault();
  const name = $("rater").value.trim().replace(/\s+/g, " ").normalize("NFC");
  if (!name) return;
  if (served) {
    try {
      const answered = await post("join", { rater: name });
      if (!answered.ok) return trouble(answered.status === 404 ? await refusal(answered) : (await answered.json()).error);
      const joined = await answered.json();
      [rater, ballots, answers] = [joined.rater, joined.ballots, joined.answers];
    } catch {
      return trouble("The server does not answer. Begin again when it does.");
    }
  } else {
    [rater, ballots] = [name, data.ballots];
  }
  for (const key of keysOf(prefix())) {
    const { n, answer } = JSON.parse(kept(key));
    answer === null ? delete answers[n] : (answers[n] = answer);
  }
  order = Object.keys(answers).map(Number).sort((a, b) => a - b);
  trouble("");
  if ($("saving")) $("saving").hidden = false;
  send();
  next();
});

const picture = (name) => (data.pictures ? data.pictures[name] : name);

function next() {
  current = ballots.findIndex((_, n) => !(n in answers));
  show();
}

function show() {
  shownAt = null;
  const over = current < 0;
  $("start").hidden = true;
  $("ballot").hidden = over;
  $("done").hidden = !over;
  for (const button of all(".undo")) button.disabled = !order.length;
  flicker(false);
  zoom(null);
  showKept();
  const n = Object.keys(answers).length;
  $("count").textContent = `${over ? n : n + 1} of ${ballots.length}`;
  Object.assign($("progress"), { max: ballots.length, value: n });
  document.title = over ? "Votes on edits: done" : `Vote ${n + 1} of ${ballots.length}`;
  if (over) return $("thanks").focus();
  const ballot = ballots[current];
  const [[, asked], ...others] = ballot.texts;
  $("asked").textContent = asked;
  $("texts").replaceChildren(...others.map(([label, text]) => {
    const made = document.createElement("span");
    made.textContent = `${label}: ${text}`;
    return made;
  }));
  load(ballot);
  $("asked").focus({ preventScroll: true });
  scrollTo(0, 0);
}

async function load(ballot) {
  $("unseen").hidden = true;
  enable(false);
  const images = SIDES.map((side) => document.querySelector(`.${side} .own`));
  SIDES.forEach((side, k) => {
    images[k].src = picture(ballot[side]);
    images[k].alt = { source: "Source", left: "Left edit", right: "Right edit" }[side];
  });
  for (const under of all(".under")) under.src = picture(ballot.source);
  try {
    await Promise.all(images.map((image) => image.decode()));
  } catch {
    if (ballot !== ballots[current]) return;
    $("unseen").textContent = "A picture cannot be shown. It is asked for again.";
    $("unseen").hidden = false;
    setTimeout(() => { if (ballot === ballots[current]) load(ballot); }, 3000);
    return;
  }
  if (ballot !== ballots[current]) return;
  $("ballot").style.setProperty("--ratio", images[0].naturalWidth / images[0].naturalHeight);
  for (const image of all("#pictures img")) image.classList.toggle("coarse", image.naturalWidth < 120);
  shownAt = performance.now();
  enable(true);
  const following = ballots.find((_, n) => n > current && !(n in answers));
  if (following && !data.pictures) for (const side of SIDES) new Image().src = picture(following[side]);
}

const enable = (can) => { for (const button of all("[data-answer]")) button.disabled = !can; };

function answer(given) {
  if (shownAt === null || $("ballot").hidden) return;
  const seconds = Math.round(performance.now() - shownAt) / 1000;
  record(current, given, seconds);
  order.push(current);
  answers[current] = given;
  say(`${WORDS[given]}. ${Object.keys(answers).length} of ${ballots.length} answered.`);
  next();
}

function undo() {
  if (!order.length) return;
  const n = order.pop();
  record(n, null, null);
  delete answers[n];
  current = n;
  say("The last answer is taken back.");
  show();
}

function record(n, given, seconds) {
  keep(`${prefix()}${n}`, JSON.stringify({ n, answer: given, seconds }));
  if (!lasting) trouble("This browser keeps nothing: do not close or reload this page before the end.");
  unsaved = true;
  send();
}

// Looking closer: the source over both edits, and all three pictures larger at the same place.
function flicker(on) { $("pictures").classList.toggle("flicker", on); }
function zoom(at) {
  const style = $("pictures").style;
  style.setProperty("--zoom", at ? 3 : 1);
  if (at) { style.setProperty("--x", `${at.x}%`); style.setProperty("--y", `${at.y}%`); }
  zoomed = at;
  $("pictures").classList.toggle("zoomed", Boolean(at));
  for (const button of all(".picture")) button.setAttribute("aria-pressed", String(Boolean(at)));
}
let zoomed = null;
const within = (value) => Math.min(100, Math.max(0, value));
function pointed(event) {
  const box = event.currentTarget.getBoundingClientRect();
  const keyed = event.type === "click" && event.detail === 0;
  return keyed ? { x: 50, y: 50 } : { x: within((100 * (event.clientX - box.left)) / box.width), y: within((100 * (event.clientY - box.top)) / box.height) };
}
for (const button of all(".picture")) {
  button.addEventListener("click", (event) => zoom(zoomed ? null : pointed(event)));
  button.addEventListener("pointermove", (event) => { if (zoomed) zoom(pointed(event)); });
}

for (const button of all("[data-answer]")) button.addEventListener("click", () => answer(button.dataset.answer));
for (const button of all(".undo")) button.addEventListener("click", undo);
$("flicker").addEventListener("pointerdown", () => flicker(true));
for (const end of ["pointerup", "pointercancel", "pointerleave", "blur"]) $("flicker").addEventListener(end, () => flicker(false));
$("flicker").addEventListener("contextmenu", (event) => event.preventDefault());
window.addEventListener("blur", () => flicker(false));

const KEYS = { ArrowLeft: "left", ArrowRight: "right", ArrowDown: "tie", ArrowUp: "both_bad" };
const MOVES = { ArrowLeft: [-10, 0], ArrowRight: [10, 0], ArrowDown: [0, 10], ArrowUp: [0, -10] };
document.addEventListener("keydown", (event) => {
  if (rater === null || event.ctrlKey || event.metaKey || event.altKey) return;
  const button = event.target.closest("button");
  if (event.key in KEYS && !$("ballot").hidden) {
    event.preventDefault();
    if (event.shiftKey) {
      const [x, y] = MOVES[event.key];
      if (zoomed) zoom({ x: within(zoomed.x + x), y: within(zoomed.y + y) });
    } else if (!event.repeat) answer(KEYS[event.key]);
  } else if (event.key === "Backspace" && !event.repeat) {
    event.preventDefault();
    undo();
  } else if (event.key === " " && !$("ballot").hidden && (!button || button.id === "flicker")) {
    event.preventDefault();
    flicker(true);
  } else if (event.key === "Escape") zoom(null);
});
document.addEventListener("keyup", (event) => { if (event.key === " ") flicker(false); });

// A file: what was answered, to be sent to whoever asks.
let unsaved = false;
if ($("save")) {
  $("save").addEventListener("click", () => {
    const given = keysOf(prefix()).map((key) => JSON.parse(kept(key))).filter(({ answer: said }) => said !== null).sort((a, b) => a.n - b.n);
    const answered = { format: "evalkit.answers/1", study: data.study, page: data.page, rater, answers: given };
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([`${JSON.stringify(answered)}\n`], { type: "application/json" }));
    link.download = `answers-${data.page}.json`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    unsaved = false;
    $("saved").textContent = `Saved: ${given.length} of ${ballots.length} answers, in ${link.download}.`;
    say($("saved").textContent);
  });
}
window.addEventListener("beforeunload", (event) => {
  if (rater !== null && (served ? keysOf(prefix()).length : unsaved)) event.preventDefault();
});
