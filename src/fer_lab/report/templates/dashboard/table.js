// The table of runs: sorted by any column, values that are missing last.
const SOME_ROWS = 100;
const COLUMNS = [
  { key: "name", title: "Run", text: true, of: (run) => run.name.toLowerCase() },
  {
    key: "accuracy",
    title: "Accuracy",
    falling: true,
    of: (run) => figure(run, "accuracy"),
    show: (run) => withInterval(run, "accuracy"),
  },
  {
    key: "bias",
    title: "Bias",
    of: (run) => figure(run, "bias"),
    show: (run) =>
      withInterval(
        run,
        "bias",
        run.onFront
          ? [
              html("span", { class: "on-front-mark", title: "on the Pareto front" }, " ◆"),
              html("span", { class: "hidden-text" }, "on the Pareto front"),
            ]
          : [],
      ),
  },
  {
    key: "worst",
    title: "Worst group",
    falling: true,
    of: (run) => (run.figures ? run.figures.worst : null),
    show: (run) =>
      run.figures ? html("span", { title: run.figures.worst_group }, number(run.figures.worst)) : MISSING,
  },
  {
    key: "status",
    title: "Status",
    text: true,
    of: (run) => STATUS_WORDS[run.status] || run.status,
    show: (run) => html("span", { class: `badge ${run.status}` }, STATUS_WORDS[run.status] || run.status),
    short: true,
  },
  { key: "task", title: "Task", text: true, varies: true, short: true },
  { key: "model", title: "Model", text: true, varies: true },
  { key: "dataset", title: "Dataset", text: true, varies: true },
  { key: "split", title: "Learns from", text: true, varies: true },
  { key: "mitigation", title: "Mitigation", text: true, varies: true },
  { key: "seed", title: "Seed", varies: true },
  {
    key: "set",
    title: "Set",
    text: true,
    varies: true,
    short: true,
    show: (run) =>
      run.set === undefined
        ? MISSING
        : html("span", { title: facts.sets[run.set].words }, facts.sets[run.set].letter),
  },
  { key: "seconds", title: "Duration", falling: true, show: (run) => duration(run.seconds) },
  { key: "started", title: "Started (UTC)", falling: true, show: (run) => moment(run.started) },
];
for (const column of COLUMNS) column.of ||= (run) => run[column.key] ?? null;
const known = (column) => new Set(runs.map(column.of).filter((value) => value !== null && value !== ""));
const columns = COLUMNS.filter((column) => !column.varies || known(column).size > 1);

function withInterval(run, what, mark = []) {
  if (!run.figures) return MISSING;
  return html(
    "span",
    { title: interval(run.figures[what]) && `95 % interval ${interval(run.figures[what])}` },
    number(figure(run, what)),
    mark,
  );
}

function inOrder(list) {
  const column = columns.find((each) => each.key === state.sort),
    sign = state.falling ? -1 : 1;
  const keyed = list.map((run) => [column.of(run), run]);
  keyed.sort(([a, first], [b, second]) => {
    if (a === null || a === "") return b === null || b === "" ? first.number - second.number : 1;
    if (b === null || b === "") return -1;
    const order = typeof a === "string" ? a.localeCompare(b, "en", { numeric: true }) : a - b;
    return order * sign || first.number - second.number;
  });
  return keyed.map(([, run]) => run);
}

// The first line of a text, the others behind it.
function folded(text) {
  const [first, ...rest] = text.split("\n");
  return rest.length ? [html("details", {}, html("summary", {}, first), rest.join("\n"))] : [first];
}

function rowOf(run) {
  const box = html("input", {
    type: "checkbox",
    "aria-label": `draw the learning curves of ${named(run)}`,
    change: () => {
      state.ticked[box.checked ? "add" : "delete"](run.number);
      update();
    },
  });
  run.box = box;
  const head = html(
    "th",
    { scope: "row" },
    run.curves ? html("label", { title: "draw its learning curves" }, box) : null,
    runLink(run),
    collapsed(run) ? html("span", { title: "collapsed: two classes or fewer are predicted" }, "†") : null,
    toldApart(run),
    run.page ? null : html("small", {}, run.folder),
    run.of ? html("small", {}, `of ${run.of}`) : null,
    (run.tags || []).length ? html("small", {}, run.tags.join(", ")) : null,
    run.error ? html("small", { class: "problem" }, ...folded(run.error)) : null,
    run.note ? html("small", {}, run.note) : null,
  );
  run.cells = new Map(
    columns
      .slice(1)
      .map((column) => [
        column.key,
        html("td", { class: column.text ? `text${column.short ? " short" : ""}` : null }),
      ]),
  );
  run.row = html("tr", {}, head, ...run.cells.values());
  for (const column of columns.slice(1)) fill(run, column);
  return run.row;
}
function fill(run, column) {
  const value = column.of(run);
  run.cells
    .get(column.key)
    .replaceChildren(
      column.show ? column.show(run) : value === null || value === "" ? MISSING : String(value),
    );
}

function buildTable() {
  const heads = columns.map((column) => {
    column.head = html(
      "th",
      { scope: "col", class: column.text ? "text" : null },
      html(
        "button",
        {
          type: "button",
          click: () => {
            if (state.sort === column.key) state.falling = !state.falling;
            else Object.assign(state, { sort: column.key, falling: Boolean(column.falling) });
            update();
          },
        },
        column.title,
      ),
    );
    return column.head;
  });
  document.querySelector("table.runs thead").append(html("tr", {}, heads));
  at("runs-more").addEventListener("click", () => {
    state.all.runs = !state.all.runs;
    update();
  });
  const same = COLUMNS.filter((column) => !columns.includes(column) && column.key !== "set").map((column) => [
    column.title.toLowerCase(),
    ...known(column),
  ]);
  const alike = same
    .filter((each) => each.length > 1)
    .map((each) => each.join(" "))
    .join(", ");
  at("runs-note").textContent =
    `Press a heading to sort. Tick runs to draw their learning curves. † collapsed, ◆ on the Pareto front of its set as filtered.` +
    (alike ? ` Alike wherever known: ${alike}.` : "");
}

drawn("runs", (shown) => {
  const bias = columns.find((column) => column.key === "bias");
  const fronts = new Set();
  for (const part of partsBy(
    shown.filter((run) => run.set !== undefined),
    (run) => run.set,
  ).values())
    if (part.length > 1) for (const place of paretoFront(part.map(pointOf))) fronts.add(part[place]);
  for (const run of runs) {
    const before = Boolean(run.onFront);
    run.onFront = fronts.has(run);
    if (run.row && before !== run.onFront) fill(run, bias);
  }
  for (const column of columns) {
    if (column.key === state.sort)
      column.head.setAttribute("aria-sort", state.falling ? "descending" : "ascending");
    else column.head.removeAttribute("aria-sort");
  }
  const rows = limited("runs", shown, SOME_ROWS).map((run) => run.row || rowOf(run));
  document.querySelector("table.runs tbody").replaceChildren(...rows);
  for (const run of shown) if (run.box) run.box.checked = state.ticked.has(run.number);
  at("runs-more").hidden = shown.length <= SOME_ROWS;
  at("runs-more").textContent = state.all.runs
    ? `Show the first ${SOME_ROWS}`
    : `Show all ${count(shown.length)} runs`;
});
