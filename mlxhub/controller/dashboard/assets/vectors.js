// How near sentences are to each other, by an embeddings model.

import { asPost, ask } from "./session.js";
import { oneAtATime } from "./once.js";
import { make } from "./words.js";

const MOST = 12;

export function compareWith(name, panel) {
  const form = panel.querySelector("form");
  const box = panel.querySelector("textarea");
  const result = panel.querySelector("[data-field=result]");
  return oneAtATime(form, panel.querySelector("[data-field=state]"), async (signal) => {
    const sentences = box.value.split("\n").map((line) => line.trim()).filter(Boolean).slice(0, MOST);
    if (!sentences.length) throw new Error("Write a sentence in each line.");
    const begun = performance.now();
    const body = { model: name, input: sentences, encoding_format: "float" };
    const answer = await ask("/v1/embeddings", asPost(body, { signal }));
    const vectors = answer.data.map((each) => each.embedding);
    result.replaceChildren(table(sentences, vectors));
    const seconds = ((performance.now() - begun) / 1000).toFixed(2);
    return `${vectors[0].length} numbers for each of ${vectors.length} sentences, after ${seconds} s.`;
  });
}

function table(sentences, vectors) {
  const whole = make("table");
  const head = whole.createTHead().insertRow();
  head.append(make("td"), ...sentences.map((_, place) => make("th", String(place + 1), { scope: "col" })));
  const body = whole.createTBody();
  sentences.forEach((sentence, place) => {
    const row = body.insertRow();
    row.append(make("th", `${place + 1} ${sentence}`, { scope: "row" }));
    for (const other of vectors) row.append(make("td", cosine(vectors[place], other).toFixed(2)));
  });
  return whole;
}

// Their lengths are 1.
function cosine(one, other) {
  return one.reduce((sum, number, place) => sum + number * other[place], 0);
}
