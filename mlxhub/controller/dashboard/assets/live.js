// What happens in the hub, as it happens: each event is shown, and has the page look again.

import { toast } from "./flash.js";
import { eventsOf, open } from "./session.js";
import { element, make, timeOfDay } from "./words.js";

const MOST_EVENTS = 300;
const AGAIN_MS = 2000;
const NEWS = { "model.failed": "error", "model.throttled": "error", "model.load_failed": "error", "hub.reloaded": "ok" };

// It is shown where the pull is.
const PROGRESS = "pull.progress";

// What happened before is no news.
const openedAt = Date.now();
let lastId = null;

// Until the signal is given. After a break it goes on behind the last event that was seen.
export async function followEvents(onEvent, signal) {
  while (!signal.aborted) {
    try {
      const after = lastId ? `&after=${encodeURIComponent(lastId)}` : "";
      const response = await open(`/hub/events?follow=1${after}`, { signal });
      for await (const { id, data } of eventsOf(response)) {
        const event = JSON.parse(data);
        if (event.sequence && event.kind !== PROGRESS) show(event);
        if (id) lastId = id;
        onEvent(event);
      }
    } catch {
      if (signal.aborted) return; // the page says already that nobody answers
    }
    await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
  }
}

export function forgetEvents() {
  lastId = null;
  for (const id of ["event-list", "toasts"]) element(id).replaceChildren();
}

function show(event) {
  const list = element("event-list");
  const item = make("li");
  item.append(make("time", timeOfDay(event.at)), make("span", event.message));
  // Of a process and not of memory; it may be back already.
  const died = event.kind === `model.${event.process}` && event.last_exit?.startsWith("signal");
  const tone = NEWS[event.kind] ?? (died ? "error" : null);
  if (tone) item.dataset.tone = tone;
  list.prepend(item);
  while (list.children.length > MOST_EVENTS) list.lastElementChild.remove();
  if (tone === "error" && event.at * 1000 > openedAt) toast(tone, event.message);
}
