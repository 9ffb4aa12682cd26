// What is for sale: prices and stock as they were last read, and the list that shows them.

import { ask } from "./requests.js";
import * as words from "./words.js";

export class Assortment {
  constructor(settings, onAdd) {
    this.settings = settings;
    this.onAdd = onAdd;
    this.products = new Map();
    this.cards = new Map();
    this.list = document.getElementById("products");
    this.note = document.getElementById("products-note");
  }

  product(id) {
    return this.products.get(id);
  }

  // Reads prices and stock; what cannot be read stays as it was, and the page says so.
  async read() {
    const { gateway_url: gateway, read_timeout_ms: limitMs } = this.settings;
    this.list.setAttribute("aria-busy", "true");
    const [products, stock] = await Promise.all([
      ask(`${gateway}/products`, { limitMs, cache: "no-cache" }),
      ask(`${gateway}/stock`, { limitMs, cache: "no-cache" }),
    ]);
    this.list.setAttribute("aria-busy", "false");
    if (products.status !== 200 || !Array.isArray(products.body)) {
      this.note.textContent = this.products.size > 0 ? words.old : words.reading;
      return false;
    }
    const onHand = new Map();
    if (stock.status === 200 && Array.isArray(stock.body)) {
      for (const one of stock.body) onHand.set(one.product_id, one.on_hand);
    }
    this.products = new Map(
      products.body.map((one) => [one.product_id, { ...one, on_hand: onHand.get(one.product_id) }]),
    );
    this.note.textContent = `${this.products.size} products`;
    this.show();
    return true;
  }

  // Cards stay the same elements, so that a reading never takes the focus away.
  show() {
    for (const [id, card] of this.cards) {
      if (!this.products.has(id)) {
        card.item.remove();
        this.cards.delete(id);
      }
    }
    for (const product of this.products.values()) {
      const card = this.cards.get(product.product_id) ?? this.newCard(product.product_id);
      card.price.textContent = words.price(product.price_minor, product.currency);
      card.stock.textContent = words.stock(product.on_hand);
      card.item.classList.toggle("sold-out", product.on_hand !== undefined && product.on_hand <= 0);
      card.add.disabled = product.on_hand !== undefined && product.on_hand <= 0;
    }
  }

  newCard(id) {
    const item = document.createElement("li");
    item.dataset.product = id;
    const name = document.createElement("h2");
    name.textContent = id;
    name.id = `name-${id}`;
    const price = document.createElement("p");
    price.className = "price";
    const stock = document.createElement("p");
    stock.className = "stock";
    const add = document.createElement("button");
    add.type = "button";
    add.textContent = "Add to basket";
    add.setAttribute("aria-describedby", name.id);
    add.addEventListener("click", () => this.onAdd(id));
    item.append(name, price, stock, add);
    this.list.append(item);
    const card = { item, price, stock, add };
    this.cards.set(id, card);
    return card;
  }
}
