// A picture drawn, or changed, by a model, with its progress.

import { oneAtATime } from "./once.js";
import { asPost, eventsOf, open } from "./session.js";

// `changes`: it takes a picture and makes another of it.
export function drawWith(name, panel, changes) {
  const form = panel.querySelector("form");
  const box = panel.querySelector("textarea");
  const source = panel.querySelector("input[type=file]");
  const bar = panel.querySelector("progress");
  const image = panel.querySelector("img");
  const [draw, stop] = ["draw", "stop"].map((which) => form.querySelector(`[data-picture=${which}]`));
  source.parentElement.hidden = !changes;
  form.elements.size.parentElement.hidden = changes;
  const end = oneAtATime(form, panel.querySelector("[data-field=state]"), async (signal) => {
    const begun = performance.now();
    const wanted = { model: name, prompt: box.value.trim(), stream: true };
    const response = changes
      ? await open("/v1/images/edits", { method: "POST", body: formOf(wanted, source.files[0]), signal })
      : await open("/v1/images/generations", asPost({ ...wanted, size: form.elements.size.value }, { signal }));
    let drawn = null;
    for await (const { data } of eventsOf(response)) {
      const told = JSON.parse(data);
      if (told.error) throw new Error(told.error.message);
      if (told.steps) Object.assign(bar, { max: told.steps, value: told.step });
      if (told.b64_json) drawn = told;
    }
    if (!drawn) throw new Error("The picture did not come.");
    Object.assign(image, { src: `data:image/png;base64,${drawn.b64_json}`, alt: wanted.prompt, hidden: false });
    return `${drawn.size}, seed ${drawn.seed}, after ${((performance.now() - begun) / 1000).toFixed(1)} s.`;
  }, (isRunning) => {
    draw.hidden = isRunning;
    stop.hidden = bar.hidden = !isRunning;
    bar.removeAttribute("value");
  });
  stop.addEventListener("click", end);
  return end;
}

function formOf(fields, file) {
  if (!file) throw new Error("Choose the picture that is to be changed.");
  const body = new FormData();
  for (const [name, value] of Object.entries(fields)) body.append(name, value);
  body.append("image", file, file.name);
  return body;
}
