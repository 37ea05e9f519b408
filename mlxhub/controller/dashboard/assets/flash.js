// What became of the last action, until the next; and passing news, for some seconds.

import { element, make, showBanner } from "./words.js";

const TOAST_MS = 8000;
const MOST_TOASTS = 4;

export function flash(tone, text) {
  showBanner(element("flash"), tone, text);
}

export function toast(tone, text) {
  const box = element("toasts");
  const note = make("p", text, { className: "toast" });
  note.dataset.tone = tone;
  box.append(note);
  while (box.children.length > MOST_TOASTS) box.firstElementChild.remove();
  setTimeout(() => note.remove(), TOAST_MS);
}

// A button that works: it says so, and is not pressed twice. aria-disabled and not disabled: a disabled button
// would lose the keyboard's focus.
export async function whilePressed(button, work) {
  if (button.getAttribute("aria-disabled") === "true") return;
  button.setAttribute("aria-disabled", "true");
  try {
    await work();
  } catch (error) {
    flash("error", error.message);
  } finally {
    button.removeAttribute("aria-disabled");
  }
}
