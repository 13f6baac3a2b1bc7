buildControls();
buildTable();
buildFront();
update();
let resized = 0;
addEventListener("resize", () => {
  cancelAnimationFrame(resized);
  resized = requestAnimationFrame(update);
});
addEventListener("scroll", () => tip(""), { passive: true });
