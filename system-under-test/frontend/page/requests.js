// One request, one outcome, always within a limit. Nothing is thrown:
//   { kind: "answer", status, body, retryAfterS }   the server has spoken
//   { kind: "timeout" }                             nobody knows whether it was heard
//   { kind: "unreachable" }                         no connection, or it broke off

export async function ask(url, { method = "GET", headers = {}, body, limitMs, cache }) {
  const giveUp = new AbortController();
  const timer = setTimeout(() => giveUp.abort(), limitMs);
  try {
    const answer = await fetch(url, {
      method,
      headers,
      body,
      cache,
      mode: "cors",
      credentials: "omit",
      referrerPolicy: "no-referrer",
      signal: giveUp.signal,
    });
    const text = await answer.text();
    return { kind: "answer", status: answer.status, body: parsed(text), retryAfterS: seconds(answer) };
  } catch {
    return { kind: giveUp.signal.aborted ? "timeout" : "unreachable" };
  } finally {
    clearTimeout(timer);
  }
}

export function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function seconds(answer) {
  const value = Number(answer.headers.get("retry-after"));
  return Number.isFinite(value) && value > 0 ? value : 1;
}
