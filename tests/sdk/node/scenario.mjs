// What OpenAI's client for Node is asked, and what is true of the worker meanwhile.
import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import OpenAI from "openai";

const url = process.env.MLXHUB_URL;
export const COUNTED = Array.from({ length: 30 }, (_, n) => n + 1).join(" ");
export const REPORT = "It is 21 degrees and clear in Paris.";
export const greedy = { model: "demo", temperature: 0 };
// Its end token is never said: it goes on until the context is full.
export const endless = { model: "demo", messages: user("x"), logit_bias: { 2: -100 } };

export function connect(options = {}) {
  return new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0, timeout: 20_000, ...options });
}

export function user(text) {
  return [{ role: "user", content: text }];
}

/** The weather tool, and what it was asked for. */
export function weather() {
  const asked = [];
  const tool = {
    type: "function",
    function: {
      name: "get_weather",
      description: "Get the weather in a city",
      parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
      parse: JSON.parse,
      function: ({ city }) => {
        asked.push(city);
        return '{"temperature": 21, "sky": "clear"}';
      },
    },
  };
  return { tool, asked };
}

export async function isIdle() {
  const status = await ask("/status");
  return status.in_flight === 0 && status.batch.rows === 0;
}

export async function isGenerating() {
  return (await ask("/status")).batch.rows === 1;
}

/** One generation is begun within `story`, and over for the worker when its client has gone. */
export async function endsEarly(story) {
  const { counters: before } = await ask("/status");
  await story();
  await eventually(isIdle);
  const { counters: after } = await ask("/status");
  assert.deepEqual([after.cancelled, after.completed], [before.cancelled + 1, before.completed]);
}

/** The worker's places are taken within `story`, until `leave` is called. */
export async function whileFull(story) {
  const leaving = new AbortController();
  const busy = await fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    signal: leaving.signal,
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ ...endless, n: 2, stream: true }),
  });
  try {
    await story(() => leaving.abort());
    // Said at the end: an answer that nobody refers to any more is cancelled.
    assert(busy.ok);
  } finally {
    leaving.abort();
    await eventually(isIdle);
  }
}

export async function eventually(fact) {
  for (const limit = Date.now() + 10_000; !(await fact()); await pause(20)) {
    assert(Date.now() < limit, `not true in time: ${fact.name}`);
  }
}

async function ask(path) {
  return (await fetch(url + path)).json();
}
