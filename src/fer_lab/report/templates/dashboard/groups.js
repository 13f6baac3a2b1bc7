// Figures of each run by group, and recall by class.
const ALL = "all of them",
  CLASSES = "classes",
  UNKNOWN = "unknown";

// The columns of the table: a group of an attribute each, or a class.
function groupColumns(schema) {
  if (heat.attribute === CLASSES) return schema.classes.map((title) => ({ title }));
  const chosen = Object.entries(schema.attributes).filter(
    ([attribute]) => heat.attribute === ALL || attribute === heat.attribute,
  );
  const found = chosen.flatMap(([attribute, part]) =>
    part.groups.map((title, place) => ({ title, attribute, key: part.keys[place] })),
  );
  return heat.attribute === ALL ? found.filter((column) => column.key !== UNKNOWN) : found;
}
// What stands in one column of a run. Classes and groups are looked for by name: runs may order them differently.
function groupCell(run, column, what, schema) {
  const own = facts.schemas[run.schema];
  if (heat.attribute === CLASSES) return { value: run.recalls[own.classes.indexOf(column.title)] };
  const found = run.groups[column.attribute][own.attributes[column.attribute].keys.indexOf(column.key)];
  if (!found) return { value: null };
  const place =
    { accuracy: 1, mean_class_accuracy: 2 }[what] ??
    3 + own.classes.indexOf(schema.classes[Number(what.slice(7))]);
  return {
    value: found[place],
    faces: found[0],
    small: found[0] < (own.min_count ?? 0),
    unknown: column.key === UNKNOWN,
  };
}
function gapOf(cells) {
  const large = cells
    .filter((cell) => isNumber(cell.value) && !cell.small && !cell.unknown)
    .map((cell) => cell.value);
  return large.length > 1 ? Math.max(...large) - Math.min(...large) : null;
}

function drawGroups(compared) {
  const found = compared.filter((run) => run.recalls);
  const controls = at("groups-controls"),
    table = at("groups-table"),
    note = at("groups-note");
  if (!found.length) {
    setControls(controls);
    table.replaceChildren(html("p", { class: "missing" }, "No run of this set is left by the filters."));
    note.textContent = "";
    return;
  }
  const schema = facts.schemas[found[0].schema],
    attributes = Object.keys(schema.attributes);
  const several = attributes.length > 1 ? [[ALL, ALL]] : [];
  const kinds = [
    ...several,
    ...attributes.map((each) => [each, schema.attributes[each].title]),
    [CLASSES, "the classes (recall)"],
  ];
  if (!kinds.some(([kind]) => kind === heat.attribute)) heat.attribute = kinds[0][0];
  const whats = [
    ["accuracy", "accuracy"],
    ["mean_class_accuracy", "mean class accuracy"],
    ...schema.classes.map((name, place) => [`recall ${place}`, `recall of ${name}`]),
  ];
  if (!whats.some(([what]) => what === heat.what)) heat.what = "accuracy";
  const ofGroups = heat.attribute !== CLASSES,
    withGap = ofGroups && heat.attribute !== ALL;
  setControls(
    controls,
    [
      "Groups of",
      kinds,
      heat.attribute,
      (value) => {
        heat.attribute = value;
        update();
      },
    ],
    ...(ofGroups
      ? [
          [
            "Figure",
            whats,
            heat.what,
            (value) => {
              heat.what = value;
              update();
            },
          ],
        ]
      : []),
  );
  const columns = groupColumns(schema);
  const rows = found.map((run) => ({
    run,
    cells: columns.map((column) => groupCell(run, column, heat.what, schema)),
  }));
  const range = rangeOf(rows.flatMap((row) => row.cells.map((cell) => cell.value)));
  const cellOf = (cell) =>
    html(
      "td",
      {
        class: isNumber(cell.value) ? null : "plain",
        "--heat": isNumber(cell.value) ? share(cell.value, range).toFixed(3) : null,
        "data-value": cell.value,
        title: cell.faces === undefined ? null : plural(cell.faces, "face"),
      },
      number(cell.value),
      cell.small ? "*" : null,
    );
  const above =
    heat.attribute === ALL
      ? html(
          "tr",
          {},
          html("td", { class: "plain" }),
          [...partsBy(columns, (column) => column.attribute)].map(([attribute, part]) =>
            html("th", { scope: "colgroup", colspan: part.length }, schema.attributes[attribute].title),
          ),
        )
      : null;
  const heads = html(
    "tr",
    {},
    html("th", { scope: "col" }, "run"),
    columns.map(({ title }) => columnHead(title)),
    withGap ? html("th", { scope: "col" }, "gap") : null,
  );
  const faces = ofGroups
    ? html(
        "tr",
        { class: "soft" },
        html("th", { scope: "row" }, "faces"),
        rows[0].cells.map((cell) => html("td", { class: "plain" }, count(cell.faces))),
        withGap ? html("td", { class: "plain" }) : null,
      )
    : null;
  table.replaceChildren(
    html(
      "table",
      { class: "heat" },
      html("thead", {}, above, heads),
      html(
        "tbody",
        {},
        faces,
        limited("groups", rows, SOME_RUNS).map((row) =>
          html(
            "tr",
            {},
            rowHead(row.run),
            row.cells.map(cellOf),
            withGap ? html("td", { class: "plain" }, number(gapOf(row.cells))) : null,
          ),
        ),
      ),
    ),
    moreButton("groups", rows.length, SOME_RUNS),
  );
  const inferred = [...new Set(columns.map(({ attribute }) => attribute))]
    .filter((each) => each && schema.attributes[each].inferred)
    .map((each) => `${schema.attributes[each].title} (${schema.attributes[each].inferred})`);
  note.textContent = [
    legendWords(range),
    withGap && "The gap is that between the best and the worst group.",
    rows.some((row) => row.cells.some((cell) => cell.small)) &&
      `* fewer than ${schema.min_count} faces: in no gap.`,
    inferred.length && `Not annotated: ${inferred.join(", ")}.`,
  ]
    .filter(Boolean)
    .join(" ");
}
drawn("groups", (shown, compared) => drawGroups(compared));
