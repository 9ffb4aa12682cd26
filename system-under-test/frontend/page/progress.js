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
  }

  // A new purchase: what became of an earlier order is over.
  begin(text) {
    this.followed = undefined;
    this.rank = 0;
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
    this.number.textContent = `Order ${order.order_id}`;
    this.show(order.state);
    let pauseMs = this.settings.status_interval_ms;
    while (this.followed === order.order_id) {
      await pause(pauseMs);
      const answer = await ask(`${this.settings.gateway_url}/orders/${encodeURIComponent(order.order_id)}`, {
        headers: customer.headers,
        limitMs: this.settings.read_timeout_ms,
        cache: "no-store",
      });
      if (answer.status === 200 && typeof answer.body?.state === "string") {
        this.note.textContent = "";
        pauseMs = this.settings.status_interval_ms;
        if (this.show(answer.body.state)) {
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

  // An older answer that arrives late changes nothing. Tells whether this is the end.
  show(name) {
    const state = words.state(name);
    if (state.rank > this.rank) {
      this.rank = state.rank;
      this.status.dataset.state = name;
      this.say(state.words);
    }
    return state.end === true && state.rank >= this.rank;
  }
}
