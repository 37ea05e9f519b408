// A form that does one thing at a time: says while it runs, then how it went.

import { setText } from "./words.js";

// `work` is given a signal, and answers what to say. What ends it is returned.
export function oneAtATime(form, state, work, show = () => {}) {
  let running = null;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (running) return;
    const own = running = new AbortController();
    show(true);
    setText(state, "…");
    try {
      setText(state, await work(own.signal));
    } catch (error) {
      setText(state, own.signal.aborted ? "Stopped." : error.message);
    }
    running = null;
    show(false);
  });
  return () => running?.abort();
}
