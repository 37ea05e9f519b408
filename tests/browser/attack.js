// What a page of another site may try against a server on this machine. Nothing here waits to be allowed.
// Each attack resolves to what the page learned from it, or to null; `attack` in the query tells which it was.

const JSON_TEXT = '{"model": "demo", "messages": [{"role": "user", "content": "ping"}], "token": "guess"}';
const GUESS = { Authorization: "Bearer guess" };
const AS_JSON = { "Content-Type": "application/json" };
const form = () => { const data = new FormData(); data.append("token", "guess"); return data; };

const FETCHES = {
  "get": {},
  "get-no-cors": { mode: "no-cors" },
  "get-with-key": { headers: GUESS },
  "get-navigation-like": { mode: "no-cors", headers: { Accept: "text/html" }, credentials: "include" },
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
  "post-no-cors-multipart": { method: "POST", mode: "no-cors", body: form() },
  "post-no-cors-keepalive": { method: "POST", mode: "no-cors", body: JSON_TEXT, keepalive: true },
};

const ELEMENTS = {
  img: (url) => Object.assign(new Image(), { src: url }),
  script: (url) => Object.assign(document.createElement("script"), { src: url }),
  module: (url) => Object.assign(document.createElement("script"), { src: url, type: "module" }),
  stylesheet: (url) => Object.assign(document.createElement("link"), { rel: "stylesheet", href: url }),
  video: (url) => Object.assign(document.createElement("video"), { src: url, preload: "auto", onloadeddata: null }),
  object: (url) => Object.assign(document.createElement("object"), { data: url }),
};

const BEACONS = {
  "beacon-text": JSON_TEXT,
  "beacon-json": new Blob([JSON_TEXT], { type: "application/json" }),
  "beacon-form": new URLSearchParams({ token: "guess" }),
};

const FORMS = {
  "form-get": { method: "GET" },
  "form-post": { method: "POST" },
  "form-post-text": { method: "POST", enctype: "text/plain" },
  "form-post-multipart": { method: "POST", enctype: "multipart/form-data" },
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

function byElement(url, make) {
  return new Promise((resolve) => {
    const element = make(url);
    element.onload = element.onloadeddata = () => resolve("loaded");
    element.onerror = () => resolve(null);
    document.body.append(element);
  });
}

function byFrame(begin) {
  return new Promise((resolve) => {
    const frame = document.createElement("iframe");
    frame.name = `frame-${Math.random()}`;
    document.body.append(frame);
    frame.onload = () => {
      let text = null;
      try { text = frame.contentDocument && `frame ${frame.contentDocument.documentElement.innerText}`; } catch { /* foreign */ }
      frame.remove();
      resolve(text);
    };
    begin(frame);
  });
}

function byForm(url, attack, attributes) {
  return byFrame((frame) => {
    const sent = Object.assign(document.createElement("form"), { action: named(url, attack), target: frame.name, ...attributes });
    for (const [name, value] of [["attack", attack], ['{"token": "guess', '"}']]) {
      sent.append(Object.assign(document.createElement("input"), { type: "hidden", name, value }));
    }
    document.body.append(sent);
    sent.submit();
  });
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

// {attack: what was learned} of everything against one address.
async function attackAll(url) {
  const learned = {};
  for (const [attack, options] of Object.entries(FETCHES)) learned[attack] = byFetch(named(url, attack), options);
  for (const [attack, make] of Object.entries(ELEMENTS)) learned[attack] = byElement(named(url, attack), make);
  for (const [attack, body] of Object.entries(BEACONS)) learned[attack] = byBeacon(named(url, attack), body);
  for (const [attack, attributes] of Object.entries(FORMS)) learned[attack] = byForm(url, attack, attributes);
  learned.frame = byFrame((frame) => { frame.src = named(url, "frame"); });
  learned.events = byChannel(new EventSource(named(url, "events")));
  learned.socket = byChannel(new WebSocket(named(url, "socket").replace("http:", "ws:")));
  const names = Object.keys(learned);
  const answers = await Promise.all(Object.values(learned));
  return Object.fromEntries(names.map((name, place) => [name, answers[place]]));
}
