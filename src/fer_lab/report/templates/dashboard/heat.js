// What tables of figures share: their shades, and what is chosen in them.
const SOME_RUNS = 25;
const heat = {
  attribute: null,
  what: "accuracy",
  region: "lift",
  gender: "mean_class_accuracy",
  variant: null,
};
const rowHead = (run) => html("th", { scope: "row" }, runLink(run), collapsed(run) ? "†" : null, toldApart(run));

// The range of shades: all values, or of many those within 1.5 quartile ranges of the middle half, so that an
// outlier does not make all others alike.
function rangeOf(values) {
  const there = values.filter(isNumber).sort((a, b) => a - b);
  if (!there.length) return { low: 0, high: 1, cut: false };
  const low = there[0],
    high = there.at(-1);
  if (there.length < 20) return { low, high, cut: false };
  const [first, third] = [0.25, 0.75].map((part) => there[Math.floor(part * (there.length - 1))]),
    room = 1.5 * (third - first);
  const near = room > 0 ? there.filter((value) => value >= first - room && value <= third + room) : there;
  return { low: near[0], high: near.at(-1), cut: near.length < there.length };
}
const share = (value, { low, high }) =>
  high > low ? Math.min(1, Math.max(0, (value - low) / (high - low))) : 0.5;
const legendWords = ({ low, high, cut }) =>
  `The stronger the colour, the higher: ${number(low)}${cut ? " or less" : ""} to ${number(high)}${cut ? " or more" : ""}.`;
const columnHead = (title) =>
  html("th", { scope: "col", class: title.includes(" ") ? null : "word" }, html("span", {}, title));
