// Models that come from a hub of models: begun here, followed while they come, ended here.

import { flash, whilePressed } from "./flash.js";
import { ask, post, soon } from "./session.js";
import { element, fromTemplate, setText, showBanner, size } from "./words.js";

// Between two events: how quickly it comes, also where nothing comes any more.
const WHILE_PULLING_MS = 1000;
const OPEN = ["queued", "running"];

let due = null;
let wasOpen = false;

// `come` is called when one is there.
export async function showPulls(come) {
  clearTimeout(due);
  const { pulls } = await ask("/hub/pulls", { signal: soon() });
  const list = element("pulls");
  for (const [place, pull] of pulls.entries()) {
    const item = list.querySelector(`[data-pull="${pull.id}"]`) ?? makeItem(pull, come);
    if (list.children[place] !== item) list.insertBefore(item, list.children[place] ?? null);
    showItem(item, pull);
  }
  while (list.children.length > pulls.length) list.lastElementChild.remove();
  const isOpen = pulls.some((pull) => OPEN.includes(pull.state));
  if (wasOpen && !isOpen) await come();
  wasOpen = isOpen;
  if (isOpen) due = setTimeout(() => { if (!element("discover").hidden) showPulls(come).catch(() => {}); }, WHILE_PULLING_MS);
}

export function wirePulls(come) {
  const form = element("pull");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    whilePressed(form.querySelector("button"), async () => {
      const input = form.querySelector("input");
      await post("/hub/pulls", { model: input.value.trim() });
      input.value = "";
      await showPulls(come);
    });
  });
}

function makeItem(pull, come) {
  const item = fromTemplate("pull-item");
  item.dataset.pull = pull.id;
  const button = item.querySelector("button");
  button.setAttribute("aria-label", `Cancel ${pull.model}`);
  item.querySelector("progress").setAttribute("aria-label", `Pull of ${pull.model}`);
  button.addEventListener("click", () => whilePressed(button, async () => {
    await ask(`/hub/pulls/${encodeURIComponent(pull.id)}`, { method: "DELETE", signal: soon() });
    flash("info", `The pull of ${pull.model} is cancelled. What has come is kept.`);
    await showPulls(come);
  }));
  return item;
}

function showItem(item, pull) {
  setText(item.querySelector('[data-field="model"]'), pull.model);
  setText(item.querySelector('[data-field="state"]'), inWords(pull));
  showBanner(item.querySelector('[data-field="error"]'), "error", pull.state === "failed" ? pull.error : null);
  const bar = item.querySelector("progress");
  bar.hidden = pull.state !== "running";
  if (pull.total_bytes) {
    bar.max = pull.total_bytes;
    bar.value = pull.done_bytes ?? 0;
  }
  item.querySelector("button").hidden = !OPEN.includes(pull.state);
}

function inWords(pull) {
  if (pull.state !== "running" || !pull.total_bytes) return pull.state;
  const share = Math.floor((100 * (pull.done_bytes ?? 0)) / pull.total_bytes);
  const rate = pull.bytes_per_second === null ? "" : `, ${(pull.bytes_per_second / 1e6).toFixed(1)} MB/s`;
  return `${share} % of ${size(pull.total_bytes)}${rate}`;
}
