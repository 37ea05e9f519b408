// "Try it", for each type of model: what a client of its routes would do.

import { chatWith } from "./chat.js";
import { drawWith } from "./picture.js";
import { soundWith } from "./sound.js";
import { compareWith } from "./vectors.js";
import { fromTemplate } from "./words.js";

// The panel, and what ends all that it does. A type that nobody knows yet is taken for one of text.
export function tryOut(name, type) {
  const [template, begin] = {
    embeddings: ["try-vectors", compareWith],
    whisper: ["try-sound", soundWith],
    "image-generation": ["try-picture", (model, panel) => drawWith(model, panel, false)],
    "image-edit": ["try-picture", (model, panel) => drawWith(model, panel, true)],
  }[type] ?? ["try-chat", (model, panel) => chatWith(model, panel, type === "multimodal")];
  const panel = fromTemplate(template);
  return { panel, stop: begin(name, panel) };
}
