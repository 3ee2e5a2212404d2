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
  $("viewer-title").textContent = node.querySelector("h3, h4, h5").textContent;
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
  const unseen = "[hidden], details:not([open])";
  const shown = all("article.item").filter((node) => node.querySelector("img") && !node.closest(unseen));
  view(shown[(shown.indexOf(viewed) + by + shown.length) % shown.length], $("right").selectedIndex);
}

if (viewer) {
  for (const button of all(".picture")) button.setAttribute("aria-haspopup", "dialog");
  document.addEventListener("click", (event) => {
    const button = event.target.closest(".picture");
    if (!button) return;
    const node = button.closest("article");
    view(node, picturesOf(node).findIndex(({ image }) => image === button.firstElementChild));
    viewer.showModal();
    $("slide").focus();
  });
  $("slide").addEventListener("input", slide);
  for (const side of ["left", "right"]) $(side).addEventListener("change", compareTwo);
  $("previous").addEventListener("click", () => step(-1));
  $("next").addEventListener("click", () => step(1));
  $("close").addEventListener("click", () => viewer.close());
  viewer.addEventListener("click", (event) => { if (event.target === viewer) viewer.close(); });
}
