// What a reader sees and does, for the tests: the ways to look and to choose.
const all = (selector, read) => [...document.querySelectorAll(selector)].map(read);
const words = (node) => node.textContent;
const value = (node) => Number(node.dataset.value);
const accuracyOf = (mark) => Number(mark.dataset.accuracy);
const at = (id) => document.getElementById(id);
const cells = (row, read, which = "td") => [...row.querySelectorAll(which)].map(read);
const head = (row) => words(row.querySelector("th"));

function type(text) {
  at("search").value = text;
  at("search").dispatchEvent(new Event("input"));
}
function choose(section, title, wanted) {
  const titled = (label) => label.querySelector("span").textContent === title;
  const select = [...document.querySelectorAll(`${section} label`)].find(titled).querySelector("select");
  const values = [...select.options].map((option) => option.value);
  if (!values.includes(wanted)) throw new Error(`${title} offers ${values}, not ${wanted}`);
  select.value = wanted;
  select.dispatchEvent(new Event("change"));
}
function press(title) {
  [...document.querySelectorAll("table.runs thead button")].find((each) => words(each) === title).click();
}
const names = () =>
  all("table.runs tbody th", (each) => words(each.querySelector("a") ?? each.querySelector("span")));
const marks = () =>
  all("#front-chart .mark", (mark) => [
    Number(mark.dataset.accuracy),
    Number(mark.dataset.bias),
    mark.classList.contains("on-front"),
    mark.classList.contains("collapsed"),
  ]);
const order = () => all("th[aria-sort]", (each) => [words(each), each.getAttribute("aria-sort")]);
const front = () => all("#front-list tr[data-front] a, #front-list tr[data-front] th > span[title]", words);

// Whole tables and every section at once, as for printing.
dispatchEvent(new Event("beforeprint"));
