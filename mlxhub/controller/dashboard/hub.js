// Shows /hub/status and sends actions. Text from the hub only ever becomes textContent.
// What unlocks it is sent as a header: there is no cookie that other pages could use.

const POLL_MS = 2000;
const ASK_LIMIT_MS = 5000;
const STALE_FACTS_SECONDS = 5;
const TONES = {
  running: "ok", ready: "ok",
  starting: "info", stopping: "info", loading: "info", unloading: "info",
  throttled: "warn", unknown: "warn",
  failed: "error",
};
const MAY = {
  start: (model) => !["running", "starting", "stopping"].includes(model.process),
  stop: (model) => !["stopped", "stopping", "not_installed"].includes(model.process),
  load: (model) => model.memory === "unloaded" && model.process === "running",
  unload: (model) => model.memory === "ready",
};

const element = (id) => document.getElementById(id);
const rows = new Map(); // model name → its <tr>
const underWay = new Map(); // model name → the action sent and not answered
let lastStatus = null;
let lastStatusAt = 0;

class Locked extends Error {}

// A session in this tab alone. The admin key itself is kept nowhere: browsers write what they keep to disk.
const session = {
  get secret() { return sessionStorage.getItem("mlxhub"); },
  set secret(secret) { secret ? sessionStorage.setItem("mlxhub", secret) : sessionStorage.removeItem("mlxhub"); },
};

async function ask(path, { secret = session.secret, ...options } = {}) {
  const headers = { ...options.headers };
  if (secret) headers.Authorization = `Bearer ${secret}`;
  const response = await fetch(path, { cache: "no-store", redirect: "error", ...options, headers }).catch(() => {
    throw new Error("The controller does not answer (to start it: mlxhub start).");
  });
  const body = await response.json().catch(() => null);
  if (response.status === 401 || response.status === 403) throw new Locked(body?.error?.message);
  if (!response.ok || body === null) throw new Error(body?.error?.message ?? `The hub answered ${response.status}.`);
  return body;
}

function post(path, body = {}, options = {}) {
  const headers = { "Content-Type": "application/json" };
  return ask(path, { method: "POST", headers, body: JSON.stringify(body), ...options });
}

// The link of `mlxhub open` carries a token that works once, in its fragment: browsers send that to nobody.
async function unlockByLink() {
  const token = new URLSearchParams(location.hash.slice(1)).get("t");
  if (!token) return;
  history.replaceState(null, "", location.pathname);
  await openSession(token).catch((error) => showUnlockError(error.message));
}

async function unlockByKey(key) {
  try {
    // What cannot stand in a header is no key, and fetch would not send it.
    if (!/^[\x21-\x7e]+$/.test(key)) throw new Locked();
    const { token } = await post("/hub/unlock", {}, { secret: key, signal: AbortSignal.timeout(ASK_LIMIT_MS) });
    await openSession(token);
  } catch (error) {
    showUnlockError(error instanceof Locked ? "That is not the admin key of this hub." : error.message);
    element("key").setAttribute("aria-invalid", "true");
    element("key").focus();
  }
}

async function openSession(token) {
  const limit = { signal: AbortSignal.timeout(ASK_LIMIT_MS) };
  session.secret = (await post("/hub/session", { token }, limit)).session;
  showUnlockError("");
}

function showUnlockError(text) {
  element("key").removeAttribute("aria-invalid");
  setText(element("unlock-error"), text);
}

function showLocked() {
  if (session.secret) showUnlockError("The session is over: it was too old, or the controller has started anew.");
  session.secret = null;
  lastStatus = null;
  rows.clear();
  element("models").tBodies[0].replaceChildren();
  for (const id of ["counts", "controller"]) setText(element(id), "");
  for (const id of ["models", "empty", "warnings", "hub-buttons", "flash", "gone"]) element(id).hidden = true;
  document.body.classList.remove("stale");
  showPill("warn", "locked");
  if (element("locked").hidden) {
    element("locked").hidden = false;
    element("key").focus();
  }
}

async function refresh() {
  const secret = session.secret;
  let failure = null;
  let status = null;
  try {
    status = await ask("/hub/status", { secret, signal: AbortSignal.timeout(ASK_LIMIT_MS) });
  } catch (error) {
    failure = error;
  }
  // It was locked or unlocked meanwhile, and this answer is to what was asked before.
  if (secret !== session.secret) return;
  if (failure instanceof Locked) {
    showLocked();
    return;
  }
  if (status) {
    lastStatus = status;
    lastStatusAt = Date.now();
    element("locked").hidden = true;
    element("hub-buttons").hidden = false;
  }
  showGone(failure);
  if (lastStatus) showStatus(lastStatus);
}

function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function showBanner(node, tone, text) {
  node.dataset.tone = tone;
  node.hidden = !text;
  setText(node, text ?? "");
}

function showPill(tone, text) {
  element("pill").dataset.tone = tone;
  setText(element("pill"), text);
}

function showGone(error) {
  document.body.classList.toggle("stale", error !== null);
  if (error === null) {
    showPill("ok", "running");
    showBanner(element("gone"), "warn", null);
    return;
  }
  showPill("error", "no answer");
  const age = lastStatus ? ` What you see is ${duration((Date.now() - lastStatusAt) / 1000)} old.` : "";
  showBanner(element("gone"), "warn", `${error.message} Models that run serve on.${age}`);
}

function showStatus(status) {
  const { models, running, loaded } = status.counts;
  setText(element("counts"), `${running} of ${models} running, ${loaded} in memory`);
  setText(element("controller"),
    `· controller pid ${status.controller.pid}, since ${clockTime(status.controller.started_at)}`);
  showWarnings(status.warnings);
  const body = element("models").tBodies[0];
  const names = new Set(status.models.map((model) => model.name));
  for (const [name, row] of rows) {
    if (!names.has(name)) { row.remove(); rows.delete(name); }
  }
  status.models.forEach((model, place) => {
    if (!rows.has(model.name)) rows.set(model.name, makeRow(model.name));
    const row = rows.get(model.name);
    if (body.rows[place] !== row) body.insertBefore(row, body.rows[place] ?? null);
    showModel(row, model);
  });
  element("models").hidden = status.models.length === 0;
  element("empty").hidden = status.models.length !== 0;
}

function showWarnings(warnings) {
  const list = element("warnings");
  list.hidden = warnings.length === 0;
  list.replaceChildren(...warnings.map((warning) => {
    const item = document.createElement("li");
    item.textContent = warning;
    return item;
  }));
}

function makeRow(name) {
  const row = element("model-row").content.firstElementChild.cloneNode(true);
  for (const button of row.querySelectorAll("[data-action]")) {
    button.setAttribute("aria-label", `${button.textContent} ${name}`);
    button.addEventListener("click", () => act(name, button));
  }
  return row;
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

function size(bytes) {
  return bytes >= 1e9 ? `${(bytes / 1e9).toFixed(1)} GB` : `${Math.round(bytes / 1e6)} MB`;
}

function duration(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

function clockTime(unixSeconds) {
  return unixSeconds === null ? "unknown" : new Date(unixSeconds * 1000).toLocaleString();
}

async function act(name, button) {
  if (button.getAttribute("aria-disabled") === "true") return;
  underWay.set(name, button.dataset.action);
  if (lastStatus) showStatus(lastStatus);
  try {
    const result = await post(`/hub/models/${encodeURIComponent(name)}/${button.dataset.action}?wait=1`);
    showBanner(element("flash"), "ok", result.message);
  } catch (error) {
    showBanner(element("flash"), "error", error.message);
  } finally {
    underWay.delete(name);
    await refresh();
  }
}

async function actOnHub(button) {
  if (button.getAttribute("aria-disabled") === "true") return;
  button.setAttribute("aria-disabled", "true");
  showBanner(element("flash"), "info", `${button.textContent} …`);
  try {
    const result = await post(`/hub/${button.dataset.hubAction}?wait=1`);
    showBanner(element("flash"), toneOf(result), summary(result));
  } catch (error) {
    showBanner(element("flash"), "error", error.message);
  } finally {
    button.removeAttribute("aria-disabled");
    await refresh();
  }
}

function toneOf(result) {
  if (result.results) return result.results.every((each) => each.ok) ? "ok" : "warn";
  return result.warnings.length ? "warn" : "ok";
}

function summary(result) {
  if (result.results) {
    const failures = result.results.filter((each) => !each.ok).map((each) => each.message);
    return [`Done for ${result.started} of ${result.total} models.`, ...failures].join("\n");
  }
  const counts = ["started", "stopped", "restarted", "unchanged"].map((key) => `${result[key].length} ${key}`);
  return [`hub.yaml reloaded: ${counts.join(", ")}.`, ...result.warnings].join("\n");
}

for (const button of document.querySelectorAll("[data-hub-action]")) {
  button.addEventListener("click", () => actOnHub(button));
}
element("unlock").addEventListener("submit", async (event) => {
  event.preventDefault();
  const key = element("key").value.trim();
  element("key").value = "";
  await unlockByKey(key);
  await refresh();
});
addEventListener("hashchange", () => unlockByLink().then(refresh));
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });

await unlockByLink();
while (true) {
  if (!document.hidden) await refresh();
  await new Promise((resolve) => setTimeout(resolve, POLL_MS));
}
