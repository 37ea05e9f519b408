// The page: what is shown when, and how often the hub is asked.

import { showDiscovered, showPullsNow, wireDiscovery } from "./discover.js";
import { flash, whilePressed } from "./flash.js";
import { followEvents, forgetEvents } from "./live.js";
import { showMemory } from "./memory.js";
import { forgetModels, onAction, showModels } from "./models.js";
import { Locked, ask, post, session, soon, unlockByKey, unlockByLink } from "./session.js";
import { dateAndTime, duration, element, make, setText, showBanner } from "./words.js";

const POLL_MS = 2000;
const AFTER_EVENT_MS = 30;
const VIEWS = ["hub", "discover", "events"];

let lastStatus = null;
let lastStatusAt = 0;
let following = null;

function showUnlockError(text) {
  element("key").removeAttribute("aria-invalid");
  setText(element("unlock-error"), text);
}

function showLocked() {
  document.body.classList.remove("beginning");
  if (session.secret) showUnlockError("The session is over: it was too old, or the controller has started anew.");
  session.secret = null;
  lastStatus = null;
  following?.abort();
  following = null;
  forgetModels();
  forgetEvents();
  for (const id of ["counts", "controller"]) setText(element(id), "");
  for (const id of ["unlocked", "warnings", "hub-buttons", "flash", "gone"]) element(id).hidden = true;
  document.body.classList.remove("stale");
  showPill("warn", "locked");
  if (element("locked").hidden) {
    element("locked").hidden = false;
    element("key").focus();
  }
}

function showUnlocked() {
  document.body.classList.remove("beginning");
  element("locked").hidden = true;
  element("unlocked").hidden = false;
  element("hub-buttons").hidden = false;
  if (following) return;
  following = new AbortController();
  followEvents(onEvent, following.signal);
}

async function refresh() {
  const secret = session.secret;
  let failure = null;
  let status = null;
  try {
    status = await ask("/hub/status", { secret, signal: soon() });
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
    showUnlocked();
  }
  showGone(failure);
  if (lastStatus) showStatus(lastStatus);
}

let due = null;

function refreshSoon() {
  due ??= setTimeout(() => { due = null; refresh(); }, AFTER_EVENT_MS);
}

function onEvent({ kind }) {
  if (!kind.startsWith("pull.")) refreshSoon();
  else if (!element("discover").hidden) showPullsNow().catch(() => {}); // the next event asks again
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
    `· controller pid ${status.controller.pid}, since ${dateAndTime(status.controller.started_at)}`);
  showWarnings(status.warnings);
  showMemory(status.memory);
  showGroups(status.groups);
  showModels(status.models);
  element("models").hidden = status.models.length === 0;
  element("empty").hidden = status.models.length !== 0;
}

function showWarnings(warnings) {
  const list = element("warnings");
  list.hidden = warnings.length === 0;
  list.replaceChildren(...warnings.map((warning) => make("li", warning)));
}

function showGroups(groups) {
  element("groups").hidden = groups.length === 0;
  setText(element("groups"), groups.map(({ name, loaded, max_loaded: most }) =>
    `Group ${name}: ${loaded.length} of ${most} in memory${loaded.length ? ` (${loaded.join(", ")})` : ""}`).join("\n"));
}

async function actOnHub(action, label) {
  flash("info", `${label} …`);
  const result = await post(`/hub/${action}?wait=1`);
  flash(toneOf(result), summary(result));
  await refresh();
}

function toneOf(result) {
  if (result.results) return result.results.every((each) => each.ok) ? "ok" : "warn";
  return result.warnings.length || result.failed.length ? "warn" : "ok";
}

function summary(result) {
  if (result.results) {
    const failures = result.results.filter((each) => !each.ok).map((each) => each.message);
    return [`Done for ${result.started} of ${result.total} models.`, ...failures].join("\n");
  }
  const counts = ["started", "stopped", "restarted", "unchanged"].map((key) => `${result[key].length} ${key}`);
  const failures = result.failed.map((failure) => `${failure.name}: ${failure.message}`);
  return [`hub.yaml reloaded: ${counts.join(", ")}.`, ...failures, ...result.warnings].join("\n");
}

function showView(wanted) {
  const view = VIEWS.includes(wanted) ? wanted : VIEWS[0];
  for (const each of VIEWS) {
    element(each).hidden = each !== view;
    const link = document.querySelector(`nav a[href="#${each}"]`);
    if (each === view) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (view === "discover" && session.secret) showDiscovered().catch((error) => flash("error", error.message));
}

async function unlock(how) {
  try {
    await how();
    showUnlockError("");
    return true;
  } catch (error) {
    showUnlockError(error instanceof Locked ? "That is not the admin key of this hub." : error.message);
    return false;
  }
}

async function followLink() {
  if (location.hash.startsWith("#t=")) {
    try {
      await unlockByLink();
      showUnlockError("");
    } catch (error) {
      showUnlockError(error.message);
    }
    await refresh();
  }
  showView(location.hash.slice(1));
}

for (const button of document.querySelectorAll("[data-hub-action]")) {
  button.addEventListener("click", () => whilePressed(button, () => actOnHub(button.dataset.hubAction, button.textContent)));
}
element("unlock").addEventListener("submit", async (event) => {
  event.preventDefault();
  const key = element("key").value.trim();
  element("key").value = "";
  if (!await unlock(() => unlockByKey(key))) {
    element("key").setAttribute("aria-invalid", "true");
    element("key").focus();
  }
  await refresh();
});
wireDiscovery(() => actOnHub("reload", "Reload"));
onAction(refresh);
addEventListener("hashchange", followLink);
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });

await followLink();
while (true) {
  if (!document.hidden) await refresh();
  await new Promise((resolve) => setTimeout(resolve, POLL_MS));
}
