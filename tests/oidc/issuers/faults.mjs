// What an issuer answers instead of the truth, for as long as the test wants it.

export class Faults {
  #faults = [];
  #held = [];

  // {path, times, status, headers, body} | {path, times, reset: true} | {path, times, hold: true}
  // Of several for one path the first that is not used up counts.
  add(fault) {
    this.#faults.push({ times: Infinity, ...fault });
  }

  // Those who were kept waiting are cut off.
  clear() {
    this.#faults = [];
    for (const response of this.#held) response.destroy();
    this.#held = [];
  }

  // Whether there was a fault, and this response is done with.
  async answer(path, response) {
    const fault = this.#faults.find((one) => one.times > 0 && (one.path === '*' || one.path === path));
    if (!fault) return false;
    fault.times -= 1;
    if (fault.hold) {
      this.#held.push(response);
    } else if (fault.reset) {
      response.socket.resetAndDestroy();
    } else {
      response.writeHead(fault.status ?? 200, { 'Content-Type': 'application/json', ...fault.headers });
      response.end(fault.body ?? '');
    }
    return true;
  }
}
