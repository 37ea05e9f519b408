import assert from "node:assert/strict";
import test from "node:test";
import OpenAI from "openai";
import { zodResponseFormat, zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";
import {
  COUNTED, REPORT, connect, endless, endsEarly, eventually, greedy, isGenerating, user, weather, whileFull,
} from "./scenario.mjs";

const client = connect();
const Card = z.object({ name: z.string(), ok: z.boolean(), n: z.number().int() });
const CARD = { name: "demo", ok: true, n: 3 };

test("chat", async () => {
  const answer = await client.chat.completions.create({ ...greedy, messages: user("ping") });
  assert.equal(answer.choices[0].message.content, "pong");
  assert.equal(answer.choices[0].finish_reason, "stop");
  assert.match(answer._request_id, /^req_/);
});

test("a response", async () => {
  assert.equal((await client.responses.create({ ...greedy, input: "ping" })).output_text, "pong");
});

test("the models", async () => {
  assert.deepEqual((await client.models.list()).data.map((model) => model.id), ["demo"]);
});

test("a stream and its usage", async () => {
  const stream = await client.chat.completions.create({
    ...greedy, messages: user("count to 30"), stream: true, stream_options: { include_usage: true },
  });
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  assert.equal(chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join(""), COUNTED);
  assert(chunks.length > 10);
  assert(chunks.at(-1).usage.completion_tokens > 30);
});

test("a response in a stream", async () => {
  const stream = client.responses.stream({ ...greedy, input: "count to 30" });
  let said = "";
  for await (const event of stream) if (event.type === "response.output_text.delta") said += event.delta;
  assert.equal(said, COUNTED);
  assert.equal((await stream.finalResponse()).output_text, COUNTED);
});

for (const stream of [false, true]) {
  test(`a tool is called and its result is told, stream: ${stream}`, async () => {
    const { tool, asked } = weather();
    const runner = client.chat.completions.runTools({
      ...greedy, messages: user("weather in Paris"), tools: [tool], stream,
    });
    assert.equal(await runner.finalContent(), REPORT);
    assert.deepEqual(asked, ["Paris"]);
  });
}

test("an answer is parsed", async () => {
  const asked = { ...greedy, messages: user("json"), response_format: zodResponseFormat(Card, "card") };
  assert.deepEqual((await client.chat.completions.parse(asked)).choices[0].message.parsed, CARD);
  const streamed = await client.chat.completions.stream(asked).finalChatCompletion();
  assert.deepEqual(streamed.choices[0].message.parsed, CARD);
});

test("a response is parsed", async () => {
  const text = { format: zodTextFormat(Card, "card") };
  assert.deepEqual((await client.responses.parse({ ...greedy, input: "json", text })).output_parsed, CARD);
});

test("errors", async () => {
  const ask = (changes) => client.chat.completions.create({ model: "demo", messages: user("ping"), ...changes });
  await assert.rejects(ask({ model: "nobody" }), (error) => {
    assert(error instanceof OpenAI.NotFoundError);
    assert.deepEqual([error.code, error.param], ["model_not_found", "model"]);
    assert.match(error.requestID, /^req_/);
    return true;
  });
  await assert.rejects(ask({ temperature: 7 }), (error) => {
    assert(error instanceof OpenAI.BadRequestError);
    assert.equal(error.param, "temperature");
    return true;
  });
  await assert.rejects(ask({ messages: user("ping ".repeat(5000)) }), (error) => {
    assert(error instanceof OpenAI.BadRequestError);
    assert.equal(error.code, "context_length_exceeded");
    return true;
  });
});

test("a full queue is a rate limit", async () => {
  await whileFull(() =>
    assert.rejects(
      client.chat.completions.create({ ...greedy, messages: user("ping") }), OpenAI.RateLimitError,
    ),
  );
});

test("a refused request is sent again when it may", async () => {
  await whileFull(async (leave) => {
    const leaving = async (...request) => {
      const response = await fetch(...request);
      if (response.status === 429) leave();
      return response;
    };
    const begun = Date.now();
    const patient = connect({ maxRetries: 1, fetch: leaving });
    const answer = await patient.chat.completions.create({ ...greedy, messages: user("ping") });
    assert.equal(answer.choices[0].message.content, "pong");
    // As `Retry-After` has it; by itself it would have waited for less than a second. Timers may be early by one.
    assert(Date.now() - begun >= 1_999);
  });
});

test("who has waited long enough ends the generation", async () => {
  await endsEarly(() =>
    assert.rejects(
      client.chat.completions.create(endless, { timeout: 500 }), OpenAI.APIConnectionTimeoutError,
    ),
  );
});

test("who aborts ends the generation", async () => {
  const aborting = new AbortController();
  await endsEarly(async () => {
    const asking = client.chat.completions.create(endless, { signal: aborting.signal });
    eventually(isGenerating).finally(() => aborting.abort());
    await assert.rejects(asking, OpenAI.APIUserAbortError);
  });
});

test("who leaves a stream ends the generation", async () => {
  await endsEarly(async () => {
    for await (const _ of await client.chat.completions.create({ ...endless, stream: true })) break;
  });
});
