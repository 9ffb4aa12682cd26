// What the customer wants, and the list that shows it. The sum that stands here is the sum that is sent.

import * as words from "./words.js";

export class Basket {
  constructor(assortment) {
    this.assortment = assortment;
    this.quantities = new Map();
    this.rows = new Map();
    this.locked = false;
    this.list = document.getElementById("basket");
    this.empty = document.getElementById("basket-empty");
    this.sum = document.getElementById("sum");
    this.count = document.getElementById("basket-count");
    this.onChange = () => {};
  }

  add(id) {
    if (this.locked) return;
    this.quantities.set(id, (this.quantities.get(id) ?? 0) + 1);
    this.show();
  }

  // While nobody knows what became of a purchase, it stays as it is.
  lock(locked) {
    this.locked = locked;
    this.show();
  }

  clear() {
    this.quantities.clear();
    this.show();
  }

  restore(lines) {
    this.quantities = new Map(lines.map((line) => [line.product_id, line.quantity]));
    this.show();
  }

  get lines() {
    return [...this.quantities].map(([product_id, quantity]) => ({ product_id, quantity }));
  }

  // Undefined as long as a price is not known.
  get total() {
    let minor = 0;
    let currency;
    for (const [id, quantity] of this.quantities) {
      const product = this.assortment.product(id);
      if (!product) return undefined;
      minor += product.price_minor * quantity;
      currency = product.currency;
    }
    return currency && { minor, currency };
  }

  show() {
    for (const [id, row] of this.rows) {
      if (!this.quantities.has(id)) {
        row.item.remove();
        this.rows.delete(id);
      }
    }
    for (const [id, quantity] of this.quantities) {
      const row = this.rows.get(id) ?? this.newRow(id);
      const product = this.assortment.product(id);
      row.name.textContent = id;
      row.amount.textContent = product ? words.price(product.price_minor * quantity, product.currency) : "–";
      if (row.quantity.value !== String(quantity)) row.quantity.value = quantity;
      row.quantity.disabled = this.locked;
      row.remove.disabled = this.locked;
    }
    const total = this.total;
    this.count.textContent = [...this.quantities.values()].reduce((sum, quantity) => sum + quantity, 0);
    this.empty.hidden = this.quantities.size > 0;
    this.sum.textContent = total ? words.price(total.minor, total.currency) : "–";
    this.onChange();
  }

  newRow(id) {
    const item = document.createElement("li");
    item.dataset.line = id;
    const name = document.createElement("span");
    name.className = "name";
    const quantity = document.createElement("input");
    quantity.type = "number";
    quantity.min = 1;
    quantity.max = 1000;
    quantity.setAttribute("aria-label", `Units of ${id}`);
    quantity.addEventListener("change", () => {
      const units = Math.trunc(Number(quantity.value));
      this.quantities.set(id, Math.min(Math.max(Number.isFinite(units) ? units : 1, 1), 1000));
      this.show();
    });
    const amount = document.createElement("span");
    amount.className = "amount";
    const remove = document.createElement("button");
    remove.type = "button";
    remove.className = "quiet";
    remove.textContent = "Remove";
    remove.setAttribute("aria-label", `Remove ${id}`);
    remove.addEventListener("click", () => this.remove(id));
    item.append(name, amount, quantity, remove);
    this.list.append(item);
    const row = { item, name, quantity, amount, remove };
    this.rows.set(id, row);
    return row;
  }

  // The focus goes to the next line, or to the heading when none is left: never back to the top of the page.
  remove(id) {
    const ids = [...this.quantities.keys()];
    const next = ids[ids.indexOf(id) + 1] ?? ids[ids.indexOf(id) - 1];
    this.quantities.delete(id);
    this.show();
    const target = next ? this.rows.get(next).remove : document.getElementById("basket-heading");
    target.focus();
  }
}
