// The table of models: what each one is doing, and what may be done with it.

import { openDetails } from "./details.js";
import { flash } from "./flash.js";
import { post } from "./session.js";
import { duration, element, fromTemplate, setText, size } from "./words.js";

const STALE_FACTS_SECONDS = 5;
const COLUMNS = 7;
const TONES = {
  running: "ok", ready: "ok",
  starting: "info", stopping: "info", loading: "info", unloading: "info",
  throttled: "warn", unknown: "warn",
  failed: "error",
};
const MAY = {
  start: (model) => !["running", "starting", "stopping"].includes(model.process),
  stop: (model) => !["stopped", "stopping", "not_installed"].includes(model.process),
  restart: (model) => model.process === "running",
  load: (model) => model.memory === "unloaded" && model.process === "running",
  unload: (model) => model.memory === "ready",
};

const rows = new Map(); // model name → its <tr>
const details = new Map(); // model name → what is open below it
const underWay = new Map(); // model name → the action sent and not answered
let shown = [];
let afterAction = () => {};

export function onAction(listener) { afterAction = listener; }

export function forgetModels() {
  for (const name of [...details.keys()]) closeDetails(name);
  rows.clear();
  shown = [];
  element("models").tBodies[0].replaceChildren();
}

export function showModels(models) {
  shown = models;
  const body = element("models").tBodies[0];
  const names = new Set(models.map((model) => model.name));
  for (const [name, row] of rows) {
    if (!names.has(name)) { closeDetails(name); row.remove(); rows.delete(name); }
  }
  let place = 0;
  for (const model of models) {
    if (!rows.has(model.name)) rows.set(model.name, makeRow(model));
    for (const row of [rows.get(model.name), details.get(model.name)?.row]) {
      if (!row) continue;
      if (body.rows[place] !== row) body.insertBefore(row, body.rows[place] ?? null);
      place += 1;
    }
    showModel(rows.get(model.name), model);
  }
}

function makeRow({ name }) {
  const row = fromTemplate("model-row");
  const opener = row.querySelector("[data-open]");
  opener.setAttribute("aria-controls", `details-${name}`);
  opener.addEventListener("click", () => toggle(name));
  for (const button of row.querySelectorAll("[data-action]")) {
    button.setAttribute("aria-label", `${button.textContent} ${name}`);
    button.addEventListener("click", () => act(name, button));
  }
  return row;
}

function toggle(name) {
  if (details.has(name)) closeDetails(name);
  else {
    const model = shown.find((each) => each.name === name);
    details.set(name, openDetails(name, COLUMNS, model?.type));
    showModels(shown);
  }
  rows.get(name).querySelector("[data-open]").setAttribute("aria-expanded", String(details.has(name)));
}

function closeDetails(name) {
  details.get(name)?.close();
  details.delete(name);
}

function showModel(row, model) {
  const field = (name) => row.querySelector(`[data-field="${name}"]`);
  const pill = (name, state) => {
    setText(field(name), state ?? "unknown");
    field(name).dataset.tone = TONES[state ?? "unknown"] ?? "";
  };
  const working = underWay.get(model.name);
  setText(field("name"), model.name);
  setText(field("aliases"), model.aliases.join(", "));
  setText(field("error"), model.error ?? "");
  pill("process", model.process);
  setText(field("process-detail"), working ? `${working} …` : processDetail(model));
  field("memory").hidden = model.pid === null;
  pill("memory", model.memory);
  setText(field("memory-detail"), memoryDetail(model));
  setText(field("port"), String(model.port));
  setText(field("requests"), requestsDetail(model));
  setText(field("last-exit"), model.last_exit ?? "none");
  row.querySelector("[data-cluster=memory]").hidden = model.pid === null;
  for (const button of row.querySelectorAll("[data-action]")) {
    // aria-disabled and not disabled: a disabled button would lose the keyboard's focus.
    button.setAttribute("aria-disabled", String(Boolean(working) || !MAY[button.dataset.action](model)));
  }
}

function processDetail(model) {
  const parts = [];
  if (model.pid !== null) parts.push(`pid ${model.pid}`);
  if (model.restarts) parts.push(`${model.restarts} restarts`);
  return parts.join(", ");
}

function memoryDetail(model) {
  const parts = [];
  if (model.memory_bytes !== null) parts.push(size(model.memory_bytes));
  if (model.memory === "ready" && model.unload_at !== null) {
    parts.push(`unloads in ${duration(Math.max(0, model.unload_at - Date.now() / 1000))}`);
  }
  if (model.facts_age_seconds > STALE_FACTS_SECONDS) {
    parts.push(`${duration(model.facts_age_seconds)} ago`);
  }
  return parts.join(", ");
}

function requestsDetail(model) {
  if (model.in_flight === null) return "";
  return model.queued ? `${model.in_flight}, ${model.queued} waiting` : String(model.in_flight);
}

async function act(name, button) {
  if (button.getAttribute("aria-disabled") === "true") return;
  underWay.set(name, button.dataset.action);
  showModels(shown);
  try {
    const result = await post(`/hub/models/${encodeURIComponent(name)}/${button.dataset.action}?wait=1`);
    flash(result.ok ? "ok" : "error", result.message);
  } catch (error) {
    flash("error", error.message);
  } finally {
    underWay.delete(name);
    await afterAction();
  }
}
