// Puts the parts of the page together.

import { Assortment } from "./assortment.js";
import { Basket } from "./basket.js";
import { Customer } from "./customer.js";
import { Progress } from "./progress.js";
import { Purchase } from "./purchase.js";
import { readSettings } from "./settings.js";
import * as words from "./words.js";

const payButton = document.getElementById("pay");
const payNote = document.getElementById("pay-note");
const productsNote = document.getElementById("products-note");

async function open() {
  let settings;
  try {
    settings = await readSettings();
  } catch {
    productsNote.textContent = words.reading;
    return;
  }
  const assortment = new Assortment(settings, (id) => basket.add(id));
  const basket = new Basket(assortment);
  const customer = new Customer(settings);
  const purchase = new Purchase(settings);
  const progress = new Progress(settings);
  const shop = new Shop(assortment, basket, customer, purchase, progress, settings);
  document.getElementById("reload").addEventListener("click", () => shop.lookAgain());
  payButton.addEventListener("click", () => shop.pay());
  basket.onChange = () => shop.showPay();
  customer.onChange = () => shop.showPay();
  if (purchase.open) shop.resume();
  await shop.lookAgain();
  document.documentElement.dataset.ready = "yes";
}

class Shop {
  constructor(assortment, basket, customer, purchase, progress, settings) {
    Object.assign(this, { assortment, basket, customer, purchase, progress, settings });
    this.paying = false;
  }

  async lookAgain() {
    await this.assortment.read();
    this.basket.show();
  }

  // The page was left while nobody knew what had become of a purchase.
  resume() {
    this.basket.restore(this.purchase.open.lines);
    this.basket.lock(true);
    payNote.textContent = words.unknownOutcome;
  }

  showPay() {
    const ready = this.basket.total && this.customer.name;
    payButton.disabled = !ready;
    payButton.setAttribute("aria-disabled", String(this.paying));
    payButton.textContent = this.paying ? "One moment…" : this.purchase.open ? "Pay again" : "Pay";
    if (this.basket.total && !this.customer.name && !this.purchase.open) {
      payNote.textContent = "Please sign in to pay.";
    } else if (payNote.textContent === "Please sign in to pay.") {
      payNote.textContent = "";
    }
  }

  async pay() {
    if (this.paying) return;
    this.paying = true;
    payNote.textContent = "";
    delete payNote.dataset.outcome;
    this.purchase.begin(this.customer, this.basket.lines, this.basket.total);
    this.basket.lock(true);
    this.progress.begin("We are sending your order…");
    const outcome = await this.purchase.pay(this.customer, (text) => (payNote.textContent = text));
    this.paying = false;
    await this.after(outcome);
    this.showPay();
  }

  async after(outcome) {
    payNote.dataset.outcome = outcome.kind;
    if (outcome.signedOut) this.customer.signOut();
    if (outcome.kind === "unknown") {
      payNote.textContent = this.settings.retry_same_key ? outcome.words : words.unknownAndOpen;
      this.progress.say("We do not know yet whether your order has arrived.");
      return;
    }
    this.purchase.close();
    this.basket.lock(false);
    if (outcome.kind === "refused") {
      payNote.textContent = outcome.words;
      this.progress.say("You have not ordered yet.");
      if (this.settings.revalidate_cache) await this.lookAgain();
      return;
    }
    payNote.textContent = "";
    this.basket.clear();
    document.getElementById("order-heading").focus();
    this.progress.follow(outcome.order, this.customer, () => this.settings.revalidate_cache && this.lookAgain());
  }
}

open();
