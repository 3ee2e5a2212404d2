// One question at a time, where there are several; without this script each is folded under its heading.
const criteria = all("details.criterion");

function chooseCriterion() {
  const chosen = $("criterion").selectedIndex;
  criteria.forEach((each, place) => Object.assign(each, { hidden: place !== chosen, open: true }));
}

if (criteria.length) {
  $("chooser").hidden = false;
  $("criterion").addEventListener("change", chooseCriterion);
  chooseCriterion();
}
