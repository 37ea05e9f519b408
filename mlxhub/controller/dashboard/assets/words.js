// How things are shown: text that only ever becomes textContent, sizes, times.

export const element = (id) => document.getElementById(id);

export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function make(tag, text = "", properties = {}) {
  const node = Object.assign(document.createElement(tag), properties);
  if (text) node.textContent = text;
  return node;
}

export function fromTemplate(id) {
  return element(id).content.firstElementChild.cloneNode(true);
}

export function showBanner(node, tone, text) {
  node.dataset.tone = tone;
  node.hidden = !text;
  setText(node, text ?? "");
}

export function size(bytes) {
  return bytes >= 1e9 ? `${(bytes / 1e9).toFixed(1)} GB` : `${Math.round(bytes / 1e6)} MB`;
}

export function count(number) {
  return number >= 1e9 ? `${(number / 1e9).toFixed(1)} B` : `${(number / 1e6).toFixed(1)} M`;
}

export function duration(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

export function dateAndTime(unixSeconds) {
  return unixSeconds === null ? "unknown" : new Date(unixSeconds * 1000).toLocaleString();
}

export function timeOfDay(unixSeconds) {
  return new Date(unixSeconds * 1000).toLocaleTimeString();
}

// A file as an address of its own, which pictures and requests take.
export function dataUrl(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.addEventListener("load", () => resolve(reader.result));
    reader.addEventListener("error", () => reject(new Error(`${file.name} cannot be read.`)));
    reader.readAsDataURL(file);
  });
}
