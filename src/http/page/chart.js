// Curves of the last hour as SVG, without a library. The newest point is at the right edge; the left is an hour ago, or less while
// the process is young.

const SVG = "http://www.w3.org/2000/svg";
export const POINTS = 360;

// How many points to show, so that a young process fills more than a corner: 10 min, 30 min or the hour.
export function width(known) {
  return [60, 180].find(points => known <= points) || POINTS;
}

function shape(parent, tag, className) {
  const node = document.createElementNS(SVG, tag);
  node.setAttribute("class", className);
  parent.append(node);
  return node;
}

// Prepares an <svg> for curves of these kinds.
export function chart(svg, kinds, withGrid) {
  svg.setAttribute("preserveAspectRatio", "none");
  if (withGrid) {
    for (const y of [0, 50, 100]) {
      const line = shape(svg, "line", "grid");
      for (const [name, value] of [["x1", 0], ["x2", "100%"], ["y1", y], ["y2", y]]) line.setAttribute(name, value);
    }
  }
  const curves = kinds.map(kind => ({ area: shape(svg, "path", kind + " area"), line: shape(svg, "path", kind + " line") }));
  return { svg, curves, points: 0 };
}

// Draws lists of numbers (null where nothing is known), all on one scale from 0 to at least `least`, in a frame of `points`.
export function draw(chart, lists, least, points) {
  if (chart.points !== points) {
    chart.points = points;
    chart.svg.setAttribute("viewBox", "0 0 " + (points - 1) + " 100");
  }
  let top = least;
  for (const list of lists) for (const n of list) if (n > top) top = n;
  lists.forEach((list, i) => {
    const first = points - list.length;
    let line = "", area = "", open = false, x = first;
    for (const n of list) {
      if (n === null) {
        if (open) area += "L" + (x - 1) + " 100Z";
        open = false;
      } else {
        const point = x + " " + (100 - n / top * 100).toFixed(2);
        line += (open ? "L" : "M") + point;
        area += (open ? "L" : "M" + x + " 100L") + point;
        open = true;
      }
      x += 1;
    }
    if (open) area += "L" + (x - 1) + " 100Z";
    const curve = chart.curves[i];
    if (curve.line.getAttribute("d") !== line) { curve.line.setAttribute("d", line); curve.area.setAttribute("d", area); }
  });
  return top;
}

// Lets the pointer ask for the figures of a moment: calls `tell` with how many points before now, or null.
export function inspect(chart, tell) {
  const cross = shape(chart.svg, "line", "cross");
  cross.setAttribute("y1", 0); cross.setAttribute("y2", 100); cross.setAttribute("visibility", "hidden");
  chart.svg.addEventListener("pointermove", event => {
    const box = chart.svg.getBoundingClientRect();
    const last = Math.max(1, chart.points - 1);
    const x = Math.max(0, Math.min(last, Math.round((event.clientX - box.left) / box.width * last)));
    cross.setAttribute("x1", x); cross.setAttribute("x2", x); cross.setAttribute("visibility", "visible");
    tell(last - x);
  });
  chart.svg.addEventListener("pointerleave", () => { cross.setAttribute("visibility", "hidden"); tell(null); });
}
