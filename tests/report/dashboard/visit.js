// One visit, of which the tests look at one part each.
results.first = {
  names: names(),
  found: words(at("found")),
  marks: marks(),
  front: front(),
  order: order(),
  title: document.title,
  elements: document.querySelectorAll("table b, table img").length,
  diamonds: all("table.runs .on-front-mark", words).length,
  text: words(document.querySelector("table.runs tbody")),
  requests: performance.getEntriesByType("resource").length,
};

// By keyboard: one stop, arrows from mark to mark; a change leaves the focus where it is.
const stop = document.querySelectorAll("#front-chart [tabindex='0']");
stop[0].focus();
const before = [accuracyOf(document.activeElement), words(at("tip"))];
document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true }));
results.keyboard = {
  stops: stop.length,
  before,
  after: [accuracyOf(document.activeElement), words(at("tip"))],
  label: document.activeElement.getAttribute("aria-label"),
};
document.activeElement.blur();
results.keyboard.hidden = at("tip").hidden;
const select = document.querySelector("#genders-controls select");
select.focus();
select.dispatchEvent(new Event("change"));
results.keyboard.kept = document.activeElement === select && select.isConnected;

results.genders = all("#genders-table tbody tr", (row) => [
  head(row),
  ...cells(row, (cell) => [value(cell), Number(cell.dataset.n)]),
]);
choose("#genders", "Figure", "accuracy");
results.gendersAccuracy = all("#genders-table tbody tr", (row) => cells(row, value));

const rows = "#groups-table tbody tr:not(.soft)";
results.groups = all(rows, (row) => [head(row), ...cells(row, value, "td[data-value]")]);
choose("#groups", "Figure", "recall 1");
results.recalls = all(rows, (row) => cells(row, value, "td[data-value]"));
choose("#groups", "Groups of", "classes");
results.classes = all(rows, (row) => cells(row, value, "td[data-value]"));
results.regions = all("#regions-table tbody tr", (row) => [head(row), ...cells(row, words)]);
choose("#regions", "Figure", "random");
results.random = all("#regions-table tbody tr", (row) => cells(row, words));

press("Accuracy");
results.falling = [order(), names()];
press("Accuracy");
results.rising = [order(), names()];
press("Run");
results.byName = names();

type("vit|poster");
results.either = { names: names(), found: words(at("found")), marks: marks().length };
type("RESNET50 s2");
results.both = names();
type("it ran");
results.hostile = names();
type("no such run");
results.nothing = {
  rows: names().length,
  chart: words(at("front-chart")),
  groups: words(at("groups-table")),
};
type("");
choose("#controls", "Status", "failed");
results.failed = names();
choose("#controls", "Status", "unreadable");
results.damaged = names();
choose("#controls", "Status", "");
choose("#controls", "Learns from", "female");
results.female = names();
choose("#controls", "Learns from", "");

choose("#front", "Compared on", "1");
results.second = { marks: marks(), note: words(at("set-note")), rows: names().length };
choose("#front", "Compared on", "0");
document.querySelector("#front-controls input").click();
results.means = marks();
results.listed = all("#front-list tbody tr", words);
for (const box of document.querySelectorAll("table.runs input"))
  if (box.getAttribute("aria-label").includes("-male-")) box.click();
results.curves = all("#curves-charts .curve", (curve) => Number(curve.dataset.curve));
