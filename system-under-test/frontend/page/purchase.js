// Paying. A purchase has one reference and one key from the first try to the last: however often it is tried, the shop
// can tell that it is the same one.

import { ask, pause } from "./requests.js";
import * as words from "./words.js";

const STORED = "purchase";
const LONGEST_WAIT_S = 30;
const MOST_TRIES_WHEN_BUSY = 6;

export class Purchase {
  constructor(settings) {
    this.settings = settings;
    this.open = restored();
  }

  // The purchase whose outcome nobody knows yet, or a new one.
  begin(customer, lines, total) {
    this.open ??= {
      reference: `web-${crypto.randomUUID()}`,
      key: crypto.randomUUID(),
      customer: customer.name,
      lines,
      total,
    };
    store(this.open);
    return this.open;
  }

  close() {
    this.open = undefined;
    store(undefined);
  }

  // Tries once, and again only while the shop says that it is too busy. Tells what came of it:
  //   { kind: "accepted", order }, { kind: "refused", code, words }, { kind: "unknown", words }
  async pay(customer, onWait) {
    for (let tries = 1; ; tries += 1) {
      const answer = await this.send(customer);
      const busy = answer.status === 429 || (answer.status === 503 && answer.body?.error?.code !== "starting");
      if (!busy || tries === MOST_TRIES_WHEN_BUSY) return this.outcome(answer);
      if (this.settings.backoff_on_429) {
        for (let left = Math.min(answer.retryAfterS, LONGEST_WAIT_S); left > 0; left -= 1) {
          onWait(words.waiting(Math.ceil(left)));
          await pause(Math.min(left, 1) * 1000);
        }
      }
    }
  }

  send(customer) {
    const { reference, lines, total } = this.open;
    const key = this.settings.retry_same_key ? this.open.key : crypto.randomUUID();
    return ask(`${this.settings.gateway_url}/orders`, {
      method: "POST",
      headers: { ...customer.headers, "content-type": "application/json", "idempotency-key": key },
      body: JSON.stringify({
        reference,
        customer_id: customer.name,
        lines,
        amount_minor: total.minor,
        currency: total.currency,
      }),
      limitMs: this.settings.pay_timeout_ms,
    });
  }

  outcome(answer) {
    if (answer.kind === "timeout") return this.doubt(words.unknownOutcome);
    if (answer.kind === "unreachable") return this.doubt(words.notReached);
    const { status, body } = answer;
    if (status >= 200 && status < 300 && typeof body?.order_id === "string") {
      return { kind: "accepted", order: body };
    }
    const judged = (status >= 400 && status < 500 && status !== 408) || status === 503;
    if (!judged) return this.doubt(words.unknownOutcome);
    const { code, message } = body?.error ?? {};
    const signedOut = status === 401;
    // Whoever turned this attempt away at the door knows nothing of an earlier one: its key must not be lost.
    const atTheDoor = signedOut || status === 403 || status === 429 || status === 503;
    if (atTheDoor && this.open.inDoubt) {
      return { kind: "unknown", signedOut, words: signedOut ? words.signInAgain : words.unknownOutcome };
    }
    return { kind: "refused", signedOut, code, words: words.refusal(status, code, message) };
  }

  doubt(text) {
    this.open.inDoubt = true;
    store(this.open);
    return { kind: "unknown", words: text };
  }
}

// A reload must not turn one purchase into two.
function restored() {
  try {
    return JSON.parse(sessionStorage.getItem(STORED)) ?? undefined;
  } catch {
    return undefined;
  }
}

function store(purchase) {
  if (purchase) sessionStorage.setItem(STORED, JSON.stringify(purchase));
  else sessionStorage.removeItem(STORED);
}
