// What becomes of an order, in words that never go backwards.

import { ask, pause } from "./requests.js";
import * as words from "./words.js";

const LONGEST_PAUSE_MS = 10_000;

export class Progress {
  constructor(settings) {
    this.settings = settings;
    this.status = document.getElementById("order-status");
    this.number = document.getElementById("order-number");
    this.note = document.getElementById("order-note");
    this.followed = undefined;
    this.rank = 0;
    this.version = undefined;
  }

  // A new purchase: what became of an earlier order is over.
  begin(text) {
    this.followed = undefined;
    this.rank = 0;
    this.version = undefined;
    delete this.status.dataset.state;
    this.number.textContent = "";
    this.note.textContent = "";
    this.say(text);
  }

  say(text) {
    this.status.textContent = text;
  }

  // Follows an order to its end; one order at a time.
  async follow(order, customer, onEnd) {
    this.followed = order.order_id;
    this.rank = 0;
    this.version = undefined;
    this.number.textContent = `Order ${order.order_id}`;
    this.show(order);
    let pauseMs = this.settings.status_interval_ms;
    while (this.followed === order.order_id) {
      await pause(pauseMs);
      const answer = await ask(this.address(order.order_id), {
        headers: customer.headers,
        limitMs: this.settings.read_timeout_ms,
        cache: "no-store",
      });
      if (this.followed !== order.order_id) return;
      if (answer.status === 200 && typeof answer.body?.state === "string") {
        this.note.textContent = "";
        pauseMs = this.settings.status_interval_ms;
        if (this.show(answer.body)) {
          onEnd();
          return;
        }
      } else {
        if (answer.status === 401 && customer.name) customer.signOut();
        this.note.textContent = answer.status === 401 ? words.signInToFollow : words.askingAgain;
        pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS);
      }
    }
  }

  // Where to ask about an order. Whoever answers, with an older copy of it or not, is told what was seen here already.
  address(id) {
    const seen = this.version === undefined ? "" : `?seen=${this.version}`;
    return `${this.settings.gateway_url}/orders/${encodeURIComponent(id)}${seen}`;
  }

  // An older answer that arrives late changes nothing. Tells whether this is the end.
  show(order) {
    if (Number.isInteger(order.version)) this.version = Math.max(this.version ?? 0, order.version);
    const state = words.state(order.state);
    if (state.rank > this.rank) {
      this.rank = state.rank;
      this.status.dataset.state = order.state;
      this.say(state.words);
    }
    return state.end === true && state.rank >= this.rank;
  }
}
