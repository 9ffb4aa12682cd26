"""A shop in one process, as another team might have it: no database, no queue, nothing of this workspace."""

import json
import os
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

UNITS = int(os.environ["UNITS"])
OFF = os.environ.get("DEFENCES_OFF", "").split(",")

lock = threading.Lock()
by_key = {}
facts = {
    name: []
    for name in "orders lines audit charges refunds requests moves messages progress processed parked told claims".split()
}
stock = {}
dashboards = {}

WINDOW_S = 60


def show(request, now_s):
    """Counts an order in the window in which it is placed and paid."""
    start_s = now_s - now_s % WINDOW_S
    window = dashboards.setdefault(
        start_s,
        {
            "window_start_s": start_s,
            "window_s": WINDOW_S,
            "currency": request["currency"],
            "placed": 0,
            "paid": 0,
            "refunded": 0,
            "revenue_minor": 0,
        },
    )
    window["placed"] += 1
    window["paid"] += 1
    window["revenue_minor"] += request["amount_minor"]


def place(request, key):
    """Charges the card, takes the goods; everything at once, since everything is in this process."""
    with lock:
        if key in by_key:
            return by_key[key]
        number = len(facts["orders"]) + 1
        order_id = f"shop-{number}"
        now_ms = int(time.time() * 1000)
        show(request, now_ms // 1000)
        path = [None, "placed", "payment_pending", "paid", "fulfilled"]
        for version, (before, after) in enumerate(zip(path, path[1:]), start=1):
            facts["audit"].append(
                {
                    "order_id": order_id,
                    "version": version,
                    "from_state": before,
                    "to_state": after,
                    "at_ms": now_ms,
                }
            )
        times = 2 if "shop.charge-once" in OFF else 1
        for attempt in range(times):
            facts["charges"].append(
                {
                    "charge_id": f"{order_id}-{attempt}",
                    "order_id": order_id,
                    "amount_minor": request["amount_minor"],
                    "idempotency_key": key,
                }
            )
        facts["requests"].append({"order_id": order_id, "kind": "charge", "attempts": times})
        for line in request["lines"]:
            product = stock.setdefault(
                line["product_id"],
                {"product_id": line["product_id"], "initial": UNITS, "on_hand": UNITS},
            )
            product["on_hand"] -= line["quantity"]
            facts["lines"].append({"order_id": order_id, **line})
            facts["moves"].append(
                {
                    "sequence": len(facts["moves"]) + 1,
                    "order_id": order_id,
                    **line,
                    "on_hand_after": product["on_hand"],
                }
            )
        facts["orders"].append(
            {
                "order_id": order_id,
                "reference": request["reference"],
                "state": "fulfilled",
                "is_final": True,
                "amount_minor": request["amount_minor"],
                "version": len(path) - 1,
            }
        )
        by_key[key] = order_id
        return order_id


class Desk(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path == "/ready":
            self.answer(200, {"ready": True})
        elif self.path == "/facts":
            with lock:
                self.answer(200, {**facts, "stock": list(stock.values()), "dashboards": list(dashboards.values())})
        else:
            self.answer(404, {"error": {"code": "not_found"}})

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        order_id = place(request, self.headers.get("idempotency-key") or request["reference"])
        self.answer(201, {"order_id": order_id})

    def answer(self, status, body):
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


host, port = os.environ["LISTEN"].rsplit(":", 1)
ThreadingHTTPServer((host, int(port)), Desk).serve_forever()
