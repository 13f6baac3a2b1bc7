// Learning curves of the ticked runs, or of the first of the table where none is ticked.
const SOME_CURVES = 8,
  FIRST_CURVES = 6;
const curveChoice = ["val/accuracy", "val/fairness/bias"];

drawn("curves", (shown, compared) => {
  const ticked = shown.filter((run) => run.curves && state.ticked.has(run.number));
  const chosen = ticked.length
    ? ticked.slice(0, SOME_CURVES)
    : compared.filter((run) => run.curves).slice(0, FIRST_CURVES);
  const place = at("curves-charts");
  if (!chosen.length) {
    setControls(at("curves-controls"));
    place.replaceChildren(
      html("p", { class: "missing" }, "No run that the filters leave has learning curves."),
    );
    at("curves-note").textContent = "";
    return;
  }
  const there = Object.entries(facts.curves).filter(([name]) =>
    chosen.some((run) => run.curves.curves[name]),
  );
  const known = curveChoice.map((name) => (there.some(([each]) => each === name) ? name : there[0][0]));
  setControls(
    at("curves-controls"),
    ...known.map((name, index) => [
      index ? "Right" : "Left",
      there,
      name,
      (value) => {
        curveChoice[index] = value;
        update();
      },
    ]),
  );
  const legend = chosen.map((run, kind) =>
    html(
      "li",
      {},
      svg(
        "svg",
        { viewBox: "0 0 30 16" },
        svg("path", {
          d: "M0,8H30",
          fill: "none",
          stroke: colour(kind),
          "stroke-width": 2.5,
          "stroke-dasharray": DASHES[kind],
        }),
      ),
      html("b", {}, String(kind + 1)),
      runLink(run, named(run)),
    ),
  );
  place.replaceChildren(
    ...known.map((name) => html("div", { class: "chart" })),
    html("ul", { class: "key" }, legend),
  );
  known.forEach((name, index) => drawCurves(place.children[index], name, chosen));
  const thinned = chosen.filter((run) => run.curves.of > run.curves.epochs.length).length;
  at("curves-note").textContent =
    (ticked.length > SOME_CURVES
      ? `The first ${SOME_CURVES} of ${ticked.length} ticked runs. `
      : ticked.length
        ? ""
        : "Tick runs in the table to choose; these are its first. ") +
    (thinned ? `Of ${plural(thinned, "run")} not every epoch is drawn; all are in metrics/history.csv.` : "");
});

// Labels moved up and down until each has room for itself.
function apart(labels, top, bottom, room = 12) {
  const sorted = [...labels].sort((a, b) => a.label - b.label);
  let least = top;
  for (const each of sorted) {
    each.label = Math.max(each.label, least);
    least = each.label + room;
  }
  let most = bottom;
  for (const each of sorted.reverse()) {
    each.label = Math.min(each.label, most);
    most = each.label - room;
  }
  return sorted;
}

function drawCurves(place, name, chosen) {
  const lines = chosen
    .map((run, kind) => ({ run, kind, values: run.curves.curves[name] }))
    .filter((line) => line.values);
  const width = Math.max(280, Math.round(place.clientWidth || 500)),
    height = 260,
    box = { left: 48, right: width - 26, top: 26, bottom: height - 38 };
  const points = lines.flatMap((line) => line.values).filter(isNumber),
    epochs = lines.flatMap((line) => line.run.curves.epochs);
  if (!points.length) {
    place.append(html("p", { class: "missing" }, "None of these runs has this curve."));
    return;
  }
  const [y0, y1] = padded(points),
    x0 = Math.min(...epochs),
    x1 = Math.max(...epochs, x0 + 1);
  const x = (value) => box.left + ((value - x0) / (x1 - x0)) * (box.right - box.left);
  const y = (value) => box.bottom - ((value - y0) / (y1 - y0)) * (box.bottom - box.top);
  const up = ticks(y0, y1, 4),
    across = ticks(x0, x1, 6).values.filter(Number.isInteger);
  const ends = [];
  const paths = lines.flatMap(({ run, kind, values }) => {
    let path = "",
      last = null;
    values.forEach((value, index) => {
      if (!isNumber(value)) return;
      path += `${last === null ? "M" : "L"}${x(run.curves.epochs[index]).toFixed(1)},${y(value).toFixed(1)}`;
      last = [x(run.curves.epochs[index]), y(value), value, run.curves.epochs[index]];
    });
    if (last === null) return [];
    ends.push({ end: last[0], label: last[1], text: String(kind + 1) });
    const words = `${kind + 1} ${run.name}: ${number(last[2])} after epoch ${last[3]}`;
    const single = path.includes("L")
      ? null
      : svg("circle", { cx: last[0], cy: last[1], r: 3, fill: colour(kind) });
    return [
      svg(
        "path",
        {
          class: "curve",
          d: path,
          stroke: colour(kind),
          "stroke-dasharray": DASHES[kind],
          "data-curve": run.number,
          mousemove: (event) => tip(words, event.clientX, event.clientY),
          mouseleave: () => tip(""),
        },
        svg("title", {}, words),
      ),
      single,
    ];
  });
  const names = apart(ends, box.top, box.bottom).map(({ end, label, text }) =>
    svg("text", { class: "end", x: end + 6, y: label + 4 }, text),
  );
  place.append(
    svg(
      "svg",
      {
        viewBox: `0 0 ${width} ${height}`,
        role: "img",
        "aria-label": `${facts.curves[name]} by epoch of ${plural(lines.length, "run")}`,
      },
      up.values.flatMap((value) => [
        svg("line", { class: "grid", x1: box.left, x2: box.right, y1: y(value), y2: y(value) }),
        svg("text", { x: box.left - 7, y: y(value) + 4, "text-anchor": "end" }, value.toFixed(up.digits)),
      ]),
      across.map((value) =>
        svg("text", { x: x(value), y: box.bottom + 17, "text-anchor": "middle" }, String(value)),
      ),
      svg("line", { class: "axis", x1: box.left, x2: box.right, y1: box.bottom, y2: box.bottom }),
      svg("text", { class: "title", x: 4, y: 12 }, facts.curves[name]),
      svg("text", { class: "title", x: box.right, y: height - 4, "text-anchor": "end" }, "epoch"),
      paths,
      names,
    ),
  );
}
