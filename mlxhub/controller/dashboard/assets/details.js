// One model, closer: its last hour, its log, a way to try it. Only while it is open does it ask for anything.

import { chart } from "./chart.js";
import { followLog } from "./log.js";
import { ask, soon } from "./session.js";
import { tryOut } from "./tryout.js";
import { fromTemplate, size } from "./words.js";

const HOUR_SECONDS = 3600;
// A hub that has just begun is drawn over so many.
const LEAST_SECONDS = 300;
const CHARTS_EVERY_MS = 15_000;

// The row below a model's own. `close` ends all that it does.
export function openDetails(name, columns, type) {
  const row = fromTemplate("model-details");
  row.cells[0].colSpan = columns;
  row.id = `details-${name}`;
  const ending = new AbortController();
  const charts = row.querySelector("[data-field=charts]");
  const { panel, stop } = tryOut(name, type);
  row.querySelector(".panels").append(panel);
  for (const node of row.querySelectorAll("[data-label-for]")) {
    node.setAttribute("aria-label", `${node.dataset.labelFor} ${name}`);
  }
  followLog(name, row.querySelector("[data-field=log]"), ending.signal);
  keepDrawing(name, charts, ending.signal);
  const close = () => { ending.abort(); stop(); row.remove(); };
  return { row, close };
}

async function keepDrawing(name, box, signal) {
  while (!signal.aborted) {
    if (!document.hidden) await drawAll(name, box).catch(() => {}); // the page says already that nobody answers
    await new Promise((resolve) => setTimeout(resolve, CHARTS_EVERY_MS));
  }
}

async function drawAll(name, box) {
  const { points, seconds } = await ask(`/hub/models/${encodeURIComponent(name)}/history`, { signal: soon() });
  const until = Date.now() / 1000;
  const known = points.length ? until - points[0].at : 0;
  const shared = { seconds, until, span: Math.min(HOUR_SECONDS, Math.max(known, LEAST_SECONDS)) };
  const of = (value) => points.map((point) => [point.at, value(point)]);
  const whole = (value) => String(Math.round(value));
  box.replaceChildren(
    chart("Tokens per second", of((p) => p.tokens_per_second), { ...shared, format: (v) => v.toFixed(1) }),
    chart("Requests", of((p) => p.in_flight), { ...shared, format: whole }),
    chart("Waiting", of((p) => p.queued), { ...shared, format: whole }),
    chart("Memory", of((p) => p.memory_bytes), { ...shared, format: size }),
  );
}
