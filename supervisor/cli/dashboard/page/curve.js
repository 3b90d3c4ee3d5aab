// A sparkline. It is a picture of figures that stand beside it, so readers of the screen skip it.

import { svg } from "./dom.js";

const WIDTH = 96;
const HEIGHT = 24;
const SAMPLES = 60;

export function curve() {
  const area = svg("path", { class: "area" });
  const line = svg("path", { class: "line" });
  const made = svg(
    "svg",
    { class: "curve", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true", focusable: "false" },
    area,
    line,
  );
  made.parts = { area, line };
  return made;
}

// Draw samples, the last one at the right; `floor` is the least value that reaches the top.
export function draw(made, samples, floor) {
  const known = (samples ?? []).map((value) => value ?? 0);
  const top = Math.max(floor, ...known) || 1;
  const step = WIDTH / (SAMPLES - 1);
  const start = WIDTH - (known.length - 1) * step;
  const points = known.map((value, place) => `${(start + place * step).toFixed(1)},${(HEIGHT - 1.5 - (value / top) * (HEIGHT - 3)).toFixed(1)}`);
  const path = known.length > 1 ? `M${points.join("L")}` : "";
  made.parts.line.setAttribute("d", path);
  made.parts.area.setAttribute("d", path && `${path}V${HEIGHT}H${start.toFixed(1)}Z`);
}
