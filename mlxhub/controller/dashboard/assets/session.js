// What unlocks this page, and every question it asks. It is sent as a header: there is no cookie that other
// pages could use.

const ASK_LIMIT_MS = 5000;

export class Locked extends Error {}

// A session in this tab alone. The admin key itself is kept nowhere: browsers write what they keep to disk.
export const session = {
  get secret() { return sessionStorage.getItem("mlxhub"); },
  set secret(secret) { secret ? sessionStorage.setItem("mlxhub", secret) : sessionStorage.removeItem("mlxhub"); },
};

export const soon = () => AbortSignal.timeout(ASK_LIMIT_MS);

// The answer while it may still be coming. Throws Locked, and Error with words for a person.
export async function open(path, { secret = session.secret, ...options } = {}) {
  const headers = { ...options.headers };
  if (secret) headers.Authorization = `Bearer ${secret}`;
  const response = await fetch(path, { cache: "no-store", redirect: "error", ...options, headers }).catch((error) => {
    if (options.signal?.aborted && error.name === "AbortError") throw error;
    throw new Error("The controller does not answer (to start it: mlxhub start).");
  });
  if (response.ok) return response;
  const body = await response.json().catch(() => null);
  const said = body?.error?.message;
  if (response.status === 401 || response.status === 403) throw new Locked(said);
  throw new Error(said ?? `The hub answered ${response.status}.`);
}

export async function ask(path, options = {}) {
  const response = await open(path, options);
  return response.json().catch(() => { throw new Error("The hub's answer made no sense."); });
}

export function post(path, body = {}, options = {}) {
  return ask(path, asPost(body, options));
}

export function asPost(body, options = {}) {
  const headers = { "Content-Type": "application/json" };
  return { method: "POST", headers, body: JSON.stringify(body), ...options };
}

// Server-sent events of a fetch, as {event, id, data}. EventSource could not send the session.
export async function* eventsOf(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    while (true) {
      const { done, value } = await reader.read();
      if (done) return;
      const parts = (rest + value).split("\n\n");
      rest = parts.pop();
      for (const part of parts) {
        const event = parsed(part);
        if (event.data !== undefined) yield event;
      }
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}

function parsed(block) {
  const event = {};
  for (const line of block.split("\n")) {
    const colon = line.indexOf(":");
    if (colon > 0) event[line.slice(0, colon)] = line.slice(colon + 1).trimStart();
  }
  return event;
}

// The link of `mlxhub open` carries a token that works once, in its fragment: browsers send that to nobody.
export async function unlockByLink() {
  const token = new URLSearchParams(location.hash.slice(1)).get("t");
  if (!token) return;
  history.replaceState(null, "", location.pathname);
  await openSession(token);
}

export async function unlockByKey(key) {
  // What cannot stand in a header is no key, and fetch would not send it.
  if (!/^[\x21-\x7e]+$/.test(key)) throw new Locked();
  const { token } = await post("/hub/unlock", {}, { secret: key, signal: soon() });
  await openSession(token);
}

async function openSession(token) {
  session.secret = (await post("/hub/session", { token }, { signal: soon() })).session;
}
