// Runs or experiments as points of accuracy and bias, and those that nothing else is better than.
const SOME_POINTS = 14;
const front = { by: "model", bias: "bias", mean: false, bars: false };
const pointOf = (run) => ({
  run,
  accuracy: figure(run, "accuracy"),
  bias: figure(run, "bias"),
  collapsed: collapsed(run),
});

function biasOf(run) {
  const found = front.bias === "bias" ? run.figures.bias : run.figures.biases[front.bias];
  return found || [null, null, null];
}
function pointsOf(compared) {
  if (!front.mean)
    return compared.map((run) => {
      const bias = biasOf(run),
        accuracy = run.figures.accuracy;
      return {
        runs: [run],
        name: named(run),
        accuracy: accuracy[0],
        bias: bias[0],
        collapsed: collapsed(run),
        across: bias.slice(1),
        up: accuracy.slice(1),
      };
    });
  return [...partsBy(compared, (run) => run.experiment ?? `run ${run.number}`)].map(([place, part]) => {
    const both = part.filter((run) => isNumber(biasOf(run)[0]));
    const used = both.length ? both : part;
    const accuracy = used.map((run) => figure(run, "accuracy")),
      bias = both.map((run) => biasOf(run)[0]);
    const range = (values) => {
      const sd = deviation(values);
      return sd === null ? [null, null] : [mean(values) - sd, mean(values) + sd];
    };
    const fallen = part.some(collapsed);
    return {
      runs: used,
      name: (isNumber(place) ? facts.experiments[place] : part[0].name) + (fallen ? "†" : ""),
      collapsed: fallen,
      accuracy: mean(accuracy),
      bias: bias.length ? mean(bias) : null,
      across: range(bias),
      up: range(accuracy),
    };
  });
}
function pointWords(point, all) {
  const one = point.runs.length === 1 ? point.runs[0] : null;
  const lines = [point.name, `accuracy ${number(point.accuracy)}`, `bias ${number(point.bias)}`];
  if (!all)
    return `${lines.join(", ")}${point.collapsed ? ", collapsed" : point.front ? ", on the Pareto front" : ""}`;
  if (one) {
    lines[1] += interval(one.figures.accuracy) ? ` [${interval(one.figures.accuracy)}]` : "";
    lines[2] += interval(biasOf(one)) ? ` [${interval(biasOf(one))}]` : "";
    if (front.bias === "bias" && isNumber(one.figures.null))
      lines.push(`shuffled groups give ${number(one.figures.null)} (p ${number(one.figures.p)})`);
    lines.push(`worst group: ${one.figures.worst_group}, ${number(one.figures.worst)}`);
    if (one.of) lines.push(`of ${one.of}`);
  } else lines.push(`mean of ${plural(point.runs.length, "run")}, bars are one standard deviation`);
  if (point.collapsed) lines.push("collapsed: two classes or fewer are predicted");
  if (point.front) lines.push("on the Pareto front");
  return lines.join("\n");
}

function buildFront() {
  const kinds = [
    ["model", "model"],
    ["split", "whom it learns from"],
    ["mitigation", "mitigation"],
    ["task", "task"],
    ...(runs.some((run) => (run.tags || []).length) ? [["tags", "tag"]] : []),
    ["seed", "seed"],
  ];
  // At first by what runs differ in.
  const compared = runs.filter((run) => run.set === 0);
  const differ = ([key]) => new Set(compared.map((run) => kindOf(run, key))).size > 1;
  front.by = (kinds.find(differ) ?? kinds[0])[0];
  const bySet = [...new Set(facts.sets.flatMap((set) => set.attributes))];
  const titles = Object.fromEntries(
    facts.schemas.flatMap((schema) =>
      Object.entries(schema.attributes).map(([key, part]) => [key, part.title]),
    ),
  );
  at("front-controls").append(
    chooser("Marks by", kinds, front.by, (value) => {
      front.by = value;
      update();
    }),
    chooser(
      "Bias",
      [["bias", "all attributes"], ...bySet.map((each) => [each, titles[each] || each])],
      "bias",
      (value) => {
        front.bias = value;
        update();
      },
    ),
    ticker("means over seeds and folds", false, (on) => {
      front.mean = on;
      update();
    }),
    ticker("intervals", false, (on) => {
      front.bars = on;
      update();
    }),
  );
}

// The kinds of runs, the most frequent first; after eight all are "other". They are those of the whole set
// as long as all have a mark of their own, so that a filter does not change what a mark stands for.
const kindOf = (run, key) => [run[key] ?? ""].flat().join(", ") || MISSING;
function kindsOf(shown, key) {
  const kinds = (list) =>
    [...partsBy(list, (run) => kindOf(run, key))].sort((a, b) => b[1].length - a[1].length).map(([name]) => name);
  const whole = kinds(runs.filter((run) => run.set === state.set)),
    here = kinds(shown);
  const names =
    whole.length <= KINDS ? whole : here.length <= KINDS ? here : [...here.slice(0, KINDS - 1), "other"];
  const place = new Map(names.map((name, index) => [name, index]));
  return {
    names,
    here: new Set(names.length < here.length ? [...here, "other"] : here),
    of: (run) => place.get(kindOf(run, key)) ?? KINDS - 1,
  };
}

drawn("front", (shown, compared) => {
  const all = pointsOf(compared);
  const points = all.filter((point) => isNumber(point.accuracy) && isNumber(point.bias));
  for (const place of paretoFront(points)) points[place].front = true;
  const winners = points.filter((point) => point.front).sort((a, b) => b.accuracy - a.accuracy);
  drawFront(points, winners, kindsOf(compared, front.by));
  // Few enough to be read: all are listed, in the order of their accuracy.
  const listed =
    points.length <= SOME_POINTS
      ? [...points].sort((a, b) => b.accuracy - a.accuracy || a.bias - b.bias)
      : winners;
  const withSd = (value, [low, high]) =>
    front.mean && isNumber(low)
      ? [number(value), html("small", {}, ` ± ${number((high - low) / 2)}`)]
      : [number(value)];
  const rows = listed.map((point) =>
    html(
      "tr",
      { "data-front": Boolean(point.front) },
      html(
        "th",
        { scope: "row" },
        point.runs.length === 1 && !front.mean
          ? [runLink(point.runs[0]), point.collapsed ? "†" : null]
          : `${point.name} (n = ${point.runs.length})`,
        point.front
          ? [
              html("span", { class: "on-front-mark" }, " ◆"),
              html("span", { class: "hidden-text" }, "on the Pareto front"),
            ]
          : null,
        point.runs.length === 1 && !front.mean ? toldApart(point.runs[0]) : null,
      ),
      html("td", {}, withSd(point.accuracy, point.up)),
      html("td", {}, withSd(point.bias, point.across)),
    ),
  );
  const undefinedBias = all.length - points.length;
  at("front-list").replaceChildren(
    html("h3", {}, listed === winners ? "Pareto front" : "By accuracy; ◆ on the Pareto front"),
    rows.length
      ? html(
          "table",
          {},
          html(
            "thead",
            {},
            html(
              "tr",
              {},
              ["", "accuracy", "bias"].map((title) => html("th", { scope: "col" }, title)),
            ),
          ),
          html("tbody", {}, rows),
        )
      : html("p", { class: "missing" }, "No run with both figures."),
    ...[
      undefinedBias &&
        `${plural(undefinedBias, front.mean ? "experiment" : "run")} without a defined bias score: not drawn.`,
      points.some((point) => point.collapsed) && "× collapsed: never on the front.",
    ]
      .filter(Boolean)
      .map((text) => html("p", { class: "soft" }, text)),
  );
});
