// One line over `span` seconds until now, as SVG: drawn by hand, since a line and an area need no library.

const WIDTH = 240;
const HEIGHT = 48;
const NAMESPACE = "http://www.w3.org/2000/svg";

// `points`: [Unix seconds, value], the oldest first. `seconds`: from one to the next; beyond that there is a gap.
export function chart(title, points, { seconds, until, span, format }) {
  const figure = document.createElement("figure");
  const most = Math.max(0, ...points.map(([, value]) => value));
  const last = points.at(-1)?.[1] ?? 0;
  const caption = document.createElement("figcaption");
  caption.textContent = `${title}: ${format(last)}, at most ${format(most)}`;
  const svg = draw("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" });
  const x = (at) => WIDTH * (1 - (until - at) / span);
  const y = (value) => HEIGHT - 1 - (most ? (value / most) * (HEIGHT - 2) : 0);
  for (const run of runs(points, seconds)) {
    const line = run.map(([at, value]) => `${x(at).toFixed(1)},${y(value).toFixed(1)}`).join(" L");
    const [first, end] = [x(run[0][0]).toFixed(1), x(run.at(-1)[0]).toFixed(1)];
    svg.append(draw("path", { class: "area", d: `M${first},${HEIGHT} L${line} L${end},${HEIGHT} Z` }));
    svg.append(draw("path", { class: "line", d: `M${line}` }));
  }
  figure.append(caption, svg);
  return figure;
}

function runs(points, seconds) {
  const found = [];
  for (const point of points) {
    const run = found.at(-1);
    if (run && point[0] - run.at(-1)[0] <= 2 * seconds) run.push(point);
    else found.push([point]);
  }
  return found;
}

function draw(tag, attributes) {
  const node = document.createElementNS(NAMESPACE, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}
