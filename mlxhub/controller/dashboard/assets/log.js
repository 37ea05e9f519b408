// The log of one model as it grows, while somebody looks at it.

import { eventsOf, open } from "./session.js";
import { make } from "./words.js";

const MOST_LINES = 1000;
const AGAIN_MS = 2000;
const LEVEL = /\b(DEBUG|INFO|WARNING|ERROR|CRITICAL)\b/;
const TONES = { WARNING: "warn", ERROR: "error", CRITICAL: "error" };

// Until the signal is given. A controller that goes away and comes back is followed again.
export async function followLog(name, box, signal) {
  while (!signal.aborted) {
    try {
      const response = await open(`/hub/models/${encodeURIComponent(name)}/logs?lines=200&follow=1`, { signal });
      box.replaceChildren();
      for await (const { data } of eventsOf(response)) append(box, JSON.parse(data).lines);
    } catch (error) {
      if (signal.aborted) return;
      append(box, [error.message]);
    }
    await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
  }
}

function append(box, lines) {
  const atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 8;
  for (const line of lines) {
    const shown = make("div", line);
    const tone = TONES[line.slice(0, 60).match(LEVEL)?.[1]];
    if (tone) shown.dataset.tone = tone;
    box.append(shown);
  }
  while (box.children.length > MOST_LINES) box.firstElementChild.remove();
  if (atEnd) box.scrollTop = box.scrollHeight;
}
