// The points as marks, one a run or an experiment, with the line of the front.
function drawFront(points, winners, kinds) {
  const place = at("front-chart");
  if (!points.length) {
    place.replaceChildren(html("p", { class: "missing" }, "No run of this set is left by the filters."));
    return;
  }
  const width = Math.max(280, Math.round(place.clientWidth || 640)),
    height = Math.round(Math.min(460, Math.max(300, width * 0.62)));
  const box = { left: 52, right: width - 14, top: 26, bottom: height - 42 };
  const ends = (point, side) => (front.bars ? point[side].filter(isNumber) : []);
  const [x0, x1] = padded(points.flatMap((point) => [point.bias, ...ends(point, "across")]));
  const [y0, y1] = padded(points.flatMap((point) => [point.accuracy, ...ends(point, "up")]));
  const x = (value) => box.left + ((value - x0) / (x1 - x0)) * (box.right - box.left);
  const y = (value) => box.bottom - ((value - y0) / (y1 - y0)) * (box.bottom - box.top);
  const across = ticks(x0, x1, width < 500 ? 4 : 7),
    up = ticks(y0, y1, 8);
  const frame = [
    ...up.values.flatMap((value) => [
      svg("line", { class: "grid", x1: box.left, x2: box.right, y1: y(value), y2: y(value) }),
      svg("text", { x: box.left - 8, y: y(value) + 4, "text-anchor": "end" }, value.toFixed(up.digits)),
    ]),
    ...across.values.flatMap((value) => [
      svg("line", { class: "grid", x1: x(value), x2: x(value), y1: box.top, y2: box.bottom }),
      svg("text", { x: x(value), y: box.bottom + 17, "text-anchor": "middle" }, value.toFixed(across.digits)),
    ]),
    svg("line", { class: "axis", x1: box.left, x2: box.right, y1: box.bottom, y2: box.bottom }),
    svg("line", { class: "axis", x1: box.left, x2: box.left, y1: box.top, y2: box.bottom }),
    svg("text", { class: "title", x: 4, y: 12 }, "accuracy ↑"),
    svg("text", { class: "title", x: box.right, y: height - 6, "text-anchor": "end" }, "← bias score"),
    svg("text", { x: box.left + 6, y: box.top + 13 }, "↖ better"),
  ];
  const stairs = [...winners]
    .sort((a, b) => a.bias - b.bias)
    .map((point, index) =>
      index
        ? `H${x(point.bias)}V${y(point.accuracy)}`
        : `M${x(point.bias)},${box.bottom}V${y(point.accuracy)}`,
    );
  const line = stairs.length ? svg("path", { class: "front", d: `${stairs.join("")}H${box.right}` }) : null;
  const bars = front.bars
    ? points.flatMap((point) => {
        const stroke = colour(kinds.of(point.runs[0])),
          found = [];
        if (point.across.every(isNumber))
          found.push(
            svg("line", {
              class: "bar",
              stroke,
              x1: x(point.across[0]),
              x2: x(point.across[1]),
              y1: y(point.accuracy),
              y2: y(point.accuracy),
            }),
          );
        if (point.up.every(isNumber))
          found.push(
            svg("line", {
              class: "bar",
              stroke,
              x1: x(point.bias),
              x2: x(point.bias),
              y1: y(point.up[0]),
              y2: y(point.up[1]),
            }),
          );
        return found;
      })
    : [];
  const size = points.length > 150 ? 4 : 6;
  // One stop for the keyboard: arrows go from mark to mark, by accuracy.
  const order = [...points].sort((a, b) => (a.front === b.front ? 0 : a.front ? 1 : -1));
  const marks = order.map((point, index) => {
    const kind = kinds.of(point.runs[0]);
    return svg("path", {
      class: `mark${point.collapsed ? " collapsed" : ""}${point.front ? " on-front" : ""}`,
      d: point.collapsed ? CROSS(size) : SHAPES[kind](size),
      fill: point.collapsed ? "none" : colour(kind),
      transform: `translate(${x(point.bias)},${y(point.accuracy)})`,
      tabindex: "-1",
      role: "img",
      "aria-label": pointWords(point, false),
      "data-place": index,
      "data-accuracy": point.accuracy,
      "data-bias": point.bias,
    });
  });
  const pointAt = (event) => order[event.target.dataset.place];
  const show = (event) => {
    const point = pointAt(event);
    if (!point) return;
    const { left, top, width: wide } = event.target.getBoundingClientRect();
    tip(pointWords(point, true), left + wide / 2, top);
  };
  const hide = () => tip("");
  const open = (event) => {
    const point = pointAt(event);
    if (point && point.runs.length === 1 && point.runs[0].page) location.href = point.runs[0].page;
  };
  const route = order
    .map((point, index) => [point.accuracy, marks[index]])
    .sort((a, b) => b[0] - a[0])
    .map(([, mark]) => mark);
  if (route.length) route[0].setAttribute("tabindex", "0");
  const keydown = (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const here = route.indexOf(document.activeElement);
    if (here < 0) return;
    if (event.key === "Enter") open(event);
    if (!step) return;
    event.preventDefault();
    const next = route[Math.max(0, Math.min(route.length - 1, here + step))];
    route[here].setAttribute("tabindex", "-1");
    next.setAttribute("tabindex", "0");
    next.focus();
  };
  const label = `Accuracy against bias score of ${plural(points.length, front.mean ? "experiment" : "run")}; arrow keys go from mark to mark, Enter opens a run's page`;
  const legend = kinds.names.map(
    (name, kind) =>
      kinds.here.has(name) &&
      html(
        "li",
        {},
        svg("svg", { viewBox: "-9 -8 18 16" }, svg("path", { d: SHAPES[kind](6), fill: colour(kind) })),
        name,
      ),
  );
  place.replaceChildren(
    svg(
      "svg",
      {
        viewBox: `0 0 ${width} ${height}`,
        role: "group",
        "aria-label": label,
        keydown,
        click: open,
        mouseover: show,
        mouseout: hide,
        focusin: show,
        focusout: hide,
      },
      frame,
      line,
      bars,
      marks,
    ),
    html("ul", { class: "key", "aria-label": "Marks" }, legend.filter(Boolean)),
  );
}
