// What is chosen: filters, the set that charts compare, the order of the table, ticked runs.
const state = { words: "", filters: {}, set: 0, sort: "started", falling: true, ticked: new Set(), all: {} };
const FILTERS = [
  ["status", "Status"],
  ["task", "Task"],
  ["model", "Model"],
  ["dataset", "Dataset"],
  ["split", "Learns from"],
  ["mitigation", "Mitigation"],
  ["tags", "Tag"],
];
const STATUS_WORDS = { unreadable: "damaged" };
const drawers = [];

for (const run of runs) {
  const words = [
    run.name,
    run.told,
    run.status,
    STATUS_WORDS[run.status],
    run.task,
    run.model,
    run.dataset,
    run.split,
    run.mitigation,
    run.target,
    run.folder,
    run.of,
    run.error,
    run.note,
    ...(run.tags || []),
  ];
  run.text = words.filter(Boolean).join("\n").toLowerCase();
}
const valuesOf = (run, key) => [run[key] ?? ""].flat();

function matcher() {
  const words = state.words
    .toLowerCase()
    .split(/\s+/)
    .filter(Boolean)
    .map((word) => word.split("|").filter(Boolean));
  const chosen = Object.entries(state.filters);
  return (run) =>
    words.every((either) => either.some((word) => run.text.includes(word))) &&
    chosen.every(([key, value]) => valuesOf(run, key).includes(value));
}

// Draws all anew from the filters: what is on the screen at once, the rest when the browser has a moment.
let waiting = 0;
function update() {
  clearTimeout(waiting);
  const shown = inOrder(runs.filter(matcher()));
  const compared = shown.filter((run) => run.set === state.set);
  at("found").textContent =
    shown.length === runs.length
      ? plural(runs.length, "run")
      : `${count(shown.length)} of ${plural(runs.length, "run")}`;
  const later = [];
  for (const { section, draw } of drawers) {
    if (state.printing || onScreen(section)) draw(shown, compared);
    else later.push(() => draw(shown, compared));
  }
  const next = () => {
    const draw = later.shift();
    if (!draw) return;
    draw();
    waiting = setTimeout(next);
  };
  waiting = setTimeout(next);
}
function onScreen(id) {
  const { top, bottom } = at(id).getBoundingClientRect();
  return bottom > -200 && top < innerHeight + 200;
}
const drawn = (section, draw) => drawers.push({ section, draw });

function option(value, text) {
  return html("option", { value }, text);
}
function chooser(title, options, chosen, change) {
  const select = html(
    "select",
    { change: () => change(select.value) },
    options.map(([value, text]) => option(value, text)),
  );
  select.value = chosen;
  return html("label", {}, html("span", {}, title), select);
}
function ticker(title, checked, change) {
  const box = html("input", { type: "checkbox", checked, change: () => change(box.checked) });
  return html("label", { class: "tick" }, box, html("span", {}, title));
}
// Controls above a chart; they are made anew only when their options change, so that they keep the focus.
function setControls(place, ...wanted) {
  const signature = JSON.stringify(wanted.map(([title, options]) => [title, options]));
  if (place.dataset.signature !== signature) {
    place.dataset.signature = signature;
    place.replaceChildren(...wanted.map((each) => chooser(...each)));
  }
  wanted.forEach(([, , chosen], index) => {
    place.querySelectorAll("select")[index].value = chosen;
  });
}
// A button that shows all of a long list, or nothing where all is shown.
const buttons = {};
function moreButton(part, total, some) {
  if (total <= some) return "";
  buttons[part] ||= html("button", {
    type: "button",
    class: "more",
    click: () => {
      state.all[part] = !state.all[part];
      update();
      buttons[part].focus();
    },
  });
  buttons[part].textContent = state.all[part] ? `Show the first ${some}` : `Show all ${count(total)}`;
  return buttons[part];
}
const limited = (part, items, some) => (state.all[part] || state.printing ? items : items.slice(0, some));

function buildControls() {
  for (const [key, title] of FILTERS) {
    const parts = new Map();
    for (const run of runs)
      for (const value of valuesOf(run, key)) if (value !== "") parts.set(value, (parts.get(value) || 0) + 1);
    // A tag that some runs have tells them from the others, a choice that some lack does not.
    if (parts.size < (key === "tags" ? 1 : 2)) continue;
    const sorted = [...parts].sort((a, b) => b[1] - a[1]);
    const options = [
      ["", "any"],
      ...sorted.map(([value, many]) => [value, `${STATUS_WORDS[value] || value} (${count(many)})`]),
    ];
    at("choosers").append(
      chooser(title, options, "", (value) => {
        if (value === "") delete state.filters[key];
        else state.filters[key] = value;
        update();
      }),
    );
  }
  if (!at("choosers").children.length) at("filters").hidden = true;
  if (innerWidth < 640) at("filters").open = false;
  at("search").addEventListener("input", () => {
    state.words = at("search").value;
    update();
  });
  at("controls").addEventListener("submit", (event) => event.preventDefault());
  at("controls").addEventListener("reset", () => {
    state.words = "";
    state.filters = {};
    setTimeout(update);
  });
  const members = partsBy(
    runs.filter((run) => run.set !== undefined),
    (run) => run.set,
  );
  facts.sets.forEach((set, place) =>
    at("set").append(
      option(String(place), `${set.letter} (${plural(members.get(place).length, "run")}) · ${set.words}`),
    ),
  );
  at("set").addEventListener("change", () => {
    state.set = Number(at("set").value);
    update();
  });
  addEventListener("beforeprint", () => {
    state.printing = true;
    update();
  });
  addEventListener("afterprint", () => {
    state.printing = false;
    update();
  });
}

drawn("front", (shown, compared) => {
  if (!facts.sets.length) {
    at("set").closest("p").hidden = true;
    at("set-note").textContent = "No run has figures to compare.";
    return;
  }
  const others = shown.filter((run) => run.set !== undefined && run.set !== state.set).length;
  const without = shown.length - compared.length - others;
  const left = [
    others && `${plural(others, "run")} measured on other faces, classes or attributes`,
    without && `${plural(without, "run")} without figures`,
  ];
  const words = left.filter(Boolean).join(" and ");
  at("set-note").textContent =
    `${plural(compared.length, "run")} of this set in the charts below` +
    (words ? `; ${words} in the table alone.` : ".");
});
