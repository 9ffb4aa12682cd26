// What the program that serves this page says about the world: addresses, patience, protections.

export async function readSettings() {
  const answer = await fetch("/config.json", { cache: "no-store" });
  if (!answer.ok) {
    throw new Error(`the shop's configuration was answered with ${answer.status}`);
  }
  return answer.json();
}
