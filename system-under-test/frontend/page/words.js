// Everything the shop says, in one place.

const money = new Map();

export function price(minor, currency) {
  if (!money.has(currency)) {
    money.set(currency, new Intl.NumberFormat("en-IE", { style: "currency", currency }));
  }
  return money.get(currency).format(minor / 100);
}

export function stock(onHand) {
  if (onHand === undefined) return "Stock not known";
  if (onHand <= 0) return "Sold out";
  return onHand <= 5 ? `Only ${onHand} left` : `${onHand} in stock`;
}

// States in the order of an order's life: a later answer of a lower rank is an old one.
const STATES = {
  placed: { rank: 1, words: "We have your order." },
  payment_pending: { rank: 2, words: "We are processing your payment…" },
  paid: { rank: 3, words: "Your payment has arrived. We are packing your order." },
  fulfilled: { rank: 4, end: true, words: "Thank you! Your order is on its way." },
  declined: { rank: 4, end: true, words: "Your payment was declined. Nothing was charged." },
  cancelled: { rank: 4, end: true, words: "Your order was cancelled. Nothing was charged." },
  out_of_stock: { rank: 4, words: "We are sorry: something has just sold out. Your money is on its way back." },
  refunded: { rank: 5, end: true, words: "Something had sold out. Your money has been given back." },
};

export function state(name) {
  return STATES[name] ?? { rank: 0, words: "We are looking after your order." };
}

export const reading = "We cannot show what we have right now. Please look again in a moment.";
export const old = "We cannot look right now. What you see may be old; please look again in a moment.";
export const askingAgain = "We cannot ask about your order right now. We keep asking.";
export const unknownOutcome =
  "We have not heard back, so your order may or may not have gone through. " +
  "Press “Pay again”: you will not be charged twice.";
export const unknownAndOpen = "We have not heard back. Press “Pay again” to try once more.";
export const signInAgain =
  "Please sign in again and press “Pay again”: it will find your order if it has gone through, and you will not be charged twice.";
export const signInToFollow = "Please sign in again to see what becomes of your order.";
export const notReached =
  "We could not reach the shop. If your order did get through, “Pay again” will find it: you will not be charged twice.";

export function waiting(seconds) {
  return `The shop is very busy. We try again in ${seconds} ${seconds === 1 ? "second" : "seconds"}.`;
}

export function refusal(status, code, message) {
  const known = {
    price_changed: "A price has changed, so nothing was ordered. Please check the new sum and pay again.",
    unknown_product: "Something in your basket is no longer for sale. Nothing was ordered.",
    rate_limited: "The shop is very busy. Nothing was ordered; please try again in a moment.",
    overloaded: "The shop cannot take orders right now. Nothing was ordered; please try again in a moment.",
    no_upstream: "The shop cannot take orders right now. Nothing was ordered; please try again in a moment.",
  };
  if (code in known) return known[code];
  if (status === 401) return "Please sign in again. Nothing was ordered.";
  return `Nothing was ordered: ${message ?? `the shop answered ${status}`}.`;
}
