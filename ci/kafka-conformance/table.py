"""Prints one table of all results: a line for each case, a column for each client. Ends with 1 if anything differs or is missing."""

import json
import sys

from conformance import known_cases

CLIENTS = ["rdkafka", "kafka-python", "aiokafka", "kafkajs"]


def main():
    results, notes = {}, []
    for file in sys.argv[1:]:
        with open(file, encoding="utf-8") as lines:
            for line in lines:
                result = json.loads(line)
                key = (result["case"], result["client"])
                results[key] = result["result"] if key not in results else "reported twice"
                if result["note"]:
                    notes.append(f"{result['case']}, {result['client']}: {result['note']}")
    cases = known_cases()
    width = max(len(case) for case in cases)
    print("| " + " | ".join(["case".ljust(width)] + [client.ljust(12) for client in CLIENTS]) + " |")
    print("|" + "|".join("-" * (size + 2) for size in [width] + [12] * len(CLIENTS)) + "|")
    bad = 0
    for case in cases:
        row = [results.pop((case, client), "missing") for client in CLIENTS]
        bad += sum(result not in ("ok", "unsupported") for result in row)
        print("| " + " | ".join([case.ljust(width)] + [result.ljust(12) for result in row]) + " |")
    for case, client in results:
        print(f"{client} reported {case}, which is not in the list of cases")
        bad += 1
    print()
    for note in notes:
        print(note)
    if bad:
        print(f"{bad} results differ or are missing")
    return 1 if bad else 0


sys.exit(main())
