// What lies on this machine's disks, and its way into hub.yaml.

import { flash, whilePressed } from "./flash.js";
import { showPulls, wirePulls } from "./pulls.js";
import { ask, post, soon } from "./session.js";
import { count, element, fromTemplate, setText, showBanner, size, timeOfDay } from "./words.js";

const WHILE_SCANNING_MS = 500;

let changed = false;

export async function showDiscovered() {
  await showPullsNow();
  await showModels();
}

export async function showPullsNow() {
  await showPulls(showModels);
}

async function showModels() {
  const view = await ask("/hub/discovered", { signal: soon() });
  show(view);
  if (view.scanning) setTimeout(() => { if (!element("discover").hidden) showModels().catch(() => {}); }, WHILE_SCANNING_MS);
}

export function wireDiscovery(reload) {
  wirePulls(showModels);
  element("rescan").addEventListener("click", (event) => whilePressed(event.currentTarget, async () => {
    await post("/hub/discovered/rescan");
    await showModels();
  }));
  element("apply-discovered").addEventListener("click", (event) => whilePressed(event.currentTarget, async () => {
    await reload();
    changed = false;
    await showModels();
  }));
}

function show(view) {
  const when = view.scanned_at === null ? "" : `Last looked at ${timeOfDay(view.scanned_at)}.`;
  const state = view.scanning ? "Looking …" : `${view.models.length} ${view.models.length === 1 ? "model" : "models"}. ${when}`;
  setText(element("discover-state"), state);
  showBanner(element("discover-error"), "warn", view.error ?? (view.scanning || view.complete ? null
    : "Not every directory could be looked at in time. Is a disk gone?"));
  element("apply-discovered").hidden = !changed;
  const body = element("discovered").tBodies[0];
  const focused = document.activeElement?.closest("tr")?.dataset.model;
  body.replaceChildren(...view.models.map(makeRow));
  if (focused) [...body.rows].find((row) => row.dataset.model === focused)?.querySelector("button")?.focus();
  element("discovered").hidden = view.models.length === 0;
}

function makeRow(model) {
  const row = fromTemplate("discovered-row");
  const field = (name, text) => setText(row.querySelector(`[data-field="${name}"]`), text);
  row.dataset.model = model.model_path;
  field("name", model.model_path);
  field("error", model.fault ?? (model.fits === false ? "needs more memory than all models may take together" : ""));
  field("kind", model.kind ? `${model.family}, ${model.kind}` : "");
  field("size", model.parameters === null ? "" : `${count(model.parameters)}, ${model.quantisation}`);
  field("context", model.context_length === null ? "" : String(model.context_length));
  field("disk", model.size_bytes ? size(model.size_bytes) : "");
  field("needed", model.needed_bytes === null ? "" : `${size(model.needed_bytes)}, ${model.tier}`);
  field("names", model.models.join(", "));
  const button = row.querySelector("button");
  const [name] = model.models;
  button.hidden = model.fault !== null;
  setText(button, name ? "Disable" : "Enable");
  button.setAttribute("aria-label", `${button.textContent} ${name ?? model.model_path}`);
  button.addEventListener("click", () => whilePressed(button, async () => {
    const [path, asked] = name ? ["disable", name] : ["enable", model.model_path];
    const result = await post(`/hub/discovered/${path}`, { model: asked });
    changed = true;
    flash("ok", result.message);
    await showModels();
  }));
  return row;
}
