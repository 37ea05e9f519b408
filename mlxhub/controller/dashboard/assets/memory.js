// Who holds what of the memory that all models may take together.

import { element, make, setText, size } from "./words.js";

export function showMemory(memory) {
  const { limit_bytes: limit, reserved_bytes: reserved, holders } = memory;
  element("memory").hidden = limit === null;
  if (limit === null) return;
  setText(element("memory-sum"), `${size(reserved)} of ${size(limit)} reserved`);
  const bar = element("memory-bar");
  const legend = element("memory-holders");
  const shown = JSON.stringify([limit, holders]);
  if (bar.dataset.shown === shown) return;
  bar.dataset.shown = shown;
  bar.replaceChildren(...holders.map((holder, place) => {
    const part = make("span", "", { className: `part part-${place % 6}` });
    part.style.width = `${Math.min(100, (100 * holder.reserved_bytes) / limit)}%`;
    return part;
  }));
  legend.replaceChildren(...holders.map((holder, place) => {
    const held = holder.reserved_bytes ? size(holder.reserved_bytes) : "being loaded";
    return make("li", `${holder.name} ${held}`, { className: `part-${place % 6}` });
  }));
}
