// Whom a model learnt from against whom it is tested on.
const LEARNT = ["female", "male", "mixed", "mixed_matched"];
const TESTED = ["female", "male", "all"];
const testedOn = (run, tested, what) => {
  if (tested === "all") return figure(run, what);
  const part = facts.schemas[run.schema].attributes.gender,
    place = part ? part.keys.indexOf(tested) : -1;
  return place < 0 ? null : run.groups.gender[place][what === "accuracy" ? 1 : 2];
};
// Of the same seed and fold the newest run counts.
function newestDraws(list) {
  const newest = new Map();
  for (const run of [...list].sort(
    (a, b) => (a.started ?? "").localeCompare(b.started ?? "") || a.number - b.number,
  ))
    newest.set(`${run.seed} ${run.fold ?? ""} ${run.of ?? ""}`, run);
  return [...newest.values()];
}
drawn("genders", (shown, compared) => {
  const rows = compared.filter(
    (run) => LEARNT.includes(run.learnt) && run.figures && facts.schemas[run.schema].attributes.gender,
  );
  const controls = at("genders-controls"),
    table = at("genders-table"),
    note = at("genders-note");
  const variants = [...partsBy(rows, (run) => run.variant)].map(([place, part]) => [
    place,
    part,
    new Set(part.map((run) => run.learnt)).size,
  ]);
  variants.sort((a, b) => b[2] - a[2] || b[1].length - a[1].length);
  if (!variants.length) {
    setControls(controls);
    table.replaceChildren(
      html(
        "p",
        { class: "missing" },
        "No run of this set that the filters leave has learnt from women, men or both and was tested by gender.",
      ),
    );
    note.textContent = "";
    return;
  }
  const chosen = variants.find(([place]) => place === heat.variant) ?? variants[0];
  const options = variants.map(([place, part, kinds]) => [
    String(place),
    `${facts.variants[place]} (${plural(part.length, "run")}, ${plural(kinds, "training set")})`,
  ]);
  setControls(
    controls,
    [
      "Trained otherwise alike",
      options,
      String(chosen[0]),
      (value) => {
        heat.variant = Number(value);
        update();
      },
    ],
    [
      "Figure",
      [
        ["mean_class_accuracy", "mean class accuracy"],
        ["accuracy", "accuracy"],
      ],
      heat.gender,
      (value) => {
        heat.gender = value;
        update();
      },
    ],
  );
  const learnt = LEARNT.filter(
    (each) => each !== "mixed_matched" || chosen[1].some((run) => run.learnt === each),
  );
  const cells = learnt.map((each) => {
    const part = newestDraws(chosen[1].filter((run) => run.learnt === each));
    return TESTED.map((tested) => part.map((run) => testedOn(run, tested, heat.gender)).filter(isNumber));
  });
  const range = rangeOf(
    cells
      .flat()
      .filter((values) => values.length)
      .map(mean),
  );
  const cellOf = (values) => {
    if (!values.length) return html("td", { class: "plain missing" }, MISSING, html("small", {}, "no run"));
    const sd = deviation(values);
    return html(
      "td",
      {
        "--heat": share(mean(values), range).toFixed(3),
        "data-value": mean(values),
        "data-n": values.length,
      },
      number(mean(values)),
      html(
        "small",
        {},
        sd === null ? null : [html("span", { class: "word" }, `± ${number(sd)},`), " "],
        html("span", { class: "word" }, `n = ${values.length}`),
      ),
    );
  };
  table.replaceChildren(
    html(
      "table",
      { class: "heat square" },
      html(
        "thead",
        {},
        html(
          "tr",
          {},
          html("th", { scope: "col" }, "learnt from \\ tested on"),
          TESTED.map((tested) => html("th", { scope: "col" }, tested === "all" ? "all faces" : tested)),
        ),
      ),
      html(
        "tbody",
        {},
        learnt.map((each, place) =>
          html("tr", {}, html("th", { scope: "row" }, each.replace("_", ", ")), cells[place].map(cellOf)),
        ),
      ),
    ),
  );
  const part = facts.schemas[chosen[1][0].schema].attributes.gender;
  note.textContent =
    `Mean over seeds and folds, ± one standard deviation, n runs; of the same seed and fold the newest counts. Every row is tested on the same faces. ${legendWords(range)}` +
    (part.inferred ? ` Genders are ${part.inferred}.` : "");
});
