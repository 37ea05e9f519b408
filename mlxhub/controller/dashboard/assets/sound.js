// Recordings written down, and texts spoken, by a model that does the one or the other.

import { oneAtATime } from "./once.js";
import { asPost, open } from "./session.js";
import { dataUrl, setText } from "./words.js";

export function soundWith(name, panel) {
  const [hear, speak] = panel.querySelectorAll("form");
  const file = hear.querySelector("input");
  const result = panel.querySelector("[data-field=result]");
  const state = panel.querySelector("[data-field=state]");
  const player = panel.querySelector("audio");
  const recording = recordInto(hear, panel.querySelector("[data-sound=record]"), state);
  const stopHearing = oneAtATime(hear, state, async (signal) => {
    const sound = recording.take() ?? file.files[0];
    if (!sound) throw new Error("Choose a recording, or make one.");
    const body = new FormData();
    body.append("model", name);
    body.append("file", sound, sound.name ?? "recording.webm");
    const begun = performance.now();
    const response = await open("/v1/audio/transcriptions", { method: "POST", body, signal });
    setText(result, (await response.json()).text || "(nothing was heard)");
    return `After ${((performance.now() - begun) / 1000).toFixed(2)} s.`;
  });
  const stopSpeaking = oneAtATime(speak, state, async (signal) => {
    const body = { model: name, input: speak.querySelector("textarea").value, response_format: "wav" };
    const response = await open("/v1/audio/speech", asPost(body, { signal }));
    player.src = await dataUrl(await response.blob());
    player.hidden = false;
    return "Spoken.";
  });
  return () => { stopHearing(); stopSpeaking(); recording.stop(); player.pause(); };
}

// Records while the button is on, then has the form sent.
function recordInto(form, button, state) {
  let recorder = null;
  let recorded = null;
  button.addEventListener("click", async () => {
    if (recorder) { recorder.stop(); return; }
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
      const parts = [];
      recorder = new MediaRecorder(stream);
      recorder.addEventListener("dataavailable", ({ data }) => parts.push(data));
      recorder.addEventListener("stop", () => {
        for (const track of stream.getTracks()) track.stop();
        recorded = new Blob(parts, { type: recorder.mimeType });
        recorder = null;
        setText(button, "Record");
        form.requestSubmit();
      });
      recorder.start();
      setText(button, "Stop recording");
    } catch {
      setText(state, "This browser lets the page use no microphone.");
    }
  });
  return {
    take() { const sound = recorded; recorded = null; return sound; },
    stop() { if (recorder) recorder.stop(); },
  };
}
