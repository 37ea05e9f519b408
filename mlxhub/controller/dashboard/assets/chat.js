// "Try it": a conversation with one model, streamed, as any client would have it.

import { asPost, eventsOf, open } from "./session.js";
import { dataUrl, make, setText } from "./words.js";

// `sees`: it takes pictures, and maybe videos and sounds, one with each message here.
export function chatWith(name, panel, sees) {
  const form = panel.querySelector("form");
  const box = panel.querySelector("textarea");
  const said = panel.querySelector("[data-field=said]");
  const state = panel.querySelector("[data-field=state]");
  const [send, stop] = ["send", "stop"].map((which) => form.querySelector(`[data-chat=${which}]`));
  const source = panel.querySelector("input[type=file]");
  source.parentElement.hidden = !sees;
  const messages = [];
  let running = null;

  form.addEventListener("submit", (event) => { event.preventDefault(); answer(); });
  box.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); answer(); }
  });
  stop.addEventListener("click", () => running?.abort());
  panel.querySelector("[data-chat=reset]").addEventListener("click", () => {
    running?.abort();
    messages.length = 0;
    said.replaceChildren();
    setText(state, "");
  });

  async function answer() {
    const text = box.value.trim();
    if (!text || running) return;
    running = new AbortController();
    box.value = "";
    const shown = make("p", text, { className: "mine" });
    said.append(shown);
    messages.push({ role: "user", content: await contentOf(text, source, shown) });
    const thought = make("p", "", { className: "thought" });
    const reply = make("p", "", { className: "reply" });
    said.append(thought, reply);
    show(true);
    const begun = performance.now();
    let tokens = 0;
    let first = null;
    try {
      const body = { model: name, messages, stream: true, stream_options: { include_usage: true } };
      const response = await open("/v1/chat/completions", asPost(body, { signal: running.signal }));
      for await (const { data } of eventsOf(response)) {
        if (data === "[DONE]") break;
        const chunk = JSON.parse(data);
        if (chunk.error) throw new Error(chunk.error.message);
        const delta = chunk.choices?.[0]?.delta ?? {};
        if ((delta.content || delta.reasoning_content) && first === null) first = performance.now();
        thought.textContent += delta.reasoning_content ?? "";
        reply.textContent += delta.content ?? "";
        tokens = chunk.usage?.completion_tokens ?? tokens;
        said.scrollTop = said.scrollHeight;
      }
      setText(state, speed(tokens, first ?? begun, begun));
    } catch (error) {
      setText(state, running.signal.aborted ? "Stopped." : error.message);
    }
    if (reply.textContent) messages.push({ role: "assistant", content: reply.textContent });
    else messages.pop();
    running = null;
    show(false);
  }

  function show(isRunning) {
    send.hidden = isRunning;
    stop.hidden = !isRunning;
    if (isRunning) setText(state, "…");
    (isRunning ? stop : box).focus();
  }

  return () => running?.abort();
}

// How a file of each kind is sent, and shown.
const KINDS = {
  image: (url, name) => [{ type: "image_url", image_url: { url } }, make("img", "", { src: url, alt: name })],
  video: (url, name) => [{ type: "video_url", video_url: { url } }, player("video", url, name)],
  audio: (url, name) => [
    { type: "input_audio", input_audio: { data: url.split(",")[1], format: name.split(".").pop() } },
    player("audio", url, name),
  ],
};

async function contentOf(text, source, shown) {
  const [file] = source.files;
  source.value = "";
  if (!file) return text;
  const [part, element] = (KINDS[file.type.split("/")[0]] ?? KINDS.image)(await dataUrl(file), file.name);
  shown.append(element);
  return [part, { type: "text", text }];
}

function player(tag, src, name) {
  const element = make(tag, "", { src, controls: true });
  element.setAttribute("aria-label", name);
  return element;
}

function speed(tokens, first, begun) {
  const seconds = (performance.now() - first) / 1000;
  const rate = tokens > 1 && seconds > 0 ? `, ${((tokens - 1) / seconds).toFixed(1)} tokens/s` : "";
  return `${tokens} tokens${rate}, the first after ${((first - begun) / 1000).toFixed(2)} s.`;
}
