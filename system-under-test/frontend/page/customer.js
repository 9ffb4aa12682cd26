// Who is shopping, and the token that says so where an identity provider is asked.

import { ask } from "./requests.js";

export class Customer {
  constructor(settings) {
    this.settings = settings;
    this.name = undefined;
    this.token = undefined;
    this.onChange = () => {};
    this.form = document.getElementById("sign-in");
    this.note = document.getElementById("sign-in-note");
    if (settings.identity_url) {
      document.getElementById("password-row").hidden = false;
      document.getElementById("password").required = true;
    }
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.signIn();
    });
    document.getElementById("sign-out").addEventListener("click", () => this.signOut());
  }

  get headers() {
    const headers = this.name ? { "x-client-id": this.name } : {};
    if (this.token) headers.authorization = `Bearer ${this.token}`;
    return headers;
  }

  async signIn() {
    const name = this.form.elements.customer.value.trim();
    this.note.textContent = "";
    if (!/^[\x21-\x7e]{1,64}$/.test(name)) {
      this.note.textContent = "A customer name has letters and digits and no spaces.";
      return;
    }
    if (this.settings.identity_url) {
      const token = await this.fetchToken(name, this.form.elements.password.value);
      if (!token) return;
      this.token = token;
    }
    this.name = name;
    this.form.elements.password.value = "";
    this.show();
    document.getElementById("products-heading").focus();
  }

  async fetchToken(username, password) {
    const answer = await ask(`${this.settings.identity_url}/token`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ username, password }),
      limitMs: this.settings.read_timeout_ms,
    });
    if (answer.status === 200 && typeof answer.body?.access_token === "string") {
      return answer.body.access_token;
    }
    const wrong = answer.kind === "answer" && answer.status < 500;
    this.note.textContent = wrong
      ? "This name and password do not belong together."
      : "We cannot check who you are right now. Please try again in a moment.";
    return undefined;
  }

  signOut() {
    this.name = undefined;
    this.token = undefined;
    this.show();
    this.form.elements.customer.focus();
  }

  show() {
    document.getElementById("sign-in-panel").hidden = Boolean(this.name);
    document.getElementById("signed-in").hidden = !this.name;
    document.getElementById("signed-in-as").textContent = this.name ?? "";
    this.onChange();
  }
}
