// Where each run's model looks: lift, IoR and share by region of the face.
const REGION_WORDS = {
  lift: "lift",
  ior: "IoR",
  share: "share of the map",
  random: "lift with random weights",
};
drawn("regions", (shown, compared) => {
  const rows = compared.filter((run) => run.regions);
  const controls = at("regions-controls"),
    table = at("regions-table"),
    note = at("regions-note");
  if (!rows.length) {
    setControls(controls);
    table.replaceChildren(
      html("p", { class: "missing" }, "No run of this set that the filters leave was explained."),
    );
    note.textContent = "";
    return;
  }
  setControls(controls, [
    "Figure",
    Object.entries(REGION_WORDS),
    heat.region,
    (value) => {
      heat.region = value;
      update();
    },
  ]);
  const used = facts.regions
    .map((title, place) => ({ title, place }))
    .filter(({ place }) => rows.some((run) => isNumber(run.regions.lift[place])));
  const ofLift = heat.region === "lift" || heat.region === "random";
  const range = rangeOf(rows.flatMap((run) => run.regions[heat.region]));
  // The furthest from 1, up or down, of both lifts: one scale for the two.
  const [low, high] = extremes(
    rows.flatMap((run) => [...run.regions.lift, ...run.regions.random]).filter((lift) => lift > 0),
  );
  const widest = Math.max(Math.log2(high), -Math.log2(low), 0.1);
  const cellOf = (value) => {
    if (!isNumber(value)) return html("td", { class: "plain" }, MISSING);
    if (!ofLift)
      return html("td", { "--heat": share(value, range).toFixed(3), "data-value": value }, number(value, 2));
    const strength = value > 0 ? Math.abs(Math.log2(value)) / widest : 1;
    return html(
      "td",
      { class: value < 1 ? "below" : null, "--heat": Math.min(1, strength).toFixed(3), "data-value": value },
      number(value, 2),
    );
  };
  table.replaceChildren(
    html(
      "table",
      { class: "heat many" },
      html(
        "thead",
        {},
        html(
          "tr",
          {},
          html("th", { scope: "col" }, "run"),
          used.map(({ title }) => columnHead(title)),
        ),
      ),
      html(
        "tbody",
        {},
        limited("regions", rows, SOME_RUNS).map((run) =>
          html(
            "tr",
            { title: run.regions.made },
            rowHead(run),
            used.map(({ place }) => cellOf(run.regions[heat.region][place])),
          ),
        ),
      ),
    ),
    moreButton("regions", rows.length, SOME_RUNS),
  );
  const made = [...partsBy(rows, (run) => run.regions.made)].sort((a, b) => b[1].length - a[1].length);
  const kinds = made
    .slice(0, 4)
    .map(([words, part]) => `${words} (${plural(part.length, "run")})`)
    .join("; ");
  note.textContent =
    (ofLift ? "Blue above 1: looked at more than the map's mean; orange below." : legendWords(range)) +
    ` Left and right are those of the image. Maps: ${kinds}${made.length > 4 ? "; others" : ""}.` +
    (heat.region === "random" ? " Random weights: the same network with its weights drawn anew." : "") +
    (made.length > 1 ? " Only maps of one method and a like grid can be compared." : "");
});
